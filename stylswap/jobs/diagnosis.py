"""What the doctor found: rows that a person can read and a program can count."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Row:
    """One thing that was looked at.

    Attributes:
        name: What.
        status: ``"ok"``; ``"warning"``, it works but not as well as it could, or could not be looked at; ``"error"``, it does not work.
        found: What was seen.
        mend: What to do about it, "" for nothing. A row that is ok may have one too: what more there could be.
    """

    name: str
    status: Status
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All rows, in the order in which they were looked at."""

    rows: tuple[Row, ...]

    @property
    def healthy(self) -> bool:
        """True when nothing is an error; warnings do not count."""
        return all(row.status != "error" for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """The diagnosis as JSON types."""
        return {"healthy": self.healthy, "rows": [dataclasses.asdict(row) for row in self.rows]}
