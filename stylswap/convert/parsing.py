"""The face parser."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from stylswap.errors import WeightsFileError

# Names in the face parser's state dict -> ours: a convolution with the batch normalisation behind it, or None where there is none.
_PARSING_TO_BISENET: dict[str, tuple[str, str | None]] = {
    "resnet.stem": ("cp.resnet.conv1", "cp.resnet.bn1"),
    **{
        f"resnet.stages.{stage}.{block}.{ours}": (
            f"cp.resnet.layer{stage + 1}.{block}.{convolution}",
            f"cp.resnet.layer{stage + 1}.{block}.{norm}",
        )
        for stage in range(4)
        for block in range(2)
        for ours, convolution, norm in (
            ("first", "conv1", "bn1"),
            ("second", "conv2", "bn2"),
            ("shortcut", "downsample.0", "downsample.1"),
        )
        if ours != "shortcut" or (stage > 0 and block == 0)  # only where the size changes
    },
    **{f"arm{part}.features": (f"cp.arm{part}.conv.conv", f"cp.arm{part}.conv.bn") for part in (16, 32)},
    **{f"arm{part}.attention": (f"cp.arm{part}.conv_atten", f"cp.arm{part}.bn_atten") for part in (16, 32)},
    **{f"head{part}": (f"cp.conv_head{part}.conv", f"cp.conv_head{part}.bn") for part in (16, 32)},
    "average": ("cp.conv_avg.conv", "cp.conv_avg.bn"),
    "fusion.mix": ("ffm.convblk.conv", "ffm.convblk.bn"),
    "fusion.squeeze": ("ffm.conv1", None),
    "fusion.excite": ("ffm.conv2", None),
    "before_classes": ("conv_out.conv.conv", "conv_out.conv.bn"),
    "to_classes": ("conv_out.conv_out", None),
}
_NORM_EPSILON = 1e-5  # of PyTorch's BatchNorm2d, with which the parser was trained


def parsing_to_bisenet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the face parser's tensors, fold each batch normalisation into its convolution, and drop the two heads of training.

    The fold is done in float64, so that what is lost is the rounding to float16 and nothing else.

    Args:
        state: The state dict of a BiSeNet with ResNet-18 and 19 classes, float32.

    Returns:
        State of `stylswap.networks.bisenet.BiSeNet`: weights as float16, (outputs, inputs, side, side), biases as float32.

    Raises:
        WeightsFileError: If a tensor is missing, does not fit to its convolution, or does not fit into float16.
    """
    kept: dict[str, Tensor] = {}
    for name, (convolution, norm) in _PARSING_TO_BISENET.items():
        weight = _tensor_of(state, f"{convolution}.weight").double()
        if norm is not None:
            outputs = (int(weight.shape[0]),)
            gain, shift, mean, variance = (
                _tensor_of(state, f"{norm}.{part}", outputs).double() for part in ("weight", "bias", "running_mean", "running_var")
            )
            factor = gain / torch.sqrt(variance + _NORM_EPSILON)
            weight = weight * factor[:, None, None, None]
            kept[f"{name}.bias"] = (shift - mean * factor).float().contiguous()
        kept[f"{name}.weight"] = weight.half().contiguous()
        if not all(bool(torch.isfinite(kept[key]).all()) for key in (f"{name}.weight", f"{name}.bias") if key in kept):
            raise WeightsFileError(f"{convolution} ({name}) does not fit into float16.")
    return kept


def _tensor_of(state: Mapping[str, Tensor], key: str, shape: tuple[int, ...] | None = None) -> Tensor:
    """The tensor, if it is there and has the shape; without one it must have the four axes of a convolution."""
    tensor = state.get(key)
    actual = None if tensor is None else tuple(tensor.shape)
    if tensor is None or (len(actual or ()) != 4 if shape is None else actual != shape):
        wanted = "four axes" if shape is None else f"shape {shape}"
        raise WeightsFileError(f"{key} must have {wanted}, got {actual}.")
    return tensor
