"""The chrominance term: the broad colour of the light on the input must stay, its luma is `stylswap.losses.luminance`'s."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError, ShapeError
from stylswap.losses.cells import LEAST_WEIGHT, mean_over_cells
from stylswap.losses.luminance import luma
from stylswap.shapes import check_shapes


def chrominance(output: Tensor, input_: Tensor, *, mask: Tensor, cells: int = 8) -> Tensor:
    """Mean squared difference of the colour differences R - Y and B - Y of output and input, averaged over coarse cells.

    Args:
        output: Output crops, (B, 3, S, S) RGB in [0, 1].
        input_: Input crops, (B, 3, S, S).
        mask: Weight of each pixel, (B, 1, S, S) in [0, 1].
        cells: Cells a side; S must be a multiple of it.

    Returns:
        Mean over both differences and cells, each weighted by its share of the mask, (B,).

    Raises:
        ShapeError: If B or S differ, or S is no multiple of `cells`.
        SettingsError: If `cells` is below 1.

    Reference:
        Not from the paper; rec. 709 for the weights of luma.

    Differs from the paper:
        The paper compares light as luminance alone, so that a coloured lamp is not kept.
    """
    side = check_shapes(output=(output, "B 3 S S"), input_=(input_, "B 3 S S"), mask=(mask, "B 1 S S"))["S"]
    if cells < 1:
        raise SettingsError(f"cells must be at least 1, got {cells}")
    if side % cells:
        raise ShapeError(f"the side of output must be a multiple of cells = {cells}, got {side} in {tuple(output.shape)}")
    difference = output - input_
    chroma = difference[:, [0, 2]] - luma(difference)  # (B, 2, S, S); both are linear
    mask = mask.to(chroma.dtype)
    share = F.avg_pool2d(mask, side // cells)  # (B, 1, cells, cells)
    coarse = F.avg_pool2d(mask * chroma, side // cells) / share.clamp_min(LEAST_WEIGHT)  # (B, 2, cells, cells)
    return mean_over_cells(torch.mean(coarse.square(), dim=1), share)
