"""Fine detail for a face that is larger in the photo than its crop.

A crop of 128 pixels holds nothing finer than two of its pixels. What the photo shows there beyond that (pores, stubble, the grain of
the picture) belongs to the skin, the light and the camera more than to the person, and is carried over. Lashes, brows, lips and rims of
glasses have such detail too, along their edges: where the output's edge lies elsewhere, it would be the ghost of the input's.

So the photo is split into two bands: what the crop can hold, and the rest. Just below the limit, where both pictures have something to
say, the output is compared with the input: the weight of the rest is how much of the input's structure there the output shows, from 0
(another edge, or none) to 1 (the same edge, or smooth skin, where there is nothing that could lie elsewhere).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.faces.align import inverse, scale_of, warp
from stylswap.shapes import check_shapes

FloatArray = npt.NDArray[np.float64]

BAND_PX: Final = 1.5  # of the crop: structure finer than this Gaussian, and coarse enough for the crop, is what is compared
WINDOW_PX: Final = 2.0  # of the crop: the Gaussian over which it is compared
# Structure of the input that counts as smooth skin: its standard deviation, in units of colour. At 9 the rims of glasses come back as
# ghosts, at 3 skin is a tenth less sharp.
SKIN: Final = 4 / 255
# Networks draw an edge over two or three pixels of the crop. This gives final photos a sixth more of the identity's photos' sharpness,
# and moves other figures little; a radius of 1 px gives a third of that: docs/decisions/0024, 0025.
SHARPEN: Final = 2.0
SHARPEN_PX: Final = 0.6  # of a crop of `SHARPEN_AT_PX`
SHARPEN_AT_PX: Final = 128
# Of a crop of `SHARPEN_AT_PX`: fringes around eyes and mouth are gone, lips and irises keep their colour: docs/decisions/0028.
COLOUR_PX: Final = 1.0
LEAST_ENLARGEMENT: Final = 1.05  # under it the crop holds what the photo holds
LUMA: Final = (0.2126, 0.7152, 0.0722)  # Rec. 709


def finished(outputs: Tensor, *, drawn: bool = True) -> Tensor:
    """Give back some of what a network leaves soft just below the limit of its crop, and take away the colours it draws along edges.

    The luma gets an unsharp mask of `SHARPEN`. What the colour has beyond the luma gets a Gaussian of `COLOUR_PX`, as in a JPEG: eyes see
    little of its detail, and a network that is taught by recognisers draws fringes there that no face has. Linear, with a gradient.

    Args:
        outputs: Rendered crops, (B, 3, S, S) in [0, 1].
        drawn: By a network: beyond crops of `SHARPEN_AT_PX` the radius of the unsharp mask is `SHARPEN_PX` times the square root of how
            much larger the side is, since there edges are drawn narrower on the face, but wider in pixels. That of the colour grows with
            the side, since a grown network has its colour from the base. False for what was cut from photos: its edges are sharpened by
            `SHARPEN_PX` whatever the side, and its colours are its own.

    Returns:
        (B, 3, S, S), which may leave [0, 1] along strong edges.

    Raises:
        ShapeError: If they are no squares in colour.
    """
    side = check_shapes(outputs=(outputs, "B 3 S S"))["S"]
    larger = max(side / SHARPEN_AT_PX, 1.0) if drawn else 1.0
    luma = (outputs * outputs.new_tensor(LUMA).view(3, 1, 1)).sum(dim=1, keepdim=True)  # (B, 1, S, S)
    edges = luma - _smoothed(luma[:, 0], SHARPEN_PX * math.sqrt(larger))[:, None]
    colour = outputs - luma
    if drawn:
        colour = _smoothed(colour.flatten(0, 1), COLOUR_PX * larger).view_as(outputs)
    return luma + SHARPEN * edges + colour


@torch.no_grad()
def sharpened(output: Tensor, *, drawn: bool = True) -> Tensor:
    """One crop as photos show it: `finished`, and in range.

    Args:
        output: The rendered crop, (3, S, S) in [0, 1].
        drawn: See `finished`.

    Returns:
        (3, S, S) in [0, 1].

    Raises:
        ShapeError: If it is no square in colour.
    """
    check_shapes(output=(output, "3 S S"))
    return finished(output[None], drawn=drawn)[0].clamp(0, 1)


@torch.no_grad()
def carry_detail(patch: Tensor, region: Tensor, output: Tensor, crop_from_region: FloatArray) -> Tensor:
    """Give an enlarged output the fine detail of the photo where it belongs.

    With b_in and b_out the luma of input and output in the crop less its Gaussian of `BAND_PX`, and <> a Gaussian of `WINDOW_PX`, the
    weight is ``(max(<b_in b_out>, 0) + SKIN^2) / (<b_in^2> + SKIN^2)``, at most 1: the share of the input's structure that the output has,
    by least squares, which leans to 1 where there is none. The detail is what of the photo's region is lost on the way to the crop and
    back.

    Args:
        patch: The output, warped to the region, (3, H, W) in [0, 1].
        region: The photo there, (3, H, W) in [0, 1].
        output: The rendered crop, (3, S, S) in [0, 1].
        crop_from_region: (3, 3).

    Returns:
        (3, H, W) in [0, 1]; the patch itself where the face is not larger in the photo than in the crop.

    Raises:
        ShapeError: If H, W or S differ.
    """
    sides = check_shapes(patch=(patch, "3 H W"), region=(region, "3 H W"), output=(output, "3 S S"))
    if scale_of(crop_from_region) * LEAST_ENLARGEMENT > 1:
        return patch
    held = warp(region, crop_from_region, (sides["S"], sides["S"]))  # what the crop can hold of the photo
    both = torch.cat([held, agreement(held, output)])
    enlarged = warp(both, inverse(crop_from_region), (sides["H"], sides["W"]), mode="bicubic")
    return patch.addcmul(region - enlarged[:3], enlarged[3:].clamp_(0, 1)).clamp_(0, 1)


def agreement(inputs: Tensor, output: Tensor) -> Tensor:
    """How much of the input's fine structure the output shows, see `carry_detail`.

    Args:
        inputs: The input crop, (3, S, S) in [0, 1].
        output: The rendered crop, (3, S, S) in [0, 1].

    Returns:
        (1, S, S) in [0, 1].

    Raises:
        ShapeError: If S differs.
    """
    check_shapes(inputs=(inputs, "3 S S"), output=(output, "3 S S"))
    weights = inputs.new_tensor(LUMA).view(1, 3, 1, 1)
    luma = (torch.stack([inputs, output]) * weights).sum(dim=1)  # (2, S, S)
    band = luma - _smoothed(luma, BAND_PX)
    common, own = _smoothed(torch.stack([band[0] * band[1], band[0].square()]), WINDOW_PX)  # (S, S) each
    share: Tensor = ((common.clamp_min(0) + SKIN**2) / (own + SKIN**2)).clamp_max(1)
    return share[None]


def _smoothed(pictures: Tensor, sigma_px: float) -> Tensor:
    """(C, H, W) through a Gaussian; the border's pixels go on beyond it."""
    radius = math.ceil(3 * sigma_px)
    offsets = torch.arange(-radius, radius + 1, dtype=pictures.dtype, device=pictures.device)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    rows = F.conv2d(F.pad(pictures[:, None], (0, 0, radius, radius), mode="replicate"), kernel.view(1, 1, -1, 1))
    smooth: Tensor = F.conv2d(F.pad(rows, (radius, radius, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))
    return smooth[:, 0]
