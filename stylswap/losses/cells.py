"""The mean over cells that every loss ends in."""

from __future__ import annotations

from torch import Tensor

from stylswap.shapes import check_shapes

LEAST_WEIGHT = 1e-6
"""Floor of a sum of cell weights: below it a mask counts as empty, and a mean over nothing is 0."""


def mean_over_cells(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Weighted mean over the cells of each face.

    Args:
        values: One value per cell, (B, H, W).
        mask: Weight of each cell, (B, 1, H, W) in [0, 1]; None weighs all alike.

    Returns:
        Means, (B,). A face whose mask is zero everywhere gets 0, with a gradient of 0.

    Raises:
        ShapeError: If B, H or W differ.
    """
    if mask is None:
        check_shapes(values=(values, "B H W"))
        return values.mean(dim=(1, 2))
    check_shapes(values=(values, "B H W"), mask=(mask, "B 1 H W"))
    weights = mask[:, 0].to(values.dtype)  # (B, H, W)
    return (weights * values).sum(dim=(1, 2)) / weights.sum(dim=(1, 2)).clamp_min(LEAST_WEIGHT)
