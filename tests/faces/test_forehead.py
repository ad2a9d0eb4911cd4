"""Heights above the brows, and masks that end below a hairline."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stylswap.errors import SettingsError, ShapeError
from stylswap.faces.align import reference_shape
from stylswap.faces.forehead import HeadFrame, below_hairline, hairline_over
from stylswap.faces.landmarks import BROWS

SIZE = 128
FACE = torch.from_numpy(reference_shape(SIZE)).float()[None]
BROWS_Y = float(FACE[0, BROWS, 1].mean())
UNIT = float(FACE[0, 33, 1]) - BROWS_Y


def test_the_unit_is_the_way_from_nose_to_brows() -> None:
    frame = HeadFrame.of(FACE[0].double().numpy())
    points = frame.points(np.array([0.0, 0.0, 1.0]), np.array([0.0, -1.0, 0.0]))
    np.testing.assert_allclose(points[0], FACE[0, BROWS].mean(dim=0).numpy(), atol=1e-4)
    np.testing.assert_allclose(points[1], FACE[0, 33].numpy(), atol=1e-4)
    np.testing.assert_allclose(points[2] - points[0], [UNIT, 0.0], atol=0.05)  # upright: across is to the right


def test_nothing_above_the_hairline_and_all_some_way_below_it() -> None:
    mask = below_hairline(FACE, SIZE, 0.8)
    assert mask.shape == (1, 1, SIZE, SIZE)
    middle = mask[0, 0, :, round(float(FACE[0, BROWS, 0].mean()))]
    rows = torch.arange(SIZE)
    assert not middle[rows < BROWS_Y - 0.8 * UNIT - 1].any()
    assert (middle[rows > BROWS_Y - 0.68 * UNIT + 1] == 1).all()
    between = middle[(rows > BROWS_Y - 0.79 * UNIT) & (rows < BROWS_Y - 0.69 * UNIT)]
    assert ((between > 0) & (between < 1)).all()
    assert (between.diff() > 0).all()
    assert float(middle[round(BROWS_Y - 0.74 * UNIT)]) == pytest.approx(0.5, abs=0.13)


def test_a_hairline_falls_towards_the_temples_and_leaves_what_lies_under_the_brows() -> None:
    mask = below_hairline(FACE, SIZE, 0.8)[0, 0]
    x = float(FACE[0, BROWS, 0].mean())
    first = [int(torch.nonzero(mask[:, round(x + across * UNIT)])[0]) for across in (-0.8, 0.0, 0.8)]
    fall = (hairline_over(0.8, 0.0) - hairline_over(0.0, 0.0)) * UNIT
    assert first[0] - first[1] == pytest.approx(fall, abs=2)
    assert first[2] - first[1] == pytest.approx(fall, abs=2)
    assert (mask[round(BROWS_Y) + 1 :] == 1).all()


@pytest.mark.parametrize("height", [0.0, 0.12, 0.4])
def test_brows_stay_under_a_low_fringe_and_no_step_is_seen(height: float) -> None:
    mask = below_hairline(FACE, SIZE, height)[0, 0]
    assert (mask[round(BROWS_Y) + 1 :] == 1).all()
    assert float(mask.diff(dim=0).abs().max()) < 2.0 / (0.12 * UNIT)
    assert float(mask.diff(dim=1).abs().max()) < 0.25


def test_it_leans_with_the_head() -> None:
    centre = (SIZE - 1) / 2
    turned = torch.stack([centre - (FACE[..., 1] - centre), centre + (FACE[..., 0] - centre)], dim=-1)  # a quarter to the right
    torch.testing.assert_close(below_hairline(turned, SIZE, 0.7)[0, 0], below_hairline(FACE, SIZE, 0.7)[0, 0].rot90(-1), atol=1e-4, rtol=0)


def test_each_face_has_its_own() -> None:
    lower = FACE + torch.tensor([0.0, 10.0])
    both = below_hairline(torch.cat([FACE, lower]), SIZE, 0.6)
    assert torch.equal(both[:1], below_hairline(FACE, SIZE, 0.6))
    assert torch.equal(both[1:], below_hairline(lower, SIZE, 0.6))


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ShapeError, match="landmarks"):
        below_hairline(FACE[:, :67], SIZE, 0.8)
    with pytest.raises(SettingsError, match="finite"):
        below_hairline(FACE, SIZE, float("inf"))
