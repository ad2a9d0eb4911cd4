"""The loop against Adam by hand, its guards, and a state from which the same numbers follow."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stylswap.engines.phase import Phase
from stylswap.errors import SettingsError, TrainingError, WeightError
from stylswap.losses.weigh import Ramp
from stylswap.training.loop import MAX_BAD_STEPS, Loop, PhaseLike
from tests.training.conftest import WEIGHTS, DuelEngine, ToyEngine, ToyPhase, conv_batch, conv_engine, linear_batch, linear_engine

NO_CLIPPING = 1e9


def numbers(engine: ToyEngine) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in engine.network.parameters()]


def equal(one: list[Tensor], two: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


# ---- one step


def test_a_first_step_of_adam_by_hand() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 3.0)
    loop = Loop(ToyEngine(network), {"network": {"fit": 1.0, "small": 0.0}}, gradient_norm=NO_CLIPPING)
    tick = loop.step((torch.tensor([[2.0]]), torch.tensor([[1.0]])), 0.1)
    # fit = (2w - 1)^2 = 25, its gradient 4 (2w - 1) = 20. Adam's first step is the rate, against the sign of the gradient.
    assert tick.total == tick.terms["network.fit"] == 25.0
    assert tick.gradient_norm == pytest.approx(20.0)
    assert float(network.weight.detach()) == pytest.approx(3.0 - 0.1 * 20 / (20 + 1e-8), abs=1e-6)
    assert (tick.step, tick.learning_rate, tick.skipped) == (1, 0.1, False)
    assert tick.seconds > 0


@pytest.mark.parametrize("gradient_norm", [NO_CLIPPING, 0.3])
def test_steps_are_those_of_adam_used_directly(toy: ToyEngine, gradient_norm: float) -> None:
    loop = Loop(toy, WEIGHTS, gradient_norm=gradient_norm)
    other = linear_engine().network
    optimiser = torch.optim.Adam(other.parameters(), lr=1.0)
    clipped = False
    for step in range(5):
        rate = 0.1 / (step + 1)
        tick = loop.step(linear_batch(step), rate)
        inputs, wanted = linear_batch(step)
        output = other(inputs)
        fit, small = (output - wanted).square().mean(), output.square().mean()
        optimiser.zero_grad()
        (2.0 * fit + 0.5 * small).backward()
        norm = math.sqrt(sum(float(parameter.grad.square().sum()) for parameter in other.parameters()))
        for parameter in other.parameters():
            parameter.grad *= min(1.0, gradient_norm / norm)
        optimiser.param_groups[0]["lr"] = rate
        optimiser.step()
        clipped |= norm > gradient_norm
        assert tick.gradient_norm == pytest.approx(norm, rel=1e-5)
        assert tick.terms == pytest.approx({"network.fit": fit.item(), "network.small": small.item()})
        assert tick.total == pytest.approx(2.0 * fit.item() + 0.5 * small.item())
    for mine, theirs in zip(toy.network.parameters(), other.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)
    assert clipped == (gradient_norm < 1)


def test_training_learns() -> None:
    engine = linear_engine()
    loop = Loop(engine, {"network": {"fit": 1.0, "small": 0.0}}, gradient_norm=10.0)
    first, *_, last = (loop.step(linear_batch(0), 0.05).total for _ in range(100))
    assert last < 0.1 * first


def test_a_weight_of_zero_is_never_evaluated(toy: ToyEngine) -> None:
    tick = Loop(toy, {"network": {"fit": 1.0, "small": 0}}, gradient_norm=1.0).step(linear_batch(0), 0.1)
    assert toy.asked == [frozenset({"fit"})]
    assert tick.terms.keys() == {"network.fit"}


def test_every_phase_has_its_turn_and_its_own_parameters() -> None:
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    order: list[str] = []

    def terms_of(name: str, network: nn.Module) -> Callable[[Any, Collection[str]], dict[str, Tensor]]:
        def terms(batch: tuple[Tensor, Tensor], names: Collection[str]) -> dict[str, Tensor]:
            order.append(name)
            return {"fit": (network(batch[0]) - batch[1]).square().mean(dim=1)}

        return terms

    engine = ToyEngine(first)
    engine.trained = nn.ModuleDict({"one": first, "two": second})
    engine.phases = [ToyPhase(name, tuple(net.parameters()), terms_of(name, net)) for name, net in engine.trained.items()]
    engine.term_names = {"one": frozenset({"fit"}), "two": frozenset({"fit"})}
    before = second.weight.detach().clone()
    tick = Loop(engine, {"one": {"fit": 1.0}, "two": {"fit": 3.0}}, gradient_norm=10.0).step(linear_batch(0), 0.1)
    assert order == ["one", "two"]
    assert tick.total == pytest.approx(tick.terms["one.fit"] + 3 * tick.terms["two.fit"])
    assert not torch.equal(second.weight, before)


# ---- phases that differ


def test_a_phase_has_its_own_rate_and_betas() -> None:
    engine, other = linear_engine(), linear_engine().network
    engine.phases = [engine.phases[0]._replace(rate=0.5, betas=(0.5, 0.99))]
    loop = Loop(engine, {"network": {"fit": 1.0, "small": 0.0}}, gradient_norm=NO_CLIPPING)
    optimiser = torch.optim.Adam(other.parameters(), lr=0.05, betas=(0.5, 0.99))
    for step in range(4):
        assert loop.step(linear_batch(step), 0.1).learning_rate == 0.1
        inputs, wanted = linear_batch(step)
        optimiser.zero_grad()
        (other(inputs) - wanted).square().mean().backward()
        optimiser.step()
    for mine, theirs in zip(engine.network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_the_phases_of_an_engine_are_phases_of_the_loop() -> None:
    phase = Phase("network", (), lambda batch, names: {})
    as_the_loop_sees_it: PhaseLike = phase
    assert as_the_loop_sees_it.rate == 1.0
    assert as_the_loop_sees_it.betas == torch.optim.Adam([nn.Parameter(torch.ones(1))]).defaults["betas"], "Adam's own: nothing changed"


# ---- ramps

DUEL = {"network": {"fit": 1.0, "adversarial": 0.5}, "critic": {"hinge": 1.0}}


def test_a_phase_without_a_weighted_term_has_no_turn() -> None:
    engine = DuelEngine()
    ramps = {"network": {"adversarial": Ramp(0.5, 0.7)}, "critic": {"hinge": Ramp(0.4, 0.4)}}
    loop = Loop(engine, DUEL, gradient_norm=1.0, ramps=ramps)
    before = {name: tensor.clone() for name, tensor in engine.critic.state_dict().items()}
    tick = loop.step(conv_batch(0), 0.01, 0.39)
    assert engine.asked == [("network", frozenset({"fit"}))]
    assert tick.terms.keys() == {"network.fit"}
    assert tick.total == tick.terms["network.fit"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in engine.critic.state_dict().items()), "power iteration included"
    assert not any(name.startswith("optimiser.critic") for name in loop.state())
    assert loop.step(conv_batch(1), 0.01, 0.4).terms.keys() == {"critic.hinge", "network.fit"}
    tick = loop.step(conv_batch(2), 0.01, 0.6)
    assert tick.terms.keys() == {"critic.hinge", "network.fit", "network.adversarial"}
    wanted_total = tick.terms["critic.hinge"] + tick.terms["network.fit"] + 0.25 * tick.terms["network.adversarial"]
    assert tick.total == pytest.approx(wanted_total)


def test_without_a_word_about_progress_ramps_are_at_their_end(toy: ToyEngine) -> None:
    ramped = Loop(linear_engine(), WEIGHTS, gradient_norm=1.0, ramps={"network": {"small": Ramp(0.2, 1.0), "fit": Ramp(0.0, 0.5, 9.0)}})
    assert ramped.step(linear_batch(0), 0.1).total == Loop(toy, WEIGHTS, gradient_norm=1.0).step(linear_batch(0), 0.1).total


def test_nothing_to_minimise_is_told_with_the_progress(toy: ToyEngine) -> None:
    ramps = {"network": {"fit": Ramp(0.5, 0.5), "small": Ramp(0.5, 0.5)}}
    loop = Loop(toy, WEIGHTS, gradient_norm=1.0, ramps=ramps)
    with pytest.raises(WeightError, match="no term has a positive weight at 20% of the training"):
        loop.step(linear_batch(0), 0.1, 0.2)
    loop.step(linear_batch(0), 0.1, 0.5)
    with pytest.raises(WeightError, match="nothing to minimise"):
        Loop(toy, {"network": {"fit": 0.0, "small": 0.0}}, gradient_norm=1.0).step(linear_batch(0), 0.1)


@pytest.mark.parametrize(
    ("ramps", "message"),
    [
        ({"network": {"smal": Ramp(0.0, 1.0)}}, "network has no term 'smal' to ramp. Did you mean 'small'"),
        ({"critic": {"fit": Ramp(0.0, 1.0)}}, "the engine has no phase 'critic'"),
        ({"network": {"fit": Ramp(0.8, 0.2)}}, "must have 0 <= start <= full <= 1, got 0.8 and 0.2"),
    ],
)
def test_ramps_are_checked_before_the_first_batch(toy: ToyEngine, ramps: dict[str, dict[str, Ramp]], message: str) -> None:
    with pytest.raises(WeightError, match=message):
        Loop(toy, WEIGHTS, gradient_norm=1.0, ramps=ramps)
    assert toy.asked == []


# ---- averages


def test_the_average_follows_the_steps(toy: ToyEngine) -> None:
    loop = Loop(toy, WEIGHTS, gradient_norm=1.0, averages={"network": 0.2})
    expected = toy.network.weight.detach().clone()
    assert torch.equal(loop.averaged()["weight"], expected)
    for step in range(3):
        loop.step(linear_batch(step), 0.1)
        decay = [0.1, 2 / 11, 0.2][step]  # (1 + t) / (10 + t), until the decay itself is less
        expected = decay * expected + (1 - decay) * toy.network.weight.detach()
    torch.testing.assert_close(loop.averaged()["weight"], expected)
    assert not torch.equal(loop.averaged()["weight"], toy.network.weight)
    shown = nn.Linear(3, 2)
    shown.load_state_dict(loop.averaged("network"))
    assert torch.equal(shown.weight, loop.averaged()["weight"])


def test_an_average_changes_no_number_of_the_training() -> None:
    plain = Loop(conv_engine(), WEIGHTS, gradient_norm=1.0)
    averaging = Loop(conv_engine(), WEIGHTS, gradient_norm=1.0, averages={"network": 0.9})
    for step in range(3):
        one, two = plain.step(conv_batch(step), 0.01), averaging.step(conv_batch(step), 0.01)
        assert (one.total, one.gradient_norm) == (two.total, two.gradient_norm)
    mine, theirs = plain.state(), averaging.state()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert {name.split(".")[0] for name in theirs.keys() - mine.keys()} == {"average"}


@pytest.mark.parametrize("averages", [None, {}, {"network": 0.0}])
def test_without_an_average_the_weights_themselves_are_given(toy: ToyEngine, averages: dict[str, float] | None) -> None:
    loop = Loop(toy, WEIGHTS, gradient_norm=1.0, averages=averages)
    loop.step(linear_batch(0), 0.1)
    assert torch.equal(loop.averaged()["weight"], toy.network.weight)
    assert not any(name.startswith("average") for name in loop.state())


def test_averages_are_checked(toy: ToyEngine) -> None:
    with pytest.raises(SettingsError, match=r"trains no module 'netwrok' to average\. Did you mean 'network'"):
        Loop(toy, WEIGHTS, gradient_norm=1.0, averages={"netwrok": 0.9})
    with pytest.raises(SettingsError, match=r"below 1, got 1\.0"):
        Loop(toy, WEIGHTS, gradient_norm=1.0, averages={"network": 1.0})


def test_an_average_that_a_state_lacks_begins_there(toy: ToyEngine) -> None:
    before = Loop(linear_engine(), WEIGHTS, gradient_norm=1.0)
    before.step(linear_batch(0), 0.1)
    loop = Loop(toy, WEIGHTS, gradient_norm=1.0, averages={"network": 0.9})
    loop.load_state(before.state())
    assert torch.equal(loop.averaged()["weight"], before.engine.network.weight)
    with_average = loop.state()
    before.load_state(with_average)  # and one that is no longer wanted is passed over
    assert torch.equal(before.averaged()["weight"], before.engine.network.weight)


# ---- weights


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"network": {"fit": 1.0, "small": 1.0, "lightning": 1.0}}, "network has no term 'lightning'; it has fit, small"),
        ({"network": {"fitt": 1.0, "small": 1.0}}, "Did you mean 'fit'"),
        ({"network": {"fit": 1.0}}, "network needs a weight for small; give 0 to switch a term off"),
        ({"network": {"fit": -1.0, "small": 0.0}}, "must be 0 or a positive finite number"),
        ({}, "network needs a weight for fit, small"),
        ({**WEIGHTS, "critc": {"fit": 1.0}}, "the engine has no phase 'critc'"),
    ],
)
def test_weights_are_checked_before_the_first_batch(toy: ToyEngine, weights: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(WeightError, match=message):
        Loop(toy, weights, gradient_norm=1.0)
    assert toy.asked == []


# ---- numbers that are none


def poisoned(kind: str) -> tuple[Tensor, Tensor]:
    """A batch whose loss, or only whose gradient, is not a number."""
    inputs, wanted = linear_batch(0)
    if kind == "loss":
        wanted[1, 0] = math.nan
    return inputs, wanted


class BadGradient(torch.autograd.Function):
    """The identity, whose gradient is infinite."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * math.inf


