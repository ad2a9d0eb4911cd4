"""What the command line shows while it works: rich bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stylswap.jobs.device import pick_device
from stylswap.jobs.evaluate import Pictures
from stylswap.jobs.evaluation import Evaluation
from stylswap.jobs.figure_columns import COLUMNS
from stylswap.jobs.list_faces import ListedPhoto
from stylswap.jobs.photo_worker import PhotoResult
from stylswap.jobs.prepare import OnPhoto, PrepareReport
from stylswap.jobs.run_folder import TrainRequest
from stylswap.jobs.swap import SwapSummary
from stylswap.jobs.swap_journal import JOURNAL_FILE
from stylswap.jobs.train import Trained, TrainEvents
from stylswap.training.session import Progress as Standing

# Without a terminal there is no bar; a line now and then says that it still runs.
PLAIN_EVERY_STEPS = 50
PLAIN_EVERY_SECONDS = 10.0
REASONS_SHOWN = 10


class _Display:
    """A bar that is there while the block runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=not console.is_terminal or console.quiet,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def _move(self, name: str, done: float, total: float, note: str = "") -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, note=note)
        self._progress.update(self._tasks[name], completed=done, total=total, note=note)


class TrainDisplay(_Display):
    """Preparation and training."""

    @property
    def events(self) -> TrainEvents:
        """Callbacks for `stylswap.jobs.train.train`."""
        return TrainEvents(self.on_photo_of, self.on_prepared, self._on_step, self._on_sheet)

    def on_photo_of(self, kind: str) -> OnPhoto:
        """A callback that moves the bar of one folder."""
        return lambda done, total: self._move(f"prepare {kind}", done, total)

    def on_prepared(self, report: PrepareReport) -> None:
        """Say what a folder holds."""
        for line in report_lines(report, most_reasons=REASONS_SHOWN):
            self._console.print(line)

    def _on_step(self, standing: Standing) -> None:
        tick = standing.tick
        terms = "  ".join(f"{name.split('.')[-1]} {value:.3f}" for name, value in standing.terms.items())
        if self._progress.disable:
            if tick.step % PLAIN_EVERY_STEPS == 0:
                left = f"{standing.remaining_seconds / 60:.1f} min left"
                self._console.print(f"step {tick.step}  {100 * standing.share:.0f} %  {left}  {tick.seconds:.2f} s/step  {terms}")
            return
        total = tick.step / max(standing.share, 1e-6)
        self._move("train", tick.step, max(round(total), tick.step), f"{tick.seconds:.2f} s/step  {terms}")

    def _on_sheet(self, path: Path) -> None:
        self._console.print(f"contact sheet {path}")


class SwapDisplay(_Display):
    """A batch of photos."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._began = time.monotonic()
        self._told = 0.0
        self._new = 0
        self._counts: Counter[str] = Counter()

    def on_photo(self, result: PhotoResult, done: int, total: int) -> None:
        """One photo is finished."""
        if done == 1:  # another batch
            self._began, self._told, self._new = time.monotonic(), 0.0, 0
            self._counts.clear()
        self._counts[result.status] += 1
        seconds = max(time.monotonic() - self._began, 1e-6)
        # The first photo starts the clock: what came before was no swapping.
        timed = self._new
        rate = f"{timed / seconds:.1f}/s" if seconds > 1 else ""
        self._new += not result.cached
        failed = f"  {count} failed" if (count := self._counts["failed"]) else ""
        self._move("swap", done, total, f"{rate}{failed}  {result.photo.name}")
        if self._progress.disable and seconds - self._told > PLAIN_EVERY_SECONDS:
            self._told = seconds
            left = f", {(total - done) * seconds / timed:.0f} s left" if timed > 0 else ""  # done earlier costs no time
            self._console.print(f"{done} of {total} photos{failed}, {rate}{left}")
        if result.reason and not result.cached:
            named = str(result.photo) in result.reason
            self._console.print(f"{result.status} {result.reason if named else f'{result.photo}: {result.reason}'}")
        for face in result.faces:
            if face.get("warning") and not result.cached:
                self._console.print(f"warning {result.photo}, face {face['number']}: {face['warning']}")

    def on_interrupt(self) -> None:
        """The first Ctrl-C was heard. Called by a signal's handler, perhaps in the middle of a write to the very same stream."""
        with contextlib.suppress(RuntimeError):  # Python's word for that
            self._console.print("finishing the photos at hand; Ctrl-C again stops at once")

    def on_listed(self, row: ListedPhoto, done: int, total: int) -> None:
        """The faces of one photo are found."""
        self._move("faces", done, total, row.photo.name)

    def on_measured(self, pictures: Pictures | None, done: int, total: int) -> None:
        """One photo is swapped and measured."""
        self._move("measure", done, total, "skipped" if pictures is None else pictures.name)

    def summarise(self, summary: SwapSummary, out: Path) -> None:
        """Counts, rate, and where to look."""
        counts = ", ".join(f"{count} {status}" for status, count in sorted(summary.counts.items(), reverse=True)) or "nothing done"
        new = len(summary.results) - summary.num_cached
        speed = f"; {summary.seconds:.1f} s, {new / max(summary.seconds, 1e-9):.1f} photos a second" if new else ""
        earlier = f", {summary.num_cached if new else 'all'} of them by an earlier run" if summary.num_cached else ""
        self._console.print(f"{counts}{earlier}{speed}; journal {out / JOURNAL_FILE}")
        if summary.interrupted:
            rest = "the same command does the rest" if len(summary.results) < summary.num_planned else "nothing is left to do"
            self._console.print(f"interrupted after {len(summary.results)} of {summary.num_planned} photos; {rest}")
        if summary.stopped:
            self._console.print(f"stopped early: {summary.stopped}; mend them or take them away, then the same command does the rest")
        if summary.report is not None:
            self._console.print(f"report {summary.report}")


