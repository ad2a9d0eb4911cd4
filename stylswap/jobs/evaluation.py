"""What an evaluation measured: values, their means, and how they are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from stylswap.errors import FaceSetError
from stylswap.metrics.statistics import Interval, bootstrap_interval, by_group
from stylswap.storage import write_atomically

EVALUATION_FILE: Final = "evaluation.json"
INPUT_ROW: Final = "return the input"
PASTE_ROW: Final = "paste"
SWAP_ROW: Final = "swap"
CROP_ROW: Final = "swap, bare crop"
# In this order in every table.
ROWS: Final = (INPUT_ROW, PASTE_ROW, SWAP_ROW, CROP_ROW)


@dataclass(frozen=True)
class PhotoFigures:
    """One held-out photo.

    Attributes:
        name: Of the file.
        yaw_bin: How far the head is turned, see `stylswap.metrics.pose.yaw_bin`.
        light_bin: Where the light comes from, see `stylswap.metrics.light.light_bin`; "" where it could not be fitted.
        rows: By row name: figures by column key.
    """

    name: str
    yaw_bin: str
    light_bin: str
    rows: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Evaluation:
    """All photos, and what is not in the figures.

    Attributes:
        identity: Name, sha256 of the identity file, and what else says which one it was.
        photos: That were measured.
        skipped: Reasons, by photo.
        notes: What the reader should know: absent judges, judges that took part in training.
        facts: Settings, seconds, machine.
        interrupted: Whether Ctrl-C ended it before the last photo.
    """

    identity: Mapping[str, Any]
    photos: tuple[PhotoFigures, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def row_names(self) -> tuple[str, ...]:
        """The rows that were measured, in the order of `ROWS`."""
        return tuple(row for row in ROWS if any(row in photo.rows for photo in self.photos))

    def values(self, row: str, key: str) -> list[float]:
        """A figure of every photo; NaN where it was not measured."""
        return [photo.rows.get(row, {}).get(key, float("nan")) for photo in self.photos]

    def interval(self, row: str, key: str) -> Interval:
        """Mean over the photos and its 95 % interval."""
        return bootstrap_interval(self.values(row, key))

    def table(self) -> dict[str, dict[str, Interval]]:
        """By row and column key; without what nobody measured."""
        table = {row: {key: self.interval(row, key) for key in self._keys(row)} for row in self.row_names}
        return {row: {key: interval for key, interval in figures.items() if interval.count} for row, figures in table.items()}

    def binned(self, row: str, key: str, grouping: str) -> dict[str, Interval]:
        """A figure by ``"yaw"`` or by ``"light"``."""
        groups = [photo.yaw_bin if grouping == "yaw" else photo.light_bin for photo in self.photos]
        return by_group(self.values(row, key), groups)

    def _keys(self, row: str) -> list[str]:
        return list(dict.fromkeys(key for photo in self.photos for key in photo.rows.get(row, {})))

    def as_json(self) -> dict[str, Any]:
        """Everything, table included, as JSON types."""
        table = {row: {key: _interval(interval) for key, interval in figures.items()} for row, figures in self.table().items()}
        photos = [{**asdict(photo), "rows": {row: _numbers(figures) for row, figures in photo.rows.items()}} for photo in self.photos]
        facts = {"identity": dict(self.identity), "facts": dict(self.facts), "notes": list(self.notes), "table": table}
        return {**facts, "skipped": dict(self.skipped), "photos": photos}

    def write(self, folder: Path) -> Path:
        """Write `EVALUATION_FILE` into an existing folder."""
        path = folder / EVALUATION_FILE
        write_atomically(path, json.dumps(self.as_json(), indent=1).encode())
        return path


def read_evaluation(folder: Path) -> Evaluation:
    """What `Evaluation.write` wrote.

    Raises:
        FaceSetError: If there is none, or it cannot be read.
    """
    path = folder / EVALUATION_FILE
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        photos = [
            PhotoFigures(
                photo["name"], photo["yaw_bin"], photo["light_bin"], {row: _floats(figures) for row, figures in photo["rows"].items()}
            )
            for photo in facts["photos"]
        ]
        return Evaluation(facts["identity"], tuple(photos), facts["skipped"], tuple(facts["notes"]), facts["facts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FaceSetError(f"{path}: no evaluation that can be read ({error}); run `stylswap evaluate` again") from error


def _interval(interval: Interval) -> dict[str, float | int | None]:
    ends = {"mean": _number(interval.mean), "low": _number(interval.low), "high": _number(interval.high)}
    return {**ends, "count": interval.count}


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None  # JSON knows no NaN


def _numbers(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {key: _number(value) for key, value in figures.items()}


def _floats(figures: Mapping[str, float | None]) -> dict[str, float]:
    return {key: float("nan") if value is None else float(value) for key, value in figures.items()}