class SometimesBad(nn.Linear):
    bad = False

    def forward(self, inputs: Tensor) -> Tensor:
        output = super().forward(inputs)
        return BadGradient.apply(output) if self.bad else output


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_a_bad_step_leaves_weights_and_moments_alone(kind: str) -> None:
    torch.manual_seed(0)
    network = SometimesBad(3, 2)
    engine = ToyEngine(network)
    loop = Loop(engine, WEIGHTS, gradient_norm=1.0)
    loop.step(linear_batch(1), 0.1)
    before, moments = numbers(engine), {name: value.clone() for name, value in loop.state().items()}
    network.bad = kind == "gradient"
    tick = loop.step(poisoned(kind), 0.1)
    assert tick.skipped
    assert not math.isfinite(tick.gradient_norm)
    assert math.isfinite(tick.total) == (kind == "gradient")
    assert tick.step == loop.step_number == 2
    assert equal(numbers(engine), before)
    after = loop.state()
    assert all(torch.equal(after[name], moments[name]) for name in moments if name != "step")
    network.bad = False
    assert not loop.step(linear_batch(2), 0.1).skipped
    assert not equal(numbers(engine), before)


def test_ten_bad_steps_in_a_row_end_the_training(toy: ToyEngine) -> None:
    loop = Loop(toy, WEIGHTS, gradient_norm=1.0)
    before = numbers(toy)
    for _ in range(MAX_BAD_STEPS - 1):
        loop.step(poisoned("loss"), 0.1)
    with pytest.raises(TrainingError, match=r"10 steps in a row gave losses .* lower training\.learning_rate"):
        loop.step(poisoned("loss"), 0.1)
    assert equal(numbers(toy), before)


