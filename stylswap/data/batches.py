"""Endless, seeded, resumable batches: which faces a step sees follows from the seed and the step's number alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import torch

from stylswap.errors import SettingsError
from stylswap.faces.landmarks import Pose

# A photo's yaw is known to some degrees only; beyond the last edge there are too few to tell apart.
YAW_EDGES_DEG: Final = (10.0, 20.0, 30.0, 45.0)
# A face that is seen more often than this is learned by heart.
MOST_OFTEN: Final = 4.0


def batch_rows(num_rows: int, batch_size: int, *, seed: int, step: int) -> list[int]:
    """The rows of one step. Every pass over the rows is a new permutation; a batch may span two passes.

    Args:
        num_rows: How many rows there are.
        batch_size: Rows a step.
        seed: Of the whole sequence.
        step: From 0.

    Returns:
        `batch_size` numbers in 0 .. num_rows-1.

    Raises:
        SettingsError: If there are no rows.
    """
    if num_rows < 1 or batch_size < 1:
        raise SettingsError(f"a batch of {batch_size} from {num_rows} faces is not possible; both must be at least 1")
    rows = []
    for position in range(step * batch_size, (step + 1) * batch_size):
        epoch, place = divmod(position, num_rows)
        rows.append(_permutation(num_rows, seed, epoch)[place])
    return rows


@lru_cache(maxsize=2)  # a batch may span two passes; a large training set's permutation is not free
def _permutation(num_rows: int, seed: int, epoch: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return tuple(torch.randperm(num_rows, generator=generator).tolist())


def row_weights(poses: Sequence[Pose], *, edges_deg: Sequence[float] = YAW_EDGES_DEG, most: float = MOST_OFTEN) -> tuple[float, ...]:
    """How often rows are to come, so that heads turned little and far are seen alike as far as there are enough of them.

    Yaw is counted without its sign: a mirror image is turned as far. Each bin that has faces gets an equal share of the pass, but at most
    `most` times its faces; what the rare bins cannot take goes to the others in equal parts.

    Args:
        poses: Of M faces.
        edges_deg: Between the bins of yaw without sign, ascending; an angle on an edge belongs to the bin above.
        most: How often a face may come a pass, at least 1. 1: all alike.

    Returns:
        2M numbers over 0, those of the faces and then those of their mirror images, 1 on average: how often each comes a pass.

    Raises:
        SettingsError: If there are no poses, `most` is below 1, or the edges do not ascend.

    Example:
        90 frontal faces and 10 in profile, `most` 4: the profiles come 4 times each, 40 in 100, the others 60/90 times.
    """
    if not poses or not (math.isfinite(most) and most >= 1) or list(edges_deg) != sorted(set(edges_deg)):
        raise SettingsError(
            f"weights need faces, a factor of at least 1 and ascending edges; got {len(poses)} faces, {most} and {list(edges_deg)}"
        )
    bins = np.searchsorted(edges_deg, [abs(pose.yaw_deg) for pose in poses], side="right").tolist()
    counts = Counter(bins)
    weights, left, open_bins = {}, float(len(poses)), len(counts)
    # The rarest first: whether a bin is full is known once all rarer ones have got theirs.
    for place, count in sorted(counts.items(), key=lambda item: (item[1], item[0])):
        seen = min(left / open_bins, most * count)
        weights[place] = seen / count
        left, open_bins = left - seen, open_bins - 1
    return tuple(weights[place] for place in bins) * 2


def weighted_batch_rows(weights: Sequence[float], batch_size: int, *, seed: int, step: int) -> list[int]:
    """The rows of one step, some more often than others. Where all weights are equal every pass is a new permutation, as in `batch_rows`.

    A pass has as many places as there are rows. A row whose weight is w times the mean comes w times a pass, rounded up or down by chance:
    nothing is left to luck that counting can do. A batch may span two passes.

    Args:
        weights: One for each row, for instance `row_weights`; only their ratios count.
        batch_size: Rows a step.
        seed: Of the whole sequence.
        step: From 0.

    Returns:
        `batch_size` numbers in 0 .. len(weights)-1.

    Raises:
        SettingsError: If there are no rows, or the weights are not numbers from 0 on with a positive sum.
    """
    num_rows, weights = len(weights), tuple(weights)
    if num_rows < 1 or batch_size < 1:
        raise SettingsError(f"a batch of {batch_size} from {num_rows} faces is not possible; both must be at least 1")
    if not (min(weights) >= 0 and 0 < sum(weights) < math.inf):
        raise SettingsError(f"weights must be numbers from 0 on with a positive sum, got {min(weights)}..{max(weights)}")
    rows = []
    for position in range(step * batch_size, (step + 1) * batch_size):
        epoch, place = divmod(position, num_rows)
        rows.append(_weighted_pass(weights, seed, epoch)[place])
    return rows


@lru_cache(maxsize=2)
def _weighted_pass(weights: tuple[float, ...], seed: int, epoch: int) -> tuple[int, ...]:
    """Systematic sampling: rows lie side by side, as long as their weights, and a comb with one tooth per place is laid over them."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    count = len(weights)
    order = torch.randperm(count, generator=generator).numpy()  # else the same neighbours would always share what rounding leaves
    ends = np.cumsum(np.array(weights, dtype=np.float64)[order])
    offset = float(torch.rand((), generator=generator, dtype=torch.float64))
    teeth = (np.arange(count) + offset) * (ends[-1] / count)
    drawn = order[np.searchsorted(ends, teeth, side="right").clip(max=count - 1)]
    return tuple(drawn[torch.randperm(count, generator=generator).numpy()].tolist())


def endless_rows(num_rows: int, batch_size: int, *, seed: int, first_step: int = 0) -> Iterator[list[int]]:
    """The rows of all steps from `first_step` on; see `batch_rows`."""
    step = first_step
    while True:
        yield batch_rows(num_rows, batch_size, seed=seed, step=step)
        step += 1
