"""What the command line shows while it works."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from stylswap import progress
from stylswap.jobs.photo_worker import PhotoResult
from stylswap.jobs.swap import SwapSummary
from stylswap.progress import SwapDisplay


def told(summary: SwapSummary, *, heard: bool = False) -> list[str]:
    """What a run that ended so says, line by line."""
    stream = io.StringIO()
    with SwapDisplay(Console(file=stream, soft_wrap=True, markup=False)) as display:
        if heard:
            display.on_interrupt()
        display.summarise(summary, Path("out"))
    return stream.getvalue().splitlines()


RESULTS = tuple(PhotoResult(Path(f"{number}.jpg"), None, "no_face", "", 0, ()) for number in range(2))


def test_an_interrupted_swap_says_so_at_once_and_at_its_end() -> None:
    lines = told(SwapSummary(RESULTS, 1.0, interrupted=True, num_planned=5), heard=True)
    assert lines[0] == "finishing the photos at hand; Ctrl-C again stops at once"
    assert lines[-1] == "interrupted after 2 of 5 photos; the same command does the rest"


@pytest.mark.parametrize(("interrupted", "last"), [(True, "interrupted after 2 of 2 photos; nothing is left to do"), (False, "2 no_face")])
def test_a_swap_that_did_all_does_not_promise_a_rest(interrupted: bool, last: str) -> None:
    assert told(SwapSummary(RESULTS, 1.0, interrupted=interrupted, num_planned=2))[-1].startswith(last)


def test_what_an_earlier_run_did_is_no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """90 of 100 photos are done at once; then one takes 20 seconds, and nine are left."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with SwapDisplay(Console(file=stream, soft_wrap=True, markup=False)) as display:
        for number in range(90):
            display.on_photo(PhotoResult(Path("a.jpg"), None, "swapped", "", 1, (), cached=True), number + 1, 100)
        for number in range(90, 93):
            now[0] += 20.0
            display.on_photo(PhotoResult(Path("a.jpg"), None, "swapped", "", 1, ()), number + 1, 100)
    lines = stream.getvalue().splitlines()
    assert lines == ["91 of 100 photos, 0.0/s", "92 of 100 photos, 0.0/s, 320 s left", "93 of 100 photos, 0.0/s, 210 s left"]


def test_a_signal_in_the_middle_of_a_write_is_no_crash() -> None:
    class Busy(io.StringIO):
        def write(self, _text: str) -> int:
            raise RuntimeError("reentrant call")

    SwapDisplay(Console(file=Busy())).on_interrupt()
