"""The loop: phases of an engine, one optimiser each. It neither prints nor saves; the caller gets a `Tick` for each step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from stylswap.errors import SettingsError, TrainingError, WeightError, did_you_mean
from stylswap.losses.weigh import Ramp, check_ramps, check_weights, wanted, weigh, weights_at
from stylswap.training.ema import Average
from stylswap.training.hold import Hold, Level
from stylswap.training.optimisers import build_optimiser, load_state, state_of

MAX_BAD_STEPS = 10


class PhaseLike(Protocol):
    """One optimiser's turn in a step; see `stylswap.engines.phase.Phase`."""

    @property
    def name(self) -> str:
        """Prefixes its terms."""
        ...

    @property
    def parameters(self) -> Sequence[nn.Parameter]:
        """What this turn changes."""
        ...

    @property
    def terms(self) -> Callable[[Any, Collection[str]], dict[str, Tensor]]:
        """Wanted names -> one number per face, (B,) each, unweighted."""
        ...

    @property
    def rate(self) -> float:
        """Factor of the learning rate."""
        ...

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's; SOAP has its own."""
        ...


class Engine(Protocol):
    """What is trained, and its named loss terms."""

    @property
    def trained(self) -> nn.ModuleDict:
        """Exactly what a checkpoint holds."""
        ...

    @property
    def phases(self) -> Sequence[PhaseLike]:
        """One or more turns a step."""
        ...

    @property
    def term_names(self) -> Mapping[str, frozenset[str]]:
        """The terms of each phase."""
        ...


class Held(NamedTuple):
    """A held term in one step.

    Attributes:
        weight: That it had.
        measured: What is to stay at the level.
    """

    weight: float
    measured: float


class Tick(NamedTuple):
    """What one step did.

    Attributes:
        step: From 1: how many steps have been taken.
        seconds: Duration of this step.
        learning_rate: Of this step.
        terms: Mean over the faces, unweighted, by phase and term: ``"network.style"``. Those whose weight was not 0.
        total: Weighted sum over terms and phases.
        gradient_norm: Before clipping, of the last phase that had its turn.
        skipped: True when a loss or gradient was not a number and the weights were left alone.
        held: Of each held term, by phase and term.
    """

    step: int
    seconds: float
    learning_rate: float
    terms: dict[str, float]
    total: float
    gradient_norm: float
    skipped: bool
    held: dict[str, Held]


