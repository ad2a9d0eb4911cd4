"""What is traded for what: variants by expression error and identity, where they lie in a picture, and which of them nothing beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from stylswap.report.measured import Figure
from stylswap.report.placing import Box

WIDTH_PX: Final = 900
PLOT_HEIGHT_PX: Final = 560
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 62, 14, 12, 48
# Free room around the outermost points, in parts of what they span.
MARGIN: Final = 0.07


@dataclass(frozen=True)
class TradePoint:
    """One variant.

    Attributes:
        name: Beside its point.
        group: Decides colour and marker.
        x: Expression error; lower is better.
        y: Identity; higher is better.
        trivial: A row without training: a hollow marker, and no part of the front.
        faint: A small grey dot without a name, for comparison; the axes do not wait for it.
    """

    name: str
    group: str
    x: Figure
    y: Figure
    trivial: bool = False
    faint: bool = False


@dataclass(frozen=True)
class TradeOff:
    """A plot of what is lost in expression for what is won in identity.

    Attributes:
        title: For those who cannot see it.
        points: In the order of the key.
        x_title: Below the axis.
        y_title: Beside the axis.
        price: How much identity one unit of expression error is worth, along the dotted lines; None: a round number that lets them run
            about diagonally.
        groups: In the order of their colours, so that these are the same in several plots; groups of points that are missing here follow.
    """

    title: str
    points: tuple[TradePoint, ...]
    x_title: str
    y_title: str
    price: float | None = None
    groups: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        """What is drawn, in words."""
        if not any(not point.faint for point in self.points):
            return "Nothing was measured yet."
        step = 10.0 ** math.floor(math.log10(Axes.around(self).x_span / 5))
        said = "Crosses are 95 % intervals. Better is up and to the left."
        if any(not point.trivial for point in self.points):
            said += " The stepped line is the front: no trained variant is better in both."
        worth = f"{step * fair_price(self):.2g}"
        said += f" Along a dotted line, {step:g} more of {self.x_title} is paid for with {worth} more of {self.y_title}."
        if any(point.trivial for point in self.points):
            said += " Hollow: no training at all."
        if any(point.faint for point in self.points):
            said += " Grey dots: the other variants."
        return said


@dataclass(frozen=True)
class Axes:
    """Where values lie in the picture: the box in pixels, and the values at its edges."""

    box: Box
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    @classmethod
    def around(cls, plot: TradeOff, top_px: float = TOP_PX) -> Axes:
        """Axes that hold the points and their intervals, and some room."""
        shown = [point for point in plot.points if not point.faint]
        box = Box(LEFT_PX, top_px, WIDTH_PX - RIGHT_PX, top_px + PLOT_HEIGHT_PX - TOP_PX - BOTTOM_PX)
        return cls(box, *_limits([point.x for point in shown]), *_limits([point.y for point in shown]))

    @property
    def x_span(self) -> float:
        """From edge to edge, in values."""
        return self.x_high - self.x_low

    def x_px(self, value: float) -> float:
        """From the left; lower errors lie left."""
        return self.box.left + (self.box.right - self.box.left) * (value - self.x_low) / self.x_span

    def y_px(self, value: float) -> float:
        """From the top; higher values lie higher."""
        return self.box.bottom - (self.box.bottom - self.box.top) * (value - self.y_low) / (self.y_high - self.y_low)

    def at(self, point: TradePoint) -> tuple[float, float]:
        """Where a point is drawn."""
        return self.x_px(point.x.mean), self.y_px(point.y.mean)


def pareto_front(values: Sequence[tuple[float, float]]) -> list[int]:
    """Which of some (error, identity) nothing beats: no other has less error and as much identity, or more identity and as little error.

    Returns:
        Their numbers, by rising error; of equal ones all.
    """

    def beaten(one: tuple[float, float]) -> bool:
        return any(other[0] <= one[0] and other[1] >= one[1] and other != one for other in values)

    return sorted((number for number, one in enumerate(values) if not beaten(one)), key=lambda number: values[number])


def fair_price(plot: TradeOff) -> float:
    """The slope of the dotted lines: the given one, or a round number near that of the plot's diagonal."""
    if plot.price is not None:
        return plot.price
    axes = Axes.around(plot)
    slope = (axes.y_high - axes.y_low) / axes.x_span
    power = 10.0 ** math.floor(math.log10(slope))
    return min((power, 2 * power, 5 * power, 10 * power), key=lambda round_: abs(math.log(round_ / slope)))


def front_steps(plot: TradeOff, axes: Axes) -> list[tuple[float, float, float, float]]:
    """The front as level and upright pieces (x1, y1, x2, y2) in values, cut where the plot ends."""
    trained = [(point.x.mean, point.y.mean) for point in plot.points if not point.trivial]
    front = [trained[number] for number in pareto_front(trained)]
    if not front:
        return []
    corners = [(front[0][0], axes.y_low)]
    for x, y in front:
        corners += [(x, corners[-1][1]), (x, y)]
    corners.append((axes.x_high, corners[-1][1]))
    pieces = []
    for (x1, y1), (x2, y2) in pairwise(corners):
        cut_x = [min(max(x, axes.x_low), axes.x_high) for x in (x1, x2)]
        cut_y = [min(max(y, axes.y_low), axes.y_high) for y in (y1, y2)]
        outside = (x1 == x2 and cut_x[0] != x1) or (y1 == y2 and cut_y[0] != y1)
        if not outside and (cut_x[0] != cut_x[1] or cut_y[0] != cut_y[1]):
            pieces.append((cut_x[0], cut_y[0], cut_x[1], cut_y[1]))
    return pieces


def _limits(figures: Sequence[Figure]) -> tuple[float, float]:
    ends = [end for figure in figures for end in (figure.mean, figure.low, figure.high) if math.isfinite(end)] or [0.0, 1.0]
    low, high = min(ends), max(ends)
    room = (high - low) * MARGIN or max(abs(high) * 0.1, 1e-3)
    return low - room, high + room
