"""A trained network in use: aligned faces in, rendered faces out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from stylswap.faces.batch import FaceBatch


class Rendered(NamedTuple):
    """What an engine makes of aligned faces.

    Attributes:
        images: (B, 3, S, S) in [0, 1].
        masks: (B, 1, S, S) in [0, 1] where the engine knows better than the segmenter what it changed, else None.
    """

    images: Tensor
    masks: Tensor | None = None


class StyleRenderer:
    """A network in use."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def render(self, faces: FaceBatch) -> Rendered:
        """Give aligned faces the identity. One forward pass for the whole batch; a network in training is left in training."""
        images = faces.images.contiguous(memory_format=torch.channels_last)
        was_training = self._network.training
        try:
            return Rendered(self._network.eval()(images).clamp(0, 1).contiguous())
        finally:
            self._network.train(was_training)
