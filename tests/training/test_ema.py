"""The moving average: by hand, buffers, memory layout, states, refusals."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from stylswap.errors import SettingsError, TrainingError
from stylswap.training.ema import Average


def single(value: float) -> nn.Linear:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, value)
    return module


def put(module: nn.Linear, value: float) -> None:
    with torch.no_grad():
        module.weight.fill_(value)


def test_by_hand() -> None:
    module = single(1.0)
    average = Average(module, 0.75)
    assert average.state()["weight"].item() == 1.0
    put(module, 3.0)
    average.update(100)
    assert average.state()["weight"].item() == 0.75 * 1.0 + 0.25 * 3.0
    put(module, 0.0)
    average.update(101)
    assert average.state()["weight"].item() == pytest.approx(0.75 * 1.5)
    assert module.weight.item() == 0.0, "the module itself is left alone"


@pytest.mark.parametrize(("steps_before", "kept"), [(0, 1 / 10), (1, 2 / 11), (90, 91 / 100), (9_000, 0.99)])
def test_the_decay_warms_up(steps_before: int, kept: float) -> None:
    module = single(1.0)
    average = Average(module, 0.99)
    put(module, 0.0)
    average.update(steps_before)
    assert average.state()["weight"].item() == pytest.approx(kept)


def test_a_module_that_stands_still_is_its_own_average() -> None:
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.GroupNorm(5, 5))
    average = Average(module, 0.9)
    for step in range(20):
        average.update(step)
    assert all(torch.equal(tensor, module.state_dict()[name]) for name, tensor in average.state().items())


def test_buffers_are_copied() -> None:
    module = nn.BatchNorm1d(2)
    average = Average(module, 0.9)
    module(torch.tensor([[1.0, 5.0], [3.0, 9.0]]))
    average.update(1000)
    assert torch.equal(average.state()["running_mean"], module.running_mean)
    assert torch.equal(average.state()["num_batches_tracked"], torch.tensor(1))
    assert average.state()["num_batches_tracked"].dtype == torch.int64


def test_parametrised_and_shared_weights_are_averaged_too() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = single(1.0)
            self.two = self.one
            self.bound = spectral_norm(nn.Linear(2, 2))

    module = Shared()
    average = Average(module, 0.5)
    before = module.bound.parametrizations.weight.original.detach().clone()
    put(module.one, 0.0)
    with torch.no_grad():
        module.bound.parametrizations.weight.original.zero_()
    average.update(100)
    state = average.state()
    assert state["one.weight"].item() == state["two.weight"].item() == 0.5
    assert torch.equal(state["bound.parametrizations.weight.original"], 0.5 * before)
    module.load_state_dict(state)


def test_it_lies_in_memory_as_the_module_even_after_a_state() -> None:
    module = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    average = Average(module, 0.9)
    average.load_state({name: tensor.contiguous() for name, tensor in average.state().items()})
    assert average.state()["weight"].stride() == module.weight.stride() != module.weight.contiguous().stride()


def test_a_state_is_copied_and_goes_on_bit_for_bit() -> None:
    torch.manual_seed(0)
    module = nn.Linear(7, 5)
    whole, first = Average(module, 0.9), Average(module, 0.9)
    for step in range(6):
        with torch.no_grad():
            module.weight.add_(torch.randn(5, 7))
        whole.update(step)
        if step == 3:
            saved = {name: tensor.clone() for name, tensor in first.state().items()}
            first = Average(module, 0.9)
            first.load_state(saved)
            kept = saved["weight"].clone()
        first.update(step)
    assert all(torch.equal(tensor, whole.state()[name]) for name, tensor in first.state().items())
    assert torch.equal(saved["weight"], kept), "what was loaded is not written to"


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_a_decay_that_is_none_is_refused(decay: float) -> None:
    with pytest.raises(SettingsError, match="above 0 and below 1, got"):
        Average(single(1.0), decay)


def test_a_state_of_another_module_is_refused() -> None:
    average = Average(nn.Linear(3, 2), 0.9)
    with pytest.raises(TrainingError, match=r"another network: 'weight' is \(4, 3\), expected \(2, 3\)"):
        average.load_state({"weight": torch.zeros(4, 3), "bias": torch.zeros(2)})
    with pytest.raises(TrainingError, match="'bias' is missing"):
        average.load_state({"weight": torch.zeros(2, 3)})
    with pytest.raises(TrainingError, match=r"'scale' is \(2,\), expected none"):
        average.load_state({"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "scale": torch.zeros(2)})
