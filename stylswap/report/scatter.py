"""The trade-off plot: identity against expression error, one point a variant, with what nothing beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from stylswap.errors import StylswapError
from stylswap.report.chart import ticks
from stylswap.report.placing import Box, anchor, place_labels
from stylswap.report.trade_off import LEFT_PX, PLOT_HEIGHT_PX, TOP_PX, WIDTH_PX, Axes, TradeOff, TradePoint, fair_price, front_steps
from stylswap.storage import write_atomically

KEY_LINE_PX: Final = 22
# About what letters of 11 and 12 px are wide; a browser's own fonts differ by a little.
LETTER_PX, KEY_LETTER_PX = 6.1, 6.7
LABEL_HEIGHT_PX: Final = 13
LONGEST_LABEL: Final = 30
ISO_LINES: Final = 7
# A label further than this from its point gets a line to it.
LEADER_PX: Final = 13.0
COLOURS: Final = 8
SHAPES: Final = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z",
    "M-4.5 -4.5H4.5V4.5H-4.5Z",
    "M0 -5.8L5.6 4.3H-5.6Z",
    "M0 -6.2L5.6 0L0 6.2L-5.6 0Z",
    "M0 5.8L5.6 -4.3H-5.6Z",
    "M-1.9 -5.5H1.9V-1.9H5.5V1.9H1.9V5.5H-1.9V1.9H-5.5V-1.9H-1.9Z",
    "M-5.8 0L4.3 -5.6V5.6Z",
)
TRIVIAL_SHAPE: Final = "M-6.5 0a6.5 6.5 0 1 0 13 0a6.5 6.5 0 1 0 -13 0Z"
# A picture that stands alone has no page around it to give it colours.
_ALONE: Final = """
:root { --sheet: #fff; --ink: #1d1f23; --quiet: #646973; --line: #e2e3e6; --accent: #2f6f8f; }
@media (prefers-color-scheme: dark) { :root { --sheet: #1e2125; --ink: #e7e8ea; --quiet: #9aa0aa; --line: #32363c; --accent: #7cc0de; } }
svg { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
svg text { font-size: 11px; fill: var(--quiet); } .grid { stroke: var(--line); } .sheet { fill: var(--sheet); }
"""


def trade_off_html(plot: TradeOff) -> str:
    """The plot with its caption."""
    return f'<figure class="plot">{_svg(plot)}<figcaption>{escape(plot.caption)}</figcaption></figure>'


def write_svg(path: Path, plot: TradeOff) -> None:
    """Write the plot as a picture of its own, light or dark as its reader's screen is.

    Args:
        path: Its folder must exist.
        plot: To be drawn.

    Raises:
        StylswapError: If it cannot be written.
    """
    style = _ALONE + files("stylswap.report").joinpath("plot.css").read_text(encoding="utf-8")
    drawn = _svg(plot, f'<style>{style}</style><title>{escape(plot.title)}</title><rect class="sheet" width="100%" height="100%"/>')
    try:
        write_atomically(path, (drawn + "\n").encode("utf-8", errors="replace"))
    except OSError as error:
        raise StylswapError(f"{path}: the plot cannot be written ({error.strerror or error})") from error


def _svg(plot: TradeOff, before: str = "") -> str:
    groups = list(dict.fromkeys([*plot.groups, *(point.group for point in plot.points if not point.trivial)]))
    key, key_px = _key(plot, groups)
    axes = Axes.around(plot, key_px + TOP_PX)
    drawn = [key, *_grid(plot, axes), *_iso_lines(plot, axes), _front(plot, axes)]
    drawn += [_dot(point, axes) for point in plot.points if point.faint]
    shown = [point for point in plot.points if not point.faint]
    drawn += [_cross(point, axes, groups) for point in shown]
    drawn += [_labels(plot, axes), *(_marker(point, axes, groups) for point in shown)]
    height = key_px + PLOT_HEIGHT_PX
    space = 'xmlns="http://www.w3.org/2000/svg" ' if before else ""
    return f'<svg {space}viewBox="0 0 {WIDTH_PX} {height:.0f}" role="img" aria-label="{escape(plot.title)}">{before}{"".join(drawn)}</svg>'


def _key(plot: TradeOff, groups: Sequence[str]) -> tuple[str, float]:
    """Markers with their groups, in as many lines as they need; and the height of it."""
    there = {point.group for point in plot.points if not point.trivial and not point.faint}
    entries = [(_look(group, groups), _shortened(group)) for group in groups if group in there]
    if any(point.trivial for point in plot.points):
        entries.append((f'class="hollow" d="{TRIVIAL_SHAPE}"', "no training"))
    drawn, left, line = [], float(LEFT_PX), 0
    for look, text in entries:
        width = 30 + KEY_LETTER_PX * len(text)
        if left + width > WIDTH_PX and left > LEFT_PX:
            left, line = float(LEFT_PX), line + 1
        y = 16 + KEY_LINE_PX * line
        drawn.append(f'<path {look} transform="translate({left + 7:.1f} {y - 4})"/>')
        drawn.append(f'<text class="key" x="{left + 18:.1f}" y="{y}">{escape(text)}</text>')
        left += width
    return "".join(drawn), KEY_LINE_PX * (line + 1) if entries else 0


def _grid(plot: TradeOff, axes: Axes) -> list[str]:
    box = axes.box
    drawn = []
    for tick in [tick for tick in ticks(axes.x_low, axes.x_high, count=12) if axes.x_low <= tick <= axes.x_high]:
        drawn.append(f'<path class="grid" d="M{axes.x_px(tick):.1f} {box.top:.1f}V{box.bottom:.1f}"/>')
        drawn.append(f'<text x="{axes.x_px(tick):.1f}" y="{box.bottom + 16:.1f}" text-anchor="middle">{_number(tick)}</text>')
    for tick in [tick for tick in ticks(axes.y_low, axes.y_high, count=9) if axes.y_low <= tick <= axes.y_high]:
        drawn.append(f'<path class="grid" d="M{box.left:.1f} {axes.y_px(tick):.1f}H{box.right:.1f}"/>')
        drawn.append(f'<text x="{box.left - 7:.1f}" y="{axes.y_px(tick) + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    middle_x, middle_y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    below = f'x="{middle_x:.0f}" y="{box.bottom + 38:.0f}"'
    drawn.append(f'<text class="axis" {below} text-anchor="middle">{escape(plot.x_title)} (less is better)</text>')
    turned = f'transform="translate(16 {middle_y:.0f}) rotate(-90)"'
    drawn.append(f'<text class="axis" {turned} text-anchor="middle">{escape(plot.y_title)} (more is better)</text>')
    return [*drawn, f'<path class="edge" d="M{box.left} {box.top:.1f}V{box.bottom:.1f}H{box.right}"/>']


def _iso_lines(plot: TradeOff, axes: Axes) -> list[str]:
    """Lines of equal y - price x, evenly spaced from corner to corner."""
    price = fair_price(plot)
    least, most = axes.y_low - price * axes.x_high, axes.y_high - price * axes.x_low
    drawn = []
    for number in range(1, ISO_LINES + 1):
        level = least + (most - least) * number / (ISO_LINES + 1)
        left = max(axes.x_low, (axes.y_low - level) / price)
        right = min(axes.x_high, (axes.y_high - level) / price)
        start, end = ((axes.x_px(x), axes.y_px(level + price * x)) for x in (left, right))
        drawn.append(f'<path class="iso" d="M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}"/>')
    return drawn


def _front(plot: TradeOff, axes: Axes) -> str:
    drawn = "".join(
        f"M{axes.x_px(x1):.1f} {axes.y_px(y1):.1f}L{axes.x_px(x2):.1f} {axes.y_px(y2):.1f}" for x1, y1, x2, y2 in front_steps(plot, axes)
    )
    return f'<path class="front" d="{drawn}"/>' if drawn else ""


def _cross(point: TradePoint, axes: Axes, groups: Sequence[str]) -> str:
    x, y = axes.at(point)
    drawn = ""
    if point.x.half_width is not None:
        drawn += f"M{axes.x_px(point.x.low):.1f} {y:.1f}H{axes.x_px(point.x.high):.1f}"
    if point.y.half_width is not None:
        drawn += f"M{x:.1f} {axes.y_px(point.y.low):.1f}V{axes.y_px(point.y.high):.1f}"
    colour = "ink" if point.trivial else _colour(point.group, groups)
    return f'<path class="cross {colour}" d="{drawn}"/>' if drawn else ""


def _dot(point: TradePoint, axes: Axes) -> str:
    x, y = axes.at(point)
    box = axes.box
    if not (box.left <= x <= box.right and box.top <= y <= box.bottom):
        return ""
    return f'<circle class="faint" r="3" cx="{x:.1f}" cy="{y:.1f}"><title>{escape(point.name)}</title></circle>'


def _labels(plot: TradeOff, axes: Axes) -> str:
    points = [point for point in plot.points if not point.faint]
    texts = [_shortened(point.name) for point in points]
    places = [axes.at(point) for point in points]
    drawn = list(zip(points, places, strict=True))
    lines = [Box(axes.x_px(p.x.low), y - 1, axes.x_px(p.x.high), y + 1) for p, (_, y) in drawn if p.x.half_width is not None]
    lines += [Box(x - 1, axes.y_px(p.y.high), x + 1, axes.y_px(p.y.low)) for p, (x, _) in drawn if p.y.half_width is not None]
    for x1, y1, x2, y2 in front_steps(plot, axes):
        lines.append(Box(axes.x_px(x1) - 1, axes.y_px(y2) - 1, axes.x_px(x2) + 1, axes.y_px(y1) + 1))
    boxes = place_labels(places, [LETTER_PX * len(text) for text in texts], LABEL_HEIGHT_PX, axes.box, lines)
    leaders, names = [], []
    for text, place, box in zip(texts, places, boxes, strict=True):
        end = anchor(place, box)
        if math.dist(place, end) > LEADER_PX:
            leaders.append(f'<path class="leader" d="M{place[0]:.1f} {place[1]:.1f}L{end[0]:.1f} {end[1]:.1f}"/>')
        side = "start" if box.left >= place[0] else "end" if box.right <= place[0] else "middle"
        x = {"start": box.left, "end": box.right, "middle": (box.left + box.right) / 2}[side]
        names.append(f'<text class="name" x="{x:.1f}" y="{box.bottom - 3:.1f}" text-anchor="{side}">{escape(text)}</text>')
    return "".join([*leaders, *names])


def _marker(point: TradePoint, axes: Axes, groups: Sequence[str]) -> str:
    x, y = axes.at(point)
    look = f'class="hollow" d="{TRIVIAL_SHAPE}"' if point.trivial else _look(point.group, groups)
    said = escape(f"{point.name}: {point.x.mean:.4g}, {point.y.mean:.4g}")
    return f'<path {look} transform="translate({x:.1f} {y:.1f})"><title>{said}</title></path>'


def _look(group: str, groups: Sequence[str]) -> str:
    return f'class="spot {_colour(group, groups)}" d="{SHAPES[groups.index(group) % len(SHAPES)]}"'


def _colour(group: str, groups: Sequence[str]) -> str:
    return f"g{groups.index(group) % COLOURS}"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _number(tick: float) -> str:
    return f"{0.0 if abs(tick) < 1e-12 else tick:.4g}"
