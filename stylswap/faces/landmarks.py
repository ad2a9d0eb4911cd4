"""The 68 points: groups, mirroring, distances, pose.

Convention:
    The order is that of the iBUG 300-W annotation, which dlib's predictor follows. "Left" in group names is the left side of the
    picture, so that a group keeps its name when only the picture is known.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stylswap.shapes import check_shapes

FloatArray = npt.NDArray[np.float64]

NUM_LANDMARKS: Final = 68

JAW: Final = np.arange(0, 17)
LEFT_BROW: Final = np.arange(17, 22)
RIGHT_BROW: Final = np.arange(22, 27)
NOSE: Final = np.arange(27, 36)
LEFT_EYE: Final = np.arange(36, 42)
RIGHT_EYE: Final = np.arange(42, 48)
OUTER_LIPS: Final = np.arange(48, 60)
INNER_LIPS: Final = np.arange(60, 68)
BROWS: Final = np.arange(17, 27)
EYES: Final = np.arange(36, 48)
MOUTH: Final = np.arange(48, 68)
INNER: Final = np.arange(17, 68)

# Two of the methods' names for the points that alignment is fitted to. The jaw's points slide along the outline when the head turns.
POINT_SETS: Final = {"all": np.arange(NUM_LANDMARKS), "inner": INNER}

# fmt: off
MIRROR: Final = np.array([
    16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,  # jaw
    26, 25, 24, 23, 22, 21, 20, 19, 18, 17,  # brows
    27, 28, 29, 30, 35, 34, 33, 32, 31,  # nose
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,  # eyes
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,  # outer lips
    64, 63, 62, 61, 60, 67, 66, 65,  # inner lips
])
# fmt: on

# A generic head in millimetres, x to the right of the picture, y down, z away from the camera: nose and corners of the eyes, which no
# expression moves much. Measured from what the predictor sees of 460 generated faces turned many ways (structure from motion under weak
# perspective, held symmetric), scaled to outer eye corners 90 mm apart. Pitch 0 is that of the shipped reference shape.
_POSE_POINTS: Final = np.array([27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 39, 42, 45])
_HEAD_MM: Final = np.array(
    [
        [0.0, -37.2, 25.1],
        [0.0, -24.9, 17.5],
        [0.0, -12.7, 8.6],
        [0.0, 0.0, 0.0],
        [-15.7, 8.7, 20.8],
        [-8.2, 11.5, 16.5],
        [0.0, 14.0, 13.8],
        [8.2, 11.5, 16.5],
        [15.7, 8.7, 20.8],
        [-45.0, -33.9, 49.7],
        [-19.2, -32.7, 44.0],
        [19.2, -32.7, 44.0],
        [45.0, -33.9, 49.7],
    ]
)


class Pose(NamedTuple):
    """Head pose in degrees: 0, 0, 0 looks into the camera.

    Attributes:
        yaw_deg: Positive when the face looks towards the right side of the picture.
        pitch_deg: Positive when the face looks down.
        roll_deg: Positive when the head is tilted clockwise in the picture.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float


def mirror_landmarks(landmarks: FloatArray, width: float) -> FloatArray:
    """The points of the mirrored picture.

    Args:
        landmarks: (..., 68, 2), x then y.
        width: Width of the picture in pixels.

    Returns:
        (..., 68, 2), each point again under the name it has in the mirrored picture.
    """
    mirrored = landmarks[..., MIRROR, :].copy()
    mirrored[..., 0] = (width - 1) - mirrored[..., 0]
    return mirrored


def eye_distance(landmarks: FloatArray) -> FloatArray:
    """Distance between the centres of the eyes, (...,), in the points' unit."""
    left = landmarks[..., LEFT_EYE, :].mean(axis=-2)
    right = landmarks[..., RIGHT_EYE, :].mean(axis=-2)
    return np.asarray(np.linalg.norm(right - left, axis=-1))


def head_pose(landmarks: FloatArray) -> Pose:
    """Yaw, pitch and roll from the 68 points, under weak perspective.

    A scaled rotation that takes 13 points of a generic head to the picture is fitted by least squares; its two rows are made orthonormal.
    The mouth and the jaw are left out: they move with the expression. The head is an average one: differences between poses of one person
    are more exact than absolute angles, errors of some degrees remain.

    Args:
        landmarks: (68, 2), in pixels.

    Returns:
        The pose in degrees.

    Raises:
        ShapeError: If there are not 68 points.
    """
    check_shapes(landmarks=(landmarks, "68 2"))
    head = _HEAD_MM - _HEAD_MM.mean(axis=0)
    seen = landmarks[_POSE_POINTS] - landmarks[_POSE_POINTS].mean(axis=0)
    projection = np.linalg.lstsq(head, seen, rcond=None)[0].T  # (2, 3) = scale * first two rows of the rotation
    left, _, right = np.linalg.svd(projection, full_matrices=False)
    rows = left @ right  # the nearest pair of orthonormal rows
    rotation = np.vstack([rows, np.cross(rows[0], rows[1])])
    # The nose's direction in camera coordinates: the head's -z axis.
    forward = -rotation[:, 2]
    yaw = np.degrees(np.arctan2(forward[0], -forward[2]))
    pitch = np.degrees(np.arcsin(np.clip(forward[1], -1.0, 1.0)))
    across = rotation[:, 0]  # the head's left-to-right axis
    roll = np.degrees(np.arctan2(across[1], across[0]))
    return Pose(float(yaw), float(pitch), float(roll))
