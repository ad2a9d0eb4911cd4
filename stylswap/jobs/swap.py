"""Swap a batch of photos: files and folders in, a folder out, one journal line a photo, a report at the end."""

from __future__ import annotations

import datetime
import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch

from stylswap.errors import PhotoError, UsageError
from stylswap.interrupt import first_ctrl_c
from stylswap.jobs.photo_worker import PhotoResult
from stylswap.jobs.pipeline import Pair, Pipeline
from stylswap.jobs.swap_journal import SwapJournal, fingerprint, remove_left_overs
from stylswap.jobs.swap_plan import PlannedPhoto, check_out_folder, plan
from stylswap.jobs.swapper import Swapper
from stylswap.jobs.workers import InlineWorker, ProcessWorkers
from stylswap.report import SwapRun, write_swap_report
from stylswap.signing import Signer

OnPhoto = Callable[[PhotoResult, int, int], None]
# Fewer are done before a process has started.
PHOTOS_FOR_PROCESSES: Final = 4
# One thread renders for all; more workers would wait for it, and each takes some 300 MiB.
MOST_WORKERS: Final = 16


@dataclass(frozen=True)
class SwapRequest:
    """What to do with which photos.

    Attributes:
        photos: Files and folders.
        out: Where the results, the journal and the report go.
        force: Do everything again, whatever the journal says; outputs that were edited are left alone all the same.
        max_failures: Stop when more photos than this have failed; None: never.
        workers: Processes; None: one for each core that there is to use, and none at all for a few photos. 0: everything in this process.
        signer: Signs every output.
        report: Write ``report.html``.
    """

    photos: Sequence[Path]
    out: Path
    force: bool = False
    max_failures: int | None = None
    workers: int | None = None
    signer: Signer | None = None
    report: bool = True

    def __post_init__(self) -> None:
        for name, value in (("max_failures", self.max_failures), ("workers", self.workers)):
            if value is not None and value < 0:
                raise UsageError(f"{name} must be 0 or more, got {value}")


@dataclass(frozen=True)
class SwapSummary:
    """What became of all photos.

    Attributes:
        results: One for each photo, in the order of the plan.
        seconds: Duration, loading the network excluded, starting the workers included.
        interrupted: True when Ctrl-C ended it after the photos at hand.
        stopped: Why it ended early, else "".
        report: The report, None where none was written.
        num_planned: Photos there are; more than `results` after Ctrl-C or a stop.
    """

    results: tuple[PhotoResult, ...]
    seconds: float
    interrupted: bool = False
    stopped: str = ""
    report: Path | None = None
    num_planned: int = 0
    counts: Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", Counter(result.status for result in self.results))

    @property
    def num_cached(self) -> int:
        """Photos that an earlier run had done."""
        return sum(result.cached for result in self.results)

    @property
    def complete(self) -> bool:
        """True when every photo was swapped."""
        return not self.interrupted and not self.stopped and self.counts["swapped"] == len(self.results)


def dry_run(swapper: Swapper, request: SwapRequest) -> list[PlannedPhoto]:
    """What `swap_photos` would do; nothing is written. It refuses what that would refuse.

    Raises:
        UsageError: See `swap_photos`.
        PhotoError: If the output folder cannot be read.
    """
    pairs, journal = _checked(swapper, request)
    return [_planned(swapper, photo, output, _known(photo, output, request, journal)) for photo, output in pairs]


def swap_photos(
    swapper: Swapper, request: SwapRequest, *, on_photo: OnPhoto | None = None, on_interrupt: Callable[[], None] | None = None
) -> SwapSummary:
    """Swap photos and folders of photos. A photo that fails never stops the others, and what is written stays.

    Running it again does only what is missing or changed, and overwrites nothing but outputs of the same photos that nobody edited; see
    `stylswap.jobs.swap_journal.SwapJournal`.
    Worker processes import the main module anew: a script that calls this must do so under ``if __name__ == "__main__":``.

    Args:
        swapper: Loaded once, used for all.
        request: What to do.
        on_photo: Called with each result, how many are done, and how many there are.
        on_interrupt: Called at the first Ctrl-C, after which the photos at hand are finished; inside the signal's handler.

    Returns:
        A result for each photo; after Ctrl-C for those that were finished.

    Raises:
        UsageError: See `plan` and `check_out_folder`; or if a file would be overwritten that was not made from the same photo.
        PhotoError: If the output folder cannot be written.
        RunError: If worker processes cannot be started.
    """
    began = time.monotonic()
    pairs, journal = _checked(swapper, request)
    _open(journal, request.out)
    results: dict[Path, PhotoResult] = {}
    halt = _Halt(request.max_failures, on_interrupt)
    with first_ctrl_c(halt.interrupt):
        for result in _results(swapper, request, pairs, journal, halt):
            results[result.photo] = result
            if not result.cached:
                journal.write(result)
                halt.count(result)
            if on_photo is not None:
                on_photo(result, len(results), len(pairs))
    order = [photo for photo, _ in pairs]
    journal.close(order)
    finished = tuple(results[photo] for photo in order if photo in results)
    seconds = time.monotonic() - began
    report = _write_report(swapper, request, finished, seconds, early=bool(halt)) if request.report else None
    return SwapSummary(finished, seconds, halt.interrupted, halt.reason, report, len(pairs))


