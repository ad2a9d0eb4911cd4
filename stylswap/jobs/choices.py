"""A CSV that says for single photos which faces are swapped: columns ``photo`` and ``faces``, edited by hand or in a spreadsheet."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from stylswap.errors import SettingsError, UsageError, did_you_mean
from stylswap.jobs.choose import Wanted, parse_faces, photo_key
from stylswap.storage import write_atomically

COLUMNS: Final = ("photo", "faces")
# Spreadsheets of some countries write the others.
DELIMITERS: Final = ",;\t"
# More unknown names than this are counted, not shown.
SHOWN: Final = 5


def names_of(inputs: Sequence[Path], photos: Iterable[Path]) -> dict[str, set[str]]:
    """How photos may be called in a CSV.

    Args:
        inputs: Files and folders, as given on the command line.
        photos: The photos in them.

    Returns:
        From each name to the `photo_key` of the photos that it may mean: the path below its folder, the file's name where the photo was
        given itself, the path as given, and the absolute path.
    """
    named: dict[str, set[str]] = {}
    folders = [path for path in inputs if path.is_dir()]
    for photo in photos:
        names = {str(photo), photo.as_posix(), str(photo.absolute()), photo.absolute().as_posix(), photo_key(photo)}
        names |= {photo.relative_to(folder).as_posix() for folder in folders if photo.is_relative_to(folder)}
        if photo in inputs:
            names.add(photo.name)
        for name in names:
            named.setdefault(name, set()).add(photo_key(photo))
    return named


def shortest_names(inputs: Sequence[Path], photos: Sequence[Path]) -> dict[Path, str]:
    """For each photo the shortest name that means no other one; see `names_of`."""
    shortest: dict[str, str] = {}
    for name, keys in names_of(inputs, photos).items():
        key = next(iter(keys))
        if len(keys) == 1 and "\\" not in name and len(name) < len(shortest.get(key, f"{name}.")):
            shortest[key] = name
    return {photo: shortest.get(photo_key(photo), str(photo)) for photo in photos}  # one that holds a \\ is written as it was given


def write_choices(path: Path, rows: Iterable[tuple[str, str, int]]) -> None:
    """Write a CSV to be edited and given to ``--choices``. It begins with a byte order mark, by which spreadsheets know UTF-8.

    Args:
        path: A file that does not exist: nobody's edits are overwritten.
        rows: The photo's name, the faces wanted, how many were found.

    Raises:
        UsageError: If the file exists, or cannot be written.
    """
    if path.exists():
        raise UsageError(f"{path} exists, and may hold somebody's choices; give another name or move it away")
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*COLUMNS, "found"])
    writer.writerows(rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.getvalue().encode("utf-8-sig", errors="surrogateescape"))
    except OSError as error:
        raise UsageError(f"{path}: the choices cannot be written ({error.strerror})") from error


def read_choices(path: Path, inputs: Sequence[Path], photos: Iterable[Path]) -> dict[str, Wanted]:
    """Read a CSV of choices, for `FaceChoice.per_photo`.

    Args:
        path: UTF-8, with a header; columns ``photo`` and ``faces``, others are passed over. In ``faces``: largest, all, none, or numbers
            such as ``1 3``.
        inputs: Files and folders, as given on the command line; names in the CSV are below them, or absolute.
        photos: The photos in them.

    Returns:
        What is wanted, by `photo_key`.

    Raises:
        UsageError: If the file cannot be read, lacks a column, names a photo that is not there, or one twice.
        SettingsError: If it asks for faces that cannot be.
    """
    named = names_of(inputs, photos)
    wanted: dict[str, Wanted] = {}
    first: dict[str, int] = {}
    unknown: list[tuple[int, str]] = []
    text, complaint = _text(path)
    for line, name, faces in _rows(path, text):
        spellings = (name, name.strip(), name.strip().replace("\\", "/"))
        keys = next((named[spelling] for spelling in spellings if spelling in named), set())
        if not keys:
            unknown.append((line, name))
            continue
        if len(keys) > 1:
            raise UsageError(f"{path}, line {line}: '{name}' may be {' or '.join(sorted(keys))}; write the whole path")
        key = next(iter(keys))
        if key in first:
            raise UsageError(f"{path}: '{name}' is there twice, in lines {first[key]} and {line}; keep one")
        first[key] = line
        try:
            wanted[key] = parse_faces(faces, allow_none=True)
        except SettingsError as error:
            raise SettingsError(f"{path}, line {line}: {error}") from error
    if unknown and complaint:
        raise UsageError(f"--choices {path} is not UTF-8 ({complaint}); save it as CSV UTF-8")
    if unknown:
        raise UsageError(_unknown(path, unknown, named))
    return wanted


def _text(path: Path) -> tuple[str, str]:
    """The file's text, and what of it is no UTF-8, "" if all is: names of photos may be none, and are written as they are."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--choices {path} cannot be read ({error.strerror})") from error
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        return content.decode("utf-8-sig", errors="surrogateescape"), f"{error.reason} at byte {error.start}"


def _rows(path: Path, text: str) -> list[tuple[int, str, str]]:
    """Line, photo and faces of each row that is not empty."""
    header = text.partition("\n")[0]
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=header.count), strict=True)
        titles = [title.strip().lower() for title in next(reader, [])]
        missing = [column for column in COLUMNS if column not in titles]
        if missing:
            raise UsageError(f"{path}: a header with the columns {' and '.join(COLUMNS)} was expected, got {titles}")
        where = [titles.index(column) for column in COLUMNS]
        rows = []
        for row in reader:
            photo, faces = (row[column] if column < len(row) else "" for column in where)
            if photo.strip() or faces.strip():
                rows.append((reader.line_num, photo, faces.strip()))
        return rows
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: not a readable CSV ({error})") from error


def _unknown(path: Path, unknown: Sequence[tuple[int, str]], named: Mapping[str, set[str]]) -> str:
    shown = []
    for line, name in unknown[:SHOWN]:
        close = difflib.get_close_matches(name, named, n=1, cutoff=0.7)
        shown.append(f"\n  line {line}: '{name}'.{did_you_mean(name, close) if close else ''}")
    more = f"\n  and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
    return f"{path} names photos that are not among those given; write them as below their folder, or absolute:{''.join(shown)}{more}"
