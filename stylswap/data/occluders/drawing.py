"""What occluders are drawn with: the face's own frame, anti-aliased shapes, rounded limbs under a lamp, noise.

Convention:
    Shapes are planned in the face's frame: the origin lies between the eyes, x goes to the right of the picture along the eyes, y down
    the face, and the unit is the distance of the eyes, about 63 mm. A `Layer` is premultiplied: its colours are already times its alpha.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from stylswap.faces.landmarks import LEFT_EYE, MOUTH, RIGHT_EYE

FloatArray = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32]
Colour = tuple[float, float, float]

BLACK: Final = (0.0, 0.0, 0.0)
WHITE: Final = (1.0, 1.0, 1.0)

# Samples a side of a pixel. A large picture's edges are finer than the eye already, and its canvas would be large.
_SUPERSAMPLING: Final = 3
_LARGE_PX: Final = 640
# A head turned aside brings the eyes together but not eyes and mouth, which are about one distance of the eyes apart.
_EYES_TO_MOUTH: Final = 1.1


@dataclass(frozen=True, eq=False)
class FaceFrame:
    """Where the face is.

    Attributes:
        origin: Between the eyes, in pixels, (2,).
        axes: Columns: one unit to the right and one down the face, in pixels, (2, 2).
        size: (height, width) of the picture.
    """

    origin: FloatArray
    axes: FloatArray
    size: tuple[int, int]

    @classmethod
    def of(cls, landmarks: FloatArray, size: tuple[int, int]) -> FaceFrame:
        """The frame of a face with landmarks (68, 2)."""
        left, right = landmarks[LEFT_EYE].mean(axis=0), landmarks[RIGHT_EYE].mean(axis=0)
        origin = (left + right) / 2
        across = right - left
        apart = float(np.linalg.norm(across))
        unit_px = max(apart, float(np.linalg.norm(landmarks[MOUTH].mean(axis=0) - origin)) / _EYES_TO_MOUTH, 1.0)
        across = across / apart if apart > 1e-6 else np.array([1.0, 0.0])
        return cls(origin, np.array([[across[0], -across[1]], [across[1], across[0]]]) * unit_px, size)

    @property
    def unit_px(self) -> float:
        """Length of the unit in pixels."""
        return float(np.hypot(*self.axes[:, 0]))

    def pixels(self, points: npt.ArrayLike) -> FloatArray:
        """Points (..., 2) of the face's frame in pixels of the picture."""
        return np.asarray(np.asarray(points, dtype=np.float64) @ self.axes.T + self.origin)

    def points(self, pixels: FloatArray) -> FloatArray:
        """Pixels (..., 2) in the face's frame."""
        return np.asarray((pixels - self.origin) @ np.linalg.inv(self.axes).T)

    def grid(self) -> tuple[Pixels, Pixels]:
        """Every pixel of the picture in the face's frame: x and y, (H, W) each."""
        across, down = np.linalg.inv(self.axes)
        ys, xs = (line.astype(np.float32) for line in np.ogrid[: self.size[0], : self.size[1]])
        x, y = xs - np.float32(self.origin[0]), ys - np.float32(self.origin[1])
        return x * np.float32(across[0]) + y * np.float32(across[1]), x * np.float32(down[0]) + y * np.float32(down[1])


class Layer(NamedTuple):
    """A drawing with its own opacity.

    Attributes:
        colour: Premultiplied, (H, W, 3).
        alpha: (H, W) in [0, 1].
    """

    colour: Pixels
    alpha: Pixels

    def over(self, below: Layer) -> Layer:
        """Both, this one above."""
        through = 1 - self.alpha
        return Layer(self.colour + through[..., None] * below.colour, self.alpha + through * below.alpha)

    def tinted(self, factor: npt.NDArray[np.floating]) -> Layer:
        """The same shape with its colours multiplied by (H, W) or (H, W, 3)."""
        factor = factor if factor.ndim == 3 else factor[..., None]
        return Layer(np.clip(self.colour * factor, 0, self.alpha[..., None]).astype(np.float32), self.alpha)

    def faded(self, opacity: npt.NDArray[np.floating] | float) -> Layer:
        """The same, less opaque; `opacity` is a number or (H, W)."""
        alpha = (self.alpha * opacity).astype(np.float32)
        return Layer((self.colour * np.asarray(opacity)[..., None]).astype(np.float32), alpha)


