"""MobileFaceNet: a face, aligned to 112 px -> 192 numbers that say who it is.

Narrow blocks that widen, look around, and narrow again; the last cells are weighed one by one instead of averaged, because the middle of a
face says more than its corners. It only infers: every batch normalisation is folded into the convolution before it, and the two matrices
at its end, with nothing between them, are one.
"""

from __future__ import annotations

from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.shapes import check_shapes

SIDE_PX: Final = 112
NUM_FEATURES: Final = 192
STEM_CHANNELS: Final = 64
LAST_CHANNELS: Final = 512
# Inner channels, outputs and stride of each block.
BLOCKS: Final = (
    (128, 64, 2),
    *((128, 64, 1),) * 4,
    (256, 128, 2),
    *((256, 128, 1),) * 6,
    (512, 128, 2),
    *((256, 128, 1),) * 2,
)

_CELLS: Final = 7  # per side, after four halvings
_MIDDLE: Final = 127.5
_SPREAD: Final = 128.0


class MobileFaceNet(nn.Module):
    """Aligned faces -> features, not yet of unit length.

    Reference:
        chen2018.

    Differs from the paper:
        192 numbers instead of 128, from 512 by a matrix of its own. Where a convolution halves, one row and one column of zeros lie at the
        bottom and at the right, and none at the top and at the left: it was trained with TensorFlow.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = (STEM_CHANNELS, *(outputs for _, outputs, _ in BLOCKS))
        self.first = _Around(3, STEM_CHANNELS, stride=2)
        self.second = _Around(STEM_CHANNELS, STEM_CHANNELS, groups=STEM_CHANNELS)
        self.mix = nn.Conv2d(STEM_CHANNELS, STEM_CHANNELS, 1)
        self.blocks = nn.Sequential(*(_Block(before, *sizes) for before, sizes in zip(inputs, BLOCKS, strict=False)))
        self.last = nn.Sequential(nn.Conv2d(inputs[-1], LAST_CHANNELS, 1), nn.PReLU(LAST_CHANNELS))
        self.weigh_cells = nn.Conv2d(LAST_CHANNELS, LAST_CHANNELS, _CELLS, groups=LAST_CHANNELS)
        self.to_features = nn.Linear(LAST_CHANNELS, NUM_FEATURES)

    def forward(self, images: Tensor) -> Tensor:
        """Features of faces that are aligned to the five points of ArcFace.

        Args:
            images: (B, 3, 112, 112) RGB in [0, 1].

        Returns:
            (B, 192). Only their direction says something.

        Raises:
            ShapeError: If the images are no (B, 3, 112, 112).
        """
        check_shapes(images=(images, f"B 3 {SIDE_PX} {SIDE_PX}"))
        # Not folded into the first convolution: the border is padded with 0 after this step.
        cells = self.mix(self.second(self.first((images * 255.0 - _MIDDLE) / _SPREAD)))  # (B, 64, 56, 56)
        cells = self.last(self.blocks(cells))  # (B, 512, 7, 7)
        features: Tensor = self.to_features(self.weigh_cells(cells).flatten(start_dim=1))
        return features


class _Around(nn.Module):
    """A 3x3 convolution with its slope: (B, inputs, H, W) -> (B, outputs, H / stride, W / stride), H and W even where it halves."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, groups=groups)
        self.slope = nn.PReLU(outputs)
        self._padding = (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1)  # left, right, top, bottom

    def forward(self, cells: Tensor) -> Tensor:
        seen: Tensor = self.slope(self.convolution(F.pad(cells, self._padding)))
        return seen


class _Block(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride); what comes in is added to what goes out where both have one shape."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.widen = nn.Sequential(nn.Conv2d(inputs, inner, 1), nn.PReLU(inner))
        self.look = _Around(inner, inner, stride=stride, groups=inner)
        self.narrow = nn.Conv2d(inner, outputs, 1)
        self._adds = stride == 1 and inputs == outputs

    def forward(self, cells: Tensor) -> Tensor:
        change: Tensor = self.narrow(self.look(self.widen(cells)))
        return cells + change if self._adds else change
