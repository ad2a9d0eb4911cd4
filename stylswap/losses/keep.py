"""The term for what covers a face, or is known of no photo of the identity: it must stay as it is."""

from __future__ import annotations

from torch import Tensor

from stylswap.losses.cells import mean_over_cells
from stylswap.shapes import check_shapes


def keep(output: Tensor, input_: Tensor, kept: Tensor) -> Tensor:
    """Mean squared difference of output and input where something must stay.

    Args:
        output: Output crops, (B, 3, S, S) RGB in [0, 1].
        input_: Input crops, (B, 3, S, S).
        kept: What must stay, (B, 1, S, S) in [0, 1].

    Returns:
        Mean over channels and weighted pixels, (B,), in [0, 1]. 0 where nothing must stay.

    Raises:
        ShapeError: If B or S differ.

    Reference:
        Not from the paper.

    Differs from the paper:
        The paper paints over glasses, hands and hair, and says so.
    """
    check_shapes(output=(output, "B 3 S S"), input_=(input_, "B 3 S S"), kept=(kept, "B 1 S S"))
    return mean_over_cells((output - input_).square().mean(dim=1), kept)
