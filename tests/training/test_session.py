"""A sitting: budgets, Ctrl-C, resumption, and what is written when."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from stylswap.errors import TrainingError
from stylswap.losses.weigh import Ramp
from stylswap.training import session as module
from stylswap.training.checkpoint import checkpoints, load_checkpoint
from stylswap.training.journal import Journal
from stylswap.training.loop import Loop, Tick
from stylswap.training.schedule import Budget, learning_rate
from stylswap.training.session import JOURNAL_FILE, Pace, Progress, Session, resumed
from tests.training.conftest import WEIGHTS, DuelEngine, conv_batch, linear_batch, linear_engine

PACE = Pace(peak=0.1, final=0.01, warmup=0.2, checkpoint_every=4, sheet_every=3)


def session(run: Path, loop: Loop | None = None, *, budget: Budget | None = None, pace: Pace = PACE, **more: Any) -> Session:
    loop = loop or Loop(linear_engine(), WEIGHTS, gradient_norm=1.0)
    return Session(loop, linear_batch, run=run, budget=budget or Budget(steps=10), pace=pace, header={"data": "abc"}, **more)


def journal(run: Path) -> list[dict[str, Any]]:
    return Journal(run / JOURNAL_FILE).read()


class Clock:
    """A clock that moves only when a step is taken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds_per_step: float) -> None:
        self.now = 1000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        taken = Loop.step

        def step(loop: Loop, batch: object, rate: float, progress: float) -> Tick:
            tick = taken(loop, batch, rate, progress)
            self.now += seconds_per_step
            return tick._replace(seconds=seconds_per_step)

        monkeypatch.setattr(Loop, "step", step)


def test_a_budget_of_steps(tmp_path: Path) -> None:
    seen: list[Progress] = []
    loop = Loop(linear_engine(), WEIGHTS, gradient_norm=1.0)
    assert session(tmp_path, loop, on_step=seen.append).run() is True
    assert loop.step_number == 10
    assert [progress.tick.step for progress in seen] == list(range(1, 11))
    assert [progress.share for progress in seen] == [step / 10 for step in range(10)]
    rates = [learning_rate(step / 10, peak=0.1, final=0.01, warmup=0.2) for step in range(10)]
    assert [progress.tick.learning_rate for progress in seen] == rates
    assert seen[-1].remaining_seconds == 0
    assert seen[0].remaining_seconds == pytest.approx(9 * seen[0].tick.seconds)


def test_the_journal_has_a_line_for_each_step(tmp_path: Path) -> None:
    seen: list[Progress] = []
    session(tmp_path, on_step=seen.append).run()
    entries = journal(tmp_path)
    assert [entry["step"] for entry in entries] == list(range(1, 11))
    for entry, progress in zip(entries, seen, strict=True):
        assert entry["terms"] == progress.tick.terms
        assert entry["total"] == progress.tick.total
    assert [entry["elapsed_seconds"] for entry in entries] == sorted(entry["elapsed_seconds"] for entry in entries)


def test_checkpoints_and_sheets_when_they_are_due(tmp_path: Path) -> None:
    sheets: list[int] = []
    saved: list[list[str]] = []
    running = session(
        tmp_path, draw_sheet=sheets.append, on_step=lambda _: saved.append([path.name[11:17] for path in checkpoints(tmp_path)])
    )
    running.run()
    assert sheets == [3, 6, 9]
    assert saved[3] == ["000004"]
    assert saved[7] == ["000004", "000008"]
    assert [path.name[11:17] for path in checkpoints(tmp_path)] == ["000008", "000010"], "and one at the end"
    tensors, header = load_checkpoint(tmp_path)
    assert header["data"] == "abc"
    assert header["step"] == int(tensors["step"]) == 10
    assert header["elapsed_seconds"] > 0


def test_a_budget_of_seconds_begins_no_step_that_would_end_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, seconds_per_step=2.0)
    seen: list[Progress] = []
    running = session(tmp_path, budget=Budget(seconds=9.0), on_step=seen.append)
    assert running.run() is True
    assert clock.now == 1000 + 8, "four steps of two seconds; a fifth would end at ten"
    assert running.elapsed_seconds == 8
    assert [progress.remaining_seconds for progress in seen] == [7, 5, 3, 1]
    assert seen[-1].share == pytest.approx(8 / 9)


def test_seconds_of_earlier_sittings_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch, seconds_per_step=2.0)
    loop = Loop(linear_engine(), WEIGHTS, gradient_norm=1.0)
    running = session(tmp_path, loop, budget=Budget(seconds=9.0), elapsed_seconds=4.5)
    running.run()
    assert loop.step_number == 2
    assert load_checkpoint(tmp_path)[1]["elapsed_seconds"] == 8.5


def test_ctrl_c_ends_after_the_step_with_a_checkpoint(tmp_path: Path) -> None:
    running = session(tmp_path, on_step=lambda progress: running.ask_to_stop() if progress.tick.step == 3 else None)
    assert running.run() is False
    assert load_checkpoint(tmp_path)[1]["step"] == 3
    assert [entry["step"] for entry in journal(tmp_path)] == [1, 2, 3]


def test_the_signal_itself_asks_to_stop_and_its_handler_comes_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    running = session(tmp_path, on_step=lambda progress: signal.raise_signal(signal.SIGINT) if progress.tick.step == 2 else None)
    assert running.run() is False
    assert load_checkpoint(tmp_path)[1]["step"] == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_is_the_usual_one(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    def twice(_: Progress) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        session(tmp_path, on_step=twice).run()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_trains_without_touching_signals(tmp_path: Path) -> None:
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(session(tmp_path).run()))
    thread.start()
    thread.join()
    assert results == [True]


