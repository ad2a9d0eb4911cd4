"""Landmark errors with and without pose, on points whose moves are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from stylswap.data.faceset import FaceSet
from stylswap.errors import ShapeError
from stylswap.faces.align import reference_shape
from stylswap.faces.batch import Face
from stylswap.faces.landmarks import BROWS, INNER, JAW, LEFT_BROW, MOUTH, Pose, eye_distance, head_pose, mirror_landmarks
from stylswap.metrics.expression import HEAD_MM, ExpressionError, LandmarkError, expression_error, in_view_of, landmark_error
from stylswap.metrics.pose import rotation_of

FloatArray = npt.NDArray[np.float64]
NOTHING = ExpressionError(0, 0, 0, 0)
LOWER_LIP = np.array([55, 56, 57, 58, 59, 65, 66, 67])


def seen(head_mm: FloatArray, pose: Pose, *, scale: float = 1.3) -> FloatArray:
    """A head in a picture under weak perspective; the jaw, which it does not have, somewhere."""
    points = scale * np.nan_to_num(head_mm) @ rotation_of(pose)[:2].T + (200, 150)
    return np.asarray(points)


def turned(points: FloatArray, angle_deg: float) -> FloatArray:
    angle = np.radians(angle_deg)
    return np.asarray(points @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]))


def test_the_same_points_have_no_error(face: Face) -> None:
    assert landmark_error(face.landmarks, face.landmarks) == LandmarkError(0, 0)
    assert expression_error(face.landmarks, face.landmarks) == pytest.approx(NOTHING, abs=1e-12)


def test_a_shift_is_a_landmark_error_but_no_expression(face: Face) -> None:
    moved = face.landmarks + np.array([3.0, 4.0])
    expected = 5.0 / float(eye_distance(face.landmarks))
    assert landmark_error(face.landmarks, moved) == pytest.approx((expected, expected))
    assert expression_error(face.landmarks, moved) == pytest.approx(NOTHING, abs=1e-12)


@pytest.mark.parametrize(("angle_deg", "scale"), [(10, 1.0), (-35, 0.4), (170, 2.5)])
def test_a_turned_or_scaled_picture_keeps_its_expression(face: Face, angle_deg: float, scale: float) -> None:
    after = scale * turned(face.landmarks, angle_deg) + (40, -900)
    assert expression_error(face.landmarks, after) == pytest.approx(NOTHING, abs=1e-10)
    assert landmark_error(face.landmarks, after).inner > 0.1


def test_an_opened_mouth_by_hand(face: Face) -> None:
    after = face.landmarks.copy()
    after[LOWER_LIP, 1] += 7.0
    eyes = float(eye_distance(face.landmarks))
    assert landmark_error(face.landmarks, after) == pytest.approx((7 * 8 / 51 / eyes, 7 * 8 / 20 / eyes))
    expected = (7 * 8 / 20 / eyes, 0, 0, 7 * 8 / 42 / eyes)
    assert expression_error(face.landmarks, after) == pytest.approx(expected, abs=1e-10)
    smaller = expression_error(face.landmarks, 0.5 * turned(after, 10))
    assert smaller == pytest.approx(expected, abs=1e-10), "in the input's frame, whatever the output's"


def test_raised_brows_and_closed_eyes_are_told_apart() -> None:
    before = reference_shape(128)
    raised, closed = before.copy(), before.copy()
    raised[LEFT_BROW, 1] -= 4.0
    closed[[37, 38, 43, 44], 1] += 3.0
    eyes = float(eye_distance(before))
    assert expression_error(before, raised) == pytest.approx((0, 0, 2 / eyes, 4 * 5 / 42 / eyes), abs=1e-10)
    assert expression_error(before, closed) == pytest.approx((0, 1 / eyes, 0, 3 * 4 / 42 / eyes), abs=1e-10)


@pytest.mark.parametrize("pose", [Pose(25, 0, 0), Pose(-40, 10, 5), Pose(10, -20, -60)])
def test_a_turned_head_keeps_its_expression(pose: Pose) -> None:
    before, after = seen(HEAD_MM, Pose(5, 2, 0)), seen(HEAD_MM, pose, scale=0.7)
    # The head here and the one that `head_pose` reads were measured apart and differ by up to a millimetre.
    assert max(expression_error(before, after)) < 0.012
    assert landmark_error(before, after).inner > 0.2


def test_a_turned_heads_opened_mouth_is_measured_on_the_head() -> None:
    opened = HEAD_MM.copy()
    opened[LOWER_LIP, 1] += 10.0
    before = seen(HEAD_MM, Pose(0, 0, 0))
    error = expression_error(before, seen(opened, Pose(30, 0, 0), scale=2.0))
    millimetres = float(eye_distance(HEAD_MM[:, :2]))
    assert error.mouth == pytest.approx(10 * 8 / 20 / millimetres, abs=0.012)
    assert error.brows < 0.012


def test_points_in_anothers_view() -> None:
    before, after = seen(HEAD_MM, Pose(0, 0, 0)), seen(HEAD_MM, Pose(20, 0, 0))
    moved = in_view_of(before, after)
    assert np.isnan(moved[JAW]).all()
    assert np.abs(moved[INNER] - before[INNER]).max() < 2.5
    assert np.abs(after[INNER] - before[INNER]).max() > 10


def test_a_head_in_profile_cannot_be_compared() -> None:
    before, profile = seen(HEAD_MM, Pose(0, 0, 0)), seen(HEAD_MM, Pose(85, 0, 0))
    assert np.isnan(expression_error(before, profile)).all()
    assert np.isnan(expression_error(profile, before)).all()
    assert not np.isnan(landmark_error(before, profile)).any()


def test_a_face_and_its_mirror_image_have_the_same_expression(identity_set: FaceSet) -> None:
    """They look to different sides; a similarity in the picture would take most of that for an expression."""
    errors, by_similarity = [], []
    for row in range(len(identity_set)):
        points = identity_set.landmarks[row].double().numpy()
        if abs(head_pose(points).yaw_deg) < 8:
            continue
        other = mirror_landmarks(points, identity_set.size)
        errors.append(expression_error(points, other).all)
        by_similarity.append(_after_similarity(points, other))
    assert len(errors) >= 2
    assert np.mean(errors) < 0.06
    assert np.mean(errors) < 0.5 * np.mean(by_similarity)


def _after_similarity(before: FloatArray, after: FloatArray) -> float:
    stable = np.array([27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 39, 42, 45])
    wanted, given = (points[:, 0] + 1j * points[:, 1] for points in (before, after))
    centre, goal = given[stable].mean(), wanted[stable].mean()
    factor = np.vdot(given[stable] - centre, wanted[stable] - goal) / (np.abs(given[stable] - centre) ** 2).sum()
    moved = np.abs(factor * (given - centre) + goal - wanted) / float(eye_distance(before))
    return float(moved[np.concatenate([MOUTH, np.arange(36, 48), BROWS])].mean())


def test_another_person_is_further_than_a_tremble(input_set: FaceSet) -> None:
    points = input_set.landmarks.double().numpy()
    noise = np.random.default_rng(0).normal(0, 0.2, (68, 2))
    tremble = expression_error(points[0], points[0] + noise).all
    others = [expression_error(points[0], other).all for other in points[1:]]
    assert 0 < tremble < 0.5 * min(others)


def test_the_head_is_symmetric_and_in_millimetres() -> None:
    mirrored = mirror_landmarks(HEAD_MM[None, :, :2], 1)[0]
    assert mirrored[INNER] == pytest.approx(HEAD_MM[INNER, :2])
    assert np.linalg.norm(HEAD_MM[45] - HEAD_MM[36]) == pytest.approx(90, abs=2)
    assert HEAD_MM[INNER, 2].argmin() == 30 - 17, "the tip of the nose is nearest to the camera"


def test_other_point_sets_are_refused() -> None:
    for function in (landmark_error, expression_error):
        with pytest.raises(ShapeError, match=r"after must be \(68, 2\), got \(51, 2\)"):
            function(np.zeros((68, 2)), np.zeros((51, 2)))
