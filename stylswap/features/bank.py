"""Features of faces that do not change, computed once and looked up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import torch
from torch import Tensor


class Critic(Protocol):
    """A frozen network with named layers."""

    def __call__(self, images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Images (B, 3, S, S) in [0, 1] -> features (B, C, H, W) by layer."""
        ...


class FeatureBank:
    """Rows of features in float16, computed at first use.

    Each row is computed alone and rounded to float16 whether it is kept or not, so that a value depends neither on the batch it was first
    asked for in nor on the memory that was left: a resumed training sees the same numbers.
    """

    def __init__(
        self, critic: Critic, layers: Sequence[str], image: Callable[[int], Tensor], *, budget_bytes: int | None = None
    ) -> None:
        """Nothing is computed yet.

        Args:
            critic: Gives the features.
            layers: The layers to keep.
            image: Gives the image of a row, (3, S, S), on the critic's device.
            budget_bytes: Memory for rows; rows beyond it are computed again each time. None: no limit.
        """
        self._critic = critic
        self._layers = tuple(layers)
        self._image = image
        self._budget_bytes = budget_bytes
        self._bytes = 0
        self._rows: dict[int, dict[str, Tensor]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def lookup(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """The features of some rows, (B, C, H, W) float16, channels last, by layer."""
        found = [self._row(row) for row in rows]
        return {layer: torch.stack([features[layer] for features in found]).permute(0, 3, 1, 2) for layer in self._layers}

    def _row(self, row: int) -> dict[str, Tensor]:
        if row in self._rows:
            return self._rows[row]
        with torch.no_grad():
            features = self._critic(self._image(row)[None], self._layers)
        # (H, W, C): the style term compares cells, and reads them twice as fast when a cell's channels lie together.
        kept = {layer: features[layer][0].permute(1, 2, 0).half().contiguous() for layer in self._layers}
        num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in kept.values())
        if self._budget_bytes is None or self._bytes + num_bytes <= self._budget_bytes:
            self._rows[row] = kept
            self._bytes += num_bytes
        return kept
