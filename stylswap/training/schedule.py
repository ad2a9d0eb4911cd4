"""How far a training is, and the learning rate there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stylswap.errors import SettingsError


@dataclass(frozen=True)
class Budget:
    """Either a number of steps or a time.

    Attributes:
        steps: Steps of the whole training, or None.
        seconds: Seconds of the whole training, over all resumptions, or None.
    """

    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise SettingsError(f"a budget is either steps or seconds, got steps={self.steps}, seconds={self.seconds}")
        if not (self.steps or self.seconds or 0) > 0:  # not a number is not positive either
            raise SettingsError(f"a budget must be positive, got steps={self.steps}, seconds={self.seconds}")

    def progress(self, step: int, elapsed_seconds: float) -> float:
        """Share of the budget that is used before step number `step`, in [0, 1]."""
        if self.steps is not None:
            return min(step / self.steps, 1.0)
        assert self.seconds is not None
        return min(elapsed_seconds / self.seconds, 1.0)


def learning_rate(progress: float, *, peak: float, final: float, warmup: float) -> float:
    """Linear warm-up, then a half cosine from `peak` to `final`.

    Args:
        progress: In [0, 1].
        peak: Highest rate, reached at `warmup`.
        final: Rate at the end.
        warmup: Share of the training, in [0, 1).
    """
    if progress < warmup:
        return peak * max(progress / warmup, 0.01)
    along = (progress - warmup) / (1.0 - warmup)
    return final + (peak - final) * 0.5 * (1.0 + math.cos(math.pi * min(along, 1.0)))
