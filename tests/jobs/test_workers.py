"""Workers answer, die alone, and are replaced."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import torch

from stylswap.errors import RunError
from stylswap.jobs.workers import Answer, Died, InlineWorker, ProcessWorkers


class Counting:
    """Remembers how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, kind: str, number: int, content: Any) -> Any:
        self.asked += 1
        if kind == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        return self.asked, kind, content


def unable() -> Counting:
    os._exit(7)


def collect(workers: ProcessWorkers | InlineWorker, count: int) -> list[Answer | Died]:
    events: list[Answer | Died] = []
    while len(events) < count:
        events += workers.wait()
    return events


@pytest.fixture
def workers():
    made = ProcessWorkers(Counting, 2)
    yield made
    made.close()


def test_each_worker_answers_in_order_and_keeps_its_state(workers: ProcessWorkers) -> None:
    for number in range(4):
        workers.send(number % 2, "echo", number, f"content {number}")
    events = collect(workers, 4)
    assert all(isinstance(event, Answer) for event in events)
    for worker in (0, 1):
        own = [event for event in events if event.worker == worker]
        assert [event.number for event in own] == [worker, worker + 2]
        assert [event.content[0] for event in own] == [1, 2]


def test_the_request_that_kills_a_worker_is_named_and_the_others_are_not(workers: ProcessWorkers) -> None:
    workers.send(0, "echo", 0, None)
    workers.send(0, "crash", 1, None)
    workers.send(0, "echo", 2, None)
    workers.send(1, "echo", 3, None)
    events = collect(workers, 3)
    deaths = [event for event in events if isinstance(event, Died)]
    assert deaths == [Died(0, 1, -signal.SIGKILL)]
    assert sorted(event.number for event in events if isinstance(event, Answer)) == [0, 3]
    workers.send(0, "echo", 2, "again")
    assert collect(workers, 1) == [Answer(0, 2, (1, "echo", "again"))], "a new process, without the memory of the old one"


def test_processes_that_cannot_start_are_an_error_and_no_endless_loop() -> None:
    workers = ProcessWorkers(unable, 1)
    try:
        with pytest.raises(RunError, match=r"exit code 7.*--workers 0"):
            for _ in range(5):
                workers.wait()
    finally:
        workers.close()


def test_processes_end_when_they_are_closed() -> None:
    workers = ProcessWorkers(Counting, 1)
    workers.send(0, "echo", 0, None)
    collect(workers, 1)
    process = workers._workers[0].process
    workers.close()
    assert not process.is_alive()


def test_inline_answers_the_same() -> None:
    worker = InlineWorker(Counting)
    worker.send(0, "echo", 5, "x")
    assert worker.wait() == [Answer(0, 5, (1, "echo", "x"))]


def test_tensors_survive_the_worker_that_made_them(workers: ProcessWorkers) -> None:
    """An answer that is on its way when its worker dies must arrive whole."""
    for number in range(2):
        workers.send(0, "echo", number, torch.full((300, 1000), float(number)))
    workers.send(0, "crash", 2, None)
    events = collect(workers, 3)
    answers = [event for event in events if isinstance(event, Answer)]
    assert [float(answer.content[2].mean()) for answer in answers] == [0.0, 1.0]
    assert events[-1] == Died(0, 2, -signal.SIGKILL)


def test_large_messages_in_both_directions_do_not_wait_for_each_other(workers: ProcessWorkers) -> None:
    large = bytes(4_000_000)
    for number in range(6):
        workers.send(0, "echo", number, large)
    assert [event.number for event in collect(workers, 6)] == list(range(6))


def test_ctrl_c_is_not_for_workers() -> None:
    workers = ProcessWorkers(Counting, 1)
    try:
        os.kill(workers._workers[0].process.pid, signal.SIGINT)  # while it still imports
        workers.send(0, "echo", 0, "still there")
        assert collect(workers, 1) == [Answer(0, 0, (1, "echo", "still there"))]
    finally:
        workers.close()
