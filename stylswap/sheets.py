"""Contact sheets: pictures side by side, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import ShapeError
from stylswap.shapes import check_shapes


def contact_sheet(rows: Sequence[Tensor], *, gap_px: int = 2) -> Tensor:
    """A grid of pictures.

    Args:
        rows: Each (B, 3, S, S) in [0, 1]; all of one B and S.
        gap_px: White lines between the pictures.

    Returns:
        (3, H, W): one line of B pictures for each entry of `rows`.

    Raises:
        ShapeError: If there are no rows, or they differ in shape.
    """
    if not rows:
        raise ShapeError("a contact sheet needs at least one row of pictures")
    first = rows[0]
    lines = []
    for number, row in enumerate(rows):
        check_shapes(**{"row 0": (first, "B 3 S S"), f"row {number}": (row, "B 3 S S")})
        padded = F.pad(row.clamp(0, 1), (gap_px, gap_px, gap_px, gap_px), value=1.0)
        lines.append(torch.cat(list(padded), dim=-1))  # (3, S + 2g, B (S + 2g))
    return torch.cat(lines, dim=-2)