def test_a_good_step_starts_the_count_again(toy: ToyEngine) -> None:
    loop = Loop(toy, WEIGHTS, gradient_norm=1.0)
    for _ in range(2):
        for _ in range(MAX_BAD_STEPS - 1):
            loop.step(poisoned("loss"), 0.1)
        loop.step(linear_batch(0), 0.1)


# ---- states


@pytest.mark.parametrize("averages", [{}, {"network": 0.9}], ids=["plain", "average"])
@pytest.mark.parametrize(("make", "batch"), [(linear_engine, linear_batch), (conv_engine, conv_batch)], ids=["linear", "channels_last"])
def test_six_steps_are_three_and_three_bit_for_bit(
    make: Callable[[], ToyEngine], batch: Callable[[int], Any], averages: dict[str, float]
) -> None:
    whole = Loop(make(), WEIGHTS, gradient_norm=1.0, averages=averages)
    ticks = [whole.step(batch(step), 0.01) for step in range(6)]
    first = Loop(make(), WEIGHTS, gradient_norm=1.0, averages=averages)
    for step in range(3):
        first.step(batch(step), 0.01)
    # As a checkpoint holds them: contiguous copies, on the CPU.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in first.state().items()}
    second = Loop(make(), WEIGHTS, gradient_norm=1.0, averages=averages)
    second.load_state(tensors)
    assert second.step_number == 3
    resumed = [second.step(batch(step), 0.01) for step in range(3, 6)]
    assert [(tick.step, tick.total, tick.terms) for tick in resumed] == [(tick.step, tick.total, tick.terms) for tick in ticks[3:]]
    assert equal(numbers(second.engine), numbers(whole.engine))
    mine, theirs = second.state(), whole.state()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_moments_lie_in_memory_as_their_weights(toy: ToyEngine) -> None:
    first = Loop(conv_engine(), WEIGHTS, gradient_norm=1.0)
    first.step(conv_batch(0), 0.01)
    second = Loop(conv_engine(), WEIGHTS, gradient_norm=1.0)
    second.load_state({name: tensor.detach().contiguous() for name, tensor in first.state().items()})
    state = second.state()
    assert state["optimiser.network.0.exp_avg"].stride() == second.engine.network[0].weight.stride() != (27, 9, 3, 1)


def test_a_state_names_everything(toy: ToyEngine) -> None:
    loop = Loop(toy, WEIGHTS, gradient_norm=1.0)
    assert set(loop.state()) == {"trained.network.weight", "trained.network.bias", "step"}
    loop.step(linear_batch(0), 0.1)
    moments = {f"optimiser.network.{index}.{name}" for index in (0, 1) for name in ("step", "exp_avg", "exp_avg_sq")}
    assert set(loop.state()) == {"trained.network.weight", "trained.network.bias", "step"} | moments
    assert int(loop.state()["step"]) == 1


def test_a_state_of_another_network_is_refused(toy: ToyEngine) -> None:
    state = Loop(toy, WEIGHTS, gradient_norm=1.0).state()
    with pytest.raises(TrainingError, match="the checkpoint belongs to another network"):
        Loop(ToyEngine(nn.Linear(3, 5)), WEIGHTS, gradient_norm=1.0).load_state(state)
    with pytest.raises(TrainingError, match="the checkpoint belongs to another network"):
        Loop(conv_engine(), WEIGHTS, gradient_norm=1.0).load_state(state)
