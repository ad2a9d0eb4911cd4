"""A luminance term: the broad light of the input must stay. A stand-in for, or a companion of, the lighting network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError, ShapeError
from stylswap.losses.cells import LEAST_WEIGHT, mean_over_cells
from stylswap.shapes import check_shapes

REC709 = (0.2126, 0.7152, 0.0722)


def luma(images: Tensor) -> Tensor:
    """Rec. 709 luma of gamma-coded RGB, (B, 3, H, W) -> (B, 1, H, W)."""
    weights = images.new_tensor(REC709).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)


def luminance(output: Tensor, input_: Tensor, *, mask: Tensor | None = None, cells: int = 16) -> Tensor:
    """Mean squared difference of the luma of output and input, averaged over coarse cells.

    Averaging over cells is the low-pass: a dark cheek counts, an eyebrow does not. With a mask, the mean inside a cell is weighted
    as well, so nothing of the background enters a cell at the edge of the face.

    Args:
        output: Output crops, (B, 3, S, S) RGB in [0, 1].
        input_: Input crops, (B, 3, S, S).
        mask: Weight of each pixel, (B, 1, S, S) in [0, 1]; None weighs all alike.
        cells: Cells a side; S must be a multiple of it. 16 at 128 pixels averages squares of 8 pixels.

    Returns:
        Mean over cells, each weighted by its share of the mask, (B,), in [0, 1].

    Raises:
        ShapeError: If B or S differ, or S is no multiple of `cells`.
        SettingsError: If `cells` is below 1.

    Reference:
        Not from the paper; rec. 709 for the weights of luma.

    Differs from the paper:
        The paper compares features of a network trained to judge light, and those alone; this needs no network.
    """
    side = check_shapes(output=(output, "B 3 S S"), input_=(input_, "B 3 S S"))["S"]
    if cells < 1:
        raise SettingsError(f"cells must be at least 1, got {cells}")
    if side % cells:
        raise ShapeError(f"the side of output must be a multiple of cells = {cells}, got {side} in {tuple(output.shape)}")
    difference = luma(output - input_)  # (B, 1, S, S); luma is linear
    if mask is None:
        return mean_over_cells(F.avg_pool2d(difference, side // cells)[:, 0].square())
    check_shapes(output=(output, "B 3 S S"), mask=(mask, "B 1 S S"))
    mask = mask.to(difference.dtype)
    share = F.avg_pool2d(mask, side // cells)  # (B, 1, cells, cells)
    coarse = F.avg_pool2d(mask * difference, side // cells) / share.clamp_min(LEAST_WEIGHT)  # (B, 1, cells, cells)
    return mean_over_cells(coarse[:, 0].square(), share)
