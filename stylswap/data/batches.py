"""Endless, seeded, resumable batches: which faces a step sees follows from the seed and the step's number alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch

from stylswap.errors import SettingsError


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


def endless_rows(num_rows: int, batch_size: int, *, seed: int, first_step: int = 0) -> Iterator[list[int]]:
    """The rows of all steps from `first_step` on; see `batch_rows`."""
    step = first_step
    while True:
        yield batch_rows(num_rows, batch_size, seed=seed, step=step)
        step += 1