class Loop:
    """Takes steps. Same engine state, same batches, same rates: the same numbers, bit for bit on the CPU."""

    def __init__(
        self,
        engine: Engine,
        weights: Mapping[str, Mapping[str, float]],
        *,
        gradient_norm: float,
        ramps: Mapping[str, Mapping[str, Ramp]] | None = None,
        averages: Mapping[str, float] | None = None,
        levels: Mapping[str, Mapping[str, Level]] | None = None,
        optimisers: Mapping[str, str] | None = None,
    ) -> None:
        """Check all names before the first batch and make the optimisers.

        Args:
            engine: What is trained.
            weights: For each phase the weight of each of its terms.
            gradient_norm: Gradients are scaled down to this norm.
            ramps: For some phases, terms whose weight changes along the training.
            averages: For some modules of ``engine.trained``, the decay of a moving average of their weights; 0 keeps none. See `averaged`.
            levels: For some phases, terms whose weight moves until they, or what is measured for them, stay at a level; see
                `stylswap.training.hold`. A ramp of the same term multiplies.
            optimisers: For some phases, the name of their optimiser, as in `build_optimiser`; the others have Adam.

        Raises:
            WeightError: If a weight, a ramp, a level or an optimiser is of no phase, a weight, a ramp or a level of no term, a term has no
                weight, or a level is not positive.
            SettingsError: If an average is of no module, its decay is outside [0, 1), or there is no such optimiser.
        """
        ramps, averages, levels, optimisers = ramps or {}, averages or {}, levels or {}, optimisers or {}
        _check_names(engine, weights, ramps=ramps, averages=averages, levels=levels, optimisers=optimisers)
        self.engine = engine
        self.step_number = 0
        self._weights = {phase.name: dict(weights[phase.name]) for phase in engine.phases}
        self._ramps = {phase.name: dict(ramps.get(phase.name, {})) for phase in engine.phases}
        self._averages = {name: Average(engine.trained[name], decay) for name, decay in averages.items() if decay != 0}
        self._holds = {phase: {name: Hold(level) for name, level in terms.items()} for phase, terms in levels.items()}
        self._gradient_norm = gradient_norm
        self._optimisers = {
            phase.name: build_optimiser(optimisers.get(phase.name, "adam"), phase.parameters, betas=phase.betas) for phase in engine.phases
        }
        self._bad_steps = 0

    def step(self, batch: object, learning_rate: float, progress: float = 1.0) -> Tick:
        """One turn of every phase on one batch. A phase none of whose terms has a weight now has no turn and costs nothing.

        Args:
            batch: For the engine.
            learning_rate: Of this step; each phase takes it times its own rate.
            progress: Share of the training, in [0, 1], for the ramps.

        Raises:
            TrainingError: After 10 steps in a row whose losses or gradients were not numbers.
            WeightError: If no phase has a term with a weight now.
        """
        began = time.perf_counter()
        terms: dict[str, float] = {}
        held: dict[str, Held] = {}
        total, norm, skipped = 0.0, 0.0, False
        turns = {phase.name: weights_at(self._weights[phase.name], self._ramps[phase.name], progress) for phase in self.engine.phases}
        if not any(wanted(weights) for weights in turns.values()):
            raise WeightError(f"no term has a positive weight at {progress:.0%} of the training: there is nothing to minimise")
        for phase in self.engine.phases:
            weights = turns[phase.name]
            if not wanted(weights):
                continue
            holds = {name: hold for name, hold in self._holds.get(phase.name, {}).items() if weights[name] > 0}
            weights |= {name: weights[name] * hold.factor for name, hold in holds.items()}
            weighed = weigh(phase.terms(batch, wanted(weights)), weights)
            norm, updated = self._update(phase, weighed.total, learning_rate)
            terms |= {f"{phase.name}.{name}": float(value) for name, value in weighed.values.items()}
            total += float(weighed.total.detach())
            for name, hold in holds.items():
                measure = hold.level.measure
                value = terms[f"{phase.name}.{name}"] if measure is None else measure(batch)
                held[f"{phase.name}.{name}"] = Held(weights[name], value)
                if updated:  # what was drawn in a skipped step may be no picture
                    hold.update(value)
            skipped |= not updated
        self._bad_steps = self._bad_steps + 1 if skipped else 0
        if self._bad_steps >= MAX_BAD_STEPS:
            raise TrainingError(
                f"{MAX_BAD_STEPS} steps in a row gave losses or gradients that are not numbers (last terms: {terms}); "
                "lower training.learning_rate and resume from the last checkpoint"
            )
        for average in self._averages.values():
            average.update(self.step_number)
        self.step_number += 1
        return Tick(self.step_number, time.perf_counter() - began, learning_rate, terms, total, norm, skipped, held)

    def _update(self, phase: PhaseLike, total: Tensor, learning_rate: float) -> tuple[float, bool]:
        optimiser = self._optimisers[phase.name]
        optimiser.zero_grad(set_to_none=True)
        if not torch.isfinite(total):
            return math.nan, False
        total.backward()
        norm = float(nn.utils.clip_grad_norm_(phase.parameters, self._gradient_norm))
        if not math.isfinite(norm):
            return norm, False
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * phase.rate
        optimiser.step()
        return norm, True

    def averaged(self, name: str = "network") -> dict[str, Tensor]:
        """The `state_dict` to use a module with: of its moving average, or its own where none is kept. Not copies.

        Args:
            name: Of the module in ``engine.trained``.
        """
        average = self._averages.get(name)
        return self.engine.trained[name].state_dict() if average is None else average.state()

    def state(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, and the averages, as named tensors."""
        tensors = {f"trained.{name}": value for name, value in self.engine.trained.state_dict().items()}
        for phase, optimiser in self._optimisers.items():
            tensors |= {f"optimiser.{phase}.{name}": value for name, value in state_of(optimiser).items()}
        for module, average in self._averages.items():
            tensors |= {f"average.{module}.{name}": value for name, value in average.state().items()}
        for phase, holds in self._holds.items():
            tensors |= {f"hold.{phase}.{name}": hold.state() for name, hold in holds.items()}
        tensors["step"] = torch.tensor(self.step_number)
        return tensors

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from a `state`. An average or a held weight that the state lacks, because there was none then, begins here.

        Raises:
            TrainingError: If the tensors belong to another engine or another optimiser.
        """
        try:
            self.engine.trained.load_state_dict(_below("trained.", tensors))
        except RuntimeError as error:
            raise TrainingError(f"the checkpoint belongs to another network: {error}") from error
        for phase, optimiser in self._optimisers.items():
            load_state(optimiser, _below(f"optimiser.{phase}.", tensors))
        for name, average in self._averages.items():
            average.load_state(_below(f"average.{name}.", tensors) or self.engine.trained[name].state_dict())
        for owner, holds in self._holds.items():
            for name, state in _below(f"hold.{owner}.", tensors).items():
                if name in holds:
                    holds[name].load_state(state)
        self.step_number = int(tensors["step"])


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _check_names(
    engine: Engine,
    weights: Mapping[str, Mapping[str, float]],
    *,
    ramps: Mapping[str, Mapping[str, Ramp]],
    averages: Mapping[str, float],
    levels: Mapping[str, Mapping[str, Level]],
    optimisers: Mapping[str, str],
) -> None:
    phases = [phase.name for phase in engine.phases]
    for name in (*weights, *ramps, *levels, *optimisers):
        if name not in phases:
            raise WeightError(f"the engine has no phase '{name}'.{did_you_mean(name, phases)}")
    for name in averages:
        if name not in engine.trained:
            raise SettingsError(f"the engine trains no module '{name}' to average.{did_you_mean(name, engine.trained.keys())}")
    for phase in engine.phases:
        check_weights(weights.get(phase.name, {}), engine.term_names[phase.name], owner=phase.name)
        check_ramps(ramps.get(phase.name, {}), engine.term_names[phase.name], owner=phase.name)
        for name in levels.get(phase.name, {}):
            if name not in engine.term_names[phase.name]:
                raise WeightError(f"{phase.name} has no term '{name}' to hold.{did_you_mean(name, engine.term_names[phase.name])}")
