"""One run of a swap, and its records sorted out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import Any

from stylswap.report.records import FaceRecord, PhotoRecord, photo_record


@dataclass(frozen=True)
class SwapRun:
    """What a report says of one run.

    Attributes:
        identity: Its name.
        identity_sha256: Of the identity file.
        records: One mapping for each photo, as in the journal, with ``"cached": True`` where an earlier run did it. Missing keys are
            tolerated.
        seconds: By the clock, loading excluded.
        device: What computed.
        parsing: Whether face parsing was on.
        options: What else decided the run; nested mappings become dotted names.
        interrupted: True when photos are left to be done.
        finished: When, as text.
        size_limit_mp: Photos of more megapixels are not opened for a thumbnail.
    """

    identity: str
    identity_sha256: str
    records: Sequence[Mapping[str, Any]]
    seconds: float
    device: str
    parsing: bool
    options: Mapping[str, Any] = field(default_factory=dict)
    interrupted: bool = False
    finished: str = ""
    size_limit_mp: float = 100.0


@dataclass(frozen=True)
class SwapRecords:
    """The records of a run, sorted out."""

    run: SwapRun

    @cached_property
    def all(self) -> list[PhotoRecord]:
        """All of them, in the order of the run."""
        return [photo_record(line) for line in self.run.records]

    def of(self, status: str) -> list[PhotoRecord]:
        """Those of one status."""
        return [record for record in self.all if record.status == status]

    @property
    def new(self) -> list[PhotoRecord]:
        """Without those of earlier runs."""
        return [record for record in self.all if not record.cached]

    @property
    def faces(self) -> list[tuple[PhotoRecord, FaceRecord]]:
        """Every face that was swapped, with its photo."""
        return [(record, face) for record in self.of("swapped") for face in record.faces]

    @cached_property
    def folder(self) -> str:
        """The innermost folder that holds all photos, "" where there is none."""
        try:
            return os.path.commonpath([str(PurePath(record.photo).parent) for record in self.all])
        except ValueError:  # no photos, or absolute and relative paths
            return ""

    def name(self, record: PhotoRecord) -> str:
        """The photo's path below that folder."""
        path = PurePath(record.photo)
        return str(path.relative_to(self.folder)) if self.folder and path.is_relative_to(self.folder) else record.photo
