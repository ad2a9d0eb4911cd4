"""What of glasses is rim, and what shows through a clear lens."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from stylswap.shapes import check_shapes

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

_RIM: Final = 0.024  # thickness of a strong rim, as a share of the crop's side
_WIRE: Final = 0.011  # of a thin one, as exactly as the parser places it
_RIM_CONTRAST: Final = 0.1  # length of the difference in colour below which a rim cannot be told from what the lens shows
_THICK: Final = 0.05  # of the thickest that are sought
_THICK_CONTRAST: Final = 0.3  # between rim and skin, below which nothing deeper than a strong rim is taken for one
_THICK_LIKENESS: Final = 0.85  # of the way from skin to rim, from which on a pixel is rim; dark brows come less far
_MOSTLY: Final = 0.5  # share of the innermost ring of strong rims that is rim, from which on rims may be thicker
_RING: Final = 0.006  # that ring's width
_DARK_LENS: Final = 0.6  # of the skin's brightness; below it there is no eye to be seen


def rims(colour: FloatArray, glasses: BoolArray, skin: BoolArray) -> BoolArray:
    """The rims of glasses; all of them, where the lenses are dark.

    Args:
        colour: The crop, (S, S, 3) in [0, 1].
        glasses: Rims and lenses, (S, S).
        skin: Face without glasses, (S, S).

    Returns:
        (S, S).

    Raises:
        ShapeError: If the shapes do not fit together.
    """
    check_shapes(colour=(colour, "S S 3"), glasses=(glasses, "S S"), skin=(skin, "S S"))
    depth = ndimage.distance_transform_edt(glasses) / len(glasses)
    lenses = depth > _RIM
    bright = colour.mean(axis=2)
    if lenses.any() and skin.any() and np.median(bright[lenses]) < _DARK_LENS * np.median(bright[skin]):
        return glasses
    # As deep as a strong rim only where there is one: brows and lids would stay the photo's beside a wire.
    surely = glasses & (depth <= _WIRE)
    found: BoolArray = surely | (glasses & ~lenses & _like_rims(colour, surely, lenses))
    return found | _rest_of_thick_rims(colour, depth, surely, skin)


def _rest_of_thick_rims(colour: FloatArray, depth: FloatArray, surely: BoolArray, skin: BoolArray) -> BoolArray:
    """What of rims lies deeper than a strong one, (S, S): nothing, unless most of them are that thick and end before the lenses' middle.

    Lashes and the shade under a brow are as dark as rims and often hang together with them; they cover less than half of the way around.

    Args:
        colour: (S, S, 3) in [0, 1].
        depth: How far inside the glasses a pixel lies, a share of the side; 0 outside, (S, S).
        surely: Where a rim surely is, (S, S).
        skin: Face without glasses, (S, S).
    """
    last, middle = (depth > _RIM - _RING) & (depth <= _RIM), depth > _THICK
    if not skin.any() or not last.any() or not middle.any():
        return np.zeros_like(skin)
    unlike = _unlike_skin(colour, surely, skin)
    if unlike[last].mean() < _MOSTLY or unlike[middle].mean() >= _MOSTLY:
        return np.zeros_like(skin)
    within = (depth > 0) & (depth <= _THICK) & unlike
    return np.asarray(ndimage.binary_propagation(surely, mask=surely | within))


def _unlike_skin(colour: FloatArray, surely: BoolArray, skin: BoolArray) -> BoolArray:
    """Which pixels have the rims' colour, and next to nothing of the skin's: under a thick rim the lens cannot be compared with.

    Args:
        colour: (S, S, 3) in [0, 1].
        surely: Where a rim surely is, (S, S).
        skin: Face without glasses, (S, S), not empty.
    """
    bare = np.median(colour[skin], axis=0)
    away = _colour_nearby(colour, surely, _THICK) - bare
    length = np.linalg.norm(away, axis=2)
    along = ((colour - bare) * away).sum(axis=2)
    return np.asarray((length > _THICK_CONTRAST) & (along > _THICK_LIKENESS * length**2))


def _like_rims(colour: FloatArray, surely: BoolArray, lenses: BoolArray) -> BoolArray:
    """Which pixels have the colour of the rims beside them rather than that of what is seen through the lenses.

    Args:
        colour: (S, S, 3) in [0, 1].
        surely: Where a rim surely is, (S, S).
        lenses: What surely is seen through a lens, (S, S).
    """
    rim, lens = (_colour_nearby(colour, area, _WIRE) for area in (surely, lenses))
    away = rim - lens
    length = np.linalg.norm(away, axis=2)
    along = ((colour - lens) * away).sum(axis=2)
    return np.asarray((length > _RIM_CONTRAST) & (along > length**2 / 2))


def _colour_nearby(colour: FloatArray, area: BoolArray, reach: float) -> FloatArray:
    """At every pixel the mean colour of an area around it, (S, S, 3); `reach` is a share of the side."""
    sigma = reach * len(area)
    weight = ndimage.gaussian_filter(area.astype(np.float64), sigma)
    parts = [ndimage.gaussian_filter(channel * area, sigma) / np.maximum(weight, 1e-6) for channel in np.moveaxis(colour, 2, 0)]
    return np.stack(parts, axis=2)
