"""What is worn on a head: glasses, hair, hats, masks. Sizes are those of the things, in the face's own unit."""

from __future__ import annotations

from typing import Final

import numpy as np

from stylswap.data.occluders.drawing import Layer, Pixels, Sketch, solid
from stylswap.data.occluders.stage import CLOTH, Stage, bezier, ellipse, palette, rgb, xy
from stylswap.faces.landmarks import LEFT_EYE, RIGHT_EYE

_HAIR: Final = palette("0.05 0.04 0.04  0.16 0.10 0.07  0.30 0.20 0.13  0.55 0.40 0.24  0.75 0.62 0.42  0.50 0.50 0.50  0.42 0.17 0.08")
_RIMS: Final = palette("0.05 0.05 0.06  0.35 0.20 0.10  0.72 0.58 0.30  0.66 0.67 0.70  0.50 0.06 0.10  0.10 0.15 0.35  0.85 0.83 0.80")
_LENSES: Final = palette("0.05 0.05 0.06  0.15 0.09 0.05  0.08 0.12 0.10")
_MASKS: Final = palette("0.60 0.77 0.86  0.90 0.91 0.92  0.10 0.10 0.11  0.62 0.82 0.74  0.88 0.70 0.75")


def glasses(stage: Stage) -> Layer:
    """Glasses of many shapes with clear, tinted or dark lenses."""
    rng, points = stage.rng, stage.landmarks
    eyes = [points[LEFT_EYE].mean(axis=0), points[RIGHT_EYE].mean(axis=0)]
    narrow = float(np.linalg.norm(eyes[1] - eyes[0]))  # under 1 where the head is turned
    wide, high = rng.uniform(0.36, 0.45) * narrow, rng.uniform(0.22, 0.4)
    power, droop, lift = rng.uniform(2.0, 5.0), rng.uniform(0, 0.25), rng.uniform(-0.05, 0.2)
    thick = rng.uniform(0.02, 0.035) if rng.random() < 0.5 else rng.uniform(0.035, 0.1)
    rims, lenses = Sketch(stage.frame, colours=False), Sketch(stage.frame, colours=False)
    edges = []
    for outward, eye in zip((-1.0, 1.0), eyes, strict=True):
        centre = eye + xy(0.03 * outward, 0.05)
        unit = ellipse(np.zeros(2), 1.0, 1.0, np.array([1.0, 0.0]), power)
        # Aviators hang down on the inner side, cat's eyes rise on the outer one.
        bend = np.stack([np.zeros(48), droop * high * (unit[:, 1] > 0) * unit[:, 1] - lift * high * outward * unit[:, 0]], axis=-1)
        inner = centre + unit * [wide, high] + bend
        outer = centre + unit * [wide + thick, high + thick] + bend
        rims.polygon(outer)
        rims.erase(inner)
        lenses.polygon(inner)
        edges.append((centre - xy(outward * wide, 0.3 * high), centre + xy(outward * (wide + thick / 2), -(0.35 + lift) * high)))
    bridge = (edges[0][0] + edges[1][0]) / 2 - xy(0, 0.08)
    rims.line(bezier(edges[0][0], bridge, edges[1][0]), thick)
    for (_, hinge), ear in zip(edges, (points[0], points[16]), strict=True):
        if np.linalg.norm(ear - hinge) > 0.15 and np.sign(ear[0] - hinge[0]) == np.sign(hinge[0]):
            rims.line([hinge, ear - xy(0, 0.05)], 0.8 * thick)
    pattern = stage.texture(0.12, 0.45) if thick > 0.035 and rng.random() < 0.4 else stage.texture(0.3, 0.12)  # tortoiseshell, or plain
    spectacles = solid(stage.colour(_RIMS) * np.clip(pattern, 0.2, 2)[..., None], rims.cover())
    return spectacles.over(_lenses(stage, lenses.cover()))


def _lenses(stage: Stage, cover: Pixels) -> Layer:
    rng = stage.rng
    x, y = stage.frame.grid()
    streak = np.exp(-(((x + rng.uniform(-1, 1) * y - rng.uniform(-1, 1)) / rng.uniform(0.05, 0.2)) ** 2))
    chance = rng.random()
    if chance < 0.6:  # clear
        return solid((1.0, 1.0, 1.0), (cover * (0.03 + rng.uniform(0, 0.35) * streak)).astype(np.float32))
    colour = stage.colour(_LENSES)
    gradient = 1 + rng.uniform(0, 1.5) * np.clip(y + 0.3, 0, 1)
    colours = colour * gradient[..., None] + rng.uniform(0, 0.25) * streak[..., None]
    opacity = rng.uniform(0.92, 1.0) if chance < 0.85 else rng.uniform(0.35, 0.6)  # dark, or tinted
    return solid(colours, cover * np.float32(opacity))


