"""The contact sheet of a study: pictures in their places, names at their left."""

from __future__ import annotations

import pytest
import torch

from stylswap.errors import ShapeError
from stylswap.report import study_sheet
from stylswap.report.study_sheet import GAP_PX

SIDE = 32


def flat(level: float, count: int = 3) -> torch.Tensor:
    return torch.full((count, 3, SIDE, SIDE), level)


def pictures(sheet: torch.Tensor, columns: int) -> torch.Tensor:
    """The right part of a sheet, as (rows, columns, 3, S, S)."""
    step = SIDE + GAP_PX
    right = sheet[:, GAP_PX:, sheet.shape[-1] - columns * step :]
    rows = right.unfold(1, SIDE, step).unfold(2, SIDE, step)  # (3, rows, columns, S, S)
    return rows.permute(1, 2, 0, 3, 4)


def test_the_inputs_come_first_and_every_picture_is_in_its_place() -> None:
    inputs = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    sheet = study_sheet([("style 20", inputs.flip(0)), ("style 80", flat(0.25))], inputs)
    assert sheet.shape[1] == 3 * (SIDE + GAP_PX) + GAP_PX and sheet.dtype == torch.float32
    shown = pictures(sheet, 3)
    assert torch.equal(shown[0], inputs) and torch.equal(shown[1], inputs.flip(0)) and torch.equal(shown[2], flat(0.25))
    assert sheet.min() >= 0 and sheet.max() <= 1


def test_each_row_has_its_own_name() -> None:
    sheet = study_sheet([("AAAA", flat(0.5)), ("AAAA", flat(0.5)), ("ii", flat(0.5)), ("", flat(0.5))], flat(0.5))
    names = sheet.shape[-1] - 3 * (SIDE + GAP_PX)
    step = SIDE + GAP_PX
    labels = [sheet[:, GAP_PX + row * step : GAP_PX + row * step + SIDE, : names - 1] for row in range(5)]
    ink = [float((1 - label).sum()) for label in labels]
    assert torch.equal(labels[1], labels[2]) and not torch.equal(labels[1], labels[0])
    assert ink[1] > 1.5 * ink[3] > 0 and ink[4] == 0


def test_long_names_are_wrapped_and_cut_nowhere() -> None:
    words = study_sheet([("without " * 8, flat(0.5))], flat(0.5))
    letters = study_sheet([("w" * 60, flat(0.5))], flat(0.5))
    for sheet in (words, letters):
        assert sheet.shape[-1] - 3 * (SIDE + GAP_PX) < 2.2 * SIDE
        assert sheet.shape[1] == 2 * (SIDE + GAP_PX) + GAP_PX


def test_what_cannot_be_shown_is_black_or_clipped() -> None:
    odd = flat(0.5)
    odd[0], odd[1] = float("nan"), 7.0
    shown = pictures(study_sheet([("odd", odd)], flat(0.5)), 3)[1]
    assert shown[0].max() == 0 and shown[1].min() == 1


def test_no_variant_yet_is_a_sheet_of_the_inputs() -> None:
    assert study_sheet([], flat(0.5)).shape[1] == SIDE + 2 * GAP_PX


@pytest.mark.parametrize("outputs", [flat(0.5, 2), torch.zeros(3, 3, SIDE, SIDE + 1), torch.zeros(3, 1, SIDE, SIDE)])
def test_rows_that_do_not_fit_are_refused(outputs: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match="outputs of wrong"):
        study_sheet([("wrong", outputs)], flat(0.5))


def test_a_sheet_without_inputs_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least one input"):
        study_sheet([], torch.zeros(0, 3, SIDE, SIDE))
