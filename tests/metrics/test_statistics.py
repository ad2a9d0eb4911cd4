"""Bootstrap intervals against the normal distribution, and what happens to photos that could not be measured."""

from __future__ import annotations

import numpy as np
import pytest

from stylswap.errors import ShapeError, UsageError
from stylswap.metrics.statistics import Interval, bootstrap_interval, by_group, paired_difference


def test_the_interval_is_that_of_a_mean_of_many() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    interval = bootstrap_interval(values)
    error = values.std() / 20
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)
    assert interval.count == 400


def test_the_level_is_the_share_inside() -> None:
    values = np.random.default_rng(2).normal(0.0, 1.0, 400)
    half = bootstrap_interval(values, level=0.5, resamples=8000)
    assert half.high - half.low == pytest.approx(2 * 0.6745 * values.std() / 20, rel=0.06)


def test_two_values_by_hand() -> None:
    """Means of two draws are 0, 0.5 and 1 with probabilities 1/4, 1/2 and 1/4."""
    assert bootstrap_interval([0.0, 1.0]) == Interval(0.5, 0.0, 1.0, 2)
    assert bootstrap_interval([0.0, 1.0], level=0.4) == Interval(0.5, 0.5, 0.5, 2)


def test_photos_without_a_figure_are_left_out() -> None:
    assert bootstrap_interval([0.2, np.nan, 0.4, 0.9]) == bootstrap_interval([0.2, 0.4, 0.9])
    assert bootstrap_interval([np.nan, 0.7]) == Interval(0.7, 0.7, 0.7, 1)
    nothing = bootstrap_interval([np.nan])
    assert np.isnan([nothing.mean, nothing.low, nothing.high]).all()
    assert nothing.count == 0


def test_the_seed_decides_and_nothing_global_is_touched() -> None:
    values = np.random.default_rng(3).random(30)
    state = repr(np.random.get_state())  # noqa: NPY002
    assert bootstrap_interval(values, seed=4) == bootstrap_interval(values, seed=4)
    assert bootstrap_interval(values, seed=4) != bootstrap_interval(values, seed=5)
    assert repr(np.random.get_state()) == state  # noqa: NPY002


def test_many_photos_are_drawn_in_parts() -> None:
    interval = bootstrap_interval(np.arange(300_000) % 2, resamples=10)
    assert interval.mean == 0.5
    assert 0.495 < interval.low < interval.high < 0.505


def test_a_wrong_call_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"values must be \(M\)"):
        bootstrap_interval(np.zeros((2, 2)))
    with pytest.raises(UsageError, match="level between 0 and 1"):
        bootstrap_interval([1.0], level=95)
    with pytest.raises(UsageError, match="at least one resample"):
        bootstrap_interval([1.0], resamples=0)
    with pytest.raises(UsageError, match="1 are infinite"):
        bootstrap_interval([1.0, np.inf])


def test_groups_are_measured_alone_and_keep_their_order() -> None:
    values = [1.0, 5.0, 3.0, np.nan, 7.0]
    groups = by_group(values, ["left", "front", "left", "front", "front"])
    assert list(groups) == ["left", "front"]
    assert groups["left"] == bootstrap_interval([1.0, 3.0])
    assert groups["front"] == bootstrap_interval([5.0, 7.0])
    assert by_group([], []) == {}
    with pytest.raises(ShapeError, match="5 values, 1 groups"):
        by_group(values, ["left"])


def test_pairs_are_more_exact_than_two_means() -> None:
    generator = np.random.default_rng(6)
    hard = generator.normal(0, 1, 60)  # what makes a photo hard is in both
    first, second = hard + 0.2, hard + generator.normal(0, 0.1, 60)
    difference = paired_difference(first, second)
    assert difference.mean == pytest.approx((first - second).mean())
    assert 0.1 < difference.low < 0.2 < difference.high < 0.3
    assert bootstrap_interval(first).low < bootstrap_interval(second).mean, "apart from each other, they could not be told apart"
    assert paired_difference(second, first).mean == pytest.approx(-difference.mean)


def test_a_pair_needs_both() -> None:
    assert paired_difference([1.0, np.nan, 4.0], [0.0, 5.0, np.nan]) == Interval(1.0, 1.0, 1.0, 1)
    with pytest.raises(ShapeError, match="M = 2 in a, 1 here"):
        paired_difference([1.0, 2.0], [1.0])
