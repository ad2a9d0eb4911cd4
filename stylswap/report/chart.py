"""Line charts as SVG: one small chart for each curve, the raw values thin, their mean over some steps on top."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate
from typing import Final

WIDTH_PX: Final = 320
HEIGHT_PX: Final = 170
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 56, 16, 8, 34
# The smooth line is a mean over so many values on either side, fewer in short curves.
MOST_ON_A_SIDE: Final = 25
# A line of more points than this is the same to the eye and only makes the file larger.
MOST_POINTS: Final = 400


@dataclass(frozen=True)
class Curve:
    """One quantity over the steps of a training.

    Attributes:
        name: Of the quantity.
        steps: Where it was measured, rising.
        values: What was measured, as many.
    """

    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def window(self) -> int:
        """Over how many values the smooth line goes; an odd number."""
        return 2 * min(MOST_ON_A_SIDE, len(self.values) // 20) + 1

    def smoothed(self) -> tuple[float, ...]:
        """The mean of the `window` values around each; where the curve ends, of those that are there."""
        sums = [0.0, *accumulate(self.values)]
        side, count = self.window // 2, len(self.values)
        ranges = [(max(index - side, 0), min(index + side + 1, count)) for index in range(count)]
        return tuple((sums[end] - sums[start]) / (end - start) for start, end in ranges)


@dataclass(frozen=True)
class Curves:
    """Charts side by side, one for each curve."""

    curves: tuple[Curve, ...]


def chart_html(curve: Curve) -> str:
    """A chart with its name and its last smoothed value above it."""
    if not curve.values:
        return f'<figure class="chart"><figcaption><b>{escape(curve.name)}</b> no values</figcaption></figure>'
    smooth = curve.smoothed()
    last = f"{smooth[-1]:.4g}"
    label = escape(f"{curve.name} over {curve.steps[-1]:.0f} steps, last {last}")
    return (
        f'<figure class="chart"><figcaption><b>{escape(curve.name)}</b><span>{last}</span></figcaption>'
        f'<svg viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" role="img" aria-label="{label}">{_drawing(curve, smooth)}</svg></figure>'
    )


def _drawing(curve: Curve, smooth: Sequence[float]) -> str:
    raw_points = _thinned(list(zip(curve.steps, curve.values, strict=True)))
    smooth_points = _thinned(list(zip(curve.steps, smooth, strict=True)))
    y_ticks = ticks(*_limits(curve.values, smooth), count=4)
    x_ticks = [tick for tick in ticks(0.0, max(curve.steps[-1], 1.0), count=5) if tick <= max(curve.steps[-1], 1.0)]
    right, bottom = WIDTH_PX - RIGHT_PX, HEIGHT_PX - BOTTOM_PX

    def x_px(step: float) -> float:
        return LEFT_PX + (right - LEFT_PX) * step / max(curve.steps[-1], 1.0)

    def y_px(value: float) -> float:
        share = (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return bottom - (bottom - TOP_PX) * min(max(share, 0.0), 1.0)

    def line(points: Sequence[tuple[float, float]], kind: str) -> str:
        placed = " ".join(f"{x_px(step):.1f},{y_px(value):.1f}" for step, value in points)
        return f'<polyline class="{kind}" points="{placed}"/>'

    grid = [f'<path class="grid" d="M{LEFT_PX} {y_px(tick):.1f}H{right}"/>' for tick in y_ticks]
    grid += [f'<text x="{LEFT_PX - 6}" y="{y_px(tick) + 4:.1f}" text-anchor="end">{tick:.4g}</text>' for tick in y_ticks]
    grid += [f'<text x="{x_px(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{tick:.0f}</text>' for tick in x_ticks]
    grid += [f'<text x="{(LEFT_PX + right) / 2:.0f}" y="{HEIGHT_PX - 4}" text-anchor="middle">step</text>']
    end = f'<circle class="end" r="3" cx="{x_px(smooth_points[-1][0]):.1f}" cy="{y_px(smooth_points[-1][1]):.1f}"/>'
    return "".join([*grid, line(raw_points, "raw"), line(smooth_points, "smooth"), end])


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `MOST_POINTS` means of neighbours, and the last point."""
    size = math.ceil(len(points) / MOST_POINTS)
    if size == 1:
        return points
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    means = [(sum(step for step, _ in group) / len(group), sum(value for _, value in group) / len(group)) for group in groups]
    return [*means[:-1], points[-1]]


def _limits(values: Sequence[float], smooth: Sequence[float]) -> tuple[float, float]:
    """What the chart shows: the whole smooth line, and the raw values but for the one in a hundred that stands out."""
    ordered = sorted(values)
    beyond = len(ordered) // 100
    low, high = min(ordered[beyond], *smooth), max(ordered[-1 - beyond], *smooth)
    margin = max(abs(high) * 1e-3, 1e-9) if high - low < max(abs(high) * 1e-6, 1e-12) else 0.0
    return low - margin, high + margin


def ticks(low: float, high: float, *, count: int) -> list[float]:
    """About `count` round numbers from one at or below `low` to one at or above `high`."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= rough * 0.999)
    return [number * step for number in range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)]