class Sketch:
    """A canvas for polygons and lines, drawn enlarged and averaged.

    Args:
        frame: Of the face.
        colours: False for shapes alone, which is faster; `cover` gives them.
    """

    def __init__(self, frame: FaceFrame, *, colours: bool = True) -> None:
        height, width = frame.size
        self._frame = frame
        self._scale = _SUPERSAMPLING if max(height, width) <= _LARGE_PX else 2
        size = (width * self._scale, height * self._scale)
        self._cover = Image.new("L", size)
        self._colour = Image.new("RGB", size) if colours else None

    def _places(self, points: npt.ArrayLike) -> list[tuple[float, float]]:
        pixels = (self._frame.pixels(points) + 0.5) * self._scale - 0.5
        return [(float(x), float(y)) for x, y in pixels]

    def _pens(self, colour: Colour | None) -> Iterator[tuple[ImageDraw.ImageDraw, int | tuple[int, int, int]]]:
        """Pens for the canvases and what they fill with; None erases."""
        yield ImageDraw.Draw(self._cover), 0 if colour is None else 255
        if self._colour is not None:
            yield ImageDraw.Draw(self._colour), _u8(colour or BLACK)

    def polygon(self, points: npt.ArrayLike, colour: Colour = WHITE) -> None:
        """Fill a polygon of points (P, 2) in the face's frame."""
        places = self._places(points)
        for pen, fill in self._pens(colour):
            pen.polygon(places, fill=fill)

    def erase(self, points: npt.ArrayLike) -> None:
        """Cut a polygon out."""
        places = self._places(points)
        for pen, fill in self._pens(None):
            pen.polygon(places, fill=fill)

    def line(self, points: npt.ArrayLike, width: float, colour: Colour = WHITE) -> None:
        """Draw a line through points (P, 2), `width` units wide, at least half a pixel."""
        places = self._places(points)
        width_px = max(round(width * self._frame.unit_px * self._scale), self._scale // 2)
        for pen, fill in self._pens(colour):
            pen.line(places, fill=fill, width=width_px, joint="curve" if width_px > 8 else None)

    def text(self, text: str, centre: FloatArray, height: float, slant: float, *, colour: Colour, outline: Colour | None = None) -> float:
        """Write a line round a centre (2,), capitals `height` units high, turned clockwise by `slant` radians against the face.

        Returns:
            Half its length in units.
        """
        px_per_unit = self._frame.unit_px * self._scale
        font = ImageFont.load_default(max(1.4 * height * px_per_unit, 4.0))  # a capital is 0.7 of the font's size high
        stroke = max(round(0.06 * height * px_per_unit), 1) if outline else 0
        left, top, right, bottom = font.getbbox(text, stroke_width=stroke)
        axis = self._frame.axes[:, 0]
        turn_deg = np.degrees(slant + np.arctan2(axis[1], axis[0]))
        x, y = self._places(centre[None])[0]
        for wide, ink in ((stroke, outline), (0, colour)):
            if ink is None:
                continue
            line = Image.new("L", (round(right - left), round(bottom - top)))
            ImageDraw.Draw(line).text((-left, -top), text, fill=255, font=font, stroke_width=wide)
            line = line.rotate(-turn_deg, Image.Resampling.BICUBIC, expand=True)
            corner = (round(x - line.width / 2), round(y - line.height / 2))
            box = (*corner, corner[0] + line.width, corner[1] + line.height)
            self._cover.paste(255, box, line)
            if self._colour is not None:
                self._colour.paste(_u8(ink), box, line)
        return float(right - left) / (2 * px_per_unit)

    def cover(self) -> Pixels:
        """The shape that was drawn, (H, W) in [0, 1]."""
        return _averaged(self._cover, self._scale)

    def layer(self) -> Layer:
        """What was drawn, in its colours; in white where they were not asked for."""
        cover = self.cover()
        return Layer(_averaged(self._colour, self._scale) if self._colour is not None else np.repeat(cover[..., None], 3, axis=-1), cover)


def _averaged(canvas: Image.Image, scale: int) -> Pixels:
    return np.asarray(canvas.reduce(scale)).astype(np.float32) / np.float32(255)


def _u8(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (round(255 * min(max(value, 0.0), 1.0)) for value in colour)
    return red, green, blue


def noise(rng: np.random.Generator, size: tuple[int, int], cell_px: float, stretch: float = 1.0) -> Pixels:
    """Smooth noise of about unit spread, (H, W); spots are `cell_px` high and `stretch` times as wide."""
    height, width = size
    rows, columns = (max(round(side / cell), 2) + 1 for side, cell in ((height, cell_px), (width, cell_px * stretch)))
    coarse = Image.fromarray(rng.standard_normal((rows, columns)).astype(np.float32), mode="F")
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)


def blurred(picture: Pixels, sigma_px: float) -> Pixels:
    """About a Gaussian, by way of a smaller picture."""
    height, width = picture.shape
    step = max(sigma_px, 1.0)
    small = (max(round(width / step), 1), max(round(height / step), 1))
    reduced = Image.fromarray(picture, mode="F").resize(small, Image.Resampling.BILINEAR)
    return np.asarray(reduced.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)


class Limb(NamedTuple):
    """A rounded stick that may taper.

    Attributes:
        start: In the face's frame, (x, y).
        end: The other end.
        start_radius: In units.
        end_radius: In units.
        lift: How far its axis lies in front of the picture, in units.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    start_radius: float
    end_radius: float
    lift: float = 0.0


def relief(limbs: Sequence[Limb], frame: FaceFrame, flatness: float = 0.7) -> tuple[Pixels, Pixels]:
    """Height and cover of limbs that lie on each other.

    Args:
        limbs: At least one.
        frame: Of the picture.
        flatness: Depth of a limb over its radius.

    Returns:
        Height of the front surface in pixels, (H, W), 0 where there is none; exact anti-aliased cover, (H, W) in [0, 1].
    """
    height, width = frame.size
    front, cover = np.zeros(frame.size, np.float32), np.zeros(frame.size, np.float32)
    for limb in limbs:
        ends = frame.pixels([limb.start, limb.end])
        radii_px = np.array([limb.start_radius, limb.end_radius]) * frame.unit_px
        low = np.maximum(np.floor((ends - radii_px[:, None]).min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil((ends + radii_px[:, None]).max(axis=0)).astype(int) + 2, (width, height))
        if (high <= low).any():
            continue
        box = (slice(low[1], high[1]), slice(low[0], high[0]))
        ys, xs = np.ogrid[box]
        x, y = (xs - ends[0, 0]).astype(np.float32), (ys - ends[0, 1]).astype(np.float32)
        way = ends[1] - ends[0]
        along = np.clip((x * way[0] + y * way[1]) / max(float(way @ way), 1e-9), 0, 1)
        distance = np.hypot(x - along * way[0], y - along * way[1])
        radius = radii_px[0] + along * (radii_px[1] - radii_px[0])
        cover[box] = np.maximum(cover[box], np.clip(radius - distance + 0.5, 0, 1))
        bulge = flatness * np.sqrt(np.maximum(radius**2 - distance**2, 0)) + limb.lift * frame.unit_px * (distance < radius)
        front[box] = np.maximum(front[box], bulge)
    return front, cover


def shading(front: Pixels, rng: np.random.Generator, *, ambient: float = 0.5, gloss: float = 0.0) -> tuple[Pixels, Pixels]:
    """Light on a relief from above and one side.

    Args:
        front: Height in pixels, (H, W).
        rng: Chooses the side.
        ambient: Share of the light that comes from everywhere.
        gloss: Strength of the highlight.

    Returns:
        Factor of the colour, about 1 where the surface faces the lamp, and white to add; (H, W) each.
    """
    down, right = np.gradient(front)
    lamp = np.array([rng.uniform(-0.7, 0.7), rng.uniform(-0.8, -0.2), 1.0])
    lamp /= np.linalg.norm(lamp)
    length = np.sqrt(right**2 + down**2 + 1)
    facing = np.clip((lamp[2] - right * lamp[0] - down * lamp[1]) / length, 0, 1)
    return (ambient + (1.15 - ambient) * facing).astype(np.float32), (gloss * facing**30).astype(np.float32)


def solid(colour: npt.ArrayLike, alpha: Pixels) -> Layer:
    """A layer of one colour (3,), or of colours (H, W, 3), in a shape (H, W)."""
    return Layer((np.clip(np.asarray(colour, np.float32), 0, 1) * alpha[..., None]).astype(np.float32), alpha)
