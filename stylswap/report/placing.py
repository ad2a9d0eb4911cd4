"""Where the labels of a plot go, so that none lies on another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

# Tried around each point, nearest first.
DISTANCES_PX: Final = (10.0, 16.0, 24.0, 34.0, 46.0, 60.0, 78.0, 98.0)
DIRECTIONS: Final = 16
# What an overlap costs against a pixel of distance: a label on a label is never worth it, one on a thin line may be.
LABEL_COST, MARKER_COST, LINE_COST = 1000.0, 60.0, 4.0


class Box(NamedTuple):
    """A rectangle, in pixels of the plot."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Common area, in square pixels."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return width * height if width > 0 and height > 0 else 0.0

    def holds(self, other: Box) -> bool:
        """Whether all of `other` lies in it."""
        return self.left <= other.left and self.top <= other.top and self.right >= other.right and self.bottom >= other.bottom


def place_labels(
    points: Sequence[tuple[float, float]], widths: Sequence[float], height: float, frame: Box, obstacles: Sequence[Box] = ()
) -> list[Box]:
    """A place for the label of each point: greedily the cheapest, the most crowded points first.

    Args:
        points: x, y.
        widths: Of the labels.
        height: Of each label.
        frame: Labels stay in it, where there is room.
        obstacles: What they should rather not cover besides each other and the points, such as thin lines.

    Returns:
        A box for each point.
    """
    markers = [Box(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    crowd = [sum(math.exp(-math.dist(one, other) / 60) for other in points) for one in points]
    placed: dict[int, Box] = {}
    leaders: list[tuple[float, float]] = []
    for number in sorted(range(len(points)), key=lambda index: -crowd[index]):
        candidates = _candidates(points[number], widths[number], height)
        inside = [place for place in candidates if frame.holds(place[0])] or candidates
        costs = [
            distance
            + LABEL_COST * sum(box.overlap(other) > 0 for other in placed.values())
            + MARKER_COST * sum(box.overlap(other) > 0 for other in markers)
            + MARKER_COST * sum(box.left <= x <= box.right and box.top <= y <= box.bottom for x, y in leaders)
            + LINE_COST * sum(box.overlap(other) > 0 for other in obstacles)
            + MARKER_COST * _crossed(points[number], box, list(placed.values()))
            for box, distance in inside
        ]
        placed[number] = inside[costs.index(min(costs))][0]
        leaders += _along(points[number], placed[number])
    return [placed[number] for number in range(len(points))]


def anchor(point: tuple[float, float], box: Box) -> tuple[float, float]:
    """The place on a label's box that is nearest to its point; where a line to it ends."""
    return min(max(point[0], box.left), box.right), min(max(point[1], box.top), box.bottom)


def _candidates(point: tuple[float, float], width: float, height: float) -> list[tuple[Box, float]]:
    found = []
    for distance in DISTANCES_PX:
        for turn in range(DIRECTIONS):
            angle = 2 * math.pi * turn / DIRECTIONS
            across, down = math.cos(angle), math.sin(angle)
            # The box lies beyond the place at this distance; to the sides it is centred in height, above and below in width.
            x, y = point[0] + distance * across, point[1] + distance * down
            left = x - width * (1 - across) / 2
            top = y - height * (1 - down) / 2
            # A touch of preference for the right, where one looks first.
            found.append((Box(left, top, left + width, top + height), distance + 1.5 * (1 - across)))
    return found


def _crossed(point: tuple[float, float], box: Box, others: Sequence[Box]) -> int:
    """How many labels the line from a point to its label crosses."""
    steps = _along(point, box)
    return sum(any(other.left <= x <= other.right and other.top <= y <= other.bottom for x, y in steps) for other in others)


def _along(point: tuple[float, float], box: Box) -> list[tuple[float, float]]:
    end = anchor(point, box)
    num_steps = int(math.dist(point, end) / 5)
    return [
        (point[0] + (end[0] - point[0]) * step / num_steps, point[1] + (end[1] - point[1]) * step / num_steps)
        for step in range(1, num_steps + 1)
    ]
