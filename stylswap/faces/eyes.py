"""Where glasses sit, from the landmarks: around the eyes and between them."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from stylswap.faces.landmarks import LEFT_EYE, RIGHT_EYE
from stylswap.shapes import check_shapes

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

_REACH: Final = (0.75, 0.5)  # half axes of the area around an eye, in widths of the eye
_BRIDGE: Final = (0.2, 0.15, 0.13)  # half width, height above and below the line of the eyes, in distances between the eyes


def around_eyes(landmarks: FloatArray, size: int) -> BoolArray:
    """An upright ellipse around each eye, with its lids.

    Args:
        landmarks: In pixels of an aligned crop, (68, 2).
        size: Side S of the crop.

    Returns:
        (S, S), True inside.
    """
    check_shapes(landmarks=(landmarks, "68 2"))
    ys, xs = np.mgrid[:size, :size]
    found = np.zeros((size, size), dtype=bool)
    for eye in (landmarks[LEFT_EYE], landmarks[RIGHT_EYE]):
        (x, y), width = eye.mean(axis=0), max(float(np.linalg.norm(eye[3] - eye[0])), 1.0)
        found |= ((xs - x) / (_REACH[0] * width)) ** 2 + ((ys - y) / (_REACH[1] * width)) ** 2 <= 1.0
    return found


def between_eyes(landmarks: FloatArray, size: int) -> BoolArray:
    """The root of the nose, where the bridge of glasses lies: a rectangle along the line of the eyes.

    Args:
        landmarks: In pixels of an aligned crop, (68, 2).
        size: Side S of the crop.

    Returns:
        (S, S), True inside.
    """
    check_shapes(landmarks=(landmarks, "68 2"))
    left, right = landmarks[LEFT_EYE].mean(axis=0), landmarks[RIGHT_EYE].mean(axis=0)
    way = (right - left) / max(float(((right - left) ** 2).sum()), 1.0)
    ys, xs = np.mgrid[:size, :size]
    along = (xs - left[0]) * way[0] + (ys - left[1]) * way[1]  # 0 at the left eye, 1 at the right one
    below = (ys - left[1]) * way[0] - (xs - left[0]) * way[1]
    return np.asarray((np.abs(along - 0.5) < _BRIDGE[0]) & (below > -_BRIDGE[1]) & (below < _BRIDGE[2]))
