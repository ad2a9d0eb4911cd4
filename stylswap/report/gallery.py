"""Small pictures of files: made once, coded at once, and shown side by side with their names."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import PhotoError
from stylswap.photo import Photo, jpeg_bytes, read_photo
from stylswap.shapes import Rect

# A hundred noisy photos must not make a page that no mail carries: the first quality that gives a file this small is taken.
QUALITIES: Final = (84, 70, 50, 30)
MOST_BYTES: Final = 26_000
BAND_PIXELS: Final = 2_000_000


@dataclass(frozen=True)
class Thumbnail:
    """A small picture as a JPEG file; a report holds many of them, so no pixels are kept.

    Attributes:
        jpeg: The file.
        width: Pixels.
        height: Pixels.
    """

    jpeg: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.jpeg).decode('ascii')}"


@dataclass(frozen=True)
class Tile:
    """One picture of a gallery.

    Attributes:
        picture: A text stands where there is no picture, and says why.
        caption: Below it; also what it shows, for those who cannot see it.
    """

    picture: Thumbnail | str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Small pictures side by side, as many in a line as there is room for."""

    tiles: tuple[Tile, ...]


def make_thumbnail(image: Tensor, *, longest_px: int = 320) -> Thumbnail:
    """An image as a small picture.

    Args:
        image: (3, H, W) in [0, 1].
        longest_px: Of the longer side; a smaller image keeps its size.
    """
    height, width = image.shape[-2:]
    scale = longest_px / max(height, width)
    if scale < 1:
        height, width = max(round(height * scale), 1), max(round(width * scale), 1)
        image = F.interpolate(image[None], size=(height, width), mode="bilinear", antialias=True, align_corners=False)[0]
    for quality in QUALITIES:
        jpeg = jpeg_bytes(image, quality=quality)
        if len(jpeg) <= MOST_BYTES:
            break
    return Thumbnail(jpeg, width, height)


def photo_thumbnail(photo: Photo, rect: Rect | None = None, *, longest_px: int = 320) -> Thumbnail:
    """A photo, or a rectangle of it, as a small picture.

    A hundred megapixels as floats fill gigabytes, so bands of the photo are first averaged in whole squares of pixels, down to at least
    twice the size of the thumbnail.

    Args:
        photo: Any size.
        rect: Not empty, in pixels of the upright photo; None for all of it.
        longest_px: Of the longer side.
    """
    top, left, height, width = rect or Rect(0, 0, photo.height, photo.width)
    square = max(max(height, width) // (2 * longest_px), 1)
    rows = square * max(BAND_PIXELS // (width * square), 1)
    bands = []
    for first in range(top, top + height, rows):
        band = photo.image(Rect(first, left, min(rows, top + height - first), width))  # (3, rows, width)
        bands.append(F.avg_pool2d(band, square, ceil_mode=True))
    return make_thumbnail(torch.cat(bands, dim=1), longest_px=longest_px)


def open_photo(path: Path, *, size_limit_mp: float = 100.0) -> Photo | str:
    """A photo for a thumbnail, or a few words on why there is none: files move while a batch runs, and that is no error."""
    try:
        return read_photo(path, size_limit_mp=size_limit_mp)
    except (PhotoError, OSError, ValueError, MemoryError):  # a path from a journal may even hold what no file system takes
        return "cannot be read" if _is_there(path) else "no longer there"


def gallery_html(gallery: Gallery) -> str:
    """The gallery."""
    return f'<div class="gallery">{"".join(map(_tile, gallery.tiles))}</div>'


def picture_html(picture: Thumbnail | str, shows: str) -> str:
    """A thumbnail, or the words that stand for it."""
    if isinstance(picture, str):
        return f'<div class="missing">{escape(picture)}</div>'
    return f'<img src="{picture.uri}" width="{picture.width}" height="{picture.height}" alt="{escape(shows)}">'


def _tile(tile: Tile) -> str:
    return f"<figure>{picture_html(tile.picture, tile.caption)}<figcaption>{escape(tile.caption)}</figcaption></figure>"


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
