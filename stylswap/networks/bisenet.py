"""Face parsing in two paths: which part of a head does each pixel show?

The network of BiSeNet with ResNet-18 as its context path, in the variant that face parsers are trained in: the spatial path is the
ResNet's own output at an eighth of the side. It only infers: batch normalisation is folded into the convolutions before it, and the
heads that supervised two deeper layers in training are not there.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.errors import ShapeError
from stylswap.shapes import check_shapes

NUM_CLASSES: Final = 19
SIDE_MULTIPLE: Final = 32
CELL_PX: Final = 8  # one cell of the logits covers this many pixels of the image

_WIDTHS: Final = (64, 128, 256, 512)  # channels of the ResNet's four stages, at 1/4, 1/8, 1/16, 1/32 of the side
_CONTEXT: Final = 128  # channels of the context path
_FUSED: Final = 256  # channels after fusion


class BiSeNet(nn.Module):
    """Images, normalised as for ImageNet -> logits of 19 classes at an eighth of the side.

    Reference:
        yu2018, section 3; he2016, ResNet-18.

    Differs from the paper:
        The spatial path is the ResNet's second stage instead of three convolutions of its own, the context is enlarged by repeating cells,
        and each enlargement is followed by a convolution.
    """

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18()
        self.arm16 = AttentionRefinement(_WIDTHS[2])
        self.arm32 = AttentionRefinement(_WIDTHS[3])
        self.head16 = _conv(_CONTEXT, _CONTEXT, 3)
        self.head32 = _conv(_CONTEXT, _CONTEXT, 3)
        self.average = _conv(_WIDTHS[3], _CONTEXT, 1)
        self.fusion = FeatureFusion()
        self.before_classes = _conv(_FUSED, _FUSED, 3)
        self.to_classes = nn.Conv2d(_FUSED, NUM_CLASSES, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of cells.

        Args:
            images: (B, 3, H, W), mean and spread of ImageNet taken off; H and W multiples of 32.

        Returns:
            (B, 19, H / 8, W / 8). The first and the last cell lie on the first and the last pixel: enlarge with ``align_corners=True``, as
            in the training of the weights.

        Raises:
            ShapeError: If H or W is no multiple of 32.
        """
        sizes = check_shapes(images=(images, "B 3 H W"))
        if sizes["H"] % SIDE_MULTIPLE or sizes["W"] % SIDE_MULTIPLE:
            raise ShapeError(f"images must be multiples of {SIDE_MULTIPLE} px high and wide, got {tuple(images.shape)}")
        eighth, sixteenth, last = self.resnet(images)
        average = F.relu(self.average(_mean_of_cells(last)))  # (B, 128, 1, 1)
        context = self.arm32(last) + average  # (B, 128, H / 32, W / 32)
        context = F.relu(self.head32(_doubled(context)))  # (B, 128, H / 16, W / 16)
        context = self.arm16(sixteenth) + context
        context = F.relu(self.head16(_doubled(context)))  # (B, 128, H / 8, W / 8)
        fused = self.fusion(eighth, context)
        logits: Tensor = self.to_classes(F.relu(self.before_classes(fused)))
        return logits


class ResNet18(nn.Module):
    """The 18-layer residual network without its classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, _WIDTHS[0], 7, stride=2)
        before = (_WIDTHS[0], *_WIDTHS)
        self.stages = nn.ModuleList(
            nn.Sequential(ResidualBlock(before[level], width, stride=1 if level == 0 else 2), ResidualBlock(width, width))
            for level, width in enumerate(_WIDTHS)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features at 1/8, 1/16 and 1/32 of the side, of images (B, 3, H, W)."""
        cells = F.max_pool2d(F.relu(self.stem(images)), kernel_size=3, stride=2, padding=1)  # (B, 64, H / 4, W / 4)
        features = []
        for stage in self.stages:
            cells = stage(cells)
            features.append(cells)
        _, eighth, sixteenth, last = features
        return eighth, sixteenth, last


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity, or beside a 1x1 convolution where the size changes."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.first = _conv(inputs, outputs, 3, stride=stride)
        self.second = _conv(outputs, outputs, 3)
        self.shortcut = _conv(inputs, outputs, 1, stride=stride) if stride != 1 or inputs != outputs else nn.Identity()

    def forward(self, cells: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H / stride, W / stride)."""
        return F.relu(self.second(F.relu(self.first(cells))) + self.shortcut(cells))


class AttentionRefinement(nn.Module):
    """A convolution whose channels are weighed by what the whole picture holds."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.features = _conv(inputs, _CONTEXT, 3)
        self.attention = _conv(_CONTEXT, _CONTEXT, 1)

    def forward(self, cells: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, 128, H, W)."""
        features = F.relu(self.features(cells))
        return features * torch.sigmoid(self.attention(_mean_of_cells(features)))


class FeatureFusion(nn.Module):
    """Fine and wide features side by side, mixed; then the channels that matter are strengthened."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = _conv(_WIDTHS[1] + _CONTEXT, _FUSED, 1)
        self.squeeze = nn.Conv2d(_FUSED, _FUSED // 4, 1, bias=False)
        self.excite = nn.Conv2d(_FUSED // 4, _FUSED, 1, bias=False)

    def forward(self, fine: Tensor, wide: Tensor) -> Tensor:
        """Twice (B, 128, H, W) -> (B, 256, H, W)."""
        features = F.relu(self.mix(torch.cat([fine, wide], dim=1)))
        attention = torch.sigmoid(self.excite(F.relu(self.squeeze(_mean_of_cells(features)))))
        return features + features * attention


def _conv(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)


def _mean_of_cells(cells: Tensor) -> Tensor:
    return cells.mean(dim=(2, 3), keepdim=True)


def _doubled(cells: Tensor) -> Tensor:
    return F.interpolate(cells, scale_factor=2.0, mode="nearest")
