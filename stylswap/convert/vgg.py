"""The normalised VGG-19, up to relu4_2."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from stylswap.errors import WeightsFileError

# Position of each convolution in the nn.Sequential of the AdaIN network (Huang and Belongie 2017), and its (outputs, inputs, side).
# `colour` is the 1x1 convolution RGB in [0, 1] -> BGR in 0 .. 255 minus the mean of ImageNet.
_VGG19_TO_RELU4_2 = {
    "colour": (0, (3, 3, 1)),
    "conv1_1": (2, (64, 3, 3)),
    "conv1_2": (5, (64, 64, 3)),
    "conv2_1": (9, (128, 64, 3)),
    "conv2_2": (12, (128, 128, 3)),
    "conv3_1": (16, (256, 128, 3)),
    "conv3_2": (19, (256, 256, 3)),
    "conv3_3": (22, (256, 256, 3)),
    "conv3_4": (25, (256, 256, 3)),
    "conv4_1": (29, (512, 256, 3)),
    "conv4_2": (32, (512, 512, 3)),
}


def vgg19_to_relu4_2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the normalised VGG-19's tensors and keep those up to conv4_2.

    Args:
        state: ``{position}.weight`` and ``{position}.bias`` of the AdaIN network's nn.Sequential, float32.

    Returns:
        ``conv1_1.weight`` ... ``conv4_2.weight`` and ``colour.weight`` as float16, (outputs, inputs, side, side); the biases as
        float32, because they are 4 kB in all and some lie where float16 has few digits left.

    Raises:
        WeightsFileError: If a tensor is missing, has another shape, or does not fit into float16.
    """
    kept: dict[str, Tensor] = {}
    for layer, (position, (outputs, inputs, side)) in _VGG19_TO_RELU4_2.items():
        shapes = {"weight": (outputs, inputs, side, side), "bias": (outputs,)}
        for part, shape in shapes.items():
            tensor = state.get(f"{position}.{part}")
            actual = None if tensor is None else tuple(tensor.shape)
            if tensor is None or actual != shape:
                raise WeightsFileError(f"{position}.{part} ({layer}) must have shape {shape}, got {actual}.")
            kept[f"{layer}.{part}"] = tensor.to(torch.float16 if part == "weight" else torch.float32).contiguous()
            if not bool(torch.isfinite(kept[f"{layer}.{part}"]).all()):
                raise WeightsFileError(f"{position}.{part} ({layer}) does not fit into float16.")
    return kept
