"""The 68 points: groups, mirror, and the signs and sizes of the head's pose."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from stylswap.errors import ShapeError
from stylswap.faces.align import reference_shape
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import (
    BROWS,
    EYES,
    INNER,
    INNER_LIPS,
    JAW,
    LEFT_BROW,
    LEFT_EYE,
    MIRROR,
    MOUTH,
    NOSE,
    OUTER_LIPS,
    POINT_SETS,
    RIGHT_BROW,
    RIGHT_EYE,
    eye_distance,
    head_pose,
    mirror_landmarks,
)

FloatArray = npt.NDArray[np.float64]

# The points that `head_pose` reads, on its own head: x to the right of the picture, y down, z away from the camera.
POINTS = {
    27: (0, -37.2, 25.1), 28: (0, -24.9, 17.5), 29: (0, -12.7, 8.6), 30: (0, 0, 0),
    31: (-15.7, 8.7, 20.8), 32: (-8.2, 11.5, 16.5), 33: (0, 14, 13.8), 34: (8.2, 11.5, 16.5), 35: (15.7, 8.7, 20.8),
    36: (-45, -33.9, 49.7), 39: (-19.2, -32.7, 44), 42: (19.2, -32.7, 44), 45: (45, -33.9, 49.7),
}  # fmt: skip
# A head of the test's own, in round figures: the nose 50 mm long and 32 wide, its tip 20 mm before its base, the eyes' outer
# corners 88 mm apart and 25 mm behind the bridge of the nose, the inner ones 36 mm apart.
ROUND = {
    27: (0, -36, 24), 28: (0, -24, 16), 29: (0, -12, 8), 30: (0, 0, 0),
    31: (-16, 9, 22), 32: (-8, 12, 17), 33: (0, 14, 14), 34: (8, 12, 17), 35: (16, 9, 22),
    36: (-44, -33, 49), 39: (-18, -32, 42), 42: (18, -32, 42), 45: (44, -33, 49),
}  # fmt: skip


def seen(
    rotation: FloatArray, *, scale: float = 1.7, shift: tuple[float, float] = (200.0, 120.0), head: dict[int, tuple[float, ...]] = POINTS
) -> FloatArray:
    """The landmarks of the turned head, orthographic; points that no pose needs are far off."""
    landmarks = np.full((68, 2), 1e5)
    for number, point in head.items():
        landmarks[number] = scale * (rotation @ np.array(point, dtype=float))[:2] + shift
    return landmarks


def turned(axis: str, degrees: float) -> FloatArray:
    """A right-handed rotation about a camera axis (x right, y down, z away)."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array(
        {
            "x": [[1, 0, 0], [0, cos, -sin], [0, sin, cos]],
            "y": [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]],
            "z": [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]],
        }[axis]
    )


def test_groups_cover_all_points_once() -> None:
    parts = [JAW, LEFT_BROW, RIGHT_BROW, NOSE, LEFT_EYE, RIGHT_EYE, OUTER_LIPS, INNER_LIPS]
    assert np.concatenate(parts).tolist() == list(range(68))
    assert np.concatenate([LEFT_BROW, RIGHT_BROW]).tolist() == BROWS.tolist()
    assert np.concatenate([LEFT_EYE, RIGHT_EYE]).tolist() == EYES.tolist()
    assert np.concatenate([OUTER_LIPS, INNER_LIPS]).tolist() == MOUTH.tolist()
    assert POINT_SETS["all"].tolist() == list(range(68))
    assert POINT_SETS["inner"].tolist() == INNER.tolist() == list(range(17, 68))


def test_mirroring_twice_is_nothing() -> None:
    assert sorted(MIRROR.tolist()) == list(range(68))
    assert MIRROR[MIRROR].tolist() == list(range(68))


@pytest.mark.parametrize(
    ("group", "partner"),
    [(JAW, JAW), (LEFT_BROW, RIGHT_BROW), (NOSE, NOSE), (LEFT_EYE, RIGHT_EYE), (OUTER_LIPS, OUTER_LIPS), (INNER_LIPS, INNER_LIPS)],
)
def test_mirroring_takes_groups_to_groups(group: npt.NDArray[np.int64], partner: npt.NDArray[np.int64]) -> None:
    assert sorted(MIRROR[group].tolist()) == partner.tolist()


def test_points_on_the_middle_line_stay() -> None:
    assert [point for point in range(68) if MIRROR[point] == point] == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]


def test_the_outline_of_an_eye_keeps_its_meaning() -> None:
    # 36 and 45 are the outer corners, 37 and 38 the upper lid from outside in.
    assert MIRROR[[36, 37, 38, 39, 40, 41]].tolist() == [45, 44, 43, 42, 47, 46]


def test_mirrored_points_are_those_of_the_mirrored_picture() -> None:
    width = 100
    points = np.random.default_rng(0).uniform(0, width - 1, (3, 68, 2))
    mirrored = mirror_landmarks(points, width)
    assert np.array_equal(mirrored[:, 0, 0], 99 - points[:, 16, 0])
    assert np.array_equal(mirrored[..., 1], points[:, MIRROR, 1])
    assert np.allclose(mirror_landmarks(mirrored, width), points)
    # Pixel 0 becomes the last one.
    assert mirror_landmarks(np.zeros((68, 2)), width)[0].tolist() == [99.0, 0.0]


