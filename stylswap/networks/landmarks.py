"""A small network that finds the 68 landmarks of an aligned crop, and that gradients pass through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.errors import SettingsError
from stylswap.networks.blocks import Setting, check_whole, enlarge, initialise
from stylswap.shapes import check_shapes

NUM_POINTS = 68
GROUPS = 8  # of the normalisation; widths are multiples of it


class LandmarkNetwork(nn.Module):
    """Aligned crops -> the 68 points.

    A U-shape down to side / 16 and up again to side / 4, where every point has a map; its place is the mean over the map's softmax, so
    that a point that moves by a tenth of a pixel moves the answer, and the gradient says where to.

    Args:
        side: What crops are brought to, in pixels; a multiple of 16.
        widths: Channels at side / 2, / 4, / 8 and / 16; multiples of 8.

    Raises:
        SettingsError: If a setting does not fit.

    Reference:
        Not from the paper. nibali2018 (the mean over a softmax map), ronneberger2015 (U-shape), wu2018 (group norm).
    """

    def __init__(self, side: int = 128, widths: Sequence[int] = (16, 32, 64, 96)) -> None:
        super().__init__()
        check_whole("landmarks", 1, side=side, **{f"widths[{level}]": width for level, width in enumerate(widths)})
        if len(widths) != 4 or side % 16 or any(width % GROUPS for width in widths):
            raise SettingsError(
                f"landmarks: side must be a multiple of 16 and widths four multiples of {GROUPS}, got {side} and {list(widths)}"
            )
        self.side = side
        self.widths = tuple(widths)
        half, quarter, eighth, bottom = widths
        self.stem = _conv(3, half, kernel=5, stride=2)
        self.to_quarter = nn.Sequential(_conv(half, quarter, stride=2), _conv(quarter, quarter))
        self.to_eighth = nn.Sequential(_conv(quarter, eighth, stride=2), _conv(eighth, eighth))
        self.to_bottom = nn.Sequential(_conv(eighth, bottom, stride=2), _conv(bottom, bottom), _conv(bottom, bottom))
        self.up_eighth = _conv(bottom + eighth, eighth)
        self.up_quarter = _conv(eighth + quarter, eighth)
        self.to_maps = nn.Conv2d(eighth, NUM_POINTS, 1)
        initialise(self)

    def settings(self) -> dict[str, Setting]:
        """What builds this network again; goes into the weights file as JSON."""
        return {"side": self.side, "widths": list(self.widths)}

    def forward(self, images: Tensor) -> Tensor:
        """The points.

        Args:
            images: Aligned crops, (B, 3, S, S) RGB in [0, 1].

        Returns:
            (B, 68, 2), x then y, in shares of the crop: 0 and 1 are the outer edges of its first and last pixels.

        Raises:
            ShapeError: If the images are not square RGB.
        """
        size = check_shapes(images=(images, "B 3 S S"))["S"]
        if size != self.side:
            images = F.interpolate(images, size=(self.side, self.side), mode="bilinear", antialias=size > self.side, align_corners=False)
        quarter = self.to_quarter(self.stem(images - 0.5))  # (B, C, side/4, side/4)
        eighth = self.to_eighth(quarter)
        up = self.up_eighth(torch.cat([enlarge(self.to_bottom(eighth), "bilinear"), eighth], dim=1))
        up = self.up_quarter(torch.cat([enlarge(up, "bilinear"), quarter], dim=1))
        return _mean_places(self.to_maps(up))


def build_landmark_network(*, seed: int = 0, **settings: Any) -> LandmarkNetwork:
    """A landmark network with fresh weights; equal arguments give equal weights, and the global random state is left as it was.

    Args:
        seed: What the weights are drawn from.
        **settings: See `LandmarkNetwork`.
    """
    with torch.random.fork_rng(devices=()), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        return LandmarkNetwork(**settings)


def _conv(channels_in: int, channels: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels_in, channels, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(GROUPS, channels), nn.ReLU(inplace=True))


def _mean_places(maps: Tensor) -> Tensor:
    """Means over softmax maps: (B, N, H, H) -> (B, N, 2), x then y in [0, 1]."""
    side = maps.shape[-1]
    shares = maps.flatten(2).softmax(dim=2).unflatten(2, maps.shape[2:])  # (B, N, H, H)
    centres = (torch.arange(side, dtype=maps.dtype, device=maps.device) + 0.5) / side
    return torch.stack([shares.sum(dim=2) @ centres, shares.sum(dim=3) @ centres], dim=2)
