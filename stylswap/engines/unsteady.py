"""Judges that never look at a face twice in quite the same way.

What is drawn to please one network pleases another one less: part of it fits to that network, and to that place of every pixel, alone.
Where the face is cut a little differently in each step, such fits do not pay, and what is left is closer to what any network sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError
from stylswap.faces.landmarks import mirror_landmarks
from stylswap.shapes import check_shapes

_STREAM: Final = 68  # apart from other numbers that are drawn by row and step
_MIRROR_STREAM: Final = 69


def unsteady_cut(landmarks: Tensor, rows: Sequence[int], step: int, spread: float) -> Tensor:
    """Where a face lies if it had been found a little beside, larger, smaller or turned.

    By row and step alone: a resumed training sees the same.

    Args:
        landmarks: (B, 68, 2) in pixels.
        rows: Of the faces in their set, B numbers.
        step: Of the training.
        spread: Largest shift along an axis as a share of the landmarks' root mean square distance from their centre; also the largest turn
            in radians, and the largest change of the scale's logarithm. 0 leaves everything where it is.

    Returns:
        (B, 2, 3), from pixels to pixels; one similarity for each face, about the centre of its landmarks.

    Raises:
        ShapeError: If the landmarks are not (B, 68, 2).
        SettingsError: If the spread is negative or not a number.

    Reference:
        Not from the paper. xie2019: inputs that vary make what was fitted to one network fit to others.
    """
    check_shapes(landmarks=(landmarks, "B 68 2"))
    if not 0 <= spread < np.inf:
        raise SettingsError(f"spread must be 0 or more, got {spread}")
    drawn = np.stack([np.random.default_rng((_STREAM, row, step)).uniform(-spread, spread, 4) for row in rows])
    right, down, turn, growth = torch.from_numpy(drawn).to(landmarks).T  # (B,) each
    centre = landmarks.mean(dim=1)
    radius = (landmarks - centre[:, None]).square().sum(dim=2).mean(dim=1).sqrt()  # (B,)
    scale = torch.exp(growth)
    along, across = scale * torch.cos(turn), scale * torch.sin(turn)
    linear = torch.stack([torch.stack([along, -across], dim=1), torch.stack([across, along], dim=1)], dim=1)  # (B, 2, 2)
    shift = torch.stack([right, down], dim=1) * radius[:, None] + centre - (linear @ centre[:, :, None])[:, :, 0]
    return torch.cat([linear, shift[:, :, None]], dim=2)


def sometimes_mirrored(images: Tensor, landmarks: Tensor, rows: Sequence[int], step: int) -> tuple[Tensor, Tensor]:
    """Half of the faces as in a mirror: a person stays the same, and nearly all of what pleases one network by accident does not.

    By row and step alone.

    Args:
        images: (B, 3, S, S); gradients flow to them.
        landmarks: (B, 68, 2) in pixels.
        rows: Of the faces in their set, B numbers.
        step: Of the training.

    Returns:
        Images and landmarks, as they came or both mirrored, the points under the names that they have then.

    Raises:
        ShapeError: If B differs.
    """
    side = check_shapes(images=(images, "B C S S"), landmarks=(landmarks, "B 68 2"))["S"]
    chosen = torch.tensor([bool(np.random.default_rng((_MIRROR_STREAM, row, step)).integers(2)) for row in rows], device=images.device)
    mirrored = torch.from_numpy(mirror_landmarks(landmarks.cpu().numpy(), side)).to(landmarks)
    chosen_points = torch.where(chosen[:, None, None], mirrored, landmarks)
    return torch.where(chosen[:, None, None, None], images.flip(3), images), chosen_points


def moved_points(points: Tensor, cut: Tensor) -> Tensor:
    """Points in another cut.

    Args:
        points: (B, N, 2) in pixels.
        cut: (B, 2, 3), see `unsteady_cut`.

    Returns:
        (B, N, 2) in pixels.

    Raises:
        ShapeError: If B differs.
    """
    check_shapes(points=(points, "B N 2"), cut=(cut, "B 2 3"))
    return points @ cut[:, :, :2].transpose(1, 2) + cut[:, None, :, 2]


def moved_images(images: Tensor, cut: Tensor) -> Tensor:
    """Crops in another cut: what was at a point is at `moved_points` of it. Between pixels linear, the border's pixels go on beyond it.

    Args:
        images: (B, C, S, S); gradients flow to them.
        cut: (B, 2, 3), see `unsteady_cut`.

    Returns:
        (B, C, S, S).

    Raises:
        ShapeError: If B differs or the crops are not square.
    """
    side = check_shapes(images=(images, "B C S S"), cut=(cut, "B 2 3"))["S"]
    back = torch.linalg.inv(cut[:, :, :2])  # (B, 2, 2)
    # From pixel centres 0 to S - 1 to grid_sample's -1 to 1, at the outer edges: g = (2 p + 1) / S - 1, so p = middle + g S / 2.
    middle = (side - 1) / 2
    shift = back @ (middle - cut[:, :, 2:]) - middle  # (B, 2, 1), of the pixel that comes to the middle
    grid = F.affine_grid(torch.cat([back, shift * (2 / side)], dim=2), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
