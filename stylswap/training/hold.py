"""A weight that moves until what its term is for stays at a level."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from stylswap.errors import TrainingError, WeightError

# A mean of twice the level, or of nothing, moves the logarithm of its weight by so much a step: a factor of e takes 20 steps.
GAIN: Final = 0.05
# Of the running mean; a batch has few faces, and one laugh among them is no trend.
DECAY: Final = 0.98
# A level that cannot be had must not drown the other terms, nor one that is had for nothing switch the term off.
FURTHEST: Final = 4.0


class Level(NamedTuple):
    """What a term is to be held at.

    Attributes:
        value: The level, in the unit of what is measured.
        measure: Gives the number to be held from the batch, after the phase's turn; None: the term itself. A term is often only the
            nearest thing with a gradient to what is wanted, and what is wanted can be measured.
    """

    value: float
    measure: Callable[[Any], float] | None = None


class Hold:
    """Says by what to multiply the weight of one term, so that a running mean stays at a level.

    Terms of a weighted sum find their own balance for each training: one identity ends with landmarks better than anybody needs and too
    little likeness, another the other way round, under the same weights. A held term becomes a condition, and all that is left over goes
    to the others.

    Attributes:
        level: What is to stay where.

    Reference:
        rezende2018 (GECO): a multiplier that moves by the exponential of how far a moving average misses its condition.

    Differs from the paper:
        The distance counts relative to the level, at most 1; the factor stays within [1/4, 4].
    """

    def __init__(self, level: Level) -> None:
        """Begin with the weight as it is.

        Raises:
            WeightError: If the level is no positive finite number.
        """
        if not (math.isfinite(level.value) and level.value > 0):
            raise WeightError(f"a term is held at a positive level, got {level.value}")
        self.level = level
        self._log = 0.0
        self._mean: float | None = None

    @property
    def factor(self) -> float:
        """Of the weight, in [1/4, 4]."""
        return math.exp(self._log)

    def update(self, value: float) -> None:
        """Hear what was measured in the step that was just taken; what is no finite number is passed over."""
        if not math.isfinite(value):
            return
        self._mean = value if self._mean is None else DECAY * self._mean + (1.0 - DECAY) * value
        furthest = math.log(FURTHEST)
        self._log += GAIN * min(self._mean / self.level.value - 1.0, 1.0)
        self._log = min(max(self._log, -furthest), furthest)

    def state(self) -> Tensor:
        """Everything that the next factor depends on, (2,) float64."""
        return torch.tensor([self._log, math.nan if self._mean is None else self._mean], dtype=torch.float64)

    def load_state(self, state: Tensor) -> None:
        """Go on from a `state`.

        Raises:
            TrainingError: If it is none.
        """
        if state.shape != (2,):
            raise TrainingError(f"the state of a held weight must be 2 numbers, got {tuple(state.shape)}")
        log, mean = state.tolist()
        self._log, self._mean = log, None if math.isnan(mean) else mean
