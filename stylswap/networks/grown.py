"""A network for crops of twice the side, grown from a trained `ResidualNetwork` that works at half of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.networks.blocks import Setting, SwapNetwork, check_whole, conv_relu, initialise, weights_from
from stylswap.networks.residual import ResidualNetwork

# Detail is small beside the base's features, which are about 1: the branch sees it enlarged by this.
_DETAIL_GAIN: Final = 10.0
# Added to the energy of detail, sum over 12 values, where the gate divides by it: noise of 0.003 does not count as detail.
_NOISE_ENERGY: Final = 1e-4


class GrownNetwork(SwapNetwork):
    """A base that draws at half the side, and a branch for what half the side cannot hold.

    The crop x is split without loss: its 2 x 2 means h, and its detail D(x) = x - E(h), whose 2 x 2 means are zero. E enlarges such
    that the means of the result are what was enlarged (`enlarging_kernel`). The base draws h + c, and the output is

        x + E(c) + (k - 1) D(x) + D(r)

    - k, one number for 2 x 2 pixels, says how much of the input's detail is kept. Keeping it all would draw the input's lashes
      over the identity's. The base shows what to do: k starts as the square of the share of h's own detail that the base kept nearby
      (1 where it changed nothing, 0 where it drew something unlike). Squared, because the share falls from octave to octave. The
      branch corrects k.
    - r, at full resolution, is what the branch draws itself: the detail that the input does not have.

    So the output's 2 x 2 means are the base's output, to rounding, when it is grown and ever after: the branch can add detail,
    but not change what the base was trained to draw. Without the last D, the branch would first learn to undo its own brightness,
    and its few channels die of it. Both of its last convolutions start at zero: with a base that returns its input, an untrained
    network returns its input, exactly.

    Nearly all work is done at half the side. The branch has two convolutions there, without norm as all at full resolution, and
    a third whose channels become 2 x 2 pixels. No checkerboard at the start, for those four are equal then (aitken2017); and one
    convolution follows at full resolution, which looks across the borders of the 2 x 2 pixels. In training a checkerboard is the
    cheapest detail that there is, and an adversarial term soon asks for it: so what is drawn passes a binomial, which has none.

    Args:
        widths: As in `ResidualNetwork`, for the base.
        blocks: As in `ResidualNetwork`, for the base.
        branch_width: Channels of the branch at half the side.
        fine_width: Channels of the branch at full resolution.

    Attributes:
        base: The network for half the side.

    Raises:
        SettingsError: If the base cannot take its settings, or a width is no positive whole number.

    Reference:
        korshunova2017, section 3.1 (a larger output is a branch more on a trained network); burt1983 (detail as what enlarging
        misses), shi2016 (channels become pixels), aitken2017 (how these start).

    Differs from the paper:
        In everything but that it grows. The paper's own is `grow_pyramid`.
    """

    name: ClassVar[str] = "grown"

    def __init__(
        self, widths: Sequence[int] = (16, 32, 64, 128, 128), blocks: int = 4, branch_width: int = 32, fine_width: int = 8
    ) -> None:
        super().__init__()
        check_whole(self.name, 1, branch_width=branch_width, fine_width=fine_width)
        self.branch_width = branch_width
        self.fine_width = fine_width
        self.base = ResidualNetwork(widths, blocks)
        self.branch = nn.Sequential(
            conv_relu(12 + widths[0], branch_width, kernel=3),
            conv_relu(branch_width, branch_width, kernel=3),
        )
        self.to_kept = nn.Conv2d(branch_width, 1, 1)
        into_pixels = nn.Conv2d(branch_width, 4 * fine_width, 3, padding=1)
        self.to_fine = nn.Sequential(into_pixels, nn.PixelShuffle(2), nn.ReLU(inplace=True))
        self.to_detail = nn.Conv2d(fine_width, 3, 3, padding=1, bias=False)  # of a constant nothing would be left
        for part in (self.branch, self.to_fine):
            initialise(part)
        with torch.no_grad():
            into_pixels.weight.copy_(into_pixels.weight[::4].repeat_interleave(4, dim=0))  # the four pixels of a channel alike
            for start in (self.to_kept.weight, self.to_kept.bias, self.to_detail.weight):
                assert start is not None
                start.zero_()
        self.enlarging: Tensor
        self.register_buffer("enlarging", enlarging_kernel(3), persistent=False)
        self.smoothing: Tensor
        self.register_buffer("smoothing", _binomial(3), persistent=False)

    @property
    def side_multiple(self) -> int:
        """The base sees half the side."""
        return 2 * self.base.side_multiple

    @property
    def smallest_side(self) -> int:
        """The base sees half the side."""
        return 2 * self.base.smallest_side

    def settings(self) -> dict[str, Setting]:
        """What `build_network` needs to build this network again."""
        return {**self.base.settings(), "branch_width": self.branch_width, "fine_width": self.fine_width}

    def freeze_base(self) -> None:
        """Train the branch alone, as the paper did: `trainable_parameters()` are its own, and the way back does not lead through the base.

        It is not in `settings()`, and not in the weights: a network that is read again is not frozen, and
        whoever resumes a training freezes again. `base.requires_grad_(True)` takes it back.
        """
        self.base.requires_grad_(False)

    def draw(self, images: Tensor) -> Tensor:
        """Base and branch, (B, 3, S, S) -> (B, 3, S, S)."""
        half = F.avg_pool2d(images, 2)  # (B, 3, S/2, S/2)
        features = self.base.features(half)  # (B, 16, S/2, S/2)
        change = self.base.to_change(features)
        cells = F.pixel_unshuffle(images, 2)  # (B, 12, S/2, S/2)
        detail = cells - self._enlarged(half)
        branch = self.branch(torch.cat([detail * _DETAIL_GAIN, features], dim=1))  # (B, 32, S/2, S/2)
        more = self._kept_by_base(half, change) - 1 + self.to_kept(branch)  # (B, 1, S/2, S/2)
        own = self._without_boards(self.to_detail(self.to_fine(branch)))  # (B, 3, S, S)
        drawn = cells + self._enlarged(change - F.avg_pool2d(own, 2)) + more * detail  # (B, 12, S/2, S/2)
        return torch.add(F.pixel_shuffle(drawn, 2), own)

    def _kept_by_base(self, half: Tensor, change: Tensor) -> Tensor:
        """The share of the input's detail to keep, (B, 1, S/2, S/2) in [0, 1], as the base treated the detail that it sees.

        That is the slope of the regression of the output's detail on the input's, over 6 x 6 pixels. It is exactly 1 without a change.
        """
        mine, changed = (F.pixel_unshuffle(image, 2) - self._enlarged(F.avg_pool2d(image, 2)) for image in (half, change))
        products = torch.stack([(mine * changed).sum(dim=1), mine.square().sum(dim=1)], dim=1)  # (B, 2, S/4, S/4)
        along, energy = F.avg_pool2d(products, 3, stride=1, padding=1, count_include_pad=False).split(1, dim=1)
        share = (1 + along / (energy + _NOISE_ENERGY)).clamp(0, 1).square()
        return F.interpolate(share, scale_factor=2, mode="bilinear")

    def _without_boards(self, own: Tensor) -> Tensor:
        """What the branch draws, without what changes sign from pixel to pixel, (B, 3, S, S) -> (B, 3, S, S)."""
        return F.conv2d(F.pad(own, (1, 1, 1, 1), mode="replicate"), self.smoothing, groups=3)

    def _enlarged(self, images: Tensor) -> Tensor:
        """Twice the side, as `F.pixel_unshuffle` would give it: (B, 3, H, W) -> (B, 12, H, W)."""
        return F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), self.enlarging)


def enlarging_kernel(channels: int) -> Tensor:
    """The convolution that doubles the side and keeps the mean of every 2 x 2 pixels, (4 * channels, channels, 3, 3).

    Along one axis a pixel becomes ``middle + slope`` and ``middle - slope`` with ``slope = (before - after) / 8``: the halves of the
    parabola that has the means of all three. On faces it errs as little as bicubic enlarging, which does not keep the means.

    Args:
        channels: Each is enlarged for itself.

    Reference:
        cohen1992 (the biorthogonal pair of the 2 x 2 mean).
    """
    along = torch.tensor([[1.0, 8.0, -1.0], [-1.0, 8.0, 1.0]]) / 8  # (first or second, tap)
    phases = torch.einsum("yv,xu->yxvu", along, along).reshape(4, 3, 3)
    kernel = torch.zeros(channels, 4, channels, 3, 3)
    kernel[range(channels), :, range(channels)] = phases
    return kernel.flatten(0, 1)


def _binomial(channels: int) -> Tensor:
    """1 2 1 along both axes, each channel for itself, (channels, 1, 3, 3): zero for stripes and boards of single pixels."""
    along = torch.tensor([0.25, 0.5, 0.25])
    return (along[:, None] * along).expand(channels, 1, 3, 3).contiguous()


def grow(base: ResidualNetwork, *, branch_width: int = 32, fine_width: int = 8, seed: int = 0) -> GrownNetwork:
    """A network for crops of twice the side that starts as a trained one.

    Args:
        base: A trained network; copied, and left as it is.
        branch_width: As in `GrownNetwork`.
        fine_width: As in `GrownNetwork`.
        seed: What the branch's weights are drawn from.

    Returns:
        The network, with the base's device, type and mode. Everything trains; call `freeze_base()` to train the branch alone.

    Raises:
        SettingsError: If a width is no positive whole number.

    Example:
        >>> network = grow(ResidualNetwork((8, 16, 16), blocks=1))
        >>> network.freeze_base()
        >>> optimiser = torch.optim.Adam(network.trainable_parameters())
    """
    with weights_from(seed):
        network = GrownNetwork(base.widths, base.blocks, branch_width, fine_width)
    network.base.load_state_dict(base.state_dict())
    return network.to(base.to_change.weight).train(base.training)
