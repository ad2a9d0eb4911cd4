"""A toy engine: a small network that is to give the numbers it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

WEIGHTS = {"network": {"fit": 2.0, "small": 0.5}}


class ToyPhase(NamedTuple):
    name: str
    parameters: Sequence[nn.Parameter]
    terms: Callable[[tuple[Tensor, Tensor], Collection[str]], dict[str, Tensor]]
    rate: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)


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


class DuelEngine:
    """Two phases that work against each other: ``network`` moves images, ``critic`` tells them from others."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 1))
            self.critic = spectral_norm(nn.Conv2d(3, 1, 3))
        self.trained = nn.ModuleDict({"network": self.network, "critic": self.critic})
        self.phases: Sequence[ToyPhase] = (
            ToyPhase("critic", tuple(self.critic.parameters()), self.judge, rate=2.0, betas=(0.5, 0.99)),
            ToyPhase("network", tuple(self.network.parameters()), self.draw),
        )
        self.term_names: Mapping[str, frozenset[str]] = {"critic": frozenset({"hinge"}), "network": frozenset({"fit", "adversarial"})}
        self.asked: list[tuple[str, frozenset[str]]] = []

    def judge(self, batch: tuple[Tensor, Tensor], names: Collection[str]) -> dict[str, Tensor]:
        self.asked.append(("critic", frozenset(names)))
        with torch.no_grad():
            output = self.network(batch[0])
        return {"hinge": (1 - self.critic(batch[1])).relu().flatten(1).mean(1) + (1 + self.critic(output)).relu().flatten(1).mean(1)}

    def draw(self, batch: tuple[Tensor, Tensor], names: Collection[str]) -> dict[str, Tensor]:
        self.asked.append(("network", frozenset(names)))
        output = self.network(batch[0])
        found = {}
        if "fit" in names:
            found["fit"] = (output - batch[1]).square().flatten(1).mean(1)
        if "adversarial" in names:
            found["adversarial"] = -self.critic(output).flatten(1).mean(1)
        return found


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
