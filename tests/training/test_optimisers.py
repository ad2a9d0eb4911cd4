"""Optimisers by name: SOAP against its formula, and a memory from which the same steps follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stylswap.errors import SettingsError, TrainingError, WeightError
from stylswap.training.loop import Loop
from stylswap.training.optimisers import OPTIMISERS, SOAP_FREQUENCY, build_optimiser, load_state, state_of
from tests.training.conftest import WEIGHTS, ToyEngine, conv_batch, conv_engine, linear_batch, linear_engine

BETAS = (0.9, 0.999)


def follow(parameter: nn.Parameter, gradients: list[Tensor], *, rate: float = 0.1, name: str = "soap") -> list[Tensor]:
    """The parameter's values after each of some gradients."""
    optimiser = build_optimiser(name, [parameter], betas=BETAS)
    values = []
    for gradient in gradients:
        optimiser.param_groups[0]["lr"] = rate
        parameter.grad = gradient.clone()
        optimiser.step()
        values.append(parameter.detach().clone())
    return values


def test_an_optimiser_waits_for_its_rate() -> None:
    for name in OPTIMISERS:
        assert [group["lr"] for group in build_optimiser(name, [nn.Parameter(torch.ones(2))], betas=BETAS).param_groups] == [0.0]


def test_adam_has_the_betas_it_is_given() -> None:
    optimiser = build_optimiser("adam", [nn.Parameter(torch.ones(2))], betas=(0.5, 0.99))
    assert isinstance(optimiser, torch.optim.Adam)
    assert optimiser.defaults["betas"] == (0.5, 0.99)


def test_an_unknown_optimiser_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"there is no optimiser 'soup'; known are adam, soap\. Did you mean 'soap'"):
        build_optimiser("soup", [nn.Parameter(torch.ones(2))], betas=BETAS)


# ---- SOAP


def test_a_second_step_of_soap_by_hand() -> None:
    # A first gradient is looked at alone. diag(2, 0) and diag(0, 1) have the axes as their bases, so the step is Adam's: of a number
    # that has had one gradient, the rate, against its sign; 0 stays.
    start, first, second = torch.full((2, 2), 5.0), torch.diag(torch.tensor([2.0, 0.0])), torch.diag(torch.tensor([0.0, 1.0]))
    once, twice = follow(nn.Parameter(start.clone()), [first, second])
    assert torch.equal(once, start)
    torch.testing.assert_close(twice, start - torch.diag(torch.tensor([0.0, 0.1])))


def test_soap_does_not_mind_how_a_weight_is_turned() -> None:
    """What Adam does mind: turned gradients give turned steps, whichever way the weight's sides are turned."""
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(4, 3, generator=generator) for _ in range(6)]
    left = torch.linalg.qr(torch.randn(4, 4, generator=generator)).Q
    right = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
    plain = follow(nn.Parameter(torch.zeros(4, 3)), gradients)[-1]
    turned = follow(nn.Parameter(torch.zeros(4, 3)), [left @ gradient @ right for gradient in gradients])[-1]
    torch.testing.assert_close(turned, left @ plain @ right, atol=2e-4, rtol=0)
    adam = follow(nn.Parameter(torch.zeros(4, 3)), gradients, name="adam")[-1]
    adam_turned = follow(nn.Parameter(torch.zeros(4, 3)), [left @ gradient @ right for gradient in gradients], name="adam")[-1]
    assert float((adam_turned - left @ adam @ right).abs().max()) > 0.05


def test_of_a_vector_soap_is_adam_from_its_second_gradient_on() -> None:
    generator = torch.Generator().manual_seed(1)
    gradients = [torch.randn(5, generator=generator) for _ in range(8)]
    soap = follow(nn.Parameter(torch.zeros(5)), gradients)[-1]
    adam, moments = nn.Parameter(torch.zeros(5)), gradients[1:]
    reference = torch.optim.Adam([adam], lr=0.1, betas=(0.95, 0.95))
    for gradient in moments:
        adam.grad = gradient
        reference.step()
    torch.testing.assert_close(soap, adam.detach(), atol=1e-6, rtol=1e-5)


def test_training_learns_with_soap() -> None:
    loop = Loop(linear_engine(), {"network": {"fit": 1.0, "small": 0.0}}, gradient_norm=10.0, optimisers={"network": "soap"})
    first, *_, last = (loop.step(linear_batch(0), 0.05).total for _ in range(100))
    assert last < 0.1 * first


