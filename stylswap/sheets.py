"""Contact sheets: pictures side by side, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.utils import make_grid

from stylswap.errors import ShapeError
from stylswap.shapes import check_shapes


def contact_sheet(rows: Sequence[Tensor], *, gap_px: int = 2) -> Tensor:
    """A grid of pictures.

    Args:
        rows: Each (B, 3, S, S) in [0, 1]; all of one B and S.
        gap_px: White lines around the pictures.

    Returns:
        (3, H, W): one line of B pictures for each entry of `rows`.

    Raises:
        ShapeError: If there are no rows, or they differ in shape.
    """
    if not rows:
        raise ShapeError("a contact sheet needs at least one row of pictures")
    for number, row in enumerate(rows):
        check_shapes(**{"row 0": (rows[0], "B 3 S S"), f"row {number}": (row, "B 3 S S")})
    pictures = torch.cat([row.clamp(0, 1) for row in rows])
    sheet: Tensor = make_grid(pictures, nrow=len(rows[0]), padding=gap_px, pad_value=1.0)
    return sheet
