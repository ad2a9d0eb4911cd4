"""What comes between a face and the camera: hands, microphones, bars, captions. Sizes are those of the things, in the face's own unit."""

from __future__ import annotations

from typing import Final

import numpy as np

from stylswap.data.occluders.drawing import FloatArray, Layer, Limb, Sketch, blurred, relief, shading, solid
from stylswap.data.occluders.stage import CLOTH, Stage, ellipse, pair, palette, rgb, xy
from stylswap.faces.landmarks import MOUTH

_BARS: Final = palette("0.08 0.08 0.10  0.60 0.60 0.62  0.50 0.35 0.20  0.90 0.75 0.10  0.95 0.95 0.95  0.50 0.10 0.12  0.12 0.17 0.35")
_INKS: Final = palette("1.00 1.00 1.00  0.02 0.02 0.02  0.95 0.85 0.10  0.80 0.08 0.08  0.10 0.25 0.70")
_METAL: Final = palette("0.08 0.08 0.09  0.50 0.50 0.52")
_VARNISH: Final = palette("0.70 0.08 0.15  0.15 0.10 0.20")
_WORDS: Final = ("SAMPLE", "PREVIEW", "LIVE", "News", "COPY", "Photo", "Channel", "PRESS", "draft", "STUDIO", "No.", "radio")
_CORNERS: Final = ((-1, -1), (1, -1), (1, 1), (-1, 1))


def hand(stage: Stage) -> Layer:
    """A hand and some of its arm, from below or from one side."""
    rng = stage.rng
    side, size = rng.choice([-1.0, 1.0]), rng.uniform(0.95, 1.25)
    turn = rng.uniform(-0.5, 0.5) if rng.random() < 0.4 else -side * rng.uniform(0.7, 1.5)  # from below, or from one side
    held = xy(0.0, rng.uniform(-1.9, -0.8))  # this point of the hand lies there on the face
    place = xy(rng.uniform(-0.6, 0.6), rng.uniform(-0.3, 1.5))
    mirror = xy(rng.choice([-1.0, 1.0]), 1.0)
    rotation = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def limb(start: FloatArray, end: FloatArray, start_radius: float, end_radius: float, lift: float = 0.0) -> Limb:
        ends = [rotation @ (mirror * point - held) + place for point in (start, end)]
        return Limb(pair(ends[0]), pair(ends[1]), start_radius * size, end_radius * size, lift)

    limbs = [limb(xy(0, 0.1), xy(0.1, 4.5), 0.4, 0.62)]
    limbs += [limb(xy(0.5 * x, 0), xy(x, -1.35), 0.3, 0.2, 0.04) for x in (-0.48, -0.16, 0.16, 0.46)]
    thumb = xy(rng.uniform(-1.05, -0.75), rng.uniform(-1.45, -1.25))
    limbs += [limb(xy(-0.3, -0.2), xy(-0.72, -0.75), 0.27, 0.19), limb(xy(-0.72, -0.75), thumb, 0.185, 0.135)]
    spread, bend, shortening = rng.uniform(0.02, 0.3), rng.uniform(-0.12, 0.12), rng.uniform(0.6, 1.0)
    tips = []
    for x, length in zip((-0.5, -0.17, 0.17, 0.48), (1.1, 1.25, 1.15, 0.9), strict=True):
        reach, lean = length * shortening * rng.uniform(0.92, 1.0), x * spread * 2 + rng.uniform(-0.05, 0.05)
        radius, joint = 0.18 - 0.02 * (x > 0.4), xy(x, -1.3)
        for share in (0.45, 0.3, 0.25):
            start, joint = joint, joint + share * reach * xy(lean, -1.0)
            limbs.append(limb(start, joint, radius, radius - 0.015, 0.05))
            radius, lean = radius - 0.015, lean + bend - 0.15 * x * spread
        tips.append(limbs[-1])
    layer = _skin_layer(stage, limbs)
    layer = _marks(stage, tips, nails=rng.random() < 0.6).faded(layer.alpha).over(layer)
    if rng.random() < 0.5:
        front, cover = relief([limb(xy(0, rng.uniform(0.5, 1.2)), xy(0.1, 5), 0.52, 0.8)], stage.frame)
        light, _ = shading(front, rng)
        layer = solid(stage.colour(CLOTH) * (light * stage.texture(0.1, 0.08, 3.0))[..., None], cover).over(layer)
    return layer


def _skin_layer(stage: Stage, limbs: list[Limb]) -> Layer:
    front, cover = relief(limbs, stage.frame)
    light, shine = shading(front, stage.rng, ambient=0.45, gloss=0.06)
    # Where fingers meet little light gets in.
    hollow = np.clip((blurred(front, 0.08 * stage.frame.unit_px) - front) / (0.12 * stage.frame.unit_px), 0, 1)
    spots = stage.texture(0.35, 0.05)
    pores = stage.texture(0.03, 0.025)
    factor = light * (1 - 0.5 * hollow) * pores
    colours = stage.skin * factor[..., None] * np.stack([np.ones_like(spots), spots, spots], axis=-1) + shine[..., None]
    return solid(colours, cover)


