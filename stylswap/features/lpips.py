"""LPIPS: a frozen critic that says how different two pictures look to people."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from stylswap.errors import SettingsError, WeightsFileError
from stylswap.networks.lpips import PerceptualNetwork
from stylswap.shapes import check_shapes
from stylswap.weights import weights_path

WEIGHTS_NAME: Final = "lpips-vgg16"

_MEAN: Final = (0.485, 0.456, 0.406)  # of ImageNet's colours, in [0, 1]
_SPREAD: Final = (0.229, 0.224, 0.225)


class Perceptual(nn.Module):
    """Learned perceptual distance with VGG-16 ("LPIPS-VGG", version 0.1). Its parameters never train; gradients flow to the pictures.

    Args:
        network: With its weights; taken over, frozen.

    Reference:
        zhang2018.
    """

    def __init__(self, network: PerceptualNetwork) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval().float().to(memory_format=torch.channels_last)
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(_SPREAD).view(1, 3, 1, 1), persistent=False)
        self.eval()

    @classmethod
    def load(cls, *, device: torch.device | str = "cpu") -> Perceptual:
        """With the published weights, which have to be fetched first: `stylswap weights fetch lpips-vgg16`.

        Raises:
            WeightsFileError: If their file is missing or damaged.
        """
        path = weights_path(WEIGHTS_NAME)
        network = PerceptualNetwork()
        try:
            network.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
        except RuntimeError as error:
            raise WeightsFileError(f"{path} holds no perceptual network of this version: {error}") from error
        return cls(network).to(device)

    def forward(self, a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
        """How different two pictures look.

        Each layer's cells are averaged, by the mask if there is one, and the five layers are added. A cell sees beyond itself, at the
        deepest layer 196 px across: under a mask that leaves the face out, what is near the face still feels a change inside it.

        Args:
            a: (B, 3, H, W) RGB in [0, 1], floating point, at least 16 px.
            b: (B, 3, H, W).
            mask: Weight of each pixel, (B, 1, H, W) in [0, 1]; None weighs all alike.

        Returns:
            (B,), 0 for equal pictures, .09 to .15 for noise of 5 grey levels on a face of 128 px, .45 to .63 for two faces; not a number
            where the mask is empty.

        Raises:
            ShapeError: If shapes do not fit together, or the pictures are too small.
            SettingsError: If the pictures are whole numbers.
        """
        check_shapes(a=(a, "B 3 H W"), b=(b, "B 3 H W"), **({} if mask is None else {"mask": (mask, "B 1 H W")}))
        for name, images in (("a", a), ("b", b)):
            if not images.is_floating_point():
                raise SettingsError(f"{name} must be floating point in [0, 1], got {images.dtype}")
        with torch.autocast(a.device.type, enabled=False):
            first, second = ((images.float() - self.mean) / self.spread for images in (a, b))
            total = a.new_zeros(len(a), dtype=torch.float32)
            for cells in self.network(first, second):  # (B, 1, h, w)
                total = total + _mean(cells, mask)
        return total


def _mean(cells: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over cells (B, 1, h, w) by the share of the mask (B, 1, H, W) in each, (B,)."""
    if mask is None:
        return cells.mean(dim=(1, 2, 3))
    weights = F.interpolate(mask.float(), size=cells.shape[-2:], mode="area")
    return (cells * weights).sum(dim=(1, 2, 3)) / weights.sum(dim=(1, 2, 3))
