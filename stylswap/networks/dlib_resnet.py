"""dlib's face network: a face as dlib cuts it, 150 px -> 128 numbers that say who it is.

A ResNet of 29 convolutions with few filters. It only infers: the factor and the shift behind every convolution are folded into it.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.shapes import check_shapes

SIDE_PX: Final = 150
NUM_FEATURES: Final = 128
STEM_CHANNELS: Final = 32
# Outputs and stride of each block, two convolutions and a way around them.
BLOCKS: Final = (*((32, 1),) * 3, (64, 2), *((64, 1),) * 3, (128, 2), *((128, 1),) * 2, (256, 2), *((256, 1),) * 2, (256, 2))


class DlibResNet(nn.Module):
    """Faces as dlib cuts them -> features, of length 1.3 to 1.7. Two of one person are closer than 0.6.

    Reference:
        he2016 (the residual network); king2009 (dlib, which publishes this one as its example of face recognition).

    Differs from the paper:
        Half the filters and fewer blocks. The way around a halving is a mean of 2 x 2 pixels, to which channels of 0 are appended. A
        convolution that halves does not pad, so that the two ways may differ by a row and a column: the smaller gets zeros.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = (STEM_CHANNELS, *(outputs for outputs, _ in BLOCKS))
        # Without padding: so the step from [0, 1] to what dlib feeds, its mean colour subtracted, is folded into the stem too.
        self.stem = nn.Conv2d(3, STEM_CHANNELS, 7, stride=2)
        self.blocks = nn.Sequential(*(_Block(before, outputs, stride) for before, (outputs, stride) in zip(inputs, BLOCKS, strict=False)))
        self.to_features = nn.Linear(inputs[-1], NUM_FEATURES, bias=False)
        # Channels innermost: a fifth faster on a processor, there and back.
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Features of faces that were cut like dlib's.

        Args:
            images: (B, 3, 150, 150) RGB in [0, 1].

        Returns:
            (B, 128), not of unit length.

        Raises:
            ShapeError: If the images are no (B, 3, 150, 150).
        """
        check_shapes(images=(images, f"B 3 {SIDE_PX} {SIDE_PX}"))
        cells = F.max_pool2d(F.relu(self.stem(images)), 3, stride=2)  # (B, 32, 35, 35)
        features: Tensor = self.to_features(self.blocks(cells).mean(dim=(2, 3)))
        return features


class _Block(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H, W), or about half of each side at stride 2."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.halves = stride == 2
        self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=0 if self.halves else 1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, cells: Tensor) -> Tensor:
        through: Tensor = self.second(F.relu(self.first(cells)))
        around = F.avg_pool2d(cells, 2) if self.halves else cells
        return F.relu(_sum(through, around))


def _sum(one: Tensor, other: Tensor) -> Tensor:
    """Two maps of cells; where one is smaller in channels, rows or columns, zeros go on."""
    if one.shape == other.shape:
        return one + other
    channels, height, width = (max(sides) for sides in zip(one.shape[1:], other.shape[1:], strict=True))
    grown = [F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2], 0, channels - x.shape[1])) for x in (one, other)]
    return grown[0] + grown[1]
