"""Give a generated face the photo's skin colours before it is put in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from skimage.color import lab2rgb, rgb2lab
from torch import Tensor

from stylswap.shapes import check_shapes

Array = npt.NDArray[np.float32]

MIN_PIXELS = 64.0  # mask's sum under which a mean and a spread say little of a skin
MAX_STRETCH = 2.0  # of the spread, either way: more turns noise into blotches, or wipes a face flat
MIN_SPREAD = 1e-3  # in units of Lab, where 1 is about the least difference one can see; under it there is nothing to stretch


@torch.no_grad()
def match_skin(patch: Tensor, photo: Tensor, mask: Tensor) -> Tensor:
    """Move the patch's skin colours to the photo's: equal mean and spread in CIE Lab.

    The colours are measured where the mask is and changed in the whole patch.

    Args:
        patch: The generated face in the photo's region, (3, H, W) in [0, 1].
        photo: The photo's region, (3, H, W) in [0, 1].
        mask: Weight of each pixel in the statistics, 1 = skin in both pictures, (1, H, W) in [0, 1].

    Returns:
        The patch in the photo's colours, (3, H, W) in [0, 1], of the patch's type. The patch itself if the mask holds fewer than
        `MIN_PIXELS` pixels.

    Raises:
        ShapeError: If H or W differ.

    Reference:
        reinhard2001.

    Differs from the paper:
        CIE Lab instead of Ruderman's l-alpha-beta, statistics of the skin only, and a stretch of at most `MAX_STRETCH`.
    """
    check_shapes(patch=(patch, "3 H W"), photo=(photo, "3 H W"), mask=(mask, "1 H W"))
    weights = _array(mask)[..., 0]  # (H, W)
    inside = weights > 0
    if weights.sum(dtype=np.float64) < MIN_PIXELS:
        return patch.clone()
    lab = rgb2lab(_array(patch))  # (H, W, 3)
    mean, spread = _statistics(lab[inside], weights[inside])
    goal_mean, goal_spread = _statistics(rgb2lab(_array(photo)[inside]), weights[inside])
    stretch = np.clip(goal_spread / np.maximum(spread, MIN_SPREAD), 1 / MAX_STRETCH, MAX_STRETCH)
    stretch = np.where(spread < MIN_SPREAD, 1.0, stretch).astype(np.float32)
    moved = (lab - mean) * stretch + goal_mean
    moved[..., 0] = moved[..., 0].clip(0, 100)
    # A yellow beyond any light (negative Z in XYZ) would be clipped by scikit-image too, but with a warning for each photo.
    moved[..., 2] = np.minimum(moved[..., 2], 199.9 * (moved[..., 0] + 16) / 116)
    rgb = np.ascontiguousarray(lab2rgb(moved).transpose(2, 0, 1))
    return torch.from_numpy(rgb).to(patch).clamp_(0, 1)


def _array(picture: Tensor) -> Array:
    """(C, H, W) tensor to (H, W, C) float32 array."""
    return picture.permute(1, 2, 0).cpu().numpy().astype(np.float32)


def _statistics(pixels: Array, weights: Array) -> tuple[Array, Array]:
    """Weighted mean and standard deviation of (P, 3) pixels, (3,) each."""
    mean = np.average(pixels, axis=0, weights=weights)
    variance = np.average((pixels - mean) ** 2, axis=0, weights=weights)
    return mean.astype(np.float32), np.sqrt(variance).astype(np.float32)
