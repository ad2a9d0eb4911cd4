"""Where dlib's face network expects a face: the "chip", a square of 150 px that dlib cuts around 33 of the 68 landmarks.

The places of these points are measured, not copied: the centre and the turn of `dlib.get_face_chip_details(shape, 150, 0.25)` are linear
in the landmarks, so the answers for 400 random sets of 68 points fix, by least squares, which landmarks count (the jaw, the brows and the
lower lip do not) and where a mean face has them. All came out as numbers of six decimals, to within 1e-9.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from stylswap.errors import ShapeError
from stylswap.shapes import check_shapes

FloatArray = npt.NDArray[np.float64]

SIDE_PX: Final = 150
COUNTED: Final = (*range(27, 55), *range(60, 65))
"""Which of the 68 landmarks count: nose, eyes, upper lip."""

_MARGIN: Final = 0.25  # on each side, of the side of the square in which the mean face is given
# fmt: off
_MEAN_FACE: Final = np.array([
    [0.490127, 0.203352], [0.490127, 0.307009], [0.490127, 0.409805], [0.490127, 0.515625],  # bridge of the nose
    [0.366880, 0.587326], [0.426036, 0.609345], [0.490127, 0.628106], [0.554217, 0.609345], [0.613373, 0.587326],  # nostrils
    [0.121737, 0.216423], [0.187122, 0.178758], [0.265825, 0.179852],  # left eye
    [0.334606, 0.231733], [0.260918, 0.245099], [0.182743, 0.244077],
    [0.645647, 0.231733], [0.714428, 0.179852], [0.793132, 0.178758],  # right eye
    [0.858516, 0.216423], [0.797510, 0.244077], [0.719335, 0.245099],
    [0.254149, 0.780233], [0.340985, 0.745405], [0.428858, 0.727388], [0.490127, 0.742578],  # upper lip, outside
    [0.551395, 0.727388], [0.639268, 0.745405], [0.726104, 0.780233],
    [0.290379, 0.784792], [0.428096, 0.778746], [0.490127, 0.785343], [0.552157, 0.778746], [0.689874, 0.784792],  # and inside
])
# fmt: on
CHIP_POINTS: Final = (_MEAN_FACE + _MARGIN) / (1 + 2 * _MARGIN) * SIDE_PX
"""The mean face in a chip, (33, 2), in pixels from the chip's top left edge."""

_SMALLEST_SCALE: Final = 0.02  # a chip of 3 px of the image


def chip_from_image(landmarks: FloatArray, *, side_px: int = SIDE_PX) -> FloatArray:
    """The turn, scale and shift by which dlib cuts a face's chip.

    The least squares are taken in the image, where the landmarks are, not in the chip. As dlib does it: the corner pixels' centres lie on
    the edges of a square that is one pixel of the image smaller than the chip.

    Args:
        landmarks: (68, 2) in pixels.
        side_px: Of the chip, which shows the same square at any size; dlib's network wants `SIDE_PX`.

    Returns:
        (3, 3), to pixels of the chip.

    Raises:
        ShapeError: If the points coincide, are not finite, or the face is smaller than 2 px.
    """
    check_shapes(landmarks=(landmarks, "68 2"))
    # In the plane a turn with a scale is a complex factor.
    w, z = (points @ np.array([1.0, 1.0j]) for points in (CHIP_POINTS, landmarks[list(COUNTED)]))
    centred = w - w.mean()
    factor = np.vdot(centred, z - z.mean()) / (np.abs(centred) ** 2).sum()
    scale = abs(factor)
    if not _SMALLEST_SCALE < scale < np.inf:
        raise ShapeError(
            f"nose, eyes and upper lip must be different, finite points; with these the face has {scale:.3g} px of the image for "
            f"one of {SIDE_PX}"
        )
    middle = factor * (SIDE_PX / 2 * (1 + 1j) - w.mean()) + z.mean()
    step = factor * (SIDE_PX - 1 / scale) / (SIDE_PX - 1)  # in the image, for one pixel of the chip
    back = 1 / step
    shift = (SIDE_PX - 1) / 2 * (1 + 1j) - back * middle
    # Pixels are their centres: the corner at -0.5 is what stays where it is.
    enlarged = side_px / SIDE_PX
    back, shift = enlarged * back, enlarged * shift + (enlarged - 1) / 2 * (1 + 1j)
    return np.array([[back.real, -back.imag, shift.real], [back.imag, back.real, shift.imag], [0.0, 0.0, 1.0]])