def _marks(stage: Stage, tips: list[Limb], *, nails: bool) -> Layer:
    """Nails on the ends of fingers, or the creases of a palm's side."""
    sketch = Sketch(stage.frame)
    varnish = stage.colour(_VARNISH) if stage.rng.random() < 0.2 else None
    colour = np.clip(stage.skin * [1.08, 1.0, 1.0] + 0.05, 0, 1) if varnish is None else varnish
    for tip in tips:
        start, end = np.array(tip.start), np.array(tip.end)
        way = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
        if nails:
            sketch.polygon(ellipse(end, 0.85 * tip.end_radius, 0.65 * tip.end_radius, way), rgb(colour))
            continue
        across = xy(-way[1], way[0]) * 0.8 * tip.start_radius
        for middle in (start, start + 0.04 * way):
            sketch.line([middle - across, middle + across], 0.015, rgb(stage.skin * 0.6))
    return sketch.layer().faded(0.8 if nails else 0.4)


def microphone(stage: Stage) -> Layer:
    """A microphone before the mouth."""
    rng = stage.rng
    mouth = stage.landmarks[MOUTH].mean(axis=0)
    head = mouth + xy(rng.uniform(-0.5, 0.5), rng.uniform(0.0, 0.45))
    lean = rng.uniform(-0.8, 0.8)
    radius = rng.uniform(0.28, 0.48)
    hold = head + np.array([np.sin(lean), np.cos(lean)]) * 5
    front, cover = relief([Limb(pair(head), pair(hold), 0.55 * radius, 0.5 * radius)], stage.frame)
    light, shine = shading(front, rng, ambient=0.4, gloss=0.35)
    handle = solid(stage.colour(_METAL) * light[..., None] + shine[..., None], cover)
    front, cover = relief([Limb(pair(head), pair(head), radius, radius)], stage.frame, flatness=1.0)
    light, shine = shading(front, rng, ambient=0.35, gloss=0.15)
    if rng.random() < 0.5:  # foam
        colours = stage.colour(CLOTH) * (light * stage.texture(0.03, 0.12))[..., None]
    else:  # a grille of wire
        (x, y), wires = stage.frame.grid(), rng.uniform(25, 45)
        mesh = 0.55 + 0.25 * (np.sin(wires * (x + y)) + np.sin(wires * (x - y)))
        colours = stage.colour(_METAL) * (light * mesh)[..., None] + shine[..., None]
    return solid(colours, cover).over(handle)


def bar(stage: Stage) -> Layer:
    """A pole, a ribbon or a board that crosses the picture."""
    rng, sketch = stage.rng, Sketch(stage.frame, colours=False)
    angle, half = rng.uniform(0, np.pi), rng.uniform(0.07, 0.35)
    centre = np.array([rng.uniform(-0.6, 0.6), rng.uniform(-0.7, 1.4)])
    way = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-way[1], way[0]])
    reach = 2 * max(stage.frame.size) / stage.frame.unit_px + 4
    sketch.polygon([centre + along * reach * way + aside * half * across for along, aside in _CORNERS])
    x, y = stage.frame.grid()
    x, y = x - np.float32(centre[0]), y - np.float32(centre[1])
    along = x * np.float32(way[0]) + y * np.float32(way[1])
    aside = (x * np.float32(across[0]) + y * np.float32(across[1])) / np.float32(half)
    colour = stage.colour(_BARS)
    style = rng.integers(4)
    if style == 0:  # plain
        factor = np.ones_like(aside)
    elif style == 1:  # a round pole
        factor = 0.35 + 0.9 * np.clip(1 - (aside + 0.25) ** 2, 0, 1)
    elif style == 2:  # stripes
        factor = np.where(np.sin(along * rng.uniform(6, 20) + aside * rng.uniform(0, 3)) > 0, 1.0, rng.uniform(0.2, 0.6))
    else:  # a board with grain
        factor = 1 + 0.25 * np.sin(aside * 9 + 2.5 * stage.spots(0.5))
    return solid(colour * (factor * stage.texture(0.05, 0.04))[..., None], sketch.cover())


def text(stage: Stage) -> Layer:
    """A line of words, sometimes with an outline or on a plate."""
    rng, sketch = stage.rng, Sketch(stage.frame)
    words = [str(rng.choice(_WORDS)) for _ in range(rng.integers(1, 3))] + [str(rng.integers(10, 9999))]
    height, slant = rng.uniform(0.25, 0.6), 0.0 if rng.random() < 0.5 else rng.uniform(-0.6, 0.6)
    centre = np.array([rng.uniform(-0.5, 0.5), rng.uniform(-0.6, 1.4)])
    ink = stage.colour(_INKS, 0.05)
    other = np.clip(1 - ink + rng.uniform(-0.1, 0.1, 3), 0, 1)
    half = sketch.text(" ".join(words), centre, height, slant, colour=rgb(ink), outline=rgb(other) if rng.random() < 0.3 else None)
    if rng.random() > 0.35:
        return sketch.layer()
    way = np.array([np.cos(slant), np.sin(slant)])
    across = np.array([-way[1], way[0]])
    plate = Sketch(stage.frame)
    plate.polygon([centre + i * (half + 0.15) * way + j * 0.85 * height * across for i, j in _CORNERS], rgb(other))
    return sketch.layer().over(plate.layer())
