"""Figures over ordered bins as SVG: how an input's pose or light decides what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from stylswap.report.chart import ticks
from stylswap.report.measured import Figure

WIDTH_PX: Final = 320
HEIGHT_PX: Final = 200
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 46, 8, 8, 24
LINE_PX: Final = 13
KEY_PX: Final = 20
# What letters of the usual size are wide.
LETTER_PX: Final = 6.2
TEXT_PX, LEAST_TEXT_PX = 11.0, 7.5
# Lines stand side by side within a bin, so that their intervals do not hide each other.
APART_PX: Final = 7.0
LOOKS: Final = ("g0", "g1 dashed", "g2 dotted", "g3", "g4 dashed", "g5 dotted", "g6", "g7 dashed")


@dataclass(frozen=True)
class BinChart:
    """Means and intervals of ordered bins, a line for each row of an evaluation.

    Attributes:
        title: Above it.
        bins: Names of the bins, in order; after a line break, what stands below the name.
        lines: By name, a figure for each bin, or None where there is none: the line is broken there.
        y_label: What is measured, for those who cannot see it.
    """

    title: str
    bins: tuple[str, ...]
    lines: Mapping[str, Sequence[Figure | None]]
    y_label: str


@dataclass(frozen=True)
class BinCharts:
    """Charts side by side."""

    charts: tuple[BinChart, ...]


def bin_charts_html(charts: BinCharts) -> str:
    """The charts."""
    return f'<div class="charts">{"".join(map(_chart, charts.charts))}</div>'


def bin_places(num_bins: int, num_lines: int, line: int) -> list[float]:
    """From the left in pixels, where the points of a line are drawn: the middle of each bin, the lines a little apart."""
    width = (WIDTH_PX - LEFT_PX - RIGHT_PX) / num_bins
    apart = min(APART_PX, width / (num_lines + 1))
    return [LEFT_PX + width * (number + 0.5) + apart * (line - (num_lines - 1) / 2) for number in range(num_bins)]


def _chart(chart: BinChart) -> str:
    there = [figure for line in chart.lines.values() for figure in map(_measured, line) if figure is not None]
    if not there:
        return f'<figure class="chart"><figcaption><b>{escape(chart.title)}</b> no values</figcaption></figure>'
    key, key_px = _key(list(chart.lines))
    names = [name.split("\n") for name in chart.bins]
    # Long names of many bins are set smaller, so that they do not run into each other.
    room = (WIDTH_PX - LEFT_PX - RIGHT_PX) / len(names)
    text_px = min(TEXT_PX, max(room / (max(len(part) for parts in names for part in parts) + 1) * TEXT_PX / LETTER_PX, LEAST_TEXT_PX))
    bottom = key_px + HEIGHT_PX - BOTTOM_PX
    y_ticks = ticks(*_limits(there), count=4)

    def y_px(value: float) -> float:
        return bottom - (bottom - key_px - TOP_PX) * (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])

    drawn = [key]
    for tick in y_ticks:
        drawn.append(f'<path class="grid" d="M{LEFT_PX} {y_px(tick):.1f}H{WIDTH_PX - RIGHT_PX}"/>')
        drawn.append(f'<text x="{LEFT_PX - 6}" y="{y_px(tick) + 4:.1f}" text-anchor="end">{0.0 if abs(tick) < 1e-12 else tick:.4g}</text>')
    for place, parts in zip(bin_places(len(names), 1, 0), names, strict=True):
        for row, part in enumerate(parts):
            at = f'x="{place:.1f}" y="{bottom + 15 + LINE_PX * row}" style="font-size:{text_px:.1f}px"'
            drawn.append(f'<text {at} text-anchor="middle">{escape(part)}</text>')
    for number, figures in enumerate(chart.lines.values()):
        places = bin_places(len(names), len(chart.lines), number)
        points = list(zip(places, map(_measured, figures), strict=True))
        drawn.append(f'<g class="{LOOKS[number % len(LOOKS)]}">{_line(points, y_px)}</g>')
    height = key_px + HEIGHT_PX + LINE_PX * (max(map(len, names)) - 1)
    label = escape(f"{chart.title}: {chart.y_label} by {len(names)} bins")
    return (
        f'<figure class="chart"><figcaption><b>{escape(chart.title)}</b><span>{escape(chart.y_label)}</span></figcaption>'
        f'<svg viewBox="0 0 {WIDTH_PX} {height}" role="img" aria-label="{label}">{"".join(drawn)}</svg></figure>'
    )


def _line(points: Sequence[tuple[float, Figure | None]], y_px: Callable[[float], float]) -> str:
    """The line, broken where nothing was measured, with a point and an interval for each bin."""
    drawn, move = "", "M"
    marks = []
    for x, figure in points:
        if figure is None:
            move = "M"
            continue
        y = y_px(figure.mean)
        drawn += f"{move}{x:.1f} {y:.1f}"
        move = "L"
        if figure.half_width is not None:
            marks.append(f'<path class="cross" d="M{x:.1f} {y_px(figure.low):.1f}V{y_px(figure.high):.1f}"/>')
        said = f"{figure.mean:.4g}" + (f", {figure.low:.4g} to {figure.high:.4g}" if figure.half_width is not None else "")
        marks.append(f'<circle class="spot" r="3.4" cx="{x:.1f}" cy="{y:.1f}"><title>{said}</title></circle>')
    return f'<path class="line" d="{drawn}"/>{"".join(marks)}'


def _key(names: Sequence[str]) -> tuple[str, int]:
    """Samples of the lines with their names, and the height that they take."""
    drawn, left, row = [], 8.0, 0
    for number, name in enumerate(names):
        width = 34 + LETTER_PX * len(name)
        if left + width > WIDTH_PX and left > 8:
            left, row = 8.0, row + 1
        y = 13 + KEY_PX * row
        drawn.append(f'<g class="{LOOKS[number % len(LOOKS)]}"><path class="line" d="M{left:.1f} {y - 4}h18"/></g>')
        drawn.append(f'<text x="{left + 23:.1f}" y="{y}">{escape(name)}</text>')
        left += width
    return "".join(drawn), KEY_PX * (row + 1)


def _limits(figures: Sequence[Figure]) -> tuple[float, float]:
    ends = [end for figure in figures for end in (figure.mean, figure.low, figure.high) if math.isfinite(end)]
    low, high = min(ends), max(ends)
    room = 0.0 if high - low > max(abs(high) * 1e-6, 1e-9) else max(abs(high) * 0.1, 1e-3)
    return low - room, high + room


def _measured(figure: Figure | None) -> Figure | None:
    return figure if figure is not None and math.isfinite(figure.mean) else None
