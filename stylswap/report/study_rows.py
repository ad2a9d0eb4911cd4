"""Variants of a training and what was measured of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stylswap.errors import UsageError
from stylswap.report.measured import Column, Figure, FigureRow, FigureTable, measured
from stylswap.report.trade_off import TradeOff, TradePoint, pareto_front

# The group of the rows without any training, which stand beside every table.
TRIVIAL: Final = "trivial"


@dataclass(frozen=True)
class StudyRow:
    """One variant.

    Attributes:
        name: Unique within the study.
        group: Which study of several it belongs to; `TRIVIAL` for rows without training.
        figures: By column key; what was not measured is absent.
        changed: Dotted settings that differ from the base. A trained row that changes nothing is the base, and stands in every table.
        status: ``done``, ``failed`` or ``missing``.
        reason: Why it is not done.
        steps: Of training.
        seconds: Of training.
        num_photos: Photos that it was judged on.
        on_front: No other trained row is better in both; see `with_front`.
        sheet: Its own contact sheet; shown where the study has none.
    """

    name: str
    group: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    changed: Mapping[str, Any] = field(default_factory=dict)
    status: str = "done"
    reason: str = ""
    steps: int = 0
    seconds: float = 0.0
    num_photos: int = 0
    on_front: bool = False
    sheet: Path | None = None

    @property
    def trivial(self) -> bool:
        """Whether nothing was trained for it."""
        return self.group == TRIVIAL

    @property
    def changes(self) -> str:
        """What differs from the base, in words."""
        return ", ".join(f"{name} = {value}" for name, value in self.changed.items())

    @property
    def is_base(self) -> bool:
        """Whether it is what the others are variants of."""
        return not self.trivial and not self.changed


@dataclass(frozen=True)
class Study:
    """All that is known of a study.

    Attributes:
        title: Heading.
        about: A sentence or two: what was varied, at which budget.
        rows: In the order of the tables.
        columns: In the order of the tables.
        hardware: What computed.
        command: What makes it again.
        tradeoff: Keys of the plot's axes: the expression error (lower is better) and the identity (higher is better).
    """

    title: str
    about: str
    rows: Sequence[StudyRow]
    columns: Sequence[Column]
    hardware: str
    command: str
    tradeoff: tuple[str, str]

    @property
    def done(self) -> list[StudyRow]:
        """Rows with figures."""
        return [row for row in self.rows if row.status == "done"]

    @property
    def groups(self) -> list[str]:
        """The groups of trained rows, in order."""
        return list(dict.fromkeys(row.group for row in self.rows if not row.trivial))

    def column(self, key: str) -> Column:
        """The column of a key.

        Raises:
            UsageError: If there is none.
        """
        for column in self.columns:
            if column.key == key:
                return column
        raise UsageError(f"the study has no column {key!r}; it has {', '.join(column.key for column in self.columns)}")


def with_front(study: Study) -> Study:
    """The study with `StudyRow.on_front` set for the trained rows that nothing beats in both of `Study.tradeoff`."""
    x_key, y_key = study.tradeoff
    places = {}
    for number, row in enumerate(study.rows):
        x, y = measured(row.figures, x_key), measured(row.figures, y_key)
        if row.status == "done" and not row.trivial and x and y:
            places[number] = (x.mean, y.mean)
    numbers = list(places)
    front = {numbers[place] for place in pareto_front(list(places.values()))}
    rows = [dataclasses.replace(row, on_front=number in front) for number, row in enumerate(study.rows)]
    return dataclasses.replace(study, rows=rows)


def study_trade_off(study: Study, group: str | None = None, *, trivial: bool = True) -> TradeOff:
    """The plot of a study.

    Args:
        study: Rows without one of the two figures are left out.
        group: Only its rows and the base have names, all other trained ones are grey dots, and the axes are drawn for it alone; None: all.
        trivial: Whether the trivial rows are there; they lie far off, and a plot of a group never has them.

    Raises:
        UsageError: If the columns of `Study.tradeoff` are not there, or are not one that is better low and one that is better high.
    """
    x, y = (study.column(key) for key in study.tradeoff)
    if (x.better, y.better) != ("lower", "higher"):
        raise UsageError(
            f"the trade-off needs a figure that is better low and one that is better high, in this order: "
            f"{x.key} is better {x.better or 'neither way'}, {y.key} {y.better or 'neither way'}"
        )
    points = []
    for row in study.done:
        x_figure, y_figure = measured(row.figures, x.key), measured(row.figures, y.key)
        if x_figure and y_figure and not (row.trivial and (group is not None or not trivial)):
            faint = group is not None and row.group != group and not row.is_base
            points.append(TradePoint(row.name, row.group, x_figure, y_figure, row.trivial, faint))
    title = f"{study.title}: {y.title} against {x.title}" + (f", {group}" if group else "")
    return TradeOff(title, tuple(points), x.title, y.title, groups=tuple(study.groups))


def study_table(study: Study, group: str | None, *, notes: bool = False) -> FigureTable:
    """The table of a group: its rows, the base above them where it is of another group, the trivial rows below; None: of all groups.

    Columns that nothing was measured for are left out. With `notes`, what a row changes stands below its name.
    """
    own = [row for row in study.done if not row.trivial and group in (None, row.group)]
    if group is not None and not any(row.is_base for row in own):
        own = [*(row for row in study.done if row.is_base), *own]
    rows = [*own, *(row for row in study.done if row.trivial)] if group != TRIVIAL else [row for row in study.done if row.trivial]
    return FigureTable(
        tuple(FigureRow(row.name, row.figures, row.trivial, row.on_front, row.changes if notes else "") for row in rows),
        tuple(column for column in study.columns if any(measured(row.figures, column.key) for row in study.done)),
    )