# ---- what is remembered


@pytest.mark.parametrize("steps", [3, SOAP_FREQUENCY + 5], ids=["young", "after a new basis"])
@pytest.mark.parametrize(("make", "batch"), [(linear_engine, linear_batch), (conv_engine, conv_batch)], ids=["linear", "channels_last"])
def test_a_resumed_training_with_soap_goes_on_bit_for_bit(make: Callable[[], ToyEngine], batch: Callable[[int], Any], steps: int) -> None:
    def loop() -> Loop:
        return Loop(make(), WEIGHTS, gradient_norm=1.0, optimisers={"network": "soap"})

    whole, first, second = loop(), loop(), loop()
    ticks = [whole.step(batch(step), 0.01) for step in range(2 * steps)]
    for step in range(steps):
        first.step(batch(step), 0.01)
    # As a checkpoint holds them: contiguous copies, on the CPU.
    second.load_state({name: tensor.detach().cpu().contiguous().clone() for name, tensor in first.state().items()})
    resumed = [second.step(batch(step), 0.01) for step in range(steps, 2 * steps)]
    assert [tick.terms for tick in resumed] == [tick.terms for tick in ticks[steps:]]
    mine, theirs = second.state(), whole.state()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_state_of_soap_names_everything() -> None:
    weight, bias = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3))
    optimiser = build_optimiser("soap", [weight, bias], betas=BETAS)
    assert state_of(optimiser) == {}
    weight.grad, bias.grad = torch.ones(3, 2), torch.ones(3)
    optimiser.step()
    state = state_of(optimiser)
    of_both = {f"{index}.{name}" for index in (0, 1) for name in ("exp_avg", "exp_avg_sq")}
    assert state.keys() == {"step", *of_both, *(f"0.{name}.{side}" for name in ("GG", "Q") for side in (0, 1))}
    assert int(state["step"]) == 1
    assert state["0.Q.0"].shape == (3, 3)
    assert state["0.Q.1"].shape == (2, 2)


def test_a_wide_side_has_no_basis_and_is_remembered_all_the_same() -> None:
    generator = torch.Generator().manual_seed(3)
    gradients = [torch.randn(600, 2, generator=generator) for _ in range(4)]
    whole = follow(nn.Parameter(torch.zeros(600, 2)), gradients)[-1]
    weight = nn.Parameter(torch.zeros(600, 2))
    optimiser = build_optimiser("soap", [weight], betas=BETAS)
    for gradient in gradients[:2]:
        optimiser.param_groups[0]["lr"] = 0.1
        weight.grad = gradient.clone()
        optimiser.step()
    state = {name: tensor.clone() for name, tensor in state_of(optimiser).items()}
    assert {name for name in state if "Q" in name} == {"0.Q.1"}
    other = nn.Parameter(weight.detach().clone())
    resumed = build_optimiser("soap", [other], betas=BETAS)
    load_state(resumed, state)
    for gradient in gradients[2:]:
        resumed.param_groups[0]["lr"] = 0.1
        other.grad = gradient.clone()
        resumed.step()
    assert torch.equal(other.detach(), whole)


@pytest.mark.parametrize(("wrote", "asked"), [("soap", "adam"), ("adam", "soap")])
def test_what_another_optimiser_remembers_is_refused(wrote: str, asked: str) -> None:
    def loop(name: str) -> Loop:
        return Loop(linear_engine(), WEIGHTS, gradient_norm=1.0, optimisers={"network": name})

    first = loop(wrote)
    first.step(linear_batch(0), 0.1)
    with pytest.raises(TrainingError, match=rf"written by the optimiser '{wrote}'.*--set training\.optimiser={wrote}"):
        loop(asked).load_state(first.state())


def test_a_state_without_a_step_is_nobodys(toy: ToyEngine) -> None:
    state = Loop(toy, WEIGHTS, gradient_norm=1.0).state()
    Loop(linear_engine(), WEIGHTS, gradient_norm=1.0, optimisers={"network": "soap"}).load_state(state)


def test_an_optimiser_of_no_phase_is_refused(toy: ToyEngine) -> None:
    with pytest.raises(WeightError, match=r"no phase 'netwrok'\. Did you mean 'network'"):
        Loop(toy, WEIGHTS, gradient_norm=1.0, optimisers={"netwrok": "soap"})
