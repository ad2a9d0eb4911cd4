"""Budgets and the learning rate, by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from stylswap.errors import SettingsError
from stylswap.training.schedule import Budget, learning_rate

RATES = {"peak": 1e-3, "final": 1e-4, "warmup": 0.2}


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({}, "either steps or seconds"),
        ({"steps": 3, "seconds": 3.0}, "either steps or seconds"),
        ({"steps": 0}, "must be positive"),
        ({"steps": -2}, "must be positive"),
        ({"seconds": 0.0}, "must be positive"),
        ({"seconds": -1.0}, "must be positive"),
        ({"seconds": math.nan}, "must be positive"),
    ],
)
def test_an_impossible_budget_is_refused(budget: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Budget(**budget)


@pytest.mark.parametrize(("step", "share"), [(0, 0.0), (1, 0.25), (3, 0.75), (4, 1.0), (9, 1.0)])
def test_a_budget_of_steps_does_not_look_at_the_clock(step: int, share: float) -> None:
    assert Budget(steps=4).progress(step, 1e9) == share


@pytest.mark.parametrize(("elapsed", "share"), [(0.0, 0.0), (15.0, 0.25), (60.0, 1.0), (61.0, 1.0)])
def test_a_budget_of_seconds_does_not_count_steps(elapsed: float, share: float) -> None:
    assert Budget(seconds=60.0).progress(10**9, elapsed) == share


@pytest.mark.parametrize(
    ("progress", "rate"),
    [
        (0.0, 1e-5),  # a hundredth of the peak: the first step is not lost
        (0.1, 5e-4),
        (0.2, 1e-3),
        (0.4, 1e-4 + 9e-4 * 0.5 * (1 + math.cos(math.pi / 4))),
        (0.6, 5.5e-4),
        (1.0, 1e-4),
        (1.5, 1e-4),
    ],
)
def test_the_rate_by_hand(progress: float, rate: float) -> None:
    assert learning_rate(progress, **RATES) == pytest.approx(rate)


def test_the_rate_rises_then_falls() -> None:
    rates = [learning_rate(step / 1000, **RATES) for step in range(1001)]
    highest = rates.index(max(rates))
    assert highest == 200
    assert rates[: highest + 1] == sorted(rates[: highest + 1])
    assert rates[highest:] == sorted(rates[highest:], reverse=True)
    assert max(abs(one - two) for one, two in pairwise(rates)) < 1e-5, "without a jump"


def test_without_warmup_it_starts_at_the_peak() -> None:
    assert learning_rate(0.0, peak=1.0, final=0.5, warmup=0.0) == 1.0
