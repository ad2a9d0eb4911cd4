"""Measured figures with their intervals, and tables of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

ARROWS: Final = {"higher": " ↑", "lower": " ↓", "": ""}
ABSENT: Final = "–"
# Of fewer rows none is the best.
LEAST_COMPARED: Final = 2


@dataclass(frozen=True)
class Figure:
    """A mean and its 95 % bootstrap interval.

    Attributes:
        mean: Of what was measured; what is no finite number counts as not measured.
        low: Lower end of the interval.
        high: Upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width; None where there is no interval."""
        width = (self.high - self.low) / 2
        return width if math.isfinite(width) else None


Measured = Mapping[str, Figure]
"""By column key. What was not measured is absent."""


@dataclass(frozen=True)
class Column:
    """What is measured.

    Attributes:
        key: Of the figures.
        title: Heading.
        digits: Behind the point.
        better: Which way is better; "" where neither is.
        help: A sentence: what it is, its range and its unit.
    """

    key: str
    title: str
    digits: int
    better: Literal["higher", "lower", ""]
    help: str

    @property
    def heading(self) -> str:
        """The title, with an arrow towards the better values."""
        return self.title + ARROWS[self.better]

    def text(self, value: float) -> str:
        """A value as it is printed."""
        rounded = round(value, self.digits)
        return f"{rounded + 0.0:.{self.digits}f}"  # -0.0 + 0.0 is 0.0


@dataclass(frozen=True)
class FigureRow:
    """One row of a table of figures.

    Attributes:
        name: In the first column.
        figures: By column key.
        trivial: Shown for comparison; it takes no part in the search for the best.
        marked: Marked in the first column; the table's `mark` says what for.
        note: Small, below the name.
    """

    name: str
    figures: Measured
    trivial: bool = False
    marked: bool = False
    note: str = ""


@dataclass(frozen=True)
class FigureTable:
    """A table of means with half the width of their intervals, the best of each column bold.

    Attributes:
        rows: In this order.
        columns: In this order.
        of: Heading of the first column.
        mark: What a dot in front of a name means.
    """

    rows: tuple[FigureRow, ...]
    columns: tuple[Column, ...]
    of: str = "variant"
    mark: str = "on the front"


def measured(figures: Measured, key: str) -> Figure | None:
    """The figure of a column, or None where it was not measured."""
    figure = figures.get(key)
    return figure if figure is not None and math.isfinite(figure.mean) else None


def best_cells(rows: Sequence[FigureRow], columns: Sequence[Column]) -> set[tuple[int, str]]:
    """Which cells are the best of their column: number of the row, and key.

    Rows that are printed alike are equally good. Trivial rows take no part: returning the input has no expression error. Where fewer than
    two rows were measured there is nothing to compare, and no best.
    """
    best = set()
    for column in columns:
        texts = {}
        for number, row in enumerate(rows):
            figure = measured(row.figures, column.key)
            if figure is not None and not row.trivial:
                texts[number] = float(column.text(figure.mean))
        if column.better and len(texts) >= LEAST_COMPARED:
            winner = max(texts.values()) if column.better == "higher" else min(texts.values())
            best |= {(number, column.key) for number, value in texts.items() if value == winner}
    return best


def figure_table_html(table: FigureTable) -> str:
    """The table."""
    best = best_cells(table.rows, table.columns)
    head = f'<th scope="col">{escape(table.of)}</th>'
    head += "".join(f'<th scope="col" title="{escape(column.help)}">{escape(column.heading)}</th>' for column in table.columns)
    rows = "".join(_row(number, row, table, best) for number, row in enumerate(table.rows))
    return f'<div class="scroll"><table class="figures"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(number: int, row: FigureRow, table: FigureTable, best: set[tuple[int, str]]) -> str:
    mark = f'<span class="dot" title="{escape(table.mark)}">● </span>' if row.marked else ""
    note = f"<small>{escape(row.note)}</small>" if row.note else ""
    cells = "".join(_cell(column, measured(row.figures, column.key), (number, column.key) in best) for column in table.columns)
    kind = ' class="trivial"' if row.trivial else ""
    return f'<tr{kind}><th scope="row">{mark}{escape(row.name)}{note}</th>{cells}</tr>'


def _cell(column: Column, figure: Figure | None, best: bool) -> str:
    if figure is None:
        return f"<td>{ABSENT}</td>"
    mean = f"<b>{column.text(figure.mean)}</b>" if best else column.text(figure.mean)
    half = figure.half_width
    return f"<td>{mean}</td>" if half is None else f"<td>{mean}<small>±{column.text(half)}</small></td>"


def figure_table_markdown(table: FigureTable) -> str:
    """The table as GitHub's Markdown, ending with a line break."""
    best = best_cells(table.rows, table.columns)
    lines = [[table.of, *(column.heading for column in table.columns)]]
    lines = [[markdown_text(cell) for cell in line] for line in lines]
    lines.append(["---", *("---:" for _ in table.columns)])
    for number, row in enumerate(table.rows):
        name = f"*{markdown_text(row.name)}*" if row.trivial else markdown_text(row.name)
        cells = [_markdown_cell(column, measured(row.figures, column.key), (number, column.key) in best) for column in table.columns]
        lines.append([f"● {name}" if row.marked else name, *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _markdown_cell(column: Column, figure: Figure | None, best: bool) -> str:
    if figure is None:
        return ABSENT
    mean, half = column.text(figure.mean), figure.half_width
    mean = f"**{mean}**" if best else mean
    return mean if half is None else f"{mean} ± {column.text(half)}"


def markdown_text(text: str) -> str:
    """A text that Markdown prints as it is, on one line."""
    line = " ".join(text.split())
    for sign in "\\`*_<>[]|":
        line = line.replace(sign, f"\\{sign}")
    return line
