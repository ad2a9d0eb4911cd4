"""One sitting of a training: steps until the budget is used or Ctrl-C comes, with journal and checkpoints."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from stylswap.errors import RunError, TrainingError
from stylswap.interrupt import first_ctrl_c
from stylswap.training.checkpoint import load_checkpoint, save_checkpoint
from stylswap.training.journal import Journal
from stylswap.training.loop import Loop, Tick
from stylswap.training.schedule import Budget, learning_rate

JOURNAL_FILE: Final = "journal.jsonl"
RECENT_STEPS: Final = 50


class Progress(NamedTuple):
    """Where a training stands after a step.

    Attributes:
        tick: What the step did.
        share: Of the budget, in [0, 1].
        remaining_seconds: Estimate, from the recent steps.
        terms: Mean of the recent steps, by term.
    """

    tick: Tick
    share: float
    remaining_seconds: float
    terms: dict[str, float]


@dataclass(frozen=True)
class Pace:
    """How fast to learn, and how often to save.

    Attributes:
        peak: Highest learning rate.
        final: Learning rate at the end.
        warmup: Share of the training in which the rate rises.
        checkpoint_every: Steps between checkpoints.
        sheet_every: Steps between contact sheets.
    """

    peak: float
    final: float
    warmup: float
    checkpoint_every: int
    sheet_every: int


class Session:
    """Runs a loop inside a budget; a `Session` is used once."""

    def __init__(
        self,
        loop: Loop,
        batch: Callable[[int], object],
        *,
        run: Path,
        budget: Budget,
        pace: Pace,
        header: dict[str, Any],
        elapsed_seconds: float = 0.0,
        on_step: Callable[[Progress], None] | None = None,
        draw_sheet: Callable[[int], None] | None = None,
    ) -> None:
        """Nothing runs yet.

        Args:
            loop: Takes the steps.
            batch: Gives the batch of a step's number, from 0.
            run: Folder for journal and checkpoints.
            budget: Of the whole training.
            pace: Learning rate and intervals.
            header: Facts for the checkpoints' headers.
            elapsed_seconds: Training time of earlier sittings.
            on_step: Called after each step.
            draw_sheet: Called with the step's number when a contact sheet is due.
        """
        self._loop = loop
        self._batch = batch
        self._run = run
        self._budget = budget
        self._pace = pace
        self._header = header
        self._before = elapsed_seconds
        self._began = time.monotonic()
        self._on_step = on_step
        self._draw_sheet = draw_sheet
        self._journal = Journal(run / JOURNAL_FILE)
        self._recent: deque[Tick] = deque(maxlen=RECENT_STEPS)
        self._stop_asked = False

    @property
    def elapsed_seconds(self) -> float:
        """Training time, over all sittings."""
        return self._before + time.monotonic() - self._began

    def recent_terms(self) -> dict[str, float]:
        """Mean of the recent steps, by term; of a term that has just come in, of those steps that had it."""
        names = self._recent[-1].terms if self._recent else {}
        return {name: statistics.fmean(tick.terms[name] for tick in self._recent if name in tick.terms) for name in names}

    def run(self) -> bool:
        """Train.

        Returns:
            True when the budget was used, False when Ctrl-C ended it; a checkpoint is written in both cases.
        """
        self._began = time.monotonic()
        with first_ctrl_c(self.ask_to_stop):
            while not self._stop_asked and (share := self._share()) < 1.0:
                self._step(share)
        self._save()
        return not self._stop_asked

    def ask_to_stop(self) -> None:
        """End after the current step."""
        self._stop_asked = True

    def _share(self) -> float:
        # A step that would end after the budget is not begun.
        last_seconds = self._recent[-1].seconds if self._recent and self._budget.seconds is not None else 0.0
        return self._budget.progress(self._loop.step_number, self.elapsed_seconds + last_seconds)

    def _step(self, share: float) -> None:
        pace = self._pace
        rate = learning_rate(share, peak=pace.peak, final=pace.final, warmup=pace.warmup)
        tick = self._loop.step(self._batch(self._loop.step_number), rate, share)
        self._recent.append(tick)
        self._journal.write({**tick._asdict(), "elapsed_seconds": round(self.elapsed_seconds, 3)})
        if tick.step % pace.checkpoint_every == 0:
            self._save()
        if self._draw_sheet is not None and tick.step % pace.sheet_every == 0:
            self._draw_sheet(tick.step)
        if self._on_step is not None:
            self._on_step(Progress(tick, share, self._remaining(), self.recent_terms()))

    def _remaining(self) -> float:
        if self._budget.seconds is not None:
            return max(self._budget.seconds - self.elapsed_seconds, 0.0)
        assert self._budget.steps is not None
        pace_seconds = statistics.median(tick.seconds for tick in self._recent)
        return (self._budget.steps - self._loop.step_number) * pace_seconds

    def _save(self) -> None:
        header = {**self._header, "step": self._loop.step_number, "elapsed_seconds": self.elapsed_seconds}
        try:
            save_checkpoint(self._run, self._loop.state(), header)
        except OSError as error:
            raise TrainingError(
                f"{self._run}: the checkpoint of step {self._loop.step_number} cannot be written ({error.strerror}); "
                "the one before it is whole: make room, then go on with --resume"
            ) from error


def resumed(run: Path, loop: Loop, data: str) -> float:
    """Put the loop where the run's newest checkpoint left it.

    Args:
        run: The run folder.
        loop: Of the same engine.
        data: What the run was started on, as in the checkpoints' headers under ``data``.

    Returns:
        Training time of the earlier sittings in seconds.

    Raises:
        RunError: If there is no readable checkpoint, or it belongs to other data.
        TrainingError: If it belongs to another network.
    """
    tensors, header = load_checkpoint(run)
    if header["data"] != data:
        raise RunError(
            f"{run}: the photos have changed since this run was started, or it is another training; start a new one without --resume"
        )
    loop.load_state(tensors)
    return float(header["elapsed_seconds"])
