"""Processes that work on requests one after another, and may die without taking anything else along.

A worker keeps state between requests (a decoded photo stays where it was decoded), so a request goes to a worker by number. When a
process dies, what it was working on is known: each request is announced before it is begun.

Everything travels as plain bytes: torch would otherwise pass tensors as files in shared memory, which are gone with the process that
made them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol

from stylswap.errors import RunError

STARTS_WITHOUT_AN_ANSWER = 3


class Handler(Protocol):
    """What a worker does with requests. Made by a picklable callable inside the worker."""

    def __call__(self, kind: str, number: int, content: Any) -> Any:
        """Answer one request."""
        ...


class Answer(NamedTuple):
    """A worker's answer to the request with this number."""

    worker: int
    number: int
    content: Any


class Died(NamedTuple):
    """A worker's process ended; a new one stands in its place, without its memory.

    Attributes:
        worker: Which.
        number: The request it was working on, None when it was waiting.
        exit_code: Negative: the signal that killed it.
    """

    worker: int
    number: int | None
    exit_code: int | None


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    begun: int | None = None


class ProcessWorkers:
    """Worker processes.

    They are started afresh (never forked: a copy of a process with running threads can hang), each computes on one thread, and Ctrl-C is
    the parent's business alone. When the parent is gone, they end.
    """

    def __init__(self, make_handler: Callable[[], Handler], count: int) -> None:
        """Start `count` processes.

        Args:
            make_handler: Picklable; called once in each process.
            count: How many.
        """
        self._context = multiprocessing.get_context("spawn")
        self._make_handler = make_handler
        self._idle_deaths = 0
        self._workers = [self._start() for _ in range(count)]

    def __len__(self) -> int:
        return len(self._workers)

    def send(self, worker: int, kind: str, number: int, content: Any) -> None:
        """Ask a worker for something; it answers its requests in their order. A worker that just died loses the request: see `wait`."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `wait` reports the death, and whoever asked asks again
            self._workers[worker].connection.send_bytes(pickle.dumps((kind, number, content), pickle.HIGHEST_PROTOCOL))

    def wait(self) -> list[Answer | Died]:
        """Answers and deaths since the last call; waits for the first one.

        Raises:
            RunError: If processes die again and again before they answer anything.
        """
        events: list[Answer | Died] = []
        while not events:
            numbers = {worker.connection: number for number, worker in enumerate(self._workers)}
            for ready in wait(list(numbers)):
                events += self._read(numbers[ready])  # type: ignore[index]
        return events

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            worker.process.join(timeout=5)
            if worker.process.is_alive():
                worker.process.kill()

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._make_handler), daemon=True)
        with _without_ctrl_c():
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def _read(self, number: int) -> list[Answer | Died]:
        worker = self._workers[number]
        events: list[Answer | Died] = []
        try:
            while worker.connection.poll():
                what, request, content = pickle.loads(worker.connection.recv_bytes())
                if what == "begun":
                    worker.begun = request
                else:
                    worker.begun = None
                    self._idle_deaths = 0
                    events.append(Answer(number, request, content))
        except (EOFError, OSError, pickle.UnpicklingError):  # gone, perhaps in the middle of an answer
            events.append(self._replace(number))
        return events

    def _replace(self, number: int) -> Died:
        worker = self._workers[number]
        worker.process.join(timeout=5)
        if worker.begun is None:
            self._idle_deaths += 1
            if self._idle_deaths >= STARTS_WITHOUT_AN_ANSWER:
                raise RunError(
                    f"worker processes end before they do anything (exit code {worker.process.exitcode}); "
                    "try --workers 0, which works in one process and shows the error"
                )
        worker.connection.close()
        self._workers[number] = self._start()
        return Died(number, worker.begun, worker.process.exitcode)


class InlineWorker:
    """The same, in this very process: for a photo or two, which are done before a process has started."""

    def __init__(self, make_handler: Callable[[], Handler]) -> None:
        self._handler = make_handler()
        self._answers: deque[Answer] = deque()

    def __len__(self) -> int:
        return 1

    def send(self, worker: int, kind: str, number: int, content: Any) -> None:
        """See `ProcessWorkers.send`."""
        self._answers.append(Answer(worker, number, self._handler(kind, number, content)))

    def wait(self) -> list[Answer | Died]:
        """See `ProcessWorkers.wait`."""
        answers: list[Answer | Died] = list(self._answers)
        self._answers.clear()
        return answers

    def close(self) -> None:
        """Nothing to end."""


Workers = ProcessWorkers | InlineWorker


def _work(connection: Connection, make_handler: Callable[[], Handler]) -> None:
    """What a worker process does until its parent hangs up."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    handler = make_handler()
    # Requests are taken in while an answer is on its way: two large messages that meet would otherwise wait for each other for ever.
    requests: SimpleQueue[tuple[str, int, Any] | None] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, requests), daemon=True).start()
    while (request := requests.get()) is not None:
        kind, number, content = request
        try:
            _answer(connection, "begun", number, None)
            _answer(connection, "done", number, handler(kind, number, content))
        except (BrokenPipeError, ConnectionResetError):
            return


def _receive(connection: Connection, requests: SimpleQueue[tuple[str, int, Any] | None]) -> None:
    try:
        while True:
            requests.put(pickle.loads(connection.recv_bytes()))
    except (EOFError, OSError):
        requests.put(None)


def _answer(connection: Connection, what: str, number: int, content: Any) -> None:
    connection.send_bytes(pickle.dumps((what, number, content), pickle.HIGHEST_PROTOCOL))


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """A process that is started inside never gets Ctrl-C, not even before it can say so itself (where the system knows such masks)."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
