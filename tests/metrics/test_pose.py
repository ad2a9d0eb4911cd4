"""Angles between head poses, for turns that are known."""

from __future__ import annotations

import numpy as np
import pytest

from stylswap.errors import UsageError
from stylswap.faces.align import reference_shape
from stylswap.faces.batch import Face
from stylswap.faces.landmarks import Pose, head_pose, mirror_landmarks
from stylswap.metrics.pose import YAW_BINS, pose_error_deg, rotation_of, yaw_bin

POSES = [Pose(0, 0, 0), Pose(25, -8, 12), Pose(-70, 40, 100), Pose(140, 20, -30), Pose(90, 0, 0)]


@pytest.mark.parametrize("pose", POSES)
def test_a_pose_is_a_rotation_that_reads_as_the_pose(pose: Pose) -> None:
    rotation = rotation_of(pose)
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    forward, across = -rotation[:, 2], rotation[:, 0]
    assert np.degrees(np.arcsin(forward[1])) == pytest.approx(pose.pitch_deg, abs=1e-9)
    assert np.degrees(np.arctan2(forward[0], -forward[2])) == pytest.approx(pose.yaw_deg, abs=1e-9)
    if abs(forward[2]) > 1e-9:  # in profile the axis points at the camera, and has no direction in the picture
        assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(pose.roll_deg, abs=1e-9)


@pytest.mark.parametrize("pose", POSES)
def test_the_same_pose_has_no_error(pose: Pose) -> None:
    assert pose_error_deg(pose, pose) == pytest.approx((0, 0, 0, 0), abs=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_axis_is_its_own_angle(axis: int) -> None:
    turned = [0.0, 0.0, 0.0]
    turned[axis] = -17.0
    assert pose_error_deg(Pose(0, 0, 0), Pose(*turned)) == pytest.approx((17, *turned), abs=1e-9)


def test_the_angle_is_the_same_both_ways_and_obeys_the_triangle() -> None:
    first, second, third = POSES[1], POSES[2], POSES[3]
    assert pose_error_deg(first, second).angle_deg == pytest.approx(pose_error_deg(second, first).angle_deg)
    direct = pose_error_deg(first, third).angle_deg
    assert direct <= pose_error_deg(first, second).angle_deg + pose_error_deg(second, third).angle_deg


def test_the_angle_is_that_of_the_one_rotation() -> None:
    """Yaw 90 and roll 90 together are a third of a turn about a diagonal: 120 degrees, not 180."""
    after = rotation_of(Pose(0, 0, 90)) @ rotation_of(Pose(90 - 1e-9, 0, 0))
    forward, across = -after[:, 2], after[:, 0]
    pose = Pose(*np.degrees([np.arctan2(forward[0], -forward[2]), np.arcsin(forward[1]), np.arctan2(across[1], across[0])]))
    assert pose_error_deg(Pose(0, 0, 0), pose).angle_deg == pytest.approx(120, abs=1e-4)


def test_differences_go_the_short_way() -> None:
    error = pose_error_deg(Pose(0, 0, 175), Pose(0, 0, -175))
    assert error == pytest.approx((10, 0, 0, 10), abs=1e-9)
    assert pose_error_deg(Pose(0, 0, 0), Pose(0, 0, 180)) == pytest.approx((180, 0, 0, 180), abs=1e-6)


def test_a_picture_turned_by_ten_degrees(face: Face) -> None:
    angle = np.radians(10)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    before, after = head_pose(face.landmarks), head_pose(face.landmarks @ turn.T)
    assert pose_error_deg(before, after).angle_deg == pytest.approx(10, abs=1e-6), "whichever way the head looks"


def test_a_mirrored_face_is_turned_by_twice_its_yaw() -> None:
    points = reference_shape(128)
    points[[27, 28, 29, 30, 31, 32, 33, 34, 35], 0] += 6  # the nose to the right: the head looks there
    pose = head_pose(points)
    assert pose.yaw_deg > 5
    error = pose_error_deg(pose, head_pose(mirror_landmarks(points, 128)))
    assert error.yaw_deg == pytest.approx(-2 * pose.yaw_deg)
    assert error.pitch_deg == pytest.approx(0, abs=1e-6)


def test_bins_are_symmetric_and_closed_below() -> None:
    expected = {0: "frontal", 9.99: "frontal", 10: "slight", 19.9: "slight", 20: "half", 34.9: "half", 35: "beyond", 120: "beyond"}
    for yaw_deg, name in expected.items():
        assert yaw_bin(yaw_deg) == yaw_bin(-yaw_deg) == name
    assert set(expected.values()) == {name for name, _ in YAW_BINS}
    with pytest.raises(UsageError, match="got nan"):
        yaw_bin(float("nan"))
