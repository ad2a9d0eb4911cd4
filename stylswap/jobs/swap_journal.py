"""The journal of an output folder: a line for each photo as it finishes, so that running again does the rest only."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from stylswap.jobs.photo_worker import PhotoResult
from stylswap.storage import write_atomically
from stylswap.training.journal import Journal

JOURNAL_FILE: Final = "stylswap.jsonl"
# What `write_atomically` leaves behind when the machine goes down in the middle of it.
_LEFT_OVER = re.compile(r"\..+\.[0-9a-f]{8}\.part")


def fingerprint(facts: Mapping[str, Any]) -> str:
    """One word for everything but the photo that decides what an output looks like."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


class SwapJournal:
    """What was done in an output folder.

    A photo is done when its last line says so, was written by a run of the same fingerprint, photo and output still have the sha256 of
    that line, and nothing failed.
    """

    def __init__(self, folder: Path, run: Callable[[Path], str], identity_sha256: str) -> None:
        """Read what is there.

        Args:
            folder: The output folder; it exists.
            run: The `fingerprint` for a photo.
            identity_sha256: Goes into every line.
        """
        self._journal = Journal(folder / JOURNAL_FILE)
        self._folder = folder
        self._run = run
        self._identity_sha256 = identity_sha256
        self._lines = {line["photo"]: line for line in self._journal.read() if isinstance(line.get("photo"), str)}
        self._journal.path.touch()

    def done(self, photo: Path, output: Path) -> PhotoResult | None:
        """The result of an earlier run, None where there is something to do."""
        line = self._lines.get(str(photo))
        if line is None or line.get("run") != self._run(photo) or line.get("status") not in ("swapped", "no_face", "skipped"):
            return None
        if line.get("sha256") != _sha256(photo):
            return None
        written = line["status"] == "swapped"
        if written and (line.get("output") != str(output) or line.get("output_sha256") != _sha256(output)):
            return None
        return _result(line)

    def write(self, result: PhotoResult) -> None:
        """Add a line for a photo that just finished."""
        finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        facts = {"run": self._run(result.photo), "identity_sha256": self._identity_sha256, "finished": finished}
        self._lines[str(result.photo)] = {**result.as_json(), **facts}
        self._journal.write(self._lines[str(result.photo)])

    def close(self, order: Sequence[Path]) -> None:
        """Leave one line for each photo, in their order, behind those of photos that were not part of this run."""
        last = {str(photo): None for photo in order}
        names = [name for name in self._lines if name not in last] + [name for name in last if name in self._lines]
        lines = [json.dumps(self._lines[name], ensure_ascii=False) + "\n" for name in names]
        write_atomically(self._journal.path, "".join(lines).encode("utf-8", errors="backslashreplace"))

    def lines(self, photos: Sequence[Path]) -> list[dict[str, Any]]:
        """The lines of some photos."""
        return [self._lines[str(photo)] for photo in photos if str(photo) in self._lines]


def remove_left_overs(folder: Path) -> None:
    """Remove what a killed run left half written."""
    for path in folder.rglob(".*.part"):
        if _LEFT_OVER.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "missing"


def _result(line: Mapping[str, Any]) -> PhotoResult:
    change = line.get("outside_change")
    return PhotoResult(
        Path(line["photo"]),
        Path(line["output"]) if line.get("output") else None,
        line["status"],
        line.get("reason", ""),
        line.get("faces_found", 0),
        tuple(line.get("faces", ())),
        {int(number): reason for number, reason in line.get("left_out", {}).items()},
        dict(line.get("seconds", {})),
        line.get("sha256", ""),
        line.get("output_sha256", ""),
        None if change is None else (change[0], change[1]),
        cached=True,
    )
