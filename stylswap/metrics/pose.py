"""How far the head turned, and which photos are frontal."""

from __future__ import annotations

from math import isfinite
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stylswap.errors import UsageError
from stylswap.faces.landmarks import Pose

FloatArray = npt.NDArray[np.float64]

# Names and upper ends in degrees, for |yaw|. The order is that of a table's columns.
YAW_BINS: Final = (("frontal", 10.0), ("slight", 20.0), ("half", 35.0), ("beyond", float("inf")))


class PoseError(NamedTuple):
    """Between two head poses, in degrees.

    Attributes:
        angle_deg: Of the one rotation that takes one head to the other, in [0, 180].
        yaw_deg: After minus before, in (-180, 180].
        pitch_deg: The same.
        roll_deg: The same.
    """

    angle_deg: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float


def pose_error_deg(before: Pose, after: Pose) -> PoseError:
    """How far a head turned.

    The angle is the geodesic one: unlike a sum over the axes it depends neither on their order nor on where the head looked before.

    Args:
        before: Of the input, see `stylswap.faces.landmarks.head_pose`.
        after: Of the output.

    Returns:
        The angle and the differences axis by axis.
    """
    between = rotation_of(before).T @ rotation_of(after)
    # Twice the sine and the cosine of the angle: unlike the cosine alone they stay exact near 0 and 180 degrees.
    sine = np.linalg.norm(between - between.T) / np.sqrt(2)
    angle_deg = float(np.degrees(np.arctan2(sine, np.trace(between) - 1)))
    yaw, pitch, roll = (_wrapped(late - early) for early, late in zip(before, after, strict=True))
    return PoseError(angle_deg, yaw, pitch, roll)


def rotation_of(pose: Pose) -> FloatArray:
    """The rotation from the head to the camera that a pose stands for, (3, 3): x right, y down, z away from the camera.

    Yaw and pitch say where the nose points, roll how the head's left-to-right axis lies in the picture, as `head_pose` reads them.
    """
    yaw, pitch, roll = np.radians(pose)
    forward = np.array([np.cos(pitch) * np.sin(yaw), np.sin(pitch), -np.cos(pitch) * np.cos(yaw)])
    # Across is at right angles to forward and lies at `roll` in the picture; its depth follows. All times |z|: nothing divides by 0.
    flat = np.array([np.cos(roll), np.sin(roll)])
    across = np.array([*(flat * abs(forward[2])), -np.sign(forward[2]) * (flat @ forward[:2])])
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(-forward, across), -forward], axis=1)


def yaw_bin(yaw_deg: float) -> str:
    """The name of a yaw's bin: frontal below 10 degrees to either side, slight below 20, half below 35, beyond.

    Raises:
        UsageError: If the yaw is no number.
    """
    if not isfinite(yaw_deg):
        raise UsageError(f"a yaw must be a number of degrees, got {yaw_deg}")
    return next(name for name, end_deg in YAW_BINS if abs(yaw_deg) < end_deg)


def _wrapped(angle_deg: float) -> float:
    return 180.0 - (180.0 - angle_deg) % 360.0
