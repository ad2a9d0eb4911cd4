"""Swap a batch of photos: files and folders in, a folder out, one journal line a photo."""

from __future__ import annotations

import datetime
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from stylswap.errors import PhotoError, UsageError
from stylswap.interrupt import first_ctrl_c
from stylswap.jobs.swapper import Swapped, Swapper, worker_pool
from stylswap.photo import list_photos, output_name, write_photo
from stylswap.training.journal import Journal

JOURNAL_FILE: Final = "stylswap.jsonl"
# Photos in memory at once. Enough to keep the workers busy, little enough for a thousand large photos.
PHOTOS_AT_ONCE: Final = 8


@dataclass(frozen=True)
class PhotoResult:
    """What became of one photo.

    Attributes:
        photo: The photo.
        output: The file that was written, or None.
        status: ``"swapped"``, ``"no_face"`` or ``"failed"``.
        reason: Why it was not swapped, else "".
        num_found: Faces found.
        faces: Box, pose and detector of each face that was swapped.
    """

    photo: Path
    output: Path | None
    status: str
    reason: str
    num_found: int
    faces: tuple[dict[str, Any], ...]

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
        }


@dataclass(frozen=True)
class SwapSummary:
    """What became of all photos.

    Attributes:
        results: One for each photo.
        seconds: Duration, loading the network excluded.
        interrupted: True when Ctrl-C ended it after the photos at hand.
    """

    results: tuple[PhotoResult, ...]
    seconds: float
    interrupted: bool = False
    counts: Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", Counter(result.status for result in self.results))

    @property
    def complete(self) -> bool:
        """True when every photo was swapped."""
        return not self.interrupted and self.counts["swapped"] == len(self.results)


def plan(photos: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Which photo is written where: the folder structure below each argument is kept.

    Args:
        photos: Files and folders.
        out: The output folder; when it lies inside an input folder it is passed over.

    Returns:
        Pairs of photo and output.

    Raises:
        UsageError: If there is nothing to do, an output would overwrite a photo, or two photos would be written to one file.
    """
    pairs: dict[Path, Path] = {}
    out_resolved = out.resolve()
    folders = [path for path in photos if path.is_dir()]
    for path in photos:
        if not path.exists():
            raise UsageError(f"{path}: no such photo or folder")
        below = Path(path.name) if len(folders) > 1 and path.is_dir() else Path()
        found = [(one, out / below / one.relative_to(path)) for one in list_photos(path)] if path.is_dir() else [(path, out / path.name)]
        for photo, wished in found:
            output = output_name(wished)
            if path.is_dir() and out_resolved != path.resolve() and out_resolved in photo.resolve().parents:
                continue
            if output.resolve() == photo.resolve():
                raise UsageError(f"{photo}: --out {out} would overwrite the photo itself; give another folder")
            if pairs.get(output, photo) != photo:
                raise UsageError(f"{pairs[output]} and {photo} would both be written to {output}; swap them into different folders")
            pairs[output] = photo
    if not pairs:
        raise UsageError(f"no photos found in {', '.join(map(str, photos)) or 'an empty list'}")
    return [(photo, output) for output, photo in pairs.items()]


def swap_photos(
    swapper: Swapper, photos: Sequence[Path], out: Path, *, on_photo: Callable[[PhotoResult, int, int], None] | None = None
) -> SwapSummary:
    """Swap photos and folders of photos. A photo that fails never stops the others, and what is written stays.

    Args:
        swapper: Loaded once, used for all.
        photos: Files and folders.
        out: Where the results and the journal go.
        on_photo: Called with each result, how many are done, and how many there are.

    Returns:
        A result for each photo; after Ctrl-C for those that were finished.

    Raises:
        UsageError: See `plan`.
        PhotoError: If the output folder cannot be written.
    """
    pairs = plan(photos, out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        journal = Journal(out / JOURNAL_FILE)
        journal.path.touch()
    except OSError as error:
        raise PhotoError(f"{out}: the output folder cannot be written ({error.strerror})") from error
    results: list[PhotoResult] = []
    began = time.monotonic()
    stop = threading.Event()
    with first_ctrl_c(stop.set):
        for result in _results(swapper, pairs, stop):
            results.append(result)
            finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            journal.write({**result.as_json(), "identity_sha256": swapper.identity.sha256, "finished": finished})
            if on_photo is not None:
                on_photo(result, len(results), len(pairs))
    return SwapSummary(tuple(results), time.monotonic() - began, interrupted=len(results) < len(pairs))


def _results(swapper: Swapper, pairs: Sequence[tuple[Path, Path]], stop: threading.Event) -> Iterator[PhotoResult]:
    """Results in order; after `stop` is set the photos at hand are finished and no others begun."""
    remaining = iter(pairs)
    with worker_pool(os.cpu_count() or 1) as pool:
        while not stop.is_set() and (group := list(islice(remaining, PHOTOS_AT_ONCE))):
            swapped = swapper.swap_many([photo for photo, _ in group], pool=pool)
            yield from pool.map(lambda task: _write(swapper, *task), zip(group, swapped, strict=True))


def _write(swapper: Swapper, pair: tuple[Path, Path], swapped: Swapped) -> PhotoResult:
    photo, output = pair
    faces = tuple(
        {
            "box": [round(side, 1) for side in face.face.box],
            "detector": face.face.detector,
            "score": round(face.face.score, 3),
            **{name: round(value, 1) for name, value in face.pose._asdict().items()},
        }
        for face in swapped.faces
    )
    if swapped.status != "swapped" or swapped.photo is None:
        return PhotoResult(photo, None, swapped.status, swapped.reason, swapped.num_found, ())
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_photo(swapped.photo, output, mark=swapper.mark)
    except (OSError, PhotoError) as error:
        return PhotoResult(photo, None, "failed", str(error), swapped.num_found, ())
    return PhotoResult(photo, output, "swapped", "", swapped.num_found, faces)