def hair(stage: Stage) -> Layer:
    """Locks of thin strands that fall over the forehead."""
    rng, sketch = stage.rng, Sketch(stage.frame)
    base, sweep = stage.colour(_HAIR), rng.uniform(-0.7, 0.7)
    for _ in range(rng.integers(3, 9)):  # locks
        root = xy(rng.uniform(-1.0, 1.0), rng.uniform(-2.3, -1.8))
        end = xy(0.9 * root[0] + sweep + rng.uniform(-0.3, 0.3), rng.uniform(-0.7, 0.7))
        middle = (root + end) / 2 + xy(rng.uniform(-0.5, 0.5), -0.1)
        loose = rng.uniform(0.03, 0.2)
        for _ in range(rng.integers(8, 32)):
            shift = rng.normal(0, loose, 2) * xy(1, 0.5)
            finish = end + shift * rng.uniform(0.0, 1.2) + xy(0, rng.uniform(-0.5, 0.05))
            strand, width = bezier(root + 0.6 * shift, middle + 1.2 * shift, finish), rng.uniform(0.015, 0.035)
            colour = rgb(base * rng.uniform(0.55, 1.35))
            sketch.line(strand[:9], width, colour)
            sketch.line(strand[8:], 0.5 * width, colour)  # towards its end a strand gets thin
    return sketch.layer().tinted(stage.texture(0.25, 0.15))


def hat(stage: Stage) -> Layer:
    """A hat with a brim."""
    rng, sketch = stage.rng, Sketch(stage.frame)
    low, curve, wide = rng.uniform(-0.85, -0.4), rng.uniform(-0.15, 0.25), rng.uniform(1.45, 2.2)
    x = np.linspace(-1, 1, 24)
    lower = np.stack([wide * x, low - 0.3 * x**2 + curve * (1 - x**2)], axis=-1)
    upper = np.stack([wide * x[::-1], low - 0.32 * x**2 - rng.uniform(0.15, 0.5) * (1 - x**2) ** 0.5], axis=-1)
    crown = [[-1.35, low - 0.1], [-1.4, -1.6], [-1.1, -2.6], [0, -3.0], [1.1, -2.6], [1.4, -1.6], [1.35, low - 0.1]]
    colour = stage.colour(CLOTH)
    sketch.polygon(crown, rgb(colour))
    _, down = stage.frame.grid()
    weave = stage.texture(0.04, 0.05) * stage.texture(0.4, 0.08)
    top = sketch.layer().tinted(weave * np.clip(1.05 + 0.2 * (down - low), 0.55, 1.1))
    brim = Sketch(stage.frame)
    brim.polygon([*lower, *upper], rgb(colour * rng.uniform(0.6, 1.2)))
    brim.line(lower, 0.03, rgb(colour * 0.5))
    return brim.layer().tinted(weave * np.clip(0.85 - 0.5 * (down - low), 0.5, 1.2)).over(top)


def mask(stage: Stage) -> Layer:
    """A medical mask."""
    rng, points = stage.rng, stage.landmarks
    nose = points[28] * (1 - (share := rng.uniform(0, 0.8))) + points[29] * share
    centre = points[33]
    jaw = centre + (points[2:15] - centre) * rng.uniform(1.0, 1.07)
    left, right = bezier(jaw[0], (jaw[0] + nose) / 2 - xy(0, 0.08), nose), bezier(nose, (jaw[-1] + nose) / 2 - xy(0, 0.08), jaw[-1])
    colour = stage.colour(_MASKS, 0.06)
    cloth, loops = Sketch(stage.frame), Sketch(stage.frame)
    cloth.polygon([*left, *right, *jaw[::-1]], rgb(colour))
    for ear, corner, lower in ((points[0], jaw[0], jaw[2]), (points[16], jaw[-1], jaw[-3])):
        loops.line([corner, ear], 0.035, rgb(colour * 0.9))
        loops.line(bezier(lower, (lower + ear) / 2, ear), 0.035, rgb(colour * 0.9))
    for share in (0.3, 0.5, 0.7):
        sides = [jaw[0] * (1 - share) + jaw[4] * share, jaw[-1] * (1 - share) + jaw[-5] * share]
        middle = nose * (1 - share) + points[8] * share + xy(0, 0.12)
        cloth.line(bezier(sides[0], middle, sides[1]), 0.02, rgb(colour * 0.78))
    aside = stage.frame.grid()[0] - np.float32(centre[0])
    lit = np.clip(1.05 - 0.18 * aside**2 + rng.uniform(-0.12, 0.12) * aside, 0.5, 1.15)
    return cloth.layer().tinted(lit * stage.texture(0.3, 0.03)).over(loops.layer())
