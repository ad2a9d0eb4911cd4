"""The journal of an output folder: a line for each photo as it finishes, so that running again does the rest only."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from stylswap.jobs.choose import photo_key
from stylswap.jobs.photo_worker import PhotoResult
from stylswap.provenance import read_mark
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
    that line, and nothing failed. Photos are known by their absolute path, outputs by their place in the folder, so that neither the
    working directory nor a moved output folder matters.
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
        self._lines = self._read()
        self._journal.path.touch()

    def done(self, photo: Path, output: Path) -> PhotoResult | None:
        """The result of an earlier run, None where there is something to do."""
        line = self._lines.get(photo_key(photo))
        if line is None or line.get("run") != self._run(photo) or line.get("status") not in ("swapped", "no_face", "skipped"):
            return None
        if line.get("sha256") != _sha256(photo):
            return None
        written = line["status"] == "swapped"
        if written and (line.get("file") != self._place(output) or line.get("output_sha256") != _sha256(output)):
            return None
        return _result(line, photo, output if written else None)

    def owned_by_another(self, photo: Path, output: Path) -> bool:
        """True when a file lies where the output would go, and it was not made from this photo.

        It was if a line says so; or if no line speaks of it and it carries our mark: a run that was killed just then.
        """
        if not output.exists():
            return False
        owners = [key for key, line in self._lines.items() if _written(line).get("file") == self._place(output)]
        return photo_key(photo) not in owners if owners else read_mark(output) is None

    def write(self, result: PhotoResult) -> None:
        """Add a line for a photo that just finished; what an earlier run made of it goes, if it is not to be swapped any more."""
        key = photo_key(result.photo)
        earlier = _written(self._lines.get(key, {}))
        if result.status in ("no_face", "skipped"):
            self._remove_output(earlier)
        facts = {
            "photo_path": key,
            "file": self._place(result.output) if result.output else None,
            "run": self._run(result.photo),
            "identity_sha256": self._identity_sha256,
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            # Nothing new was written: what an earlier run made is still there, and still this photo's.
            **({"earlier": earlier} if result.status == "failed" and earlier else {}),
        }
        self._lines[key] = {**result.as_json(), **facts}
        self._journal.write(self._lines[key])

    def close(self, order: Sequence[Path]) -> None:
        """Leave one line for each photo, in their order, behind those of photos that were not part of this run."""
        lines = self._read()
        last = dict.fromkeys(map(photo_key, order))
        keys = [key for key in lines if key not in last] + [key for key in last if key in lines]
        text = "".join(json.dumps(lines[key], ensure_ascii=False) + "\n" for key in keys)
        write_atomically(self._journal.path, text.encode("utf-8", errors="backslashreplace"))

    def _read(self) -> dict[str, dict[str, Any]]:
        """The last line of each photo."""
        return {line["photo_path"]: line for line in self._journal.read() if isinstance(line.get("photo_path"), str)}

    def _place(self, output: Path) -> str:
        return output.relative_to(self._folder).as_posix()

    def _remove_output(self, written: Mapping[str, str]) -> None:
        if written and written["sha256"] == _sha256(self._folder / written["file"]):
            (self._folder / written["file"]).unlink()


def _written(line: Mapping[str, Any]) -> dict[str, str]:
    """The output that a line speaks of, as its ``file`` and ``sha256``; empty where there is none."""
    if line.get("file"):
        return {"file": line["file"], "sha256": line.get("output_sha256", "")}
    return dict(line.get("earlier", {}))


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
