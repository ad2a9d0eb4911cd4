"""Ctrl-C as a request: finish what is at hand, then stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def first_ctrl_c(ask_to_stop: Callable[[], None]) -> Iterator[None]:
    """Inside the block the first Ctrl-C only asks; a second one is the usual KeyboardInterrupt.

    Outside the main thread nothing is changed: signals are somebody else's business there.

    Args:
        ask_to_stop: Called at the first Ctrl-C.
    """

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # first: asking may have to wait for something
        ask_to_stop()

    try:
        before = signal.signal(signal.SIGINT, on_signal)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
