"""The smoothness term: neighbouring pixels should agree."""

from __future__ import annotations

from torch import Tensor

from stylswap.errors import ShapeError
from stylswap.shapes import check_shapes


def smoothness(output: Tensor) -> Tensor:
    """Total variation: squared differences of neighbouring pixels.

    The mean over all vertical pairs, 3 * (H - 1) * W of them, plus the mean over all horizontal pairs, 3 * H * (W - 1). A ramp that
    climbs by d from column to column therefore costs d ** 2 at every resolution.

    Args:
        output: Output crops, (B, 3, H, W) RGB in [0, 1].

    Returns:
        Sum of the two means, (B,), in [0, 2].

    Raises:
        ShapeError: If `output` has not three channels, or fewer than two rows or columns.

    Reference:
        korshunova2017, total variation regularisation; mahendran2015.

    Differs from the paper:
        Means instead of a sum, and pixels in [0, 1] instead of [0, 255]: one weight serves every resolution, but the paper's 0.3
        has another meaning here.
    """
    sizes = check_shapes(output=(output, "B 3 H W"))
    if min(sizes["H"], sizes["W"]) < 2:
        raise ShapeError(f"output must have at least 2 rows and 2 columns to have neighbours, got {tuple(output.shape)}")
    down = output[:, :, 1:] - output[:, :, :-1]  # (B, 3, H - 1, W)
    across = output[:, :, :, 1:] - output[:, :, :, :-1]  # (B, 3, H, W - 1)
    return down.square().mean(dim=(1, 2, 3)) + across.square().mean(dim=(1, 2, 3))
