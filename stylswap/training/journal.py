"""A journal: one JSON object a line, appended and flushed, so that an interruption loses at most the line being written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Journal:
    """Appends to a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append one entry. Numbers that are not finite become null: JSON has no word for them."""
        line = json.dumps({key: _finite(value) for key, value in entry.items()}, ensure_ascii=False)
        # A name that is not UTF-8 holds lone surrogates; their escape is the one that JSON has, too.
        with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(line + "\n")

    def read(self) -> list[dict[str, Any]]:
        """All whole entries; a torn last line, left by a crash, is passed over."""
        if not self.path.is_file():
            return []
        entries = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                entries.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return entries


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return value
