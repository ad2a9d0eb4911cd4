"""The face recogniser MobileFaceNet."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from stylswap.convert.state import rounded, tensor_of

# The original's groups of equal blocks -> how many blocks.
_GROUPS = {"2": 5, "3": 1, "4": 6, "5": 1, "6": 2}
_BLOCKS = [f"Conv2d_{group}_InvResBlock_{number}" for group, count in _GROUPS.items() for number in range(count)]
_INNER = "MobileFaceNet/MobileFaceNet"


def _numbered(name: str, number: int) -> str:
    """How TensorFlow calls the nth of several that have one name."""
    return f"MobileFaceNet/{name}_{number}" if number else f"MobileFaceNet/{name}"


# Our convolution -> the original's weight and, in another scope, its bias. A depthwise one says so in the names.
_POINTS = {
    "mix": (_numbered("Conv", 0), f"{_INNER}/Conv"),
    **{f"blocks.{i}.widen.0": (_numbered("Conv", 2 * i + 1), f"{_INNER}/{block}/Conv") for i, block in enumerate(_BLOCKS)},
    **{f"blocks.{i}.narrow": (_numbered("Conv", 2 * i + 2), f"{_INNER}/{block}/Conv_1") for i, block in enumerate(_BLOCKS)},
    "first.convolution": ("MobileFaceNet/Conv2d_0", f"{_INNER}/Conv2d_0"),
    "last.0": ("MobileFaceNet/Conv2d_7", f"{_INNER}/Conv2d_7"),
}
_DEPTHS = {
    "second.convolution": (_numbered("SeparableConv2d", 0), f"{_INNER}/SeparableConv2d"),
    **{
        f"blocks.{i}.look.convolution": (_numbered("SeparableConv2d", i + 1), f"{_INNER}/{block}/SeparableConv2d")
        for i, block in enumerate(_BLOCKS)
    },
    "weigh_cells": ("MobileFaceNet/Logits/SeparableConv2d",) * 2,
}
# Our slope -> the scope of the original's.
_SLOPES = {
    "first.slope": f"{_INNER}/Conv2d_0",
    "second.slope": f"{_INNER}/SeparableConv2d",
    **{f"blocks.{i}.widen.1": f"{_INNER}/{block}/Conv" for i, block in enumerate(_BLOCKS)},
    **{f"blocks.{i}.look.slope": f"{_INNER}/{block}/SeparableConv2d" for i, block in enumerate(_BLOCKS)},
    "last.1": f"{_INNER}/Conv2d_7",
}


def mobilefacenet_to_folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename MobileFaceNet's tensors, turn their axes, and make one matrix of the two at its end.

    Batch normalisations were folded by whoever made the file. The products are computed in float64, so that what is lost is the rounding
    to float16 and nothing else.

    Args:
        state: The constants of ``MobileFaceNet.tflite``, float32; convolutions are (outputs, height, width, inputs), depthwise ones
            (1, height, width, channels).

    Returns:
        State of `stylswap.networks.mobilefacenet.MobileFaceNet`: weights as float16, (outputs, inputs, height, width); biases and slopes as
        float32.

    Raises:
        WeightsFileError: If a tensor is missing, does not fit to the others, or does not fit into float16.
    """
    kept: dict[str, Tensor] = {}
    for ours, (weights, biases) in _POINTS.items():
        weight = tensor_of(state, f"{weights}/weights/read", (None, None, None, None)).permute(0, 3, 1, 2)
        kept |= {f"{ours}.weight": weight, f"{ours}.bias": tensor_of(state, f"{biases}/Conv2D_bias", (len(weight),))}
    for ours, (weights, biases) in _DEPTHS.items():
        weight = tensor_of(state, f"{weights}/depthwise_weights/read", (1, None, None, None)).permute(3, 0, 1, 2)
        kept |= {f"{ours}.weight": weight, f"{ours}.bias": tensor_of(state, f"{biases}/depthwise_bias", (len(weight),))}
    for ours, scope in _SLOPES.items():
        # The original adds this times (x - |x|), which is twice x where x is negative.
        kept[f"{ours}.weight"] = 2.0 * tensor_of(state, f"{scope}/mul", (None,))
    return {name: rounded(name, tensor) for name, tensor in (kept | _matrix(state)).items()}


def _matrix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The two matrices at the end as one."""
    before = tensor_of(state, "MobileFaceNet/Logits/Conv/weights/read", (None, 1, 1, None))[:, 0, 0]
    bias = tensor_of(state, "MobileFaceNet/Logits/Conv/Conv2D_bias", (len(before),))
    behind = tensor_of(state, "MobileFaceNet/Logits/LinearConv1x1/weights/read", (None, 1, 1, len(before)))[:, 0, 0]
    behind_bias = tensor_of(state, "MobileFaceNet/Logits/LinearConv1x1/Conv2D_bias", (len(behind),))
    return {"to_features.weight": behind @ before, "to_features.bias": behind @ bias + behind_bias}
