"""The content term: what is shown must stay."""

from __future__ import annotations

from torch import Tensor

from stylswap.losses.cells import mean_over_cells
from stylswap.shapes import check_shapes


def content(output: Tensor, input_: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Mean squared difference between the features of the output and those of the input.

    Args:
        output: Features of the output crops, (B, C, H, W); relu4_2 of VGG-19 in the paper.
        input_: Features of the input crops, (B, C, H, W).
        mask: Weight of each cell, (B, 1, H, W) in [0, 1]; None weighs all alike.

    Returns:
        Mean over channels and weighted cells, (B,).

    Raises:
        ShapeError: If B, C, H or W differ.

    Reference:
        korshunova2017, content loss; gatys2016.

    Differs from the paper:
        Cells may be weighted. The mean over channels and cells is the paper's.
    """
    check_shapes(output=(output, "B C H W"), input_=(input_, "B C H W"))
    return mean_over_cells((output - input_).square().mean(dim=1), mask)
