"""The paper's network: a pyramid of scales without normalisation."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.networks.blocks import Setting, SwapNetwork, check_whole, conv_relu, enlarge, initialise, weights_from


def _three_convs(channels_in: int, channels: int) -> nn.Sequential:
    """Convolutions 3x3, 3x3 and 1x1, each with a ReLU: (B, channels_in, H, W) -> (B, channels, H, W)."""
    return nn.Sequential(
        conv_relu(channels_in, channels, kernel=3),
        conv_relu(channels, channels, kernel=3),
        conv_relu(channels, channels, kernel=1),
    )


class PyramidNetwork(SwapNetwork):
    """The paper's feed-forward network, after the texture networks of Ulyanov et al.

    The input is average-pooled to K scales, and every scale has a branch of c channels. From coarse to fine, the result so far is
    enlarged (nearest neighbour), set beside the next branch, and convolved at c*k channels. Nothing copies the input to the output,
    so the network first has to learn to draw.

    Args:
        scales: K, the number of scales: 5 for crops of 128 pixels, 6 for 256.
        channels: c, the channels of one branch.

    Raises:
        SettingsError: If `scales` or `channels` is no positive whole number.

    Reference:
        korshunova2017, section 3.1; ulyanov2016.

    Differs from the paper:
        Black is -0.5 and white 0.5 inside, so that zero padding shows mid-grey. Weights start after He et al. 2015; the paper does
        not say how. Outside training the output is clamped to [0, 1].
    """

    name: ClassVar[str] = "pyramid"

    def __init__(self, scales: int = 5, channels: int = 32) -> None:
        super().__init__()
        check_whole(self.name, 1, scales=scales, channels=channels)
        self.scales = scales
        self.channels = channels
        self.branches = nn.ModuleList(_three_convs(3, channels) for _ in range(scales))  # coarse to fine
        self.joins = nn.ModuleList(_three_convs(channels * k, channels * k) for k in range(2, scales + 1))
        self.to_rgb = nn.Conv2d(channels * scales, 3, 1)
        initialise(self)

    @property
    def side_multiple(self) -> int:
        """The input is halved between scales."""
        return 1 << (self.scales - 1)

    def freeze_base(self) -> None:
        """Freeze what `grow_pyramid` took over, as the paper did. The last branch, the last join and `to_rgb` go on training.

        It is no setting, and not in the weights: a network that is read again is not frozen. `requires_grad_(True)` takes it back.
        """
        for part in (*self.branches[:-1], *self.joins[:-1]):
            part.requires_grad_(False)

    def settings(self) -> dict[str, Setting]:
        """What `build_network` needs to build this network again."""
        return {"scales": self.scales, "channels": self.channels}

    def draw(self, images: Tensor) -> Tensor:
        """Coarse to fine, (B, 3, S, S) -> (B, 3, S, S)."""
        centred = images - 0.5
        branches = []  # (B, c, S/16, S/16) ... (B, c, S, S) for five scales
        for step, branch in enumerate(self.branches):
            shrink = 1 << (self.scales - 1 - step)
            branches.append(branch(F.avg_pool2d(centred, shrink) if shrink > 1 else centred))
        result: Tensor = branches[0]
        for join, finer in zip(self.joins, branches[1:], strict=True):
            result = join(torch.cat([enlarge(result, "nearest"), finer], dim=1))  # (B, c*k, 2H, 2W)
        return torch.add(self.to_rgb(result), 0.5)  # (B, 3, S, S)


def grow_pyramid(base: PyramidNetwork, *, seed: int = 0) -> PyramidNetwork:
    """A pyramid with one finer scale on top of a trained one: for crops of twice the side.

    The coarser scales see the crop as before, shrunk. At the start the new join passes their result on, and `to_rgb` reads
    nothing else, so the output is the base's, each pixel repeated 2 x 2, to rounding. The new branch enters when training moves
    `to_rgb`.

    Args:
        base: A trained network of K scales; left as it is.
        seed: What the weights of the new branch are drawn from.

    Returns:
        A network of K + 1 scales with the base's device, type and mode. `freeze_base()` holds what was taken over.

    Reference:
        korshunova2017, section 3.1 (a scale more for a larger output); chen2016 (growing that keeps the function).

    Differs from the paper:
        The new join starts by passing on what is there, which is exact behind a ReLU, and the base's last layer is kept.
    """
    with weights_from(seed):
        network = PyramidNetwork(base.scales + 1, base.channels)
    old = base.channels * base.scales
    with torch.no_grad():
        for part in ("branches", "joins"):
            for grown, taken in zip(getattr(network, part), getattr(base, part), strict=False):  # the network has one more
                grown.load_state_dict(taken.state_dict())
        for conv in (layer for layer in network.joins[-1].modules() if isinstance(layer, nn.Conv2d)):
            conv.weight[:old] = 0
            middle = conv.kernel_size[0] // 2
            conv.weight[range(old), range(old), middle, middle] = 1
        network.to_rgb.weight.zero_()[:, :old] = base.to_rgb.weight
        assert network.to_rgb.bias is not None
        assert base.to_rgb.bias is not None
        network.to_rgb.bias.copy_(base.to_rgb.bias)
    return network.to(base.to_rgb.weight).train(base.training)
