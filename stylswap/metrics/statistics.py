"""Means with a bootstrap interval: how far would the figure move with other photos?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from stylswap.errors import ShapeError, UsageError
from stylswap.shapes import check_shapes

FloatArray = npt.NDArray[np.float64]

_CHUNK: Final = 1_000_000  # numbers drawn at once: 8 MB


@dataclass(frozen=True)
class Interval:
    """A mean and where it may lie.

    Attributes:
        mean: Of the values that are numbers; NaN where there is none.
        low: Lower end of the interval.
        high: Upper end.
        count: How many values were numbers.
    """

    mean: float
    low: float
    high: float
    count: int


def bootstrap_interval(values: npt.ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Percentile bootstrap of a mean over photos.

    The ends say how far the mean moves when photos are drawn again from these, with replacement. They know nothing of another training:
    that takes a second seed. With fewer than ten photos they are too narrow.

    Args:
        values: One for each photo, (M,); NaN, a photo that could not be measured, is left out.
        level: Share of the resampled means inside, in (0, 1).
        resamples: How often M photos are drawn.
        seed: Of the drawing: the same values give the same interval.

    Returns:
        The interval. One value is its own interval; none gives NaN and count 0.

    Raises:
        ShapeError: If the values are not one row.
        UsageError: If `level` or `resamples` cannot be, or a value is infinite.
    """
    known = _known(values)
    if not 0 < level < 1 or resamples < 1:
        raise UsageError(f"an interval needs a level between 0 and 1 and at least one resample, got {level} and {resamples}")
    if not len(known):
        return Interval(np.nan, np.nan, np.nan, 0)
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    rows = max(_CHUNK // len(known), 1)
    for start in range(0, resamples, rows):
        draws = generator.integers(0, len(known), (min(rows, resamples - start), len(known)))
        means[start : start + rows] = known[draws].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(known.mean()), float(low), float(high), len(known))


def by_group(
    values: npt.ArrayLike, groups: Sequence[str], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> dict[str, Interval]:
    """An interval for each group of photos.

    Args:
        values: (M,); NaN is left out.
        groups: The group of each photo, M of them.
        level: See `bootstrap_interval`.
        resamples: See there.
        seed: See there; every group starts from it, so that an empty or a new group does not move the others.

    Returns:
        By group, in the order in which groups first appear.

    Raises:
        ShapeError: If there are not as many groups as values.
        UsageError: See `bootstrap_interval`.
    """
    array = _row(values)
    if len(groups) != len(array):
        raise ShapeError(f"each value needs its group: {len(array)} values, {len(groups)} groups")
    names = np.asarray(groups, dtype=object)
    return {name: bootstrap_interval(array[names == name], level=level, resamples=resamples, seed=seed) for name in dict.fromkeys(groups)}


def paired_difference(a: npt.ArrayLike, b: npt.ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """The mean of ``a - b`` over the same photos: narrower than two intervals beside each other, since hard photos are hard for both.

    Args:
        a: (M,).
        b: (M,), of the same photos in the same order; a photo where either is NaN is left out.
        level: See `bootstrap_interval`.
        resamples: See there.
        seed: See there.

    Returns:
        The interval; when it does not hold 0, the two differ by more than the choice of photos explains.

    Raises:
        ShapeError: If there are not as many of both.
        UsageError: See `bootstrap_interval`.
    """
    first, second = _row(a), _row(b)
    check_shapes(a=(first, "M"), b=(second, "M"))
    return bootstrap_interval(first - second, level=level, resamples=resamples, seed=seed)


def _row(values: npt.ArrayLike) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    check_shapes(values=(array, "M"))
    if np.isinf(array).any():
        raise UsageError(f"values must be numbers, or NaN where a photo could not be measured; {int(np.isinf(array).sum())} are infinite")
    return array


def _known(values: npt.ArrayLike) -> FloatArray:
    array = _row(values)
    return np.asarray(array[~np.isnan(array)])