def begin_line(request: TrainRequest) -> str:
    """What is about to be trained, and where."""
    settings = request.settings
    start = f", from {settings.network.start}" if settings.network.start else ""
    return f"{request.card.name} on {pick_device(request.device)}, {settings.size} px, network {settings.network.name}{start}"


def end_lines(trained: Trained) -> list[str]:
    """What came of it, and what to do next."""
    if trained.interrupted:
        return [f"interrupted after {trained.steps} steps, saved; go on with", f"  stylswap train --resume {trained.run}"]
    lines = [f"report {trained.run / 'report.html'}"]
    if not trained.taken:
        taken = f"{trained.steps} steps, {trained.seconds / 60:.1f} minutes"
        lines.append(f"nothing was left to do after {taken}; to train on, give a larger --minutes, or --set training.steps=N")
    return [*lines, "next:", f"  stylswap swap --identity {trained.out} PHOTO_OR_DIR --out swapped/"]


def evaluation_lines(evaluation: Evaluation) -> list[str]:
    """The table: a figure a line, a row a column."""
    table = evaluation.table()
    lines = ["\t".join(["", *table])]
    for column in COLUMNS:
        if any(column.key in figures for figures in table.values()):
            cells = [column.text(figures[column.key].mean) if column.key in figures else "-" for figures in table.values()]
            lines.append("\t".join([column.heading, *cells]))
    return [*lines, f"{len(evaluation.photos)} photos measured, {len(evaluation.skipped)} skipped"]


def face_lines(row: ListedPhoto) -> list[str]:
    """A photo's faces, a line each, in columns."""
    if not row.faces:
        return [f"{row.photo}\t{row.status}\t{row.reason}"]
    lines = []
    for face in row.faces:
        facts = face.as_json()
        pose = f"yaw {face.pose.yaw_deg:+.0f} pitch {face.pose.pitch_deg:+.0f} roll {face.pose.roll_deg:+.0f}"
        box = " ".join(f"{side:.0f}" for side in face.face.box)
        lines.append(f"{row.photo}\t{face.number}\t{facts['size_px']} px\t{pose}\tbox {box}\t{face.reason or 'chosen'}")
    return lines


def report_lines(report: PrepareReport, *, most_reasons: int | None = None) -> list[str]:
    """What a folder holds, line by line.

    Args:
        report: The report.
        most_reasons: Refused photos to name; None names all.
    """
    yaw = "  ".join(f"{bin_}: {count}" for bin_, count in report.as_json()["yaw_deg"].items())
    named = report.refused[:most_reasons]
    lines = [f"{report.folder}: {report.num_used} photos used, {len(report.refused)} left out; yaw in degrees {yaw}"]
    lines += [f"  left out {photo.name}: {photo.reason}" for photo in named]
    if len(named) < len(report.refused):
        lines.append(f"  and {len(report.refused) - len(named)} more, see prepare.json in the run folder")
    lines += [f"  nearly the same picture: {', '.join(group)}" for group in report.duplicates]
    return lines + [f"  warning: {warning}" for warning in report.warnings]
