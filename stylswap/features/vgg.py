"""The normalised VGG-19 up to relu4_2: a frozen critic that sees what is in a picture.

Gatys et al. scaled the weights of the VGG-19 of Simonyan and Zisserman so that every channel has a mean activation of about 1 over
natural images; Huang and Belongie (AdaIN, 2017) put a 1x1 convolution for colours in front of it and replaced its zero padding by
reflection. The layers here are theirs, one for one, because the weights come from a copy of theirs: before each 3x3 convolution one
cell of reflection padding, after it ReLU, and between the blocks 2x2 maximum pooling that rounds up (an odd last row or column is
kept). weights/README.md tells where the file comes from.

Measured on two cores (AVX-512 with bfloat16 instructions), 4 faces of 128 px up to relu4_2, forward / forward and backward:
78 / 175 ms in float32, 41 / 95 ms in bfloat16. Channels-last saves a fifth. Zero padding would save 5 %, and merging the colour
convolution into conv1_1 nothing, so neither is done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from stylswap.errors import SettingsError, ShapeError, WeightsFileError, did_you_mean
from stylswap.shapes import check_shapes
from stylswap.weights import weights_path

Precision = Literal["float32", "bfloat16"]

_CONVOLUTIONS_OF_BLOCK = {1: 2, 2: 2, 3: 4, 4: 2}
_NAMES = [f"{block}_{number}" for block, count in _CONVOLUTIONS_OF_BLOCK.items() for number in range(1, count + 1)]

LAYERS = tuple(f"relu{name}" for name in _NAMES)
"""relu1_1 ... relu4_2, from shallow to deep. Layer reluK_* has 64, 128, 256, 512 channels and 1, 1/2, 1/4, 1/8 of the side."""


class VGG(nn.Module):
    """Normalised VGG-19 up to relu4_2. Its parameters never train; gradients flow to the images.

    Args:
        state: ``colour`` and ``conv1_1`` ... ``conv4_2``, each with ``.weight`` and ``.bias``. Copied.
        precision: What the 3x3 convolutions compute in. ``bfloat16`` takes half the time on a processor that has instructions for
            it; features are then off by 0.5 %, the gradient at the images by 10 % (cosine 0.995). Without the instructions it
            takes 3 times (AVX-512) or 25 times (AVX2) as long as float32.

    Raises:
        WeightsFileError: If a tensor of `state` is missing.
        SettingsError: If `precision` is neither.

    Reference:
        simonyan2015, VGG-19; gatys2016, normalised weights; huang2017, reflection padding.

    Differs from the paper:
        Maximum pooling, as in VGG and AdaIN; Gatys et al. averaged.
    """

    def __init__(self, state: Mapping[str, Tensor], *, precision: Precision = "float32") -> None:
        super().__init__()
        if precision not in get_args(Precision):
            raise SettingsError(f"Unknown precision '{precision}'.{did_you_mean(precision, get_args(Precision))}")
        self._dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.colour = _frozen_convolution(state, "colour", torch.float32)
        self.convolutions = nn.ModuleList(_frozen_convolution(state, f"conv{name}", self._dtype) for name in _NAMES)
        self.eval()

    @classmethod
    def load(cls, *, device: torch.device | str = "cpu", precision: Precision = "float32") -> VGG:
        """The network with the weights that ship with stylswap.

        Raises:
            WeightsFileError: If their file is missing or damaged.
        """
        return cls(load_file(weights_path("vgg19-relu4_2")), precision=precision).to(device)

    def forward(self, images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Features of images at the named layers; nothing deeper than the deepest of them is computed.

        An autocast region around the call has no effect: the critic's precision is its own.

        Args:
            images: (B, 3, H, W) RGB in [0, 1], floating point. For layers of block K, H and W above 2^(K-1), else there is nothing
                to reflect.
            layers: Names out of `LAYERS`.

        Returns:
            For each name, shallow to deep, (B, C, ceil(H / 2^(K-1)), ceil(W / 2^(K-1))) float32, not negative.

        Raises:
            SettingsError: If a layer does not exist or the images are whole numbers.
            ShapeError: If the images are no (B, 3, H, W) or too small.
        """
        depth = 1 + max((_layer_index(layer) for layer in layers), default=-1)
        _check_images(images, depth)
        features: dict[str, Tensor] = {}
        if depth == 0:
            return features
        with torch.autocast(images.device.type, enabled=False):
            cells = self.colour(images.float())  # in float32 also for bfloat16, which would round the pixels
            cells = cells.to(self._dtype, memory_format=torch.channels_last)
            for layer, convolution in zip(LAYERS[:depth], self.convolutions, strict=False):
                if layer.endswith("_1") and layer != "relu1_1":
                    cells = F.max_pool2d(cells, kernel_size=2, stride=2, ceil_mode=True)  # (B, C, ceil(H / 2), ceil(W / 2))
                cells = F.relu(convolution(F.pad(cells, (1, 1, 1, 1), mode="reflect")), inplace=True)
                if layer in layers:
                    features[layer] = cells.float()
        return features


def _frozen_convolution(state: Mapping[str, Tensor], name: str, dtype: torch.dtype) -> nn.Conv2d:
    missing = [key for key in (f"{name}.weight", f"{name}.bias") if key not in state]
    if missing:
        raise WeightsFileError(f"These are not the weights of the normalised VGG-19: {' and '.join(missing)} missing.")
    weight = state[f"{name}.weight"].detach().to(dtype, copy=True, memory_format=torch.channels_last)
    bias = state[f"{name}.bias"].detach().to(dtype, copy=True)
    outputs, inputs, side, _ = weight.shape
    convolution = nn.Conv2d(inputs, outputs, side, device="meta")  # no numbers are drawn only to be replaced
    convolution.weight = nn.Parameter(weight, requires_grad=False)
    convolution.bias = nn.Parameter(bias, requires_grad=False)
    return convolution


def _layer_index(layer: str) -> int:
    if layer not in LAYERS:
        raise SettingsError(f"The normalised VGG-19 has no layer '{layer}'.{did_you_mean(layer, LAYERS)}")
    return LAYERS.index(layer)


def _check_images(images: Tensor, depth: int) -> None:
    sizes = check_shapes(images=(images, "B 3 H W"))
    if not images.is_floating_point():
        raise SettingsError(f"images must be floating point in [0, 1], got {images.dtype}")
    if depth:
        deepest = LAYERS[depth - 1]
        smallest = 2 ** (int(deepest[4]) - 1) + 1
        if min(sizes["H"], sizes["W"]) < smallest:
            raise ShapeError(f"images must be at least {smallest} px high and wide for {deepest}, got {tuple(images.shape)}")