def test_a_detector_agrees_with_the_mirror(photo_u8: npt.NDArray[np.uint8]) -> None:
    detector = FaceDetector(use_cnn=False)
    here = detector.detect(photo_u8)[0].landmarks
    there = detector.detect(np.ascontiguousarray(photo_u8[:, ::-1]))[0].landmarks
    apart = np.linalg.norm(mirror_landmarks(here, photo_u8.shape[1]) - there, axis=1)
    assert apart.mean() < 0.05 * eye_distance(here)


def test_the_distance_between_the_eyes() -> None:
    landmarks = np.zeros((2, 68, 2))
    landmarks[0, RIGHT_EYE] = (3, 4)
    landmarks[1, LEFT_EYE] = (1, 0)
    landmarks[1, 36] += (6, 0)  # the mean of the eye counts
    assert eye_distance(landmarks).tolist() == [5.0, 2.0]


def test_the_signs_of_the_pose_by_eye() -> None:
    right = seen(turned("y", -20))
    assert right[30, 0] > right[[36, 45], 0].mean(), "the nose points to the right of the picture"
    assert head_pose(right).yaw_deg > 10
    down = seen(turned("x", 20))
    level = seen(np.eye(3))
    assert down[30, 1] - down[36, 1] > level[30, 1] - level[36, 1], "the nose comes down, away from the eyes"
    assert head_pose(down).pitch_deg > 10
    clockwise = seen(turned("z", 20))
    assert clockwise[45, 1] > clockwise[36, 1], "the eye on the right is lower"
    assert head_pose(clockwise).roll_deg > 10


@pytest.mark.parametrize("yaw_deg", [-70, -30, 0, 15, 60])
@pytest.mark.parametrize("pitch_deg", [-35, 0, 25])
def test_yaw_and_pitch_are_the_direction_of_the_nose(yaw_deg: float, pitch_deg: float) -> None:
    pose = head_pose(seen(turned("y", -yaw_deg) @ turned("x", pitch_deg)))
    assert pose == pytest.approx((yaw_deg, pitch_deg, 0), abs=1e-6)


@pytest.mark.parametrize("yaw_deg", [-60, -40, -20, 0, 10, 30, 50])
@pytest.mark.parametrize("pitch_deg", [-30, -15, 0, 15, 30])
@pytest.mark.parametrize("roll_deg", [-20, 0, 35])
def test_another_head_is_measured_to_some_degrees(yaw_deg: float, pitch_deg: float, roll_deg: float) -> None:
    rotation = turned("z", roll_deg) @ turned("y", -yaw_deg) @ turned("x", pitch_deg)
    pose = head_pose(seen(rotation, head=ROUND))
    straight = head_pose(seen(turned("y", -yaw_deg) @ turned("x", pitch_deg), head=ROUND))
    assert (straight.yaw_deg, straight.pitch_deg) == pytest.approx((yaw_deg, pitch_deg), abs=3)
    # The direction of the nose turns with the picture.
    x, y = np.sin(np.radians(yaw_deg)) * np.cos(np.radians(pitch_deg)), np.sin(np.radians(pitch_deg))
    cos, sin = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
    nose = (cos * x - sin * y, sin * x + cos * y)
    found = np.sin(np.radians(pose.yaw_deg)) * np.cos(np.radians(pose.pitch_deg)), np.sin(np.radians(pose.pitch_deg))
    assert found == pytest.approx(nose, abs=0.05)


def test_an_open_mouth_and_a_moved_jaw_change_nothing() -> None:
    landmarks = seen(turned("y", -25))
    moved = landmarks.copy()
    moved[[*JAW, *MOUTH]] += (3, 40)
    assert head_pose(moved) == head_pose(landmarks)


@pytest.mark.parametrize("roll_deg", [-170, -45, 10, 90])
def test_roll_turns_the_picture(roll_deg: float) -> None:
    assert head_pose(seen(turned("z", roll_deg))) == pytest.approx((0, 0, roll_deg), abs=1e-6)


def test_pose_depends_neither_on_size_nor_on_place() -> None:
    rotation = turned("z", 12) @ turned("y", 25) @ turned("x", -8)
    near, far = head_pose(seen(rotation)), head_pose(seen(rotation, scale=0.1, shift=(-3, 9000)))
    assert near == pytest.approx(far, abs=1e-5)


def test_pose_bears_noise() -> None:
    noise = np.random.default_rng(0).normal(0, 1.0, (68, 2))  # one pixel, where the eyes are 170 apart
    assert head_pose(seen(turned("y", -25)) + noise) == pytest.approx((25, 0, 0), abs=3)


def test_a_mirrored_face_looks_the_other_way() -> None:
    rotation = turned("z", 14) @ turned("y", 30) @ turned("x", 11)
    landmarks = seen(rotation)
    yaw, pitch, roll = head_pose(landmarks)
    assert head_pose(mirror_landmarks(landmarks, 640)) == pytest.approx((-yaw, pitch, -roll), abs=1e-6)


def test_the_reference_looks_into_the_camera() -> None:
    assert head_pose(reference_shape(128)) == pytest.approx((0, 0, 0), abs=0.5)


def test_an_upside_down_head_has_half_a_turn() -> None:
    upside_down = -reference_shape(128)
    assert abs(head_pose(upside_down).roll_deg) == pytest.approx(180, abs=1e-3)


def test_pose_needs_sixty_eight_points() -> None:
    with pytest.raises(ShapeError, match=r"landmarks must be \(68, 2\), got \(67, 2\)"):
        head_pose(np.zeros((67, 2)))


def test_left_is_left_in_the_picture() -> None:
    shape = reference_shape(100)
    assert shape[LEFT_EYE, 0].mean() < 50 < shape[RIGHT_EYE, 0].mean()
