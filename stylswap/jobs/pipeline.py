"""Photos stream through the stages: workers open and join them, the networks see the faces of several photos at a time.

Every queue is bounded: a worker holds at most `PHOTOS_A_WORKER` photos, so memory does not grow with the folder.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from stylswap.jobs.align_photo import reason_of
from stylswap.jobs.photo_worker import Encoded, PhotoResult
from stylswap.jobs.render_faces import FaceRenderer
from stylswap.jobs.swapped import Aligned, RenderedFaces
from stylswap.jobs.workers import Answer, Died, Workers

# One that is being worked on, one that waits: a worker never waits for the networks.
PHOTOS_A_WORKER: Final = 2

Pair = tuple[Path, Path]
BeforeWrite = Callable[[Path, Path, str], None]
"""Told of a photo, its output, and the sha256 that the output will have, just before it is written."""


class Pipeline:
    """One pass over some photos.

    Args:
        workers: With handlers of `stylswap.jobs.photo_worker.PhotoWorker`.
        renderer: The networks.
        pairs: Photo and output each.
        stop: Asked before a photo is begun; after it says yes, the photos at hand are finished and no others begun.
        before_write: See `BeforeWrite`; None: nobody wants to know.
    """

    def __init__(
        self,
        workers: Workers,
        renderer: FaceRenderer,
        pairs: Sequence[Pair],
        stop: Callable[[], bool],
        *,
        before_write: BeforeWrite | None = None,
    ) -> None:
        self._workers = workers
        self._renderer = renderer
        self._pairs = pairs
        self._stop = stop
        self._before_write = before_write
        self._pending = deque(range(len(pairs)))
        self._at_hand: list[set[int]] = [set() for _ in range(len(workers))]
        self._aligned: list[tuple[int, int, Aligned]] = []  # worker, number, faces
        self._encoded: list[tuple[int, int, Encoded]] = []  # worker, number, what it will be

    def results(self) -> Iterator[PhotoResult]:
        """A result for each photo that was begun, as they finish."""
        self._hand_out()
        while any(self._at_hand):
            for event in self._workers.wait():
                finished = self._buried(event) if isinstance(event, Died) else self._taken_in(event)
                if finished is not None:
                    yield finished
            self._write()
            self._hand_out()
            self._render()

    def _hand_out(self) -> None:
        for worker, at_hand in enumerate(self._at_hand):
            while len(at_hand) < PHOTOS_A_WORKER and self._pending and not self._stop():
                number = self._pending.popleft()
                at_hand.add(number)
                self._workers.send(worker, "open", number, self._pairs[number])

    def _taken_in(self, answer: Answer) -> PhotoResult | None:
        if isinstance(answer.content, Aligned):
            self._aligned.append((answer.worker, answer.number, answer.content))
            return None
        if isinstance(answer.content, Encoded):  # not answered here: the worker may have died since, as a later event says
            self._encoded.append((answer.worker, answer.number, answer.content))
            return None
        self._at_hand[answer.worker].discard(answer.number)
        result: PhotoResult = answer.content
        return result

    def _write(self) -> None:
        waiting, self._encoded = self._encoded, []
        for worker, number, encoded in waiting:
            if self._before_write is not None:
                self._before_write(*self._pairs[number], encoded.sha256)
            self._workers.send(worker, "write", number, None)

    def _render(self) -> None:
        waiting, self._aligned = self._aligned, []
        for (worker, number, _), rendered in zip(waiting, self._rendered([faces for _, _, faces in waiting]), strict=True):
            self._workers.send(worker, "drop" if isinstance(rendered, str) else "join", number, rendered)

    def _rendered(self, photos: Sequence[Aligned]) -> Sequence[RenderedFaces | str]:
        """What was rendered, or why it could not be: when all together fail, each is tried alone."""
        try:
            return self._renderer.render(photos)
        except Exception as error:
            if len(photos) <= 1:
                return [reason_of(error) for _ in photos]
            return [self._rendered([photo])[0] for photo in photos]

    def _buried(self, death: Died) -> PhotoResult | None:
        """The photo that a worker died of has failed; the others that it held are begun anew."""
        lost = self._at_hand[death.worker]
        self._at_hand[death.worker] = set()
        self._aligned = [waiting for waiting in self._aligned if waiting[0] != death.worker]
        self._encoded = [written for written in self._encoded if written[0] != death.worker]
        self._pending.extendleft(sorted(lost - {death.number}, reverse=True))
        if death.number is None:
            return None
        return PhotoResult(self._pairs[death.number][0], None, "failed", _cause(death), 0, ())


def _cause(death: Died) -> str:
    code = death.exit_code
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return f"the process that worked on it ended unexpectedly ({how}); the file may be made to crash a decoder, or memory ran out"
