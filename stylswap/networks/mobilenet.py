"""MobileNet: a face -> the means of its last 1,024 channels, that say who it is.

The first MobileNet at full width, without anything behind the means: a network that was taught to tell people apart has there what it
tells them apart by. It only infers: every batch normalisation is folded into the convolution before it.
"""

from __future__ import annotations

from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.errors import ShapeError
from stylswap.shapes import check_shapes

STEM_CHANNELS: Final = 32
# Outputs and stride of each block, a depthwise and a pointwise convolution.
BLOCKS: Final = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
NUM_FEATURES: Final = BLOCKS[-1][0]
SIDE_MULTIPLE: Final = 32

_MEAN_BGR: Final = (103.939, 116.779, 123.68)


class MobileNet(nn.Module):
    """Faces -> features, none of them negative, not yet of unit length.

    Reference:
        howard2017.

    Differs from the paper:
        Where a convolution halves, one row and one column of zeros lie at the bottom and at the right, and none at the top and at the left:
        it was trained with TensorFlow.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = (STEM_CHANNELS, *(outputs for outputs, _ in BLOCKS))
        self.stem = _Around(3, STEM_CHANNELS, stride=2)
        self.blocks = nn.Sequential(*(_Block(before, *sizes) for before, sizes in zip(inputs, BLOCKS, strict=False)))

    def forward(self, images: Tensor) -> Tensor:
        """Features of faces, at any size whose sides can be halved five times.

        Args:
            images: (B, 3, H, W) RGB in [0, 1], H and W multiples of 32.

        Returns:
            (B, 1024). Only their direction says something.

        Raises:
            ShapeError: If the images are no such tensor.
        """
        check_shapes(images=(images, "B 3 H W"))
        if images.shape[-2] % SIDE_MULTIPLE or images.shape[-1] % SIDE_MULTIPLE:
            raise ShapeError(f"images must have sides that are multiples of {SIDE_MULTIPLE}, got {tuple(images.shape)}")
        # Not folded into the stem: the border is padded with 0 after this step.
        centred = images.flip(1) * 255.0 - images.new_tensor(_MEAN_BGR)[:, None, None]
        cells: Tensor = self.blocks(self.stem(centred))  # (B, 1024, H / 32, W / 32)
        return cells.mean(dim=(2, 3))


class _Around(nn.Module):
    """A 3x3 convolution, cut off at 0 and 6: (B, inputs, H, W) -> (B, outputs, H / stride, W / stride), H and W even where it halves."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, groups=groups)
        self._padding = (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1)  # left, right, top, bottom

    def forward(self, cells: Tensor) -> Tensor:
        return F.relu6(self.convolution(F.pad(cells, self._padding)))


class _Block(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.look = _Around(inputs, inputs, stride=stride, groups=inputs)
        self.mix = nn.Conv2d(inputs, outputs, 1)

    def forward(self, cells: Tensor) -> Tensor:
        return F.relu6(self.mix(self.look(cells)))
