"""The discriminator: patch by patch, is this one of the identity's photos, or did the network draw it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from stylswap.errors import SettingsError, ShapeError
from stylswap.networks.blocks import Setting, check_whole, initialise
from stylswap.shapes import check_shapes

SLOPE = 0.2  # of the leaky ReLUs, as in isola2017
REC709 = (0.2126, 0.7152, 0.0722)
# Pores and lashes differ from their surroundings by a hundredth or two, and the spectral norm keeps the layers from amplifying: what is to
# be heard beside brow and cheek has to come in loud.
DETAIL_GAIN = 16.0


class PatchDiscriminator(nn.Module):
    """Crops -> one logit for each patch; above 0: real.

    It sees the colours and, as a channel of its own, the luma without its low-pass, where sharp and blurred differ most. The image is
    folded, squares of 2 x 2 pixels becoming channels, rather than strided over: nothing fine is lost, at a quarter of the cells. Then
    one convolution at that size, two that halve it, and one that judges. No layer normalises features: what the statistics of a whole
    face give away is not to be learned, and no face sees the others of its batch.

    A logit stands for a square of `STRIDE` pixels and sees `FIELD` pixels each way.

    Args:
        widths: Channels of the three convolutions before the one that judges.

    Raises:
        SettingsError: If there are not three widths, or one is no positive whole number.

    Reference:
        isola2017, the patch discriminator; miyato2018, spectral normalisation.

    Differs from the paper:
        isola2017 normalises batches, shows the input beside the output, and judges patches of 70 pixels; here the spectral norm keeps the
        discriminator in bounds, it sees one image and its detail, and a patch is an eye with its brow at 128 pixels.
    """

    STRIDE = 8
    FIELD = 42

    def __init__(self, widths: Sequence[int] = (16, 32, 64)) -> None:
        super().__init__()
        if len(widths) != 3:
            raise SettingsError(f"discriminator: widths must be three numbers, got {list(widths)}")
        check_whole("discriminator", 1, **{f"widths[{level}]": width for level, width in enumerate(widths)})
        self.widths = tuple(widths)
        first, second, third = widths
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2),  # (B, 4, S, S) -> (B, 16, S / 2, S / 2)
            nn.Conv2d(16, first, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(second, third, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(third, 1, 3, padding=1),
        )
        initialise(self)
        for module in self.body:
            if isinstance(module, nn.Conv2d):
                spectral_norm(module)  # its power iteration lives in buffers, and so in every checkpoint
        self.high_pass: Tensor
        self.register_buffer("high_pass", _high_pass(), persistent=False)

    def settings(self) -> dict[str, Setting]:
        """What `build_discriminator(**settings)` needs to build this network again."""
        return {"widths": list(self.widths)}

    def forward(self, images: Tensor) -> Tensor:
        """Judge every patch.

        Args:
            images: Crops, (B, 3, S, S) RGB in [0, 1]; S a multiple of 8.

        Returns:
            Logits, (B, 1, S / 8, S / 8).

        Raises:
            ShapeError: If the images are not square RGB, or S does not fit.
        """
        side = check_shapes(images=(images, "B 3 S S"))["S"]
        if side < self.STRIDE or side % self.STRIDE:
            raise ShapeError(f"discriminator: the side of images must be a multiple of {self.STRIDE}, got {side} in {tuple(images.shape)}")
        padded = F.pad(images, (1, 1, 1, 1), mode="replicate")  # zeros would draw a sharp frame
        seen = torch.cat([2.0 * images - 1.0, F.conv2d(padded, self.high_pass)], dim=1)  # (B, 4, S, S)
        logits: Tensor = self.body(seen.contiguous(memory_format=torch.channels_last))
        return logits

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """For the other phase: images get a gradient, the discriminator gets none, and its power iteration stands still.

        Only the forward pass has to be inside. Evaluation and training give the same logits for the same state, but for the one step of
        the iteration that training takes first.
        """
        was_training, wanted = self.training, [parameter.requires_grad for parameter in self.parameters()]
        self.eval().requires_grad_(False)
        try:
            yield
        finally:
            self.train(was_training)
            for parameter, wants in zip(self.parameters(), wanted, strict=True):
                parameter.requires_grad_(wants)


def _high_pass() -> Tensor:
    """RGB -> luma minus its binomial blur, amplified, (1, 3, 3, 3)."""
    binomial = torch.tensor([0.25, 0.5, 0.25])
    kernel = -binomial[:, None] * binomial
    kernel[1, 1] += 1.0
    return DETAIL_GAIN * torch.tensor(REC709).view(1, 3, 1, 1) * kernel


def build_discriminator(*, seed: int = 0, **settings: Any) -> PatchDiscriminator:
    """A discriminator with fresh weights; equal arguments give equal weights, and the global random state is left as it was.

    Args:
        seed: What the weights, and the start of the power iteration, are drawn from.
        **settings: See `PatchDiscriminator`.
    """
    with torch.random.fork_rng(devices=()), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        return PatchDiscriminator(**settings)
