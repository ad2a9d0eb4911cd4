"""Where an occluder is drawn, and what all of them use: chance, colours, curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from stylswap.data.occluders.drawing import Colour, FaceFrame, FloatArray, Pixels, noise


def palette(numbers: str) -> FloatArray:
    """Colours (P, 3) from a line of numbers, three to a colour."""
    return np.array(numbers.split(), dtype=np.float64).reshape(-1, 3)


CLOTH: Final = palette("0.08 0.08 0.10  0.12 0.17 0.35  0.50 0.10 0.12  0.75 0.74 0.70  0.30 0.36 0.20  0.55 0.45 0.30  0.35 0.35 0.38")


@dataclass(frozen=True, eq=False)
class Stage:
    """Where an occluder is drawn.

    Attributes:
        frame: Of the face.
        landmarks: In the frame, (68, 2).
        skin: Colour of a hand, (3,).
        rng: The only source of chance.
    """

    frame: FaceFrame
    landmarks: FloatArray
    skin: FloatArray
    rng: np.random.Generator

    def colour(self, palette: FloatArray, spread: float = 0.15) -> FloatArray:
        """One of a palette (P, 3), a little lighter or darker and of another tint."""
        chosen = palette[self.rng.integers(len(palette))]
        return np.asarray(np.clip(chosen * (1 + spread * self.rng.uniform(-1, 1)) + 0.03 * self.rng.uniform(-1, 1, 3), 0, 1))

    def texture(self, cell: float, strength: float, stretch: float = 1.0) -> Pixels:
        """A factor of colours, (H, W), that varies by `strength` over spots `cell` units high."""
        return 1 + strength * self.spots(cell, stretch)

    def spots(self, cell: float, stretch: float = 1.0) -> Pixels:
        """Noise, (H, W), of a generator of its own: a larger picture takes more numbers, and the drawing must not change with it."""
        return noise(self.rng.spawn(1)[0], self.frame.size, max(cell * self.frame.unit_px, 1.0), stretch)


def xy(x: float, y: float) -> FloatArray:
    """A point of the face's frame, (2,)."""
    return np.array([x, y])


def pair(point: FloatArray) -> tuple[float, float]:
    """A point (2,) as numbers."""
    return float(point[0]), float(point[1])


def rgb(colour: FloatArray) -> Colour:
    """A colour (3,) as numbers."""
    red, green, blue = (float(value) for value in colour)
    return red, green, blue


def ellipse(centre: FloatArray, along: float, across: float, way: FloatArray, power: float = 2.0) -> FloatArray:
    """A superellipse round `centre`, (48, 2), whose long axis points along `way`."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    cosine, sine = np.cos(angles), np.sin(angles)
    x = along * np.sign(cosine) * np.abs(cosine) ** (2 / power)
    y = across * np.sign(sine) * np.abs(sine) ** (2 / power)
    return np.asarray(centre + x[:, None] * way + y[:, None] * np.array([-way[1], way[0]]))


def bezier(start: FloatArray, middle: FloatArray, end: FloatArray, count: int = 12) -> FloatArray:
    """Points (count, 2) of a curve from start to end that is drawn towards the middle."""
    share = np.linspace(0, 1, count)[:, None]
    return np.asarray((1 - share) ** 2 * start + 2 * share * (1 - share) * middle + share**2 * end)
