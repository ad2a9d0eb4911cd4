"""What a worker does for a photo: open it, and later join, encode and write it. The photo itself never leaves the worker."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from stylswap.jobs.align_photo import PhotoAligner, reason_of
from stylswap.jobs.join_photo import PhotoJoiner
from stylswap.jobs.stopwatch import Stopwatch
from stylswap.jobs.swapped import Aligned, RenderedFaces, Swapped
from stylswap.photo import Photo, photo_bytes, read_photo, write_photo_bytes
from stylswap.provenance import Mark
from stylswap.signing import Signer

# Formats that lose nothing: what is not touched is the photo's own, which the tests hold them to.
LOSSLESS: Final = (".png", ".tif", ".tiff")
CHECKED_ROWS: Final = 64


@dataclass(frozen=True)
class PhotoResult:
    """What became of one photo.

    Attributes:
        photo: The photo.
        output: The file that was written, or None.
        status: ``"swapped"``, ``"no_face"``, ``"skipped"`` or ``"failed"``.
        reason: Why it was not swapped, else "".
        num_found: Faces found.
        faces: Box, pose, blend, seam and more of each face that was swapped.
        left_out: A reason for each face that was not, by its number from 1.
        seconds: By stage.
        sha256: Of the photo's file, "" where it could not be read.
        output_sha256: Of the output's file, "" where there is none.
        outside_change: Largest and mean difference of the output, decoded again, from the photo outside the masks, in 8-bit levels; not
            0 only where the format loses something; None where it could not be measured.
        cached: True when an earlier run did it.
    """

    photo: Path
    output: Path | None
    status: str
    reason: str
    num_found: int
    faces: tuple[dict[str, Any], ...]
    left_out: dict[int, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    sha256: str = ""
    output_sha256: str = ""
    outside_change: tuple[float, float] | None = None
    cached: bool = False

    def as_json(self) -> dict[str, Any]:
        """The result as JSON types."""
        return {
            "photo": str(self.photo),
            "output": str(self.output) if self.output else None,
            "status": self.status,
            "reason": self.reason,
            "faces_found": self.num_found,
            "faces_swapped": len(self.faces),
            "faces": list(self.faces),
            "left_out": {str(number): reason for number, reason in self.left_out.items()},
            "outside_change": None if self.outside_change is None else [round(value, 3) for value in self.outside_change],
            "seconds": {stage: round(seconds, 4) for stage, seconds in self.seconds.items()},
            "sha256": self.sha256,
            "output_sha256": self.output_sha256,
        }


@dataclass(frozen=True)
class Encoded:
    """A photo is swapped and encoded, and waits for the word to be written.

    Attributes:
        sha256: Of what will be written.
    """

    sha256: str


class _Waiting(NamedTuple):
    """What is kept of a photo from its encoding to its writing."""

    content: bytes
    before: Photo
    after: Photo
    swapped: Swapped
    output: Path
    result: PhotoResult


@dataclass(frozen=True)
class PhotoWorker:
    """Makes the handler in a worker's process; picklable.

    Attributes:
        aligner: First stage.
        joiner: Third stage.
        mark: What every output says of itself.
        signer: Signs every output, or None.
    """

    aligner: PhotoAligner
    joiner: PhotoJoiner
    mark: Mark
    signer: Signer | None = None

    def __call__(self) -> PhotoHandler:
        """The handler."""
        return PhotoHandler(self)


class PhotoHandler:
    """Answers what the pipeline asks for.

    ``open``: a photo and where it goes -> its crops, or its end. ``join``: what was rendered -> `Encoded`, or its end. ``write``: -> its
    end. ``drop``: why it could not be rendered -> its end.

    Encoding and writing are two requests, so that the journal can say what a file will be before it is there.
    """

    def __init__(self, worker: PhotoWorker) -> None:
        self._worker = worker
        self._open: dict[int, tuple[Aligned, Path, Path, str]] = {}
        self._waiting: dict[int, _Waiting] = {}

    def __call__(self, kind: str, number: int, content: Any) -> Aligned | Encoded | PhotoResult:
        """Answer one request; see the class."""
        if kind == "open":
            return self._begin(number, *content)
        if kind == "write":
            return self._write(self._waiting.pop(number))
        aligned, photo, output, sha256 = self._open.pop(number)
        if kind == "drop":
            return PhotoResult(photo, None, "failed", content, len(aligned.found), (), seconds=aligned.seconds, sha256=sha256)
        finished = self._join(aligned, content, output, PhotoResult(photo, None, "failed", "", 0, (), sha256=sha256))
        if isinstance(finished, PhotoResult):
            return finished
        self._waiting[number] = finished
        return Encoded(hashlib.sha256(finished.content).hexdigest())

    def _begin(self, number: int, photo: Path, output: Path) -> Aligned | PhotoResult:
        aligned = self._worker.aligner(photo)
        if isinstance(aligned, Swapped):
            # A file that was refused may be a pipe, or of 30 GB: it is not read to the end for its hash.
            return _filled(PhotoResult(photo, None, "", "", 0, (), sha256="" if aligned.status == "failed" else _sha256(photo)), aligned)
        self._open[number] = (aligned, photo, output, _sha256(photo))
        # What the networks need travels; the photo, the largest part, stays.
        return replace(aligned, photo=None)  # type: ignore[arg-type]

    def _join(self, aligned: Aligned, rendered: RenderedFaces, output: Path, result: PhotoResult) -> _Waiting | PhotoResult:
        swapped = self._worker.joiner(aligned, rendered)
        if swapped.status != "swapped" or swapped.photo is None:
            return _filled(result, swapped)
        watch = Stopwatch(swapped.seconds)
        try:
            with watch("encode"):
                content = self._encoded(swapped.photo, result.photo, output)
        except Exception as error:  # whatever an encoder thinks of it
            return _not_written(result, swapped, error, watch)
        return _Waiting(content, aligned.photo, swapped.photo, replace(swapped, seconds=watch.seconds), output, result)

    def _write(self, waiting: _Waiting) -> PhotoResult:
        content, before, after, swapped, output, result = waiting
        watch = Stopwatch(swapped.seconds)
        try:
            with watch("encode"):
                output.parent.mkdir(parents=True, exist_ok=True)
                write_photo_bytes(content, output)
        except Exception as error:  # such as a full disk
            return _not_written(result, swapped, error, watch)
        with watch("check"):
            change = _outside_change(before, after, output)
        sha256 = hashlib.sha256(content).hexdigest()
        return replace(_filled(result, swapped), output=output, output_sha256=sha256, outside_change=change, seconds=watch.seconds)

    def _encoded(self, swapped: Photo, photo: Path, output: Path) -> bytes:
        content = photo_bytes(swapped, output, mark=self._worker.mark)
        if self._worker.signer is None:
            return content
        return self._worker.signer.sign(content, self._worker.mark, parent=photo.read_bytes(), title=output.name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _filled(result: PhotoResult, swapped: Swapped) -> PhotoResult:
    return replace(
        result,
        status=swapped.status,
        reason=swapped.reason,
        num_found=swapped.num_found,
        faces=tuple(face.as_json() for face in swapped.faces),
        left_out=swapped.left_out,
        seconds=swapped.seconds,
    )


def _not_written(result: PhotoResult, swapped: Swapped, error: Exception, watch: Stopwatch) -> PhotoResult:
    return replace(_filled(result, swapped), status="failed", reason=reason_of(error), faces=(), seconds=watch.seconds)


def _outside_change(before: Photo, after: Photo, output: Path) -> tuple[float, float] | None:
    """How far the written file is from the photo where nothing was swapped, in 8-bit levels: largest and mean."""
    if output.suffix.lower() in LOSSLESS:
        return (0.0, 0.0)
    try:
        written = read_photo(output, size_limit_mp=math.inf)
    except Exception:  # the output is whole; only the figure is missing
        return None
    if (written.height, written.width) != (after.height, after.width):
        return None
    largest, total, count = 0, 0, 0
    pictures = [picture.rgb_u8() for picture in (before, after, written)]
    for top in range(0, before.height, CHECKED_ROWS):  # a strip stays in the processor's cache, a large photo does not
        original, result, again = (picture[top : top + CHECKED_ROWS] for picture in pictures)
        difference = np.maximum(original, again) - np.minimum(original, again)  # without a detour through wider numbers
        if not np.array_equal(original, result):
            inside = (original != result).any(axis=-1)
            difference[inside] = 0
            count -= 3 * int(inside.sum())
        count += difference.size
        total += int(difference.sum(dtype=np.int64))
        largest = max(largest, int(difference.max()))
    return float(largest), total / max(count, 1)