def _planned(swapper: Swapper, photo: Path, output: Path, known: PhotoResult | None) -> PlannedPhoto:
    if known is not None and not known.cached:
        return PlannedPhoto(photo, output, known.status, known.reason)
    if swapper.options.choice.is_none_for(photo):
        return PlannedPhoto(photo, output, "skipped", "none of its faces is asked for")
    return PlannedPhoto(photo, output, "planned" if known is None else "done")


def _write_report(swapper: Swapper, request: SwapRequest, results: Sequence[PhotoResult], seconds: float, *, early: bool) -> Path:
    identity, options = swapper.identity, swapper.options
    return write_swap_report(
        request.out,
        SwapRun(
            identity.card.name,
            identity.sha256,
            [{**result.as_json(), "cached": result.cached} for result in results],
            seconds,
            str(swapper.device),
            swapper.renderer.parses,
            {**options.as_json(), "faces": options.choice.for_photo(None)},
            interrupted=early,
            finished=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
            size_limit_mp=options.size_limit_mp,
        ),
    )


class _Halt:
    """Whether to go on."""

    def __init__(self, max_failures: int | None, on_interrupt: Callable[[], None] | None) -> None:
        self._max_failures = max_failures
        self._on_interrupt = on_interrupt
        self._failures = 0
        self._asked = threading.Event()
        self.reason = ""

    @property
    def interrupted(self) -> bool:
        return self._asked.is_set()

    def interrupt(self) -> None:
        self._asked.set()
        if self._on_interrupt is not None:
            self._on_interrupt()

    def count(self, result: PhotoResult) -> None:
        self._failures += result.status == "failed"
        if self._max_failures is not None and self._failures > self._max_failures:
            self.reason = f"more than {self._max_failures} photos failed (--max-failures)"

    def __bool__(self) -> bool:
        return self.interrupted or bool(self.reason)


def _checked(swapper: Swapper, request: SwapRequest) -> tuple[list[Pair], SwapJournal]:
    """What is to be done, and what was done. Nothing is written: a run that is refused leaves no trace."""
    pairs = plan(request.photos, request.out)
    try:
        check_out_folder(request.out, report=request.report)
        journal = SwapJournal(request.out, _fingerprints(swapper, request), swapper.identity.sha256)
    except OSError as error:
        raise PhotoError(f"{request.out}: the output folder cannot be read ({error.strerror})") from error
    _refuse_to_overwrite(journal, pairs, request.out)
    return pairs, journal


def _open(journal: SwapJournal, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_left_overs(out)
        journal.open()
    except OSError as error:
        raise PhotoError(f"{out}: the output folder cannot be written ({error.strerror})") from error


def _known(photo: Path, output: Path, request: SwapRequest, journal: SwapJournal) -> PhotoResult | None:
    """The result of a photo that need not be, or must not be, swapped now."""
    if journal.was_edited(photo, output):  # --force means the work, not somebody's retouching
        reason = f"{output} was edited since it was swapped; move it away, or give another --out"
        return PhotoResult(photo, None, "failed", reason, 0, ())
    return None if request.force else journal.done(photo, output)


def _refuse_to_overwrite(journal: SwapJournal, pairs: Sequence[Pair], out: Path) -> None:
    foreign = [output for photo, output in pairs if journal.owned_by_another(photo, output)]
    if foreign:
        shown = ", ".join(str(output) for output in foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise UsageError(f"{shown} would be overwritten, and was not made from the photo of that name; give another --out than {out}")


def num_cores() -> int:
    """Cores that this process may use, which in a container are fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _fingerprints(swapper: Swapper, request: SwapRequest) -> Callable[[Path], str]:
    """For each photo what decides about its output; see `stylswap.jobs.swap_journal.fingerprint`."""
    facts = {
        "software": swapper.mark.software,
        "identity": swapper.identity.sha256,
        "options": swapper.options.as_json(),
        "parsing": swapper.renderer.parses,
        "device": swapper.device.type,
        "signer": "" if request.signer is None else hashlib.sha256(request.signer.certificates.encode()).hexdigest(),
    }
    return lambda photo: fingerprint({**facts, "choice": swapper.options.choice.for_photo(photo)})


def _results(
    swapper: Swapper, request: SwapRequest, pairs: Sequence[Pair], journal: SwapJournal, halt: _Halt
) -> Iterator[PhotoResult]:
    """What is done already, then everything else as it finishes."""
    missing: list[Pair] = []
    for photo, output in pairs:
        known = None if halt else _known(photo, output, request, journal)
        if known is None:
            missing.append((photo, output))
        else:
            yield known
    if not missing or halt:
        return
    count = request.workers if request.workers is not None else min(num_cores(), MOST_WORKERS)
    inline = count == 0 or (request.workers is None and len(missing) < PHOTOS_FOR_PROCESSES)
    worker = swapper.worker(request.signer)
    threads = torch.get_num_threads()
    # One thread each, in every process: they would otherwise ask for more cores than there are, and sums would round otherwise.
    torch.set_num_threads(1)
    try:
        with closing(InlineWorker(worker) if inline else ProcessWorkers(worker, min(count, len(missing)))) as workers:
            yield from Pipeline(workers, swapper.renderer, missing, lambda: bool(halt), before_write=journal.begin).results()
    finally:
        torch.set_num_threads(threads)
