"""Bar charts as SVG: how often which values occur, and how a whole is divided."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from html import escape
from typing import Final

from stylswap.report.chart import WIDTH_PX, ticks

HEIGHT_PX: Final = 170
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 40, 12, 8, 34
# About so many bins.
BINS: Final = 16
LINE_PX: Final = 22
LABEL_PX, TEXT_PX = 64, 94


@dataclass(frozen=True)
class Histogram:
    """How often which values occur.

    Attributes:
        name: Of the quantity, with its unit.
        values: Finite numbers.
        counted: What is counted, below the axis.
    """

    name: str
    values: tuple[float, ...]
    counted: str


@dataclass(frozen=True)
class Bar:
    """One part of a whole."""

    label: str
    value: float
    text: str


@dataclass(frozen=True)
class Bars:
    """Parts of a whole, one below the other.

    Attributes:
        name: Of the whole.
        total: At the right of the name.
        bars: At least one; values are not negative.
    """

    name: str
    total: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class BarCharts:
    """Charts side by side."""

    charts: tuple[Histogram | Bars, ...]


def bar_charts_html(charts: BarCharts) -> str:
    """The charts."""
    drawn = "".join(_histogram(chart) if isinstance(chart, Histogram) else _bars(chart) for chart in charts.charts)
    return f'<div class="charts">{drawn}</div>'


def bins_of(values: tuple[float, ...]) -> tuple[list[float], list[int], int]:
    """Bins between round numbers.

    Args:
        values: At least one.

    Returns:
        The edges, rising; how many values lie in each bin, its lower edge included, of the last bin both; and how many lie above the
        last edge: one in a hundred may, so that a single odd value does not push all others into one bin.
    """
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1 - len(ordered) // 100]
    least = max(abs(low) * 1e-3, abs(high) * 1e-3, 1e-3)
    edges = ticks(low, max(high, low + least), count=BINS)
    step = edges[1] - edges[0]
    counts = [0] * (len(edges) - 1)
    above = 0
    for value in ordered:
        if value > edges[-1] + 1e-9 * step:
            above += 1
        else:
            counts[min(max(int((value - edges[0]) / step + 1e-9), 0), len(counts) - 1)] += 1
    return edges, counts, above


def _histogram(chart: Histogram) -> str:
    if not chart.values:
        return f'<figure class="chart"><figcaption><b>{escape(chart.name)}</b> no values</figcaption></figure>'
    edges, counts, above = bins_of(chart.values)
    said = f"median {statistics.median(chart.values):.2f}, most {max(chart.values):.2f}"
    count_ticks = [tick for tick in ticks(0.0, float(max(counts)), count=4) if tick == round(tick)]
    right, bottom = WIDTH_PX - RIGHT_PX, HEIGHT_PX - BOTTOM_PX

    def x_px(value: float) -> float:
        return LEFT_PX + (right - LEFT_PX) * (value - edges[0]) / (edges[-1] - edges[0])

    def y_px(count: float) -> float:
        return bottom - (bottom - TOP_PX) * count / max(count_ticks[-1], *counts)

    drawing = [f'<path class="grid" d="M{LEFT_PX} {y_px(tick):.1f}H{right}"/>' for tick in count_ticks]
    drawing += [f'<text x="{LEFT_PX - 6}" y="{y_px(tick) + 4:.1f}" text-anchor="end">{tick:.0f}</text>' for tick in count_ticks]
    for index, count in enumerate(counts):
        left, width = x_px(edges[index]), x_px(edges[index + 1]) - x_px(edges[index])
        box = f'x="{left + 0.5:.1f}" y="{y_px(count):.1f}" width="{max(width - 1, 0.5):.1f}" height="{bottom - y_px(count):.1f}"'
        drawing.append(f'<rect class="bar" {box}><title>{edges[index]:.4g} to {edges[index + 1]:.4g}: {count}</title></rect>')
    for edge in edges[:: max(len(edges) // 5, 1)]:
        drawing.append(f'<text x="{x_px(edge):.1f}" y="{bottom + 15}" text-anchor="middle">{edge:.4g}</text>')
    counted = chart.counted + (f"; {above} above {edges[-1]:.4g} not drawn" if above else "")
    drawing.append(f'<text x="{(LEFT_PX + right) / 2:.0f}" y="{HEIGHT_PX - 4}" text-anchor="middle">{escape(counted)}</text>')
    return _figure(chart.name, said, "".join(drawing), HEIGHT_PX)


def _bars(chart: Bars) -> str:
    largest = max((bar.value for bar in chart.bars), default=0.0) or 1.0
    room = WIDTH_PX - LABEL_PX - TEXT_PX
    drawing = []
    for index, bar in enumerate(chart.bars):
        top, width = index * LINE_PX, room * bar.value / largest
        drawing.append(f'<text x="{LABEL_PX - 8}" y="{top + 15}" text-anchor="end">{escape(bar.label)}</text>')
        drawing.append(f'<rect class="bar" x="{LABEL_PX}" y="{top + 4}" width="{max(width, 1):.1f}" height="{LINE_PX - 7}"/>')
        drawing.append(f'<text x="{LABEL_PX + width + 6:.1f}" y="{top + 15}">{escape(bar.text)}</text>')
    return _figure(chart.name, chart.total, "".join(drawing), LINE_PX * len(chart.bars) + 6)


def _figure(name: str, said: str, drawing: str, height_px: int) -> str:
    label = escape(f"{name}: {said}")
    return (
        f'<figure class="chart"><figcaption><b>{escape(name)}</b><span>{escape(said)}</span></figcaption>'
        f'<svg viewBox="0 0 {WIDTH_PX} {height_px}" role="img" aria-label="{label}">{drawing}</svg></figure>'
    )
