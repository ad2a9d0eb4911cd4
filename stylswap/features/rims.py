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
    return found


def _like_rims(colour: FloatArray, surely: BoolArray, lenses: BoolArray) -> BoolArray:
    """Which pixels have the colour of the rims beside them rather than that of what is seen through the lenses.

    Args:
        colour: (S, S, 3) in [0, 1].
        surely: Where a rim surely is, (S, S).
        lenses: What surely is seen through a lens, (S, S).
    """
    rim, lens = (_colour_nearby(colour, area) for area in (surely, lenses))
    away = rim - lens
    length = np.linalg.norm(away, axis=2)
    along = ((colour - lens) * away).sum(axis=2)
    return np.asarray((length > _RIM_CONTRAST) & (along > length**2 / 2))


def _colour_nearby(colour: FloatArray, area: BoolArray) -> FloatArray:
    """At every pixel the mean colour of an area around it, (S, S, 3)."""
    sigma = _WIRE * len(area)
    weight = ndimage.gaussian_filter(area.astype(np.float64), sigma)
    parts = [ndimage.gaussian_filter(channel * area, sigma) / np.maximum(weight, 1e-6) for channel in np.moveaxis(colour, 2, 0)]
    return np.stack(parts, axis=2)
