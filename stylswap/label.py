"""A label that people can see: a line of text on a translucent plate in the photo's lower left corner.

On request. The machine-readable mark is always there; this is for photos that people look at. The words of the default follow the
European Commission's icons of June 2026 for Article 50 of the AI Act, which tell "AI-modified" (a real picture, changed) from
"AI-generated" (all of it): a photo with a swapped face is the former.
"""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stylswap.errors import PhotoError, UsageError
from stylswap.photo import Photo
from stylswap.photo.coding import TiffCoding
from stylswap.photo.photo import upright_photo
from stylswap.shapes import Rect

Font = ImageFont.FreeTypeFont
FloatArray = npt.NDArray[np.float32]

DEFAULT_LABEL: Final = "AI-modified: face replaced"

# White on this much black keeps a contrast of 7.0 on a white photo; 4.5 is what the accessibility guidelines (WCAG 2, AA) ask for.
_PLATE_OPACITY: Final = 0.65
_FONT_SIZE: Final = 1 / 40  # of the geometric mean of the photo's sides
_GOOD_FONT_PX, _LEAST_FONT_PX = 12, 8
_PADDING, _MARGIN, _LINE_HEIGHT = 0.5, 0.5, 1.25  # of the font's size
_MOST_OF_WIDTH, _MOST_OF_HEIGHT = 0.96, 0.5
_NO_GLYPH: Final = "\U0010ffff"  # no character, so that every font draws its sign for what it does not have
_INVERSE_TURNS: Final = {6: 8, 8: 6}  # of EXIF's orientations; the others are their own inverse


def draw_label(photo: Photo, text: str = DEFAULT_LABEL, *, font: Path | None = None) -> Photo:
    """The photo with a label in its lower left corner; every sample outside the plate stays the same bits.

    The letters are a fortieth of the photo's size, and smaller only where they would not fit otherwise. Lines are broken at spaces.
    Where the photo is transparent the plate is drawn over it and seen all the same.

    Args:
        photo: The photo, of any depth and number of channels.
        text: What it says; line breaks count as spaces.
        font: A TrueType or OpenType font; None: the one inside Pillow, which has English letters and few others.

    Returns:
        A new photo.

    Raises:
        UsageError: If the text is empty, the font cannot be read, or it has no sign for one of the characters.
        PhotoError: If the photo is too small for the text.
    """
    words = unicodedata.normalize("NFC", text).split()
    if not words:
        raise UsageError("the label is empty; give it some text, or leave it out")
    check_label(text, font=font)
    lines, size_px = _fitted(words, photo, font)
    covered, letters = _drawn(lines, _font(font, size_px), size_px)
    margin = min(round(_MARGIN * size_px), photo.height - covered.shape[0], photo.width - covered.shape[1])
    rect = Rect(photo.height - margin - covered.shape[0], margin, *covered.shape)
    return _pasted(photo, rect, covered, letters)


def check_label(text: str, *, font: Path | None = None) -> None:
    """Refuse a text that could not be drawn, before any photo is read.

    Raises:
        UsageError: If the font cannot be read, or has no sign for a character: it would draw empty boxes.
    """
    drawn = _font(font, _GOOD_FONT_PX)
    nothing = bytes(drawn.getmask(_NO_GLYPH))
    missing = [
        character
        for character in dict.fromkeys(unicodedata.normalize("NFC", text))
        if not character.isspace() and (bytes(drawn.getmask(character)) or nothing) == nothing
    ]
    if missing:
        named = ", ".join(f"'{one}' (U+{ord(one):04X})" if one.isprintable() else f"U+{ord(one):04X}" for one in missing)
        raise UsageError(
            f"the label '{text}' has characters that {font or 'the built-in font'} cannot draw: {named}; write it without them"
        )


def _font(path: Path | None, size_px: int) -> Font:
    if path is None:
        built_in = ImageFont.load_default(size_px)
        if not isinstance(built_in, ImageFont.FreeTypeFont):
            raise UsageError("this Pillow was built without FreeType and cannot draw a label; reinstall pillow from its wheel")
        return built_in
    try:
        return ImageFont.truetype(path, size_px)
    except OSError as error:
        raise UsageError(f"the font {path} cannot be read: {error}; give a TrueType or OpenType file") from error


