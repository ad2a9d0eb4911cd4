"""Which faces a step sees follows from the seed and the step's number alone."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
import torch

from stylswap.data.batches import batch_rows, endless_rows
from stylswap.errors import SettingsError


def steps(first: int, count: int, *, num_rows: int = 10, batch_size: int = 4, seed: int = 3) -> list[list[int]]:
    return [batch_rows(num_rows, batch_size, seed=seed, step=step) for step in range(first, first + count)]


def test_equal_seeds_give_equal_sequences() -> None:
    torch.manual_seed(1)
    first = steps(0, 20)
    torch.manual_seed(2)
    assert steps(0, 20) == first


def test_other_seeds_give_other_sequences() -> None:
    assert len({str(steps(0, 20, seed=seed)) for seed in range(20)}) == 20


def test_neighbouring_seeds_do_not_repeat_each_others_passes() -> None:
    passes = [batch_rows(30, 30, seed=seed, step=epoch) for seed in range(4) for epoch in range(4)]
    assert len({tuple(rows) for rows in passes}) == 16


@pytest.mark.parametrize(("num_rows", "batch_size"), [(10, 4), (7, 7), (9, 2), (3, 8), (1, 3)])
def test_every_row_comes_once_a_pass(num_rows: int, batch_size: int) -> None:
    rows = [row for batch in steps(0, 2 * num_rows, num_rows=num_rows, batch_size=batch_size) for row in batch]
    for start in range(0, len(rows) - num_rows + 1, num_rows):
        assert sorted(rows[start : start + num_rows]) == list(range(num_rows))


def test_a_batch_spans_two_passes() -> None:
    whole = [row for batch in steps(0, 5) for row in batch]
    assert sorted(whole[:10]) == sorted(whole[10:]) == list(range(10))
    assert whole[:10] != whole[10:], "each pass is a new permutation"
    assert batch_rows(10, 4, seed=3, step=2) == whole[8:12]


@pytest.mark.parametrize("start", [0, 1, 2, 7, 1000])
def test_any_step_can_be_the_first(start: int) -> None:
    resumed = endless_rows(10, 4, seed=3, first_step=start)
    assert list(islice(resumed, 6)) == steps(start, 6)


def test_steps_may_be_asked_for_in_any_order() -> None:
    forwards = steps(0, 12)
    assert [batch_rows(10, 4, seed=3, step=step) for step in reversed(range(12))] == forwards[::-1]


def test_rows_are_drawn_evenly_over_positions() -> None:
    firsts = Counter(batch_rows(5, 5, seed=0, step=step)[0] for step in range(500))
    assert min(firsts.values()) > 60
    assert max(firsts.values()) < 140


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    steps(0, 5, seed=99)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_largest_seed_of_the_settings_works() -> None:
    assert sorted(batch_rows(6, 6, seed=2**32 - 1, step=10**6)) == list(range(6))


@pytest.mark.parametrize(("num_rows", "batch_size"), [(0, 4), (4, 0), (-1, 2)])
def test_a_batch_from_nothing_is_refused(num_rows: int, batch_size: int) -> None:
    with pytest.raises(SettingsError, match=f"a batch of {batch_size} from {num_rows} faces is not possible"):
        batch_rows(num_rows, batch_size, seed=0, step=0)
