"""Face recognisers that never look at a face twice in quite the same way.

What is drawn to please one recogniser pleases another one less: part of it fits to that network, and to that place of every pixel, alone.
Where the face is cut a little differently in each step, such fits do not pay, and what is left is closer to what any recogniser sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from stylswap.errors import SettingsError
from stylswap.shapes import check_shapes

_STREAM: Final = 68  # apart from other numbers that are drawn by row and step


def unsteady(landmarks: Tensor, rows: Sequence[int], step: int, spread: float) -> Tensor:
    """Landmarks as if the face had been found a little beside, larger, smaller or turned.

    By row and step alone: a resumed training sees the same.

    Args:
        landmarks: (B, 68, 2) in pixels.
        rows: Of the faces in their set, B numbers.
        step: Of the training.
        spread: Largest shift along an axis as a share of the landmarks' root mean square distance from their centre; also the largest turn
            in radians, and the largest change of the scale's logarithm. 0 leaves them.

    Returns:
        (B, 68, 2); one similarity for all points of a face.

    Raises:
        ShapeError: If the landmarks are not (B, 68, 2).
        SettingsError: If the spread is negative or not a number.

    Reference:
        Not from the paper. xie2019: inputs that vary make what was fitted to one network fit to others.
    """
    check_shapes(landmarks=(landmarks, "B 68 2"))
    if not 0 <= spread < np.inf:
        raise SettingsError(f"spread must be 0 or more, got {spread}")
    if spread == 0:
        return landmarks
    drawn = np.stack([np.random.default_rng((_STREAM, row, step)).uniform(-spread, spread, 4) for row in rows])
    right, down, turn, growth = torch.from_numpy(drawn).to(landmarks).T.unsqueeze(-1)  # (B, 1) each
    centre = landmarks.mean(dim=1, keepdim=True)
    x, y = (landmarks - centre).unbind(dim=-1)  # (B, 68)
    radius = (x.square() + y.square()).mean(dim=1, keepdim=True).sqrt()  # (B, 1)
    scale = torch.exp(growth)
    along, across = scale * torch.cos(turn), scale * torch.sin(turn)
    return centre + torch.stack([along * x - across * y + right * radius, across * x + along * y + down * radius], dim=-1)
