"""The contact sheet of a study: a row of outputs for each variant, with its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stylswap.errors import ShapeError
from stylswap.shapes import check_shapes

GAP_PX: Final = 2
# Of the letters, in parts of a picture's side; under the least nobody can read them.
TEXT_SHARE: Final = 0.11
LEAST_TEXT_PX: Final = 10
# The names' column, in parts of a picture's side.
WIDEST_NAMES: Final = 1.3
INK: Final = 32

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def study_sheet(rows: Sequence[tuple[str, Tensor]], inputs: Tensor, *, inputs_name: str = "input") -> Tensor:
    """Pictures of all variants below the inputs, names at the left, on white.

    Args:
        rows: Name and outputs (B, 3, S, S) in [0, 1] of each variant. A picture that holds what is no number is black there.
        inputs: The held-out inputs, (B, 3, S, S); the first row.
        inputs_name: At their left.

    Returns:
        (3, H, W) in [0, 1].

    Raises:
        ShapeError: If a row differs from the inputs in shape, or there are no inputs.
    """
    check_shapes(inputs=(inputs, "B 3 S S"))
    if not len(inputs):
        raise ShapeError("a contact sheet needs at least one input, and got none")
    for name, outputs in rows:
        check_shapes(**{"inputs": (inputs, "B 3 S S"), f"outputs of {name}": (outputs, "B 3 S S")})
    side = inputs.shape[-1]
    text_px = max(round(TEXT_SHARE * side), LEAST_TEXT_PX)
    font = ImageFont.load_default(text_px)
    lines = [_wrapped(name, font, WIDEST_NAMES * side) for name in (inputs_name, *(name for name, _ in rows))]
    width = round(max(font.getlength(line) for parts in lines for line in parts)) + 2 * text_px
    drawn = []
    for parts, pictures in zip(lines, (inputs, *(outputs for _, outputs in rows)), strict=True):
        label = _label(parts, font, (side, width), text_px)  # (3, S, width)
        strip = [label, *pictures.detach().cpu().float().nan_to_num(0.0).clamp(0, 1)]
        drawn.append(torch.cat([F.pad(picture, (0, GAP_PX, GAP_PX, 0), value=1.0) for picture in strip], dim=2))
    return F.pad(torch.cat(drawn, dim=1), (0, 0, 0, GAP_PX), value=1.0)


def _label(lines: Sequence[str], font: Font, size: tuple[int, int], text_px: int) -> Tensor:
    """A name in the middle of its row's height, (3, H, W)."""
    canvas = Image.new("L", (size[1], size[0]), 255)
    draw = ImageDraw.Draw(canvas)
    line_px = round(1.25 * text_px)
    top = max((size[0] - line_px * len(lines)) / 2, 0)
    for number, line in enumerate(lines):
        draw.text((text_px / 2, top + line_px * number), line, fill=INK, font=font)
    label_u8 = np.asarray(canvas, dtype=np.uint8)  # (H, W)
    return torch.from_numpy(label_u8.copy()).float().div(255).expand(3, -1, -1)


def _wrapped(text: str, font: Font, widest_px: float) -> list[str]:
    """A text in lines of at most a width; a word that is wider is cut into pieces."""
    lines: list[str] = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= widest_px:
            lines[-1] = joined
            continue
        lines.append("")
        for letter in word:
            if font.getlength(lines[-1] + letter) > widest_px and lines[-1]:
                lines.append("")
            lines[-1] += letter
    return [line for line in lines if line] or [""]
