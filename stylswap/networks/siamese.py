"""The lighting network: two grey portraits go through it one by one, and their features tell whether the light is the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.errors import SettingsError
from stylswap.networks.blocks import Setting, check_whole, conv_relu, initialise
from stylswap.shapes import check_shapes

# The part of an aligned crop that is looked at, in shares of its side: brows to below the mouth, cheek to cheek. The Extended Yale B
# crops show no more in our alignment, and the background is no light on the face.
TOP, LEFT, EXTENT = 0.28, 0.25, 0.5
STEADY = 0.03  # added to the spread, so that the noise of a black picture is not blown up


class LightingNetwork(nn.Module):
    """Aligned grey crops -> features of unit length that are close when the light is the same.

    The middle of the face is cut out, brought to `side` pixels, freed of its mean and its spread (exposure and skin are no light) and
    faded out towards the edges. Then blocks of two convolutions and a pooling, and one fully connected layer.

    Args:
        side: Side that the middle of the face is brought to; a multiple of 2 to the number of widths.
        widths: Channels of each block.
        features: D, length of the feature vector.

    Raises:
        SettingsError: If a setting is no positive whole number, or `side` does not fit.

    Reference:
        korshunova2017, section 3.3 (siamese, grey, trained on pairs); hadsell2006 (contrastive features).

    Differs from the paper:
        The paper does not give its layers. Contrast is normalised inside, and features have unit length, so that a loss on them has a
        known range.
    """

    def __init__(self, side: int = 32, widths: Sequence[int] = (16, 32, 64), features: int = 128) -> None:
        super().__init__()
        check_whole("lighting", 1, side=side, features=features, **{f"widths[{level}]": width for level, width in enumerate(widths)})
        if not widths or side % (1 << len(widths)):
            raise SettingsError(f"lighting: side must be a multiple of {1 << len(widths)} for {len(widths)} widths, got {side}")
        self.side = side
        self.widths = tuple(widths)
        self.num_features = features
        blocks: list[nn.Module] = []
        for before, width in zip((1, *widths), widths, strict=False):
            blocks += [*conv_relu(before, width, kernel=3), *conv_relu(width, width, kernel=3), nn.MaxPool2d(2)]
        self.body = nn.Sequential(*blocks)
        self.to_features = nn.Linear(widths[-1] * (side >> len(widths)) ** 2, features)
        self.to_logit = nn.Linear(features, 1)
        initialise(self)
        nn.init.constant_(self.to_logit.weight, -4.0)  # far apart: not the same
        nn.init.constant_(self.to_logit.bias, 2.0)
        self.window: Tensor
        self.register_buffer("window", _window(side), persistent=False)

    def settings(self) -> dict[str, Setting]:
        """What builds this network again; goes into the weights file as JSON."""
        return {"side": self.side, "widths": list(self.widths), "features": self.num_features}

    def forward(self, grey: Tensor) -> Tensor:
        """Features of portraits.

        Args:
            grey: Aligned crops, Rec. 709 luminance, (B, 1, S, S) in [0, 1].

        Returns:
            (B, D), unit length.

        Raises:
            ShapeError: If the crops are not square and grey.
        """
        size = check_shapes(grey=(grey, "B 1 S S"))["S"]
        top, left, extent = round(TOP * size), round(LEFT * size), max(round(EXTENT * size), 1)
        middle = F.adaptive_avg_pool2d(grey[..., top : top + extent, left : left + extent], self.side)  # (B, 1, side, side)
        cells = self.body(self._normalised(middle))
        return F.normalize(self.to_features(cells.flatten(1)), dim=1)

    def same_light_logit(self, first: Tensor, second: Tensor) -> Tensor:
        """The classifier on top: above 0 means the same light.

        Args:
            first: Features, (P, D).
            second: Features, (P, D).

        Returns:
            (P,).
        """
        check_shapes(first=(first, "P D"), second=(second, "P D"))
        logit: Tensor = self.to_logit((first - second).square())[:, 0]
        return logit

    def _normalised(self, middle: Tensor) -> Tensor:
        weight = self.window / self.window.sum()
        mean = (middle * weight).sum(dim=(2, 3), keepdim=True)
        centred = middle - mean
        spread = (centred.square() * weight).sum(dim=(2, 3), keepdim=True).add(1e-6).sqrt()  # a root at 0 has no gradient
        return centred / (spread + STEADY) * self.window


def _window(side: int) -> Tensor:
    """1 in the middle, softly to 0 at the edges, (1, 1, side, side)."""
    along = (2.0 * torch.arange(side) + 1.0) / side - 1.0
    far = along[:, None].abs() ** 3 + along[None, :].abs() ** 3
    return ((1.15 - far) / 0.35).clamp(0.0, 1.0)[None, None]


def build_lighting_network(*, seed: int = 0, **settings: Any) -> LightingNetwork:
    """A lighting network with fresh weights; equal arguments give equal weights, and the global random state is left as it was.

    Args:
        seed: What the weights are drawn from.
        **settings: See `LightingNetwork`.
    """
    with torch.random.fork_rng(devices=()), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        return LightingNetwork(**settings)
