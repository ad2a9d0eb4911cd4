"""Figures of the picture itself: what a swap changed where it should not, and how sharp the new face is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError
from stylswap.shapes import check_shapes

LOW_BAND: Final = (0.04, 0.15)
"""Cycles per pixel of the crop. Below it is the light's, at 128 px five waves across the crop; within it are eyes, nose and mouth."""
HIGH_BAND: Final = (0.15, 0.35)
"""Cycles per pixel: lashes, skin, the edges of lips. Above it is what a crop's resampling takes away, and a camera's noise."""

_REC709: Final = (0.2126, 0.7152, 0.0722)
# The window rises along a Gaussian of this standard deviation, a share of the crop's side and in pixels, whichever is more. A face that
# was blurred until nothing can be left in HIGH_BAND then measures a millionth: so little of the coarse leaks into the fine.
_RISE: Final = 1 / 32
_LEAST_RISE_PX: Final = 4.0
_LEAST_AREA: Final = 1 / 64  # of the crop, under the window's square: with less there are too few waves to count
_NO_DETAIL: Final = 1e-12  # mean square of both bands, in units of colour: a thousandth of a grey level of 8 bits


def untouched(before_u8: npt.NDArray[np.uint8], after_u8: npt.NDArray[np.uint8], mask: npt.NDArray[np.generic]) -> int:
    """The largest difference of two photos where nothing was pasted.

    Args:
        before_u8: The photo, (H, W, 3).
        after_u8: The photo with the face in it, (H, W, 3). As it was drawn: a lossy format changes every pixel.
        mask: What was pasted, (H, W), boolean or a weight; whatever is above 0 is not looked at.

    Returns:
        In grey levels of 8 bits, 0 to 255. 0: not one sample differs, or nothing lies outside the mask.

    Raises:
        ShapeError: If sizes differ.
        SettingsError: If a photo is not of 8 bits.

    Example:
        >>> photo_u8 = np.zeros((4, 4, 3), np.uint8)
        >>> untouched(photo_u8, photo_u8 + np.uint8(9), np.ones((4, 4), bool))
        0
    """
    check_shapes(before_u8=(before_u8, "H W 3"), after_u8=(after_u8, "H W 3"), mask=(mask, "H W"))
    for name, photo in (("before_u8", before_u8), ("after_u8", after_u8)):
        if photo.dtype != np.uint8:
            raise SettingsError(f"{name} must be uint8, got {photo.dtype}")
    away = np.maximum(before_u8, after_u8) - np.minimum(before_u8, after_u8)  # a difference of bytes would wrap around
    return int(away.max(axis=2, initial=0).max(where=mask.astype(np.float64) <= 0, initial=0))


@torch.no_grad()
def sharpness(image: Tensor, mask: Tensor) -> float | None:
    """How much of the face's detail is fine: the share of `HIGH_BAND` in the luminance energy of `LOW_BAND` and `HIGH_BAND`.

    The luma inside the face, its mean taken off, is faded out along a Gaussian that ends where the mask does, and transformed. Both
    bands are rings around frequency 0, so that the direction of an edge does not matter.

    So: the same for any contrast and any brightness, and whatever lies outside the mask; the lower the more the picture was blurred;
    1 for a wave inside the high band, 0 for one inside the low; .83 for white noise, the high ring's share of the area of both; .17 for
    a straight edge. Faces have .05 to .2. Noise counts as detail. The figure depends on the crop's size: compare crops cut alike.

    Args:
        image: A crop, (3, S, S) in [0, 1].
        mask: Where the face is, (1, S, S); above 0.5 is inside.

    Returns:
        In [0, 1]; 0 for a face of one colour. None where the mask leaves too little to measure.

    Raises:
        ShapeError: If the image is not a square in colour, or the mask has another size.
    """
    side = check_shapes(image=(image, "3 S S"), mask=(mask, "1 S S"))["S"]
    window = _window(mask[0] > 0.5)
    weight = window.square().sum()
    if float(weight) < _LEAST_AREA * side * side:
        return None
    luma = (image.double() * image.new_tensor(_REC709, dtype=torch.float64).view(3, 1, 1)).sum(dim=0)  # (S, S)
    faded = window * (luma - (window * luma).sum() / window.sum())
    power = torch.fft.fft2(faded).abs().square() / (side * side * weight)  # mean squares, (S, S)
    frequencies = torch.fft.fftfreq(side, dtype=torch.float64, device=image.device)
    radius = torch.hypot(frequencies[:, None], frequencies[None])
    low, high = (float(power[(radius >= start) & (radius < end)].sum()) for start, end in (LOW_BAND, HIGH_BAND))
    return 0.0 if low + high < _NO_DETAIL else high / (low + high)


def sharpness_ratio(output: float | None, photos: Sequence[float | None]) -> float | None:
    """An output's sharpness over that of the identity's own photos, which is their median: some are blurred, some grainy.

    Args:
        output: `sharpness` of the output.
        photos: `sharpness` of the identity's photos, cut to the same size.

    Returns:
        1: as sharp as the identity's photos; below it blurred. None where there is nothing to compare.
    """
    known = [figure for figure in photos if figure is not None]
    middle = statistics.median(known) if known else 0.0
    return None if output is None or middle == 0 else output / middle


def _window(inside: Tensor) -> Tensor:
    """A weight of pixels, (S, S) float64 in [0, 1]: smooth, and 0 wherever the mask (S, S) or the crop ends."""
    sigma_px = max(_RISE * len(inside), _LEAST_RISE_PX)
    reach = int(3 * sigma_px)
    outside = F.pad((~inside).double()[None], (reach,) * 4, value=1.0)
    grown = F.max_pool2d(F.max_pool2d(outside, (2 * reach + 1, 1), stride=1), (1, 2 * reach + 1), stride=1)
    core = 1.0 - grown  # (1, S, S): as far from the edge as the Gaussian reaches
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64, device=inside.device)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    rows = F.conv2d(core[None], kernel.view(1, 1, -1, 1), padding=(reach, 0))
    return F.conv2d(rows, kernel.view(1, 1, 1, -1), padding=(0, reach))[0, 0]