def test_an_interrupted_training_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = Loop(linear_engine(), WEIGHTS, gradient_norm=1.0)
    session(tmp_path / "whole", whole).run()
    first = session(tmp_path / "parts", on_step=lambda progress: first.ask_to_stop() if progress.tick.step == 4 else None)
    first.run()
    loop = Loop(linear_engine(), WEIGHTS, gradient_norm=1.0)
    tensors, header = load_checkpoint(tmp_path / "parts")
    loop.load_state(tensors)
    assert session(tmp_path / "parts", loop, elapsed_seconds=header["elapsed_seconds"]).run() is True
    assert torch.equal(loop.engine.network.weight, whole.engine.network.weight)
    facts = [[(entry["step"], entry["total"], entry["learning_rate"]) for entry in journal(tmp_path / name)] for name in ("whole", "parts")]
    assert facts[0] == facts[1]


def test_a_duel_with_ramps_and_an_average_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    ramps = {"network": {"adversarial": Ramp(0.2, 0.8), "fit": Ramp(0.0, 0.5, initial=3.0)}, "critic": {"hinge": Ramp(0.1, 0.1)}}

    def loop() -> Loop:
        weights = {"network": {"fit": 1.0, "adversarial": 0.5}, "critic": {"hinge": 1.0}}
        return Loop(DuelEngine(), weights, gradient_norm=1.0, ramps=ramps, averages={"network": 0.9})

    def sitting(name: str, loop: Loop, **more: Any) -> Session:
        run = tmp_path / name
        run.mkdir(exist_ok=True)
        return Session(loop, conv_batch, run=run, budget=Budget(steps=10), pace=PACE, header={"data": "abc"}, **more)

    whole = loop()
    sitting("whole", whole).run()
    sittings: list[Session] = []

    def stop_at_times(progress: Progress) -> None:
        if progress.tick.step in (1, 4):  # before the critic comes in, and in the middle of a ramp
            sittings[-1].ask_to_stop()

    for finished in (False, False, True):
        parts = loop()
        before = resumed(tmp_path / "parts", parts, "abc") if sittings else 0.0
        sittings.append(sitting("parts", parts, elapsed_seconds=before, on_step=stop_at_times))
        assert sittings[-1].run() is finished
    mine, theirs = parts.state(), whole.state()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    facts = [[(entry["step"], entry["total"], entry["terms"]) for entry in journal(tmp_path / name)] for name in ("whole", "parts")]
    assert facts[0] == facts[1]
    assert [len(terms) for _, _, terms in facts[0]] == [1, 2, 2, 3, 3, 3, 3, 3, 3, 3]


def test_the_share_of_the_budget_drives_the_ramps(tmp_path: Path) -> None:
    loop = Loop(linear_engine(), WEIGHTS, gradient_norm=1.0, ramps={"network": {"small": Ramp(0.4, 0.8)}})
    seen: list[Progress] = []
    running = session(tmp_path, loop, on_step=seen.append)
    running.run()
    assert ["network.small" in progress.tick.terms for progress in seen] == 5 * [False] + 5 * [True]
    shares = [0.25, 0.5, 0.75, 1.0, 1.0]
    for progress, share in zip(seen[5:], shares, strict=True):
        terms = progress.tick.terms
        assert progress.tick.total == pytest.approx(2.0 * terms["network.fit"] + 0.5 * share * terms["network.small"])
    # The mean of a term that came in late is over the steps that had it.
    late = [progress.tick.terms["network.small"] for progress in seen[5:]]
    assert running.recent_terms()["network.small"] == pytest.approx(sum(late) / 5)
    assert seen[5].terms["network.small"] == late[0]


def test_a_used_up_budget_takes_no_step(tmp_path: Path) -> None:
    loop = Loop(linear_engine(), WEIGHTS, gradient_norm=1.0)
    session(tmp_path, loop).run()
    weight = loop.engine.network.weight.detach().clone()
    assert session(tmp_path, loop).run() is True
    assert loop.step_number == 10
    assert torch.equal(loop.engine.network.weight, weight)


def test_terms_are_the_mean_of_the_recent_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = session(tmp_path)
    assert running.recent_terms() == {}
    seen: list[Progress] = []
    running = session(tmp_path, on_step=seen.append, budget=Budget(steps=60))
    running.run()
    fits = [progress.tick.terms["network.fit"] for progress in seen]
    assert seen[4].terms["network.fit"] == pytest.approx(sum(fits[:5]) / 5)
    assert seen[-1].terms["network.fit"] == pytest.approx(sum(fits[-50:]) / 50)
    assert running.recent_terms() == seen[-1].terms


def test_an_error_in_a_step_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    loop = Loop(linear_engine(), WEIGHTS, gradient_norm=1.0)

    def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        inputs, wanted = linear_batch(step)
        return inputs, wanted * float("nan") if step >= 5 else wanted

    running = Session(loop, batch, run=tmp_path, budget=Budget(steps=100), pace=PACE, header={})
    with pytest.raises(TrainingError, match="steps in a row"):
        running.run()
    tensors, _ = load_checkpoint(tmp_path)
    assert torch.isfinite(tensors["trained.network.weight"]).all()
    assert journal(tmp_path)[-1]["total"] is None
    assert journal(tmp_path)[-1]["skipped"] is True


def test_a_full_disk_is_told_with_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_checkpoint", full)
    with pytest.raises(TrainingError, match=r"the checkpoint of step 4 cannot be written \(No space left on device\)"):
        session(tmp_path).run()
