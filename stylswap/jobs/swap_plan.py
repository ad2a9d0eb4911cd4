"""Which photo is written where."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stylswap.errors import UsageError
from stylswap.jobs.choose import photo_key
from stylswap.jobs.swap_journal import JOURNAL_FILE
from stylswap.photo import list_photos, output_name
from stylswap.report import REPORT_FILE
from stylswap.storage import ignores_case
from stylswap.training.journal import Journal

# How the pages begin that `stylswap.report.write_swap_report` writes.
_REPORT_HEAD: Final = b"<!doctype html>"
_REPORT_TITLE: Final = b"<title>Swap of "
_HEAD_BYTES: Final = 4096
# A line that a crash cut off is ours where it begins like this.
_LINE_START: Final = b'{"photo": '


@dataclass(frozen=True)
class PlannedPhoto:
    """What a run would do with a photo.

    Attributes:
        photo: The photo.
        output: Where its output goes.
        status: ``"planned"``, ``"done"`` (by an earlier run), ``"skipped"`` (none of its faces is wanted) or ``"failed"`` (it would not
            even be tried).
        reason: Why it would fail or be skipped, else "".
    """

    photo: Path
    output: Path
    status: str
    reason: str = ""

    def as_json(self) -> dict[str, str]:
        """The plan as JSON types."""
        return {"photo": str(self.photo), "output": str(self.output), "status": self.status, "reason": self.reason}


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
    taken: dict[str, Path] = {}
    one_case = ignores_case(out)
    planned: set[str] = set()
    out_resolved = out.resolve()
    folders = [path for path in photos if path.is_dir()]
    for path in photos:
        if not path.exists():
            raise UsageError(f"{path}: no such photo or folder")
        below = Path(folder_name(path)) if len(folders) > 1 and path.is_dir() else Path()
        listed = list_photos(path, dangling=True) if path.is_dir() else [path]
        passes_over = path.is_dir() and path.resolve() in out_resolved.parents  # not above it: what lies in a folder beside it is no output
        for photo in listed:
            output = output_name(out / below / photo.relative_to(path) if path.is_dir() else out / path.name)
            # Not `resolve`, which raises for a link to itself.
            if passes_over and out_resolved in Path(os.path.realpath(photo)).parents:
                continue
            if photo_key(photo) in planned:
                continue  # named twice, for instance by itself and by its folder
            planned.add(photo_key(photo))
            if os.path.realpath(output) == os.path.realpath(photo):
                raise UsageError(f"{photo}: --out {out} would overwrite the photo itself; give another folder")
            file = unicodedata.normalize("NFC", str(output)).casefold() if one_case else str(output)
            if file in taken:
                raise UsageError(f"{taken[file]} and {photo} would both be written to {output}; swap them into different folders")
            taken[file] = pairs[output] = photo
    if not pairs:
        raise UsageError(f"no photos found in {', '.join(map(str, photos)) or 'an empty list'}")
    return [(photo, output) for output, photo in pairs.items()]


def folder_name(folder: Path) -> str:
    """How a folder is called: as it was given, or, where that is ``.`` or ends in ``..``, by its own name."""
    return folder.name if folder.name not in ("", "..") else folder.resolve().name


def check_out_folder(out: Path, *, report: bool) -> None:
    """Refuse a folder that holds a journal or a report which no swap wrote: it would be replaced.

    Args:
        out: The output folder; it need not exist.
        report: Whether a report will be written.

    Raises:
        UsageError: If there is such a file.
        OSError: If it cannot be read.
    """
    names = [JOURNAL_FILE] if (out / JOURNAL_FILE).exists() and not _is_swap_journal(out / JOURNAL_FILE) else []
    names += [REPORT_FILE] if report and (out / REPORT_FILE).exists() and not _is_swap_report(out / REPORT_FILE) else []
    if names:
        shown, them = " and ".join(str(out / name) for name in names), "it" if len(names) == 1 else "them"
        without = ", or --no-report" if names == [REPORT_FILE] else ""
        raise UsageError(
            f"{shown} would be replaced, and no swap wrote {them}; give another --out than {out}{without}, or move {them} away"
        )


def _is_swap_journal(path: Path) -> bool:
    if not path.is_file():
        return False
    content = path.read_bytes().lstrip()
    lines = Journal(path).read()
    ours = any(isinstance(line, dict) and {"photo", "status"} <= line.keys() for line in lines)
    return ours or _LINE_START.startswith(content[: len(_LINE_START)])  # empty, or killed in the middle of its first line


def _is_swap_report(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return head.startswith(_REPORT_HEAD) and _REPORT_TITLE in head
