"""A study: the same training again and again, one thing changed each time, every result measured on the same photos."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from stylswap.errors import UsageError
from stylswap.jobs.study_request import StudyRequest, row_of, tasks_of
from stylswap.jobs.study_tables import write_study
from stylswap.jobs.study_variant import ROW_FILE, VariantTask, held_out_photos, run_variant
from stylswap.report import Study
from stylswap.storage import write_atomically

OnRow = Callable[[str, str, int, int], None]
"""Called with a row's name, what became of it ("done", "failed: why", "done earlier"), how many are finished, and how many there are."""


def run_study(request: StudyRequest, *, on_row: OnRow | None = None) -> Study:
    """Run what is not finished, then write tables, sheet, plot and report; they are renewed after every row.

    Running it again does only what is missing, failed or changed. A row that fails, or whose process dies, stops no other.

    Args:
        request: What to run.
        on_row: See `OnRow`.

    Raises:
        UsageError: If the folder cannot be written, or no held-out photos are left.
    """
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{request.out}: cannot be written ({error.strerror}); give another --out") from error
    held_out_photos(request.spec)  # found out now, not after the first training
    tasks = tasks_of(request)
    wanted = [task for task in tasks if task.variant is None or not request.only or task.variant.group in request.only]
    finished = 0

    def tell(task: VariantTask, state: str) -> None:
        nonlocal finished
        finished += 1
        if on_row is not None:
            on_row(task.name, state, finished, len(wanted))

    for task in wanted:
        if task.done() is not None:
            tell(task, "done earlier")
    for task, state in run_tasks([task for task in wanted if task.done() is None], request.jobs):
        tell(task, state)
        write_study(request)
    return write_study(request)


def run_tasks(tasks: Sequence[VariantTask], jobs: int) -> Iterable[tuple[VariantTask, str]]:
    """Each task in a process of its own, some at a time, in order; with what became of it, as it finishes."""
    pool = ThreadPoolExecutor(jobs)
    try:
        yield from zip(tasks, pool.map(_in_process, tasks), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C the rows at hand save and end; no other begins


def _in_process(task: VariantTask) -> str:
    try:
        return _run_alone(task)
    except OSError as error:  # no memory for a process, a disk that is full: the other rows may fit
        return f"failed: {error.strerror or error}"


def _run_alone(task: VariantTask) -> str:
    (task.folder / ROW_FILE).unlink(missing_ok=True)
    process = multiprocessing.get_context("spawn").Process(target=run_variant, args=(task,))
    process.start()
    process.join()
    row = row_of(task)
    if row is None:
        task.folder.mkdir(parents=True, exist_ok=True)
        reason = f"the process ended with code {process.exitcode} and left nothing"
        row = {"name": task.name, "identity": task.identity, "fingerprint": task.fingerprint, "status": "failed", "reason": reason}
        write_atomically(task.folder / ROW_FILE, json.dumps(row, indent=1).encode())
    return "done" if row["status"] == "done" else f"failed: {row['reason']}"
