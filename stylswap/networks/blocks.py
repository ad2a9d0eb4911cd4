"""What every network is, and the parts that more than one is built from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.errors import SettingsError, ShapeError
from stylswap.shapes import check_shapes

Setting = int | float | str | bool | list[int]
"""A value that JSON can hold and that means the same after a round trip."""


class SwapNetwork(nn.Module, ABC):
    """A network from aligned crops to output crops, both (B, 3, S, S) RGB in [0, 1].

    Attributes:
        name: Its name in `stylswap.networks.NETWORKS`.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def side_multiple(self) -> int:
        """The side S of a crop must be a multiple of this."""

    @property
    def smallest_side(self) -> int:
        """The least side S of a crop."""
        return self.side_multiple

    @abstractmethod
    def settings(self) -> dict[str, Setting]:
        """What `build_network(name, **settings)` needs to build this network again; goes into identity files as JSON."""

    @abstractmethod
    def draw(self, images: Tensor) -> Tensor:
        """The network proper, (B, 3, S, S) -> (B, 3, S, S), without a limit on the range. Call the module, not this."""

    def trainable_parameters(self) -> tuple[nn.Parameter, ...]:
        """What an optimiser is to move: every parameter that is not frozen."""
        return tuple(parameter for parameter in self.parameters() if parameter.requires_grad)

    def forward(self, images: Tensor) -> Tensor:
        """Give every face the identity's appearance.

        Args:
            images: Aligned crops, (B, 3, S, S) RGB in [0, 1].

        Returns:
            Output crops, (B, 3, S, S). Outside training (`eval()`) clamped to [0, 1], so that what is rendered is an image. In
            training they are not: a clamp has no gradient where it acts.

        Raises:
            ShapeError: If the images are not square RGB, or S does not fit.
        """
        side = check_shapes(images=(images, "B 3 S S"))["S"]
        multiple, smallest = self.side_multiple, self.smallest_side
        if side % multiple or side < smallest:
            fitting = max(smallest, round(side / multiple) * multiple)
            raise ShapeError(
                f"{self.name}: the side of images must be a multiple of {multiple}, and at least {smallest}, got {side} in "
                f"{tuple(images.shape)}: crop at {fitting}"
            )
        output = self.draw(images)
        return output if self.training else output.clamp(0, 1)


class InstanceNorm(nn.GroupNorm):
    """Instance normalisation with a learned scale and shift per channel, (B, C, H, W) -> (B, C, H, W).

    Computed as a group normalisation with one group per channel: the numbers are those of `nn.InstanceNorm2d(affine=True)`, but
    this kernel takes channels_last as it comes, which on a CPU the other turns into plain layout and back.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)


class ResidualBlock(nn.Module):
    """Two normalised convolutions added to what came in, (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *conv_norm_relu(channels, channels, kernel=3),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            InstanceNorm(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features`."""
        return torch.add(features, self.body(features))


def conv_relu(channels_in: int, channels: int, *, kernel: int) -> nn.Sequential:
    """A convolution and a ReLU; zero padding keeps height and width."""
    return nn.Sequential(nn.Conv2d(channels_in, channels, kernel, padding=kernel // 2), nn.ReLU(inplace=True))


def conv_norm_relu(channels_in: int, channels: int, *, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution without bias, which the norm would take out again, instance norm and a ReLU."""
    conv = nn.Conv2d(channels_in, channels, kernel, stride, padding=(kernel - 1) // 2, bias=False)
    return nn.Sequential(conv, InstanceNorm(channels), nn.ReLU(inplace=True))


def enlarge(features: Tensor, mode: str) -> Tensor:
    """Double height and width, (B, C, H, W) -> (B, C, 2H, 2W).

    Args:
        features: What to enlarge.
        mode: ``nearest`` or ``bilinear``.
    """
    return F.interpolate(features, scale_factor=2, mode=mode, align_corners=False if mode == "bilinear" else None)


@contextmanager
def weights_from(seed: int) -> Iterator[None]:
    """Modules made inside get weights that depend on `seed` alone, on the CPU; the global random state is left as it was."""
    with torch.random.fork_rng(devices=()), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach the generators of the accelerators, too
        yield


def initialise(network: nn.Module) -> None:
    """Draw the weights of every convolution after He et al. 2015, with biases at zero.

    torch's default shrinks the signal at each ReLU; without normalisation, a deep network would start as a constant.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def check_whole(network: str, least: int, **named: object) -> None:
    """Refuse settings that are no whole numbers or too small ones.

    Args:
        network: The network's name, for the message.
        least: The least value allowed.
        **named: The settings.

    Raises:
        SettingsError: If a value is not an `int`, or is below `least`.
    """
    for name, value in named.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise SettingsError(f"{network}: {name} must be a whole number of at least {least}, got {value!r}")
