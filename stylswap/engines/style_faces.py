"""Which photos of the identity each input meets in the style term."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from stylswap.data.faceset import FaceSet
from stylswap.losses.style import choose_style_faces

# Of the inputs at a time: all pairs of ten thousand faces and their candidates would take gigabytes.
CHUNK: Final = 256
DESCRIBED: Final = 32


def choose_rows(inputs: FaceSet, identity: FaceSet, count: int, *, point_weights: Tensor | None = None, copies: int = 1) -> Tensor:
    """The rows of the identity whose landmarks are closest to those of each row of the inputs.

    Args:
        inputs: K faces.
        identity: M faces; with copies, the first M / copies are the photos themselves.
        count: N, how many to choose for each.
        point_weights: See `choose_style_faces`.
        copies: How often each photo is there; only the first is chosen.

    Returns:
        (2K, N), of the photos themselves and their mirror images.
    """
    photos = len(identity) // copies
    landmarks = identity.all_landmarks
    own = torch.cat([landmarks[:photos], landmarks[len(identity) : len(identity) + photos]])  # (2 photos, 68, 2)
    chosen = [choose_style_faces(part, own, count, point_weights=point_weights) for part in inputs.all_landmarks.split(CHUNK)]
    rows = torch.cat(chosen)
    return torch.where(rows < photos, rows, rows - photos + len(identity))


def lit_alike(rows: Tensor, inputs: FaceSet, identity: FaceSet, copies: int, light: Callable[[Tensor], Tensor]) -> Tensor:
    """Of each chosen photo the copy whose light is closest to the input's.

    Without it, the style term asks for the light of the identity's photos, against the terms that keep the input's.

    Args:
        rows: See `choose_rows`, (2K, N).
        inputs: K faces.
        identity: Photos, then all of them under one lamp, then under the next; see `stylswap.data.augment.with_light_fan`.
        copies: How often each photo is there.
        light: The lighting critic, (B, 3, S, S) -> (B, D).

    Returns:
        (2K, N), rows of the identity.
    """
    photos, total = len(identity) // copies, len(identity)
    photo, mirrored = rows % total, rows >= total
    candidates = photo[..., None] + photos * torch.arange(copies) + total * mirrored[..., None]  # (2K, N, copies)
    wanted, offered = _described(inputs, light), _described(identity, light)
    nearest = []
    for features, some in zip(wanted.split(CHUNK), candidates.split(CHUNK), strict=True):
        # Unit vectors: the nearest is the one with the largest product.
        products = torch.einsum("kd,kncd->knc", features, offered[some])
        nearest.append(some.gather(2, products.argmax(dim=2, keepdim=True))[..., 0])
    return torch.cat(nearest)


@torch.no_grad()
def _described(faces: FaceSet, light: Callable[[Tensor], Tensor]) -> Tensor:
    """Features of all rows, (2M, D)."""
    parts = torch.arange(faces.num_rows).split(DESCRIBED)
    return torch.cat([light(faces.faces(part.tolist()).images).cpu() for part in parts])
