"""A toy engine: a small network that is to give the numbers it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

WEIGHTS = {"network": {"fit": 2.0, "small": 0.5}}


class ToyPhase(NamedTuple):
    name: str
    parameters: Sequence[nn.Parameter]
    terms: Callable[[tuple[Tensor, Tensor], Collection[str]], dict[str, Tensor]]


class ToyEngine:
    """One phase; ``fit`` and ``small`` are its terms. What was asked for is remembered."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.trained = nn.ModuleDict({"network": network})
        self.phases: Sequence[ToyPhase] = (ToyPhase("network", tuple(network.parameters()), self.terms),)
        self.term_names: Mapping[str, frozenset[str]] = {"network": frozenset({"fit", "small"})}
        self.asked: list[frozenset[str]] = []

    def terms(self, batch: tuple[Tensor, Tensor], names: Collection[str]) -> dict[str, Tensor]:
        self.asked.append(frozenset(names))
        output = self.network(batch[0])
        values = {"fit": (output - batch[1]).square().flatten(1).mean(dim=1), "small": output.square().flatten(1).mean(dim=1)}
        return {name: values[name] for name in names}


def linear_engine() -> ToyEngine:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ToyEngine(nn.Linear(3, 2))


def conv_engine() -> ToyEngine:
    """Convolutions in channels_last, as the style engine has them."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(8, 8), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))
        return ToyEngine(network.to(memory_format=torch.channels_last))


def linear_batch(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(4, 3, generator=generator), torch.randn(4, 2, generator=generator)


def conv_batch(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    images = torch.rand(2, 3, 8, 8, generator=generator).contiguous(memory_format=torch.channels_last)
    return images, torch.rand(2, 3, 8, 8, generator=generator)


@pytest.fixture
def toy() -> ToyEngine:
    return linear_engine()
