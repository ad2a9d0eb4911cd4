"""A journal: one JSON object a line, appended and flushed, so that an interruption loses at most the line being written."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO


class Journal:
    """Appends to a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append one entry. Numbers that are not finite become null: JSON has no word for them."""
        line = json.dumps(_finite(entry), ensure_ascii=False)
        # A file name that is not UTF-8 holds lone surrogates; Python escapes them as JSON does.
        content = (line + "\n").encode("utf-8", errors="backslashreplace")
        with self.path.open("a+b") as file:
            file.write(b"\n" + content if _is_torn(file) else content)

    def read(self) -> list[dict[str, Any]]:
        """All whole entries; a torn last line, left by a crash, is passed over."""
        if not self.path.is_file():
            return []
        entries = []
        for line in self.path.read_bytes().split(b"\n"):  # only here: a name may hold other separators, or be torn inside a letter
            try:
                entries.append(json.loads(line))
            except ValueError:
                continue
        return entries


def _is_torn(file: BinaryIO) -> bool:
    """True when a crash cut the last line off: the next one must not go on in it."""
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
