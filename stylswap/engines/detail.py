"""Where the detail term looks: a window of the crop at full resolution, for each face another one in every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

# 1 / p and 1 / p^2, p the plastic number: multiples of them, without their whole parts, fill the square evenly.
_ALONG: Final = (0.7548776662466927, 0.5698402909980532)
# Keeps the windows of neighbouring rows apart, which one batch may hold.
_ROW_STRIDE: Final = 7919

Corner = tuple[int, int]
"""Top and left of a window in pixels."""


@dataclass(frozen=True)
class DetailOptions:
    """Choices of the detail term.

    Attributes:
        layers: Of the critic; their distances are averaged.
        num_faces: Of the style faces chosen for an input, the nearest ones, whose windows are compared.
        radius: Cells around the same cell that are searched; lashes of two photos lie some pixels apart.
    """

    layers: tuple[str, ...] = ("relu1_2", "relu3_1")
    num_faces: int = 2
    radius: int = 1


def window_corner(mask: Tensor, row: int, step: int, side: int) -> Corner:
    """A window's place, by row and step alone: a resumed training sees the same ones.

    The centre is spread evenly over the box of the face, and the window then pushed into that box, as far as it fits, and into the
    crop. So every pixel of the face comes into view again and again, those at the edge of the face included.

    Args:
        mask: The face, (1, S, S) in [0, 1].
        row: Of the face in its set.
        step: Of the training.
        side: Of the window in pixels, S at most.

    Returns:
        Top and left, each in 0 .. S - side.
    """
    face = mask[0] > 0.5  # (S, S)
    size = int(face.shape[-1])
    number = row * _ROW_STRIDE + step
    corner = []
    for axis, along in enumerate(_ALONG):
        places = face.any(dim=1 - axis).nonzero()
        low, high = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, size)
        centre = low + (number * along) % 1.0 * (high - low)
        place = min(max(round(centre - side / 2), low), max(high - side, low))
        corner.append(min(place, size - side))
    return corner[0], corner[1]


def windows(images: Tensor, corners: Sequence[Corner], side: int) -> Tensor:
    """One window of each image, (B, C, S, S) -> (B, C, side, side)."""
    cut = [image[:, top : top + side, left : left + side] for image, (top, left) in zip(images, corners, strict=True)]
    return torch.stack(cut)
