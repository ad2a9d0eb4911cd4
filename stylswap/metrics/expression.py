"""Is it still the photo's expression? Distances of landmarks, as they are and after the head's pose is taken out.

How the pose is taken out:
    The head's rotation is read from nose and eye corners, which no expression moves much (`stylswap.faces.landmarks.head_pose`). Every
    point gets the depth that it has on an average head; so the output's points can be turned in space into the input's view, where the two
    are compared. A turn, scale or shift of the picture drops out exactly; so does a turn of a head that is like the average one.

    A similarity in the picture, fitted to the same points, is as steady where the head does not move, but takes a turn to the side for an
    expression, since the nose leaves the plane of the eyes. Measured on photos against their own mirror images, which hold the same
    expression seen from the other side, errors of mouth, eyes and brows were on average, for heads turned by more than 12 degrees, 0.042
    instead of 0.199; by 5 to 12 degrees, 0.023 instead of 0.081; by less, 0.017 instead of 0.028.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stylswap.faces.landmarks import BROWS, EYES, INNER, MIRROR, MOUTH, eye_distance, head_pose
from stylswap.metrics.pose import rotation_of
from stylswap.shapes import check_shapes

FloatArray = npt.NDArray[np.float64]

# fmt: off
# The 51 inner points of an average head in millimetres: x to the right of the picture, y down, z away from the camera; tip of the nose at
# 0. Structure from motion over 150 generated faces and their mirror images, in the frame and size of the head of `head_pose`. Left half
# and the middle line; the right half is its mirror image.
_HEAD_HALF_MM: Final = {
    17: (-59.2, -46.1, 55.9), 18: (-50.4, -54.9, 46.8), 19: (-37.4, -58.0, 39.3), 20: (-23.9, -56.4, 32.8), 21: (-11.4, -51.4, 27.8),
    27: (0.0, -37.4, 24.7), 28: (0.0, -25.0, 17.3), 29: (0.0, -12.8, 8.7), 30: (0.0, 0.0, 0.0),
    31: (-15.4, 9.1, 21.3), 32: (-8.0, 11.9, 17.3), 33: (0.0, 14.3, 14.4),
    36: (-44.3, -34.2, 49.1), 37: (-36.6, -38.8, 45.3), 38: (-27.4, -38.8, 43.9),
    39: (-19.0, -33.1, 43.2), 40: (-27.8, -31.7, 43.6), 41: (-36.9, -31.7, 45.1),
    48: (-30.4, 32.6, 44.5), 49: (-19.2, 28.3, 30.7), 50: (-8.0, 26.1, 22.4), 51: (0.0, 27.9, 21.1),
    57: (0.0, 48.9, 21.8), 58: (-8.6, 48.0, 23.3), 59: (-19.5, 43.3, 31.4),
    60: (-25.9, 33.2, 42.4), 61: (-8.0, 31.9, 24.5), 62: (0.0, 32.7, 22.8), 66: (0.0, 39.7, 21.3), 67: (-8.2, 38.8, 22.9),
}
# fmt: on
_STABLE: Final = np.array([27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 39, 42, 45])  # nose and corners of the eyes
_EXPRESSIVE: Final = np.concatenate([MOUTH, EYES, BROWS])
_LEAST_FACING: Final = 0.25  # cosine; a head turned further, by 75 degrees, does not show the far half of its points


class LandmarkError(NamedTuple):
    """Mean distances over the distance between the input's eyes; pose counts.

    Attributes:
        inner: Of the 51 points without the jaw.
        mouth: Of the 20 points of the mouth.
    """

    inner: float
    mouth: float


class ExpressionError(NamedTuple):
    """Mean distances over the distance between the input's eyes, without pose; NaN where a head is turned too far to be compared.

    Attributes:
        mouth: Of the 20 points of the mouth.
        eyes: Of the 12 points of the eyes: lids, and corners.
        brows: Of the 10 points of the brows.
        all: Of these 42 points; nose and jaw tell pose and person, not expression.
    """

    mouth: float
    eyes: float
    brows: float
    all: float


def landmark_error(before: FloatArray, after: FloatArray) -> LandmarkError:
    """How far the landmarks moved in the photo, by pose, expression and person together.

    Args:
        before: Of the input, (68, 2) in pixels.
        after: Of the output, in the same frame.

    Raises:
        ShapeError: If there are not 68 points.
    """
    check_shapes(before=(before, "68 2"), after=(after, "68 2"))
    moved = _moved(before, after)
    return LandmarkError(float(moved[INNER].mean()), float(moved[MOUTH].mean()))


def expression_error(before: FloatArray, after: FloatArray) -> ExpressionError:
    """How much the expression changed; see the module for how pose is taken out.

    What stays in: the person. Another person with the same expression has other lips and brows.

    Args:
        before: Of the input, (68, 2) in pixels.
        after: Of the output, in any frame that keeps angles.

    Raises:
        ShapeError: If there are not 68 points.
    """
    check_shapes(before=(before, "68 2"), after=(after, "68 2"))
    moved = _moved(before, in_view_of(before, after))
    return ExpressionError(*(float(moved[group].mean()) for group in (MOUTH, EYES, BROWS, _EXPRESSIVE)))


def in_view_of(before: FloatArray, after: FloatArray) -> FloatArray:
    """The inner points of one photo turned into another's view of the head.

    Args:
        before: Whose view is wanted, (68, 2).
        after: Points to turn, (68, 2).

    Returns:
        (68, 2) in the pixels of `before`; the jaw's, which have no depth of their own, are NaN. All are where a head is turned more than 75
        degrees.
    """
    turned = np.full((68, 2), np.nan)
    wanted, wanted_scale, wanted_centre = _view(before)
    given, given_scale, given_centre = _view(after)
    if min(wanted[2, 2], given[2, 2]) < _LEAST_FACING:
        return turned
    depth = HEAD_MM[INNER, 2:]
    flat = (after[INNER] - given_centre) / given_scale - depth * given[:2, 2]
    across = np.linalg.solve(given[:2, :2], flat.T).T  # x and y on the head, in millimetres
    turned[INNER] = wanted_scale * (across @ wanted[:2, :2].T + depth * wanted[:2, 2]) + wanted_centre
    return turned


def _moved(before: FloatArray, after: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(after - before, axis=1) / eye_distance(before))


def _view(landmarks: FloatArray) -> tuple[FloatArray, float, FloatArray]:
    """Rotation of the head (3, 3), pixels a millimetre, and where the stable points' centre lies, (2,)."""
    rotation = rotation_of(head_pose(landmarks))
    centre = landmarks[_STABLE].mean(axis=0)
    seen, model = landmarks[_STABLE] - centre, HEAD_MM[_STABLE] @ rotation[:2].T
    return rotation, float((seen * model).sum() / (model**2).sum()), np.asarray(centre)


def _whole_head() -> FloatArray:
    """(68, 3), centred on the stable points; the jaw is NaN."""
    head = np.full((68, 3), np.nan)
    for number, place in _HEAD_HALF_MM.items():
        head[MIRROR[number]] = np.array(place) * (-1, 1, 1)
        head[number] = place
    return np.asarray(head - head[_STABLE].mean(axis=0))


HEAD_MM: Final = _whole_head()
