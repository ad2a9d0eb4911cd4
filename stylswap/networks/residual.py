"""A residual U-shape: starts as the identity and learns what to change."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from stylswap.errors import SettingsError
from stylswap.networks.blocks import (
    ResidualBlock,
    Setting,
    SwapNetwork,
    check_whole,
    conv_norm_relu,
    conv_relu,
    enlarge,
    initialise,
)


class ResidualNetwork(SwapNetwork):
    """A U-shape whose result is added to the input: ``output = input + net(input)``.

    Strided convolutions lead down to S/16, residual blocks work there, and bilinear enlarging with skip connections leads up
    again. The last convolution starts at zero, so an untrained network returns its input, exactly, and training only has to learn
    the difference. It enlarges first and convolves then, and the strided kernels (4) are a multiple of the stride (2), so neither
    the output nor the gradient gets a checkerboard.

    On a CPU it is the full resolution that costs time. It has one convolution on the way down, two on the way up, and no norm;
    without one, the skip connection also keeps the brightness and contrast of the photo. Work is spent low down, where it is
    cheap: the two coarsest levels on the way up get a residual block each.

    Args:
        widths: Channels of each level, from full resolution down; each level has half the side of the one before.
        blocks: Residual blocks at the bottom.

    Raises:
        SettingsError: If there are fewer than two widths, or a width or `blocks` is no positive whole number.

    Reference:
        Not from the paper. ronneberger2015 (skip connections), he2016 (residual blocks), ulyanov2016 (instance norm), odena2016
        (enlarge, then convolve).

    Differs from the paper:
        In everything: the paper's network is `PyramidNetwork`.
    """

    name: ClassVar[str] = "residual"

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 128, 128), blocks: int = 4) -> None:
        super().__init__()
        if isinstance(widths, str) or not isinstance(widths, Sequence) or len(widths) < 2:
            raise SettingsError(f"{self.name}: widths must be two or more whole numbers, for instance [16, 32, 64], got {widths!r}")
        check_whole(self.name, 1, **{f"widths[{level}]": width for level, width in enumerate(widths)})
        check_whole(self.name, 1, blocks=blocks)
        self.widths = tuple(widths)
        self.blocks = blocks
        self.stem = conv_relu(3, widths[0], kernel=3)
        self.downs = nn.ModuleList(conv_norm_relu(fine, coarse, kernel=4, stride=2) for fine, coarse in pairwise(widths))
        self.bottom = nn.Sequential(*(ResidualBlock(widths[-1]) for _ in range(blocks)))
        self.ups = nn.ModuleList(self._up(level) for level in reversed(range(len(widths) - 1)))  # coarse to fine
        self.to_change = nn.Conv2d(widths[0], 3, 3, padding=1)
        initialise(self)
        nn.init.zeros_(self.to_change.weight)

    def _up(self, level: int) -> nn.Sequential:
        """What follows the joining of `level` with the enlarged level below it."""
        fine, coarse = self.widths[level], self.widths[level + 1]
        if level == 0:
            return conv_relu(coarse + fine, fine, kernel=3)
        layers = conv_norm_relu(coarse + fine, fine, kernel=3)
        if level >= len(self.widths) - 3:  # the two coarsest
            layers.append(ResidualBlock(fine))
        return layers

    @property
    def side_multiple(self) -> int:
        """Each level halves the side."""
        return 1 << (len(self.widths) - 1)

    @property
    def smallest_side(self) -> int:
        """Two cells a side at the bottom: a norm over a single cell would leave nothing."""
        return 2 * self.side_multiple

    def settings(self) -> dict[str, Setting]:
        """What `build_network` needs to build this network again."""
        return {"widths": list(self.widths), "blocks": self.blocks}

    def draw(self, images: Tensor) -> Tensor:
        """Add the change, (B, 3, S, S) -> (B, 3, S, S)."""
        return torch.add(images, self.to_change(self.features(images)))

    def features(self, images: Tensor) -> Tensor:
        """Down, around and up again, (B, 3, S, S) -> (B, widths[0], S, S): what `to_change` reads the change from."""
        features: Tensor = self.stem(images - 0.5)  # (B, 16, S, S)
        skips = []
        for down in self.downs:
            skips.append(features)
            features = down(features)  # (B, 2C, H/2, W/2)
        features = self.bottom(features)  # (B, 128, S/16, S/16)
        for up in self.ups:
            features = up(torch.cat([enlarge(features, "bilinear"), skips.pop()], dim=1))  # (B, C, 2H, 2W)
        return features
