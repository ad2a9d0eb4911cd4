"""The held weight: by hand, its limits, what it brings about, states, refusals."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from stylswap.errors import TrainingError, WeightError
from stylswap.training.hold import DECAY, FURTHEST, GAIN, Hold, Level
from stylswap.training.loop import Held, Loop
from tests.training.conftest import ToyEngine, conv_batch, conv_engine


def test_by_hand() -> None:
    hold = Hold(Level(2.0))
    assert hold.factor == 1.0
    hold.update(3.0)
    assert hold.factor == pytest.approx(math.exp(GAIN * 0.5))
    hold.update(1.0)
    mean = DECAY * 3.0 + (1.0 - DECAY) * 1.0
    assert hold.factor == pytest.approx(math.exp(GAIN * (0.5 + mean / 2.0 - 1.0)))


def test_at_its_level_nothing_moves() -> None:
    hold = Hold(Level(0.25))
    for _ in range(10):
        hold.update(0.25)
    assert hold.factor == 1.0


def test_a_term_far_above_counts_as_one_at_twice_its_level() -> None:
    twice, beyond = Hold(Level(1.0)), Hold(Level(1.0))
    twice.update(2.0)
    beyond.update(1000.0)
    assert beyond.factor == pytest.approx(twice.factor)


@pytest.mark.parametrize(("value", "limit", "back"), [(10.0, FURTHEST, 0.0), (0.0, 1 / FURTHEST, 10.0)])
def test_it_goes_no_further_and_remembers_nothing_of_what_it_did_not_do(value: float, limit: float, back: float) -> None:
    early, late = Hold(Level(1.0)), Hold(Level(1.0))
    for hold, steps in ((early, 300), (late, 3000)):
        for _ in range(steps):
            hold.update(value)
        assert hold.factor == pytest.approx(limit)
        for _ in range(120):  # until the mean has crossed the level, and not to the other end
            hold.update(back)
    assert late.factor == pytest.approx(early.factor)
    assert late.factor != pytest.approx(limit)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_passed_over(value: float) -> None:
    hold = Hold(Level(1.0))
    hold.update(3.0)
    before = hold.state()
    hold.update(value)
    assert torch.equal(hold.state(), before)


@pytest.mark.parametrize("fresh", [True, False])
def test_a_state_goes_on_alike(fresh: bool) -> None:
    first, second = Hold(Level(1.0)), Hold(Level(1.0))
    if not fresh:
        first.update(2.0)
    second.load_state(first.state())
    for hold in (first, second):
        hold.update(0.3)
    assert second.factor == first.factor != 1.0


def test_another_state_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"must be 2 numbers, got \(3,\)"):
        Hold(Level(1.0)).load_state(torch.zeros(3))


@pytest.mark.parametrize("level", [0.0, -1.0, math.nan, math.inf])
def test_levels_are_checked(level: float) -> None:
    with pytest.raises(WeightError, match="held at a positive level"):
        Hold(Level(level))


# ---- in the loop


class Tug(ToyEngine):
    """One number w between two wishes: ``fit`` is (w - 1)^2, ``small`` is w^2."""

    def __init__(self) -> None:
        network = nn.Linear(1, 1, bias=False)
        nn.init.constant_(network.weight, 0.5)
        super().__init__(network)


def tug(weight: float, level: float | None) -> float:
    """Where w comes to rest."""
    engine = Tug()
    levels = None if level is None else {"network": {"small": Level(level)}}
    loop = Loop(engine, {"network": {"fit": 1.0, "small": weight}}, gradient_norm=1e9, levels=levels)
    for step in range(500):
        loop.step((torch.ones(4, 1), torch.ones(4, 1)), 0.02 if step < 300 else 0.005)
    return float(next(engine.network.parameters()).detach())


@pytest.mark.parametrize("weight", [0.5, 1.0, 2.0])
def test_a_held_term_ends_at_its_level_wherever_its_weight_begins(weight: float) -> None:
    # Of w_fit (w - 1)^2 + w_small w^2 the minimum is at w = 1 / (1 + w_small): .36 = .6^2 is had with w_small = 2 / 3.
    assert tug(weight, 0.36) == pytest.approx(0.6, abs=0.01)
    assert tug(weight, None) == pytest.approx(1 / (1 + weight), abs=0.01)


def test_a_level_out_of_reach_ends_at_four_times_the_weight() -> None:
    assert tug(0.5, 0.01) == pytest.approx(1 / (1 + 2.0), abs=0.01)


def test_the_tick_says_the_weight_that_the_step_had() -> None:
    loop = Loop(Tug(), {"network": {"fit": 1.0, "small": 0.5}}, gradient_norm=1.0, levels={"network": {"small": Level(0.125)}})
    batch = (torch.ones(4, 1), torch.ones(4, 1))
    first, second = loop.step(batch, 0.0), loop.step(batch, 0.0)
    assert first.held == {"network.small": Held(0.5, 0.25)}
    assert first.total == pytest.approx(0.25 + 0.5 * 0.25)
    assert second.held["network.small"] == pytest.approx((0.5 * math.exp(GAIN), 0.25))
    assert second.total == pytest.approx(0.25 + second.held["network.small"].weight * 0.25)


def test_what_is_wanted_may_be_measured_instead_of_the_term() -> None:
    def distance_from_one(batch: tuple[torch.Tensor, torch.Tensor]) -> float:
        assert batch is given
        return float((engine.network(batch[0]) - batch[1]).detach().abs().mean())

    engine, given = Tug(), (torch.ones(4, 1), torch.ones(4, 1))
    levels = {"network": {"fit": Level(0.3, distance_from_one)}}
    loop = Loop(engine, {"network": {"fit": 1.0, "small": 1.0}}, gradient_norm=1e9, levels=levels)
    for step in range(500):
        tick = loop.step(given, 0.02 if step < 300 else 0.005)
    assert tick.held["network.fit"].measured == pytest.approx(0.3, abs=0.01)
    assert tick.terms["network.fit"] == pytest.approx(0.09, abs=0.01)
    assert tick.held["network.fit"].weight == pytest.approx(0.7 / 0.3, rel=0.05), "(1 - w) weight = w"


def test_a_term_without_a_weight_is_not_held() -> None:
    loop = Loop(Tug(), {"network": {"fit": 1.0, "small": 0.0}}, gradient_norm=1.0, levels={"network": {"small": Level(0.1)}})
    tick = loop.step((torch.ones(4, 1), torch.ones(4, 1)), 0.1)
    assert tick.held == {}
    assert tick.terms.keys() == {"network.fit"}


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ({"network": {"smal": Level(0.1)}}, r"network has no term 'smal' to hold\. Did you mean 'small'"),
        ({"netwrok": {"small": Level(0.1)}}, r"no phase 'netwrok'\. Did you mean 'network'"),
        ({"network": {"small": Level(-0.1)}}, "held at a positive level"),
    ],
)
def test_levels_of_the_loop_are_checked(levels: dict[str, dict[str, Level]], said: str) -> None:
    with pytest.raises(WeightError, match=said):
        Loop(Tug(), {"network": {"fit": 1.0, "small": 0.1}}, gradient_norm=1.0, levels=levels)


def make(levels: bool) -> Loop:
    held = {"network": {"fit": Level(0.01)}} if levels else None
    return Loop(conv_engine(), {"network": {"fit": 1.0, "small": 0.5}}, gradient_norm=1.0, levels=held)


def test_a_resumed_training_goes_on_to_the_bit() -> None:
    def steps(loop: Loop, numbers: range) -> None:
        for step in numbers:
            loop.step(conv_batch(step), 0.01)

    whole, first, second = (make(True) for _ in range(3))
    steps(whole, range(8))
    steps(first, range(4))
    second.load_state({name: tensor.clone() for name, tensor in first.state().items()})
    steps(second, range(4, 8))
    mine, theirs = second.state(), whole.state()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert float(mine["hold.network.fit"][0]) > 0


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True)])
def test_a_state_with_and_one_without_levels_load_alike(before: bool, after: bool) -> None:
    first, second = make(before), make(after)
    first.step(conv_batch(0), 0.01)
    second.load_state(first.state())
    second.step(conv_batch(1), 0.01)
    assert second.step_number == 2
    assert ("hold.network.fit" in second.state()) == after


def test_a_skipped_step_moves_no_weight() -> None:
    loop = Loop(Tug(), {"network": {"fit": 1.0, "small": 0.5}}, gradient_norm=1.0, levels={"network": {"small": Level(0.1, lambda _: 9.0)}})
    before = loop.state()["hold.network.small"]
    assert loop.step((torch.full((4, 1), float("nan")), torch.ones(4, 1)), 0.1).skipped
    assert torch.equal(loop.state()["hold.network.small"].nan_to_num(), before.nan_to_num())
    assert not loop.step((torch.ones(4, 1), torch.ones(4, 1)), 0.1).skipped
    assert float(loop.state()["hold.network.small"][0]) > 0