def _fitted(words: list[str], photo: Photo, font: Path | None) -> tuple[list[str], int]:
    """Lines and size of the letters in pixels: the first combination that fits, in the order of preference."""
    for size_px in _sizes(photo):
        drawn = _font(font, size_px)
        room = _MOST_OF_WIDTH * photo.width - 2 * _PADDING * size_px
        lines = [words[0]]
        for word in words[1:]:
            longer = f"{lines[-1]} {word}"
            if drawn.getlength(longer) <= room:
                lines[-1] = longer
            else:
                lines.append(word)
        fits = max(drawn.getlength(line) for line in lines) <= room
        if fits and (len(lines) * _LINE_HEIGHT + 2 * _PADDING) * size_px <= _MOST_OF_HEIGHT * photo.height:
            return lines, size_px
    raise PhotoError(
        f"the photo of {photo.width} x {photo.height} px is too small for the label '{' '.join(words)}' in letters of {_LEAST_FONT_PX} px; "
        "take a shorter text, or a larger photo"
    )


def _sizes(photo: Photo) -> Iterator[int]:
    """Sizes of letters to try, in pixels, the wanted one first."""
    size_px = max(round(_FONT_SIZE * math.sqrt(photo.width * photo.height)), _GOOD_FONT_PX)
    while size_px > _LEAST_FONT_PX:
        yield size_px
        size_px = min(math.floor(size_px * 0.9), size_px - 1)
    yield _LEAST_FONT_PX


def _drawn(lines: list[str], font: Font, size_px: int) -> tuple[FloatArray, FloatArray]:
    """The plate with round corners and the letters on it, both (h, w): how much of each pixel they cover, in [0, 1]."""
    padding, line_px = round(_PADDING * size_px), math.ceil(_LINE_HEIGHT * size_px)
    boxes = [font.getbbox(line, anchor="ls") for line in lines]
    left, right = min(0, *(math.floor(box[0]) for box in boxes)), max(math.ceil(box[2]) for box in boxes)
    width, height = right - left + 2 * padding, line_px * len(lines) + 2 * padding
    plate, letters = Image.new("L", (width, height), 0), Image.new("L", (width, height), 0)
    ImageDraw.Draw(plate).rounded_rectangle((0, 0, width - 1, height - 1), radius=padding / 2, fill=255)
    ascent, descent = font.getmetrics()
    baseline = padding + (line_px - ascent - descent) / 2 + ascent
    for number, line in enumerate(lines):
        ImageDraw.Draw(letters).text((padding - left, round(baseline + number * line_px)), line, fill=255, font=font, anchor="ls")
    return tuple(np.asarray(layer, dtype=np.float32) / 255 for layer in (plate, letters))  # type: ignore[return-value]


def _pasted(photo: Photo, rect: Rect, covered: FloatArray, letters: FloatArray) -> Photo:
    """The plate in black, then the letters in white, laid over the photo."""
    plate = torch.from_numpy(covered * _PLATE_OPACITY)
    white = torch.from_numpy(letters * (covered > 0))
    changed = torch.from_numpy(covered > 0)[None]
    alpha = _alpha(photo, rect)
    below = photo.image(rect)
    if alpha is None:
        return photo.with_patch(rect, below * (1 - plate) * (1 - white) + white, changed)
    # Porter and Duff's "over": what shows through is the photo as far as it is opaque.
    premultiplied = isinstance(photo.coding, TiffCoding) and photo.coding.extra_samples[0] == 1
    opaque = 1 - (1 - alpha) * (1 - plate) * (1 - white)
    seen = below * (1 if premultiplied else alpha) * (1 - plate) * (1 - white) + white
    colours = seen if premultiplied else seen / opaque.clamp(min=1e-6)
    return _with_alpha(photo.with_patch(rect, colours, changed), rect, opaque, changed)


def _alpha(photo: Photo, rect: Rect) -> Tensor | None:
    """Alpha of a rectangle, (h, w) in [0, 1]; None where the photo has none, or is opaque there."""
    extra = photo.coding.extra_samples if isinstance(photo.coding, TiffCoding) else (2,)
    if photo.samples.shape[2] <= photo.num_colours or extra[0] not in (1, 2):
        return None
    upright = upright_photo(photo).samples[rect.top : rect.bottom, rect.left : rect.right, photo.num_colours]
    most = np.iinfo(upright.dtype).max
    return None if (upright == most).all() else torch.from_numpy(upright.astype(np.float32) / np.float32(most))


def _with_alpha(photo: Photo, rect: Rect, alpha: Tensor, changed: Tensor) -> Photo:
    """The photo with another alpha in a rectangle, where `changed` says so."""
    turned = upright_photo(photo).samples.copy()
    region = turned[rect.top : rect.bottom, rect.left : rect.right, photo.num_colours]
    where = changed[0].numpy()
    region[where] = np.rint(alpha.numpy()[where] * np.iinfo(turned.dtype).max).astype(turned.dtype)
    back = dataclasses.replace(photo, samples=turned, orientation=_INVERSE_TURNS.get(photo.orientation, photo.orientation))
    return dataclasses.replace(upright_photo(back), orientation=photo.orientation)
