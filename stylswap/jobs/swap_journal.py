"""The journal of an output folder: a line for each photo as it finishes, so that running again does the rest only."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from stylswap.jobs.choose import photo_key
from stylswap.jobs.photo_worker import PhotoResult
from stylswap.storage import write_atomically
from stylswap.training.journal import Journal

JOURNAL_FILE: Final = "stylswap.jsonl"
# Status of a line that is written before its output: what is there after a kill is known by it.
WRITING: Final = "writing"
# What `write_atomically` leaves behind when the machine goes down in the middle of it.
_LEFT_OVER = re.compile(r"\..+\.[0-9a-f]{8}\.part")


def fingerprint(facts: Mapping[str, Any]) -> str:
    """One word for everything but the photo that decides what an output looks like."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


class _Written(NamedTuple):
    """An output that a line speaks of: its place in the folder, and its sha256 as it was written, "" where the line does not say."""

    file: str
    sha256: str


class SwapJournal:
    """What was done in an output folder.

    A photo is done when its last line says so, was written by a run of the same fingerprint, photo and output still have the sha256 of
    that line, and nothing failed. Photos are known by their absolute path, outputs by their place in the folder, so that neither the
    working directory nor a moved output folder matters.

    A file is this photo's output only if a line of the photo says so with the file's sha256. Everything else in the folder is somebody's:
    a result of another photo or of another folder's run, or an output that was edited. Our mark in it does not make it this photo's.
    """

    def __init__(self, folder: Path, run: Callable[[Path], str], identity_sha256: str) -> None:
        """Read what is there; nothing is written yet.

        Args:
            folder: The output folder; to read, it need not exist.
            run: The `fingerprint` for a photo.
            identity_sha256: Goes into every line.
        """
        self._journal = Journal(folder / JOURNAL_FILE)
        self._folder = folder
        self._run = run
        self._identity_sha256 = identity_sha256
        self._lines, self._begun = self._read()
        self._writers: dict[str, list[tuple[str, str]]] = {}  # by place: photo and sha256
        for key in {**self._lines, **self._begun}:
            for written in self._written(key):
                self._writers.setdefault(written.file, []).append((key, written.sha256))
        self._hashes: dict[Path, str] = {}  # outputs are asked for twice before the run begins, and may be many gigabytes

    def open(self) -> None:
        """Make the file: a folder that cannot be written says so before any work.

        Raises:
            OSError: If it cannot.
        """
        self._journal.path.touch()

    def done(self, photo: Path, output: Path) -> PhotoResult | None:
        """The result of an earlier run, None where there is something to do."""
        key = photo_key(photo)
        line = self._lines.get(key)
        if line is None or line.get("run") != self._run(photo) or line.get("status") not in ("swapped", "no_face", "skipped"):
            return None
        if line.get("sha256") != _sha256(photo):
            return None
        written = line["status"] == "swapped"
        if written and (line.get("file") != self._place(output) or line.get("output_sha256") != self._sha256_of(output)):
            return None
        if not written and key in self._begun:
            return None  # a run of other options was killed at it, and may have left an output that must go
        self._begun.pop(key, None)  # it was killed before it wrote: the output is the line's
        return _result(line, photo, output if written else None)

    def owned_by_another(self, photo: Path, output: Path) -> bool:
        """True when a file lies where the output would go, and nothing says that it was made from this photo."""
        return self._whose(photo, output) == "another's"

    def was_edited(self, photo: Path, output: Path) -> bool:
        """True when the output was made from this photo, and is not any more what was written."""
        return self._whose(photo, output) == "edited"

    def begin(self, photo: Path, output: Path, sha256: str) -> None:
        """Say that an output is about to be written; `write` follows.

        Args:
            photo: The photo.
            output: Where its output goes.
            sha256: Of the output's content.
        """
        key = photo_key(photo)
        facts = {"photo": str(photo), "status": WRITING, "photo_path": key, "file": self._place(output), "output_sha256": sha256}
        self._journal.write(facts)
        self._begun.setdefault(key, []).append(facts)
        self._hashes.pop(output, None)

    def write(self, result: PhotoResult) -> None:
        """Add a line for a photo that just finished; what an earlier run made of it goes, if it is not to be swapped any more."""
        key = photo_key(result.photo)
        place = self._place(result.output) if result.output else None
        written = self._written(key)
        if result.status in ("no_face", "skipped"):
            self._remove_output(written)
        # Nothing new was written there: what an earlier run made is still there, and still this photo's.
        earlier = self._still_there([one for one in written if one.file != place])
        facts = {
            "photo_path": key,
            "file": place,
            "run": self._run(result.photo),
            "identity_sha256": self._identity_sha256,
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            **({"earlier": [one._asdict() for one in earlier]} if earlier else {}),
        }
        self._lines[key] = {**result.as_json(), **facts}
        self._begun.pop(key, None)
        self._journal.write(self._lines[key])

    def close(self, order: Sequence[Path]) -> None:
        """Leave one line for each photo, in their order, behind those of photos that were not part of this run.

        Of a photo that an earlier run was killed at and this one did not come to, what was begun stays, too.
        """
        lines, begun = self._read()[0], self._begun
        known, last = {**lines, **begun}, dict.fromkeys(map(photo_key, order))
        keys = [key for key in known if key not in last] + [key for key in last if key in known]
        kept = [line for key in keys for line in ([lines[key]] if key in lines else []) + begun.get(key, [])]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept)
        write_atomically(self._journal.path, text.encode("utf-8", errors="backslashreplace"))

    def _read(self) -> tuple[dict[str, dict[str, Any]], dict[str, list[dict[str, Any]]]]:
        """The last line of each photo; and for photos that were begun after it, what was begun."""
        lines: dict[str, dict[str, Any]] = {}
        begun: dict[str, list[dict[str, Any]]] = {}
        for line in self._journal.read():
            key = line.get("photo_path") if isinstance(line, dict) else None
            if not isinstance(key, str):
                continue
            if line.get("status") == WRITING:
                begun.setdefault(key, []).append(line)
            else:
                lines[key] = line
                begun.pop(key, None)
        return lines, begun

    def _whose(self, photo: Path, output: Path) -> Literal["nobody's", "own", "edited", "another's"]:
        """Whose the file is that lies where an output would go."""
        if not _is_there(output):
            return "nobody's"
        writers = self._writers.get(self._place(output), [])
        there = self._sha256_of(output) if writers else ""
        whole = [key for key, sha256 in writers if sha256 in ("", there)]
        if photo_key(photo) in whole:
            return "own"
        return "edited" if not whole and photo_key(photo) in dict(writers) else "another's"

    def _written(self, key: str) -> list[_Written]:
        """All that lines say was written for a photo, the latest last."""
        return [written for line in (self._lines.get(key, {}), *self._begun.get(key, [])) for written in _written(line)]

    def _still_there(self, written: Sequence[_Written]) -> list[_Written]:
        """At each place where there is a file: what it is of that was written there, or, when it was edited, the latest."""
        found = []
        for file in dict.fromkeys(one.file for one in written):
            if (self._folder / file).exists():
                there, here = _sha256(self._folder / file), [one for one in written if one.file == file]
                found.append(next((one for one in here if one.sha256 == there), here[-1]))
        return found

    def _place(self, output: Path) -> str:
        return output.relative_to(self._folder).as_posix()

    def _sha256_of(self, output: Path) -> str:
        if output not in self._hashes:
            self._hashes[output] = _sha256(output)
        return self._hashes[output]

    def _remove_output(self, written: Sequence[_Written]) -> None:
        """Remove the latest output, unless it was edited."""
        place = written[-1].file if written else ""
        if _sha256(self._folder / place) in [one.sha256 for one in written if one.file == place]:
            (self._folder / place).unlink()


def _written(line: Mapping[str, Any]) -> list[_Written]:
    """The outputs that a line speaks of, its own last."""
    earlier = line.get("earlier", [])
    written = [_Written(one["file"], one["sha256"]) for one in ([earlier] if isinstance(earlier, Mapping) else earlier)]
    return [*written, _Written(line["file"], line.get("output_sha256", ""))] if line.get("file") else written


def remove_left_overs(folder: Path) -> None:
    """Remove what a killed run left half written."""
    for path in folder.rglob(".*.part"):
        if _LEFT_OVER.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long cannot be there
        return False


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "missing"


def _result(line: Mapping[str, Any], photo: Path, output: Path | None) -> PhotoResult:
    change = line.get("outside_change")
    return PhotoResult(
        photo,
        output,
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
