"""Which faces a step sees follows from the seed and the step's number alone."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
import torch

from stylswap.data.batches import MOST_OFTEN, YAW_EDGES_DEG, batch_rows, endless_rows, row_weights, weighted_batch_rows
from stylswap.errors import SettingsError
from stylswap.faces.landmarks import Pose


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


# ---- by weights


def turned(*groups: tuple[float, int]) -> list[Pose]:
    """Heads by (yaw, how many)."""
    return [Pose(yaw, 5.0, -3.0) for yaw, count in groups for _ in range(count)]


def seen_in(first: int, count: int, weights: tuple[float, ...], batch_size: int = 4, seed: int = 3) -> list[int]:
    return [row for step in range(first, first + count) for row in weighted_batch_rows(weights, batch_size, seed=seed, step=step)]


def test_weights_by_hand() -> None:
    # Two bins of 90 and 10: 50 each would be 5 times for the ten, so 40, and 60 are left for the ninety.
    weights = row_weights(turned((0, 90), (60, 10)))
    assert len(weights) == 200
    assert weights[:90] == pytest.approx([60 / 90] * 90)
    assert weights[90:100] == pytest.approx([4.0] * 10)
    assert weights[100:] == weights[:100], "a mirror image is turned as far"
    # Enough of both: 6 in each of two bins, 8 and 4 there.
    assert row_weights(turned((5, 8), (25, 4)))[:12] == pytest.approx([6 / 8] * 8 + [6 / 4] * 4)
    # Three bins of 84, 14 and 2. One third each is too much for the two (8) and, of the rest, 46 is within 4 x 14.
    assert row_weights(turned((3, 84), (33, 14), (70, 2)))[:100] == pytest.approx([46 / 84] * 84 + [46 / 14] * 14 + [4.0] * 2)


def test_yaw_counts_without_its_sign_and_an_edge_belongs_above() -> None:
    assert row_weights(turned((-40, 1), (40, 1), (0, 2))) == pytest.approx([1.0] * 8)
    on_edge = YAW_EDGES_DEG[0]
    assert row_weights(turned((on_edge, 1), (on_edge + 5, 1), (on_edge - 0.1, 4)))[:6] == pytest.approx([1.5, 1.5] + [0.75] * 4)


def test_no_face_comes_more_often_than_the_limit_and_the_mean_is_one() -> None:
    poses = turned((1, 700), (14, 200), (24, 60), (38, 20), (80, 3), (-65, 1))
    for most in (1.0, 1.5, MOST_OFTEN, 1000.0):
        weights = row_weights(poses, most=most)
        assert sum(weights) == pytest.approx(len(weights))
        assert max(weights) <= most + 1e-9
    assert row_weights(poses, most=1) == pytest.approx([1.0] * 2 * len(poses))
    even = row_weights(poses, most=1000)
    assert sum(even[:700]) == pytest.approx(sum(even[980:984])) == pytest.approx(len(poses) / 5)


def test_alike_heads_weigh_alike() -> None:
    assert row_weights(turned((2, 5))) == (1.0,) * 10
    assert row_weights(turned((2, 5), (70, 5)), edges_deg=()) == (1.0,) * 20


@pytest.mark.parametrize(
    "wrong", [{"poses": []}, {"most": 0.5}, {"most": float("nan")}, {"edges_deg": (20.0, 10.0)}, {"edges_deg": (10.0, 10.0)}]
)
def test_weights_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="weights need faces"):
        row_weights(**{"poses": turned((0, 3)), **wrong})


def test_each_row_comes_as_often_as_its_weight_says() -> None:
    weights = (2.0, 0.5, 0.5, 1.0, 3.0, 0.25, 0.25, 0.5)  # 8 in sum: a pass of 8 places
    for start in range(0, 40, 2):
        counts = Counter(seen_in(start, 2, weights))
        assert (counts[0], counts[3], counts[4]) == (2, 1, 3)
        assert all(counts[row] <= 1 for row in (1, 2, 5, 6, 7))
    counts = Counter(seen_in(0, 2 * 1000, weights))
    for row, weight in enumerate(weights):
        assert counts[row] / 1000 == pytest.approx(weight, abs=0.06)


def test_only_the_ratios_of_weights_count() -> None:
    assert seen_in(0, 30, (1.0, 3.0, 0.5, 2.0)) == seen_in(0, 30, (4.0, 12.0, 2.0, 8.0))


@pytest.mark.parametrize("num_rows", [1, 3, 10])
def test_equal_weights_give_every_row_once_a_pass(num_rows: int) -> None:
    rows = seen_in(0, 4 * num_rows, (1.0,) * num_rows)
    for start in range(0, len(rows) - num_rows + 1, num_rows):
        assert sorted(rows[start : start + num_rows]) == list(range(num_rows))


def test_a_row_without_weight_never_comes() -> None:
    assert set(seen_in(0, 50, (0.0, 1.0, 0.0, 2.0, 0.0))) == {1, 3}


def test_weighted_steps_follow_from_seed_and_step_alone() -> None:
    weights = row_weights(turned((0, 9), (50, 2)))
    torch.manual_seed(1)
    forwards = [seen_in(step, 1, weights, 5) for step in range(30)]
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    assert [seen_in(step, 1, list(weights), 5) for step in reversed(range(30))] == forwards[::-1]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert len({str(seen_in(0, 10, weights, seed=seed)) for seed in range(20)}) == 20
    assert sorted(seen_in(10**6, 1, (1.0,) * 6, 6, seed=2**32 - 1)) == list(range(6))


def test_rare_heads_are_seen_evenly_up_to_the_limit() -> None:
    poses = turned((2, 60), (15, 24), (35, 12), (60, 4))
    weights = row_weights(poses)
    rows = seen_in(0, 50 * 20, weights, 4)  # twenty passes of 200
    counts = Counter(abs(poses[row % 100].yaw_deg) for row in rows)
    # 200 a pass: 4 x 8 for the rarest, and a third of the other 168 each.
    assert {yaw: count / 20 for yaw, count in counts.items()} == pytest.approx({60: 32, 35: 56, 15: 56, 2: 56}, abs=1)


@pytest.mark.parametrize("weights", [(0.0, 0.0), (1.0, -0.5), (float("nan"), 1.0), (1.0, float("nan")), (float("inf"), 1.0)])
def test_weights_that_are_none_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(SettingsError, match="weights must be numbers from 0 on"):
        weighted_batch_rows(weights, 2, seed=0, step=0)


@pytest.mark.parametrize(("weights", "batch_size"), [((), 4), ((1.0,), 0)])
def test_a_weighted_batch_from_nothing_is_refused(weights: tuple[float, ...], batch_size: int) -> None:
    with pytest.raises(SettingsError, match=f"a batch of {batch_size} from {len(weights)} faces is not possible"):
        weighted_batch_rows(weights, batch_size, seed=0, step=0)
