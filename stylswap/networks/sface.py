"""SFace: a face, aligned to 112 px -> 128 numbers that say who it is.

The network that was published with the weights: the first MobileNet with PReLU, nearly at its full width, whose last cells go through one
matrix. It only infers: every batch normalisation is folded into the convolution or the matrix beside it.
"""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn

from stylswap.shapes import check_shapes

SIDE_PX: Final = 112
NUM_FEATURES: Final = 128
STEM_CHANNELS: Final = 32
# Outputs and stride of each block, a depthwise and a pointwise convolution.
BLOCKS: Final = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))

_CELLS: Final = 7  # per side, after four halvings
_MIDDLE: Final = 127.5
_SPREAD: Final = 128.0


class SFace(nn.Module):
    """Aligned faces -> features, not yet of unit length.

    Reference:
        zhong2021 (the loss that it was trained with); howard2017 (MobileNet).

    Differs from the paper:
        Not the ResNet of its tables, but the small network that its authors gave to OpenCV's collection.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = (STEM_CHANNELS, *(outputs for outputs, _ in BLOCKS))
        self.stem = nn.Sequential(nn.Conv2d(3, STEM_CHANNELS, 3, padding=1), nn.PReLU(STEM_CHANNELS))
        self.blocks = nn.Sequential(*(_block(before, outputs, stride) for before, (outputs, stride) in zip(inputs, BLOCKS, strict=False)))
        self.to_features = nn.Linear(inputs[-1] * _CELLS**2, NUM_FEATURES)

    def forward(self, images: Tensor) -> Tensor:
        """Features of faces that are aligned to the five points of ArcFace.

        Args:
            images: (B, 3, 112, 112) RGB in [0, 1].

        Returns:
            (B, 128). Only their direction says something.

        Raises:
            ShapeError: If the images are no (B, 3, 112, 112).
        """
        check_shapes(images=(images, f"B 3 {SIDE_PX} {SIDE_PX}"))
        # Not folded into the stem: the border is padded with 0 after this step.
        cells = self.blocks(self.stem((images * 255.0 - _MIDDLE) / _SPREAD))  # (B, 1024, 7, 7)
        features: Tensor = self.to_features(cells.flatten(start_dim=1))
        return features


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride=stride, padding=1, groups=inputs),
        nn.PReLU(inputs),
        nn.Conv2d(inputs, outputs, 1),
        nn.PReLU(outputs),
    )
