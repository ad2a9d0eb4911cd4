"""A small copy of a photo with a box and a number on each face, to be looked at and never mistaken for a photo."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from stylswap.errors import UsageError
from stylswap.faces.batch import Face
from stylswap.storage import write_atomically

# Longer side of a preview. Small photos are enlarged, so that there is room for numbers.
SHORTEST_PX, LONGEST_PX = 640, 1600
# In the JPEG's comment: by it a preview that may be overwritten is told from a photo that may not.
COMMENT: Final = b"stylswap faces: preview"
CHOSEN, OTHER, INK = (255, 214, 10), (235, 235, 235), (0, 0, 0)

Box = tuple[float, float, float, float]


def draw_numbers(rgb_u8: npt.NDArray[np.uint8], faces: Sequence[Face], numbers: Sequence[int], chosen: Sequence[bool]) -> Image.Image:
    """The preview of a photo.

    Boxes are light on a dark rim and numbers dark on light, so that they are seen on any photo. Chosen faces are yellow, the others white.

    Args:
        rgb_u8: The upright photo, (H, W, 3) uint8 RGB.
        faces: In pixels of the photo.
        numbers: One for each face.
        chosen: One for each face.

    Returns:
        RGB, its longer side from 640 to 1600 px.
    """
    longer = max(rgb_u8.shape[:2])
    scale = min(max(longer, SHORTEST_PX), LONGEST_PX) / longer
    size = (max(round(rgb_u8.shape[1] * scale), 1), max(round(rgb_u8.shape[0] * scale), 1))
    picture = Image.fromarray(rgb_u8).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    canvas = ImageDraw.Draw(picture)
    line = max(2, round(max(size) / 400))
    boxes: list[Box] = [_scaled(face.box, scale) for face in faces]
    for box, taken in zip(boxes, chosen, strict=True):
        left, top, right, bottom = box
        canvas.rectangle((left - line // 2, top - line // 2, right + line // 2, bottom + line // 2), outline=INK, width=2 * line)
        canvas.rectangle(box, outline=CHOSEN if taken else OTHER, width=line)
    tags: list[Box] = []
    for index, (box, number) in enumerate(zip(boxes, numbers, strict=True)):
        font = ImageFont.load_default(min(max(0.3 * (box[2] - box[0]), max(size) / 55), max(size) / 30))
        others = [*tags, *(other for place, other in enumerate(boxes) if place != index)]
        tag = _free_place(box, _tag_size(str(number), font), size, others)
        tags.append(tag)
        canvas.rectangle(tag, fill=CHOSEN if chosen[index] else OTHER, outline=INK, width=max(1, line // 2))
        canvas.text(((tag[0] + tag[2]) / 2, (tag[1] + tag[3]) / 2), str(number), fill=INK, font=font, anchor="mm")
    return picture


def write_preview(picture: Image.Image, path: Path) -> None:
    """Write a preview as JPEG; only an older preview is overwritten.

    Raises:
        UsageError: If another file has this name.
        OSError: If it cannot be written.
    """
    check_free(path)
    file = BytesIO()
    picture.save(file, "JPEG", quality=90, comment=COMMENT)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, file.getvalue())


def check_free(path: Path) -> None:
    """Refuse a name that something else than a preview has.

    Raises:
        UsageError: If that is so.
    """
    if not path.exists():
        return
    try:
        with Image.open(path) as picture:
            is_preview = picture.info.get("comment") == COMMENT
    except OSError:
        is_preview = False
    if not is_preview:
        raise UsageError(f"{path} exists and is no preview of `stylswap faces`; give --preview another folder")


def _scaled(box: Box, scale: float) -> Box:
    left, top, right, bottom = (round(side * scale) for side in box)
    return left, top, max(right, left + 2), max(bottom, top + 2)


def _tag_size(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> tuple[float, float]:
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    high = bottom - top
    return max(right - left + 0.8 * high, 1.6 * high), 1.6 * high


def _free_place(box: Box, tag: tuple[float, float], picture: tuple[int, int], others: Sequence[Box]) -> Box:
    """Where the tag of a face covers least of the other faces and tags: above, below, beside it, or in its corner."""
    (left, top, right, bottom), (width, height) = box, tag
    corners = (
        (left, top - height), (right - width, top - height), (left, bottom), (right - width, bottom),
        (left - width, top), (right, top), (left, top),
    )  # fmt: skip
    best, least = (left, top, left + width, top + height), float("inf")
    for x, y in corners:
        inside_x, inside_y = min(max(x, 0), max(picture[0] - width - 1, 0)), min(max(y, 0), max(picture[1] - height - 1, 0))
        place = (inside_x, inside_y, inside_x + width, inside_y + height)
        covered = sum(_common(place, other) for other in others) + 0.1 * _common(place, box)
        if covered < least:
            best, least = place, covered
    return best


def _common(one: Box, other: Box) -> float:
    width, height = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)
