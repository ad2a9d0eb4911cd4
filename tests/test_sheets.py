"""Contact sheets: every picture where it belongs, white between."""

from __future__ import annotations

import pytest
import torch

from stylswap.errors import ShapeError
from stylswap.sheets import contact_sheet


def test_every_picture_is_in_its_place() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = [torch.rand(3, 3, 8, 8, generator=generator) for _ in range(2)]
    gap, step = 3, 8 + 3
    sheet = contact_sheet(rows, gap_px=gap)
    assert sheet.shape == (3, 2 * step + gap, 3 * step + gap)
    rest = sheet.clone()
    for line, row in enumerate(rows):
        for column, picture in enumerate(row):
            place = (..., slice(line * step + gap, line * step + gap + 8), slice(column * step + gap, column * step + gap + 8))
            assert torch.equal(sheet[place], picture)
            rest[place] = 1
    assert torch.equal(rest, torch.ones_like(rest))


def test_values_are_brought_into_range() -> None:
    sheet = contact_sheet([torch.full((1, 3, 2, 2), 1.5), torch.full((1, 3, 2, 2), -0.5)], gap_px=0)
    assert torch.equal(sheet[:, :2], torch.ones(3, 2, 2))
    assert torch.equal(sheet[:, 2:], torch.zeros(3, 2, 2))


@pytest.mark.parametrize("other", [(3, 3, 4, 4), (2, 3, 8, 8), (2, 1, 4, 4), (2, 3, 4, 5)])
def test_rows_must_agree(other: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="row 1 must be"):
        contact_sheet([torch.zeros(2, 3, 4, 4), torch.zeros(other)])


def test_a_sheet_needs_a_row() -> None:
    with pytest.raises(ShapeError, match="at least one row"):
        contact_sheet([])
