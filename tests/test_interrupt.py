"""Ctrl-C as a request."""

from __future__ import annotations

import signal
import threading

import pytest

from stylswap.interrupt import first_ctrl_c


def test_the_first_asks_and_the_second_stops() -> None:
    before, asked = signal.getsignal(signal.SIGINT), []
    with first_ctrl_c(lambda: asked.append(True)):
        signal.raise_signal(signal.SIGINT)
        assert asked == [True]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert asked == [True]
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_stops_while_the_first_is_still_asking() -> None:
    with pytest.raises(KeyboardInterrupt), first_ctrl_c(lambda: signal.raise_signal(signal.SIGINT)):
        signal.raise_signal(signal.SIGINT)


def test_other_threads_are_left_alone() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with first_ctrl_c(lambda: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
