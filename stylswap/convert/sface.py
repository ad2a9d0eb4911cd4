"""The face recogniser SFace."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from stylswap.convert.state import tensor_of
from stylswap.errors import WeightsFileError

_NUM_BLOCKS = 13
# Our convolution -> the convolution, its batch normalisation and its PReLU, `{}_conv2d_weight`, `{}_batchnorm_gamma`, `{}_relu_gamma`.
_SFACE: dict[str, str] = {
    "stem.0": "conv_1",
    **{f"blocks.{block}.0": f"conv_{block + 2}_dw" for block in range(_NUM_BLOCKS)},
    **{f"blocks.{block}.2": f"conv_{block + 2}" for block in range(_NUM_BLOCKS)},
}
_NORM_EPSILON = 1e-3  # behind a convolution
_LAST_EPSILON = 2e-5  # before and behind the matrix


def sface_to_folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename SFace's tensors and fold each batch normalisation into the convolution or the matrix beside it.

    The fold is done in float64, so that what is lost is float32's own rounding.

    Args:
        state: The constants of ``face_recognition_sface_2021dec.onnx``, float32.

    Returns:
        State of `stylswap.networks.sface.SFace`, float32.

    Raises:
        WeightsFileError: If a tensor is missing, or does not fit to the others.
    """
    kept: dict[str, Tensor] = {}
    for ours, theirs in _SFACE.items():
        weight = tensor_of(state, f"{theirs}_conv2d_weight", (None, None, None, None))
        factor, shift = _norm(state, f"{theirs}_batchnorm", len(weight), _NORM_EPSILON)
        kept[f"{ours}.weight"] = weight * factor[:, None, None, None]
        kept[f"{ours}.bias"] = shift
        name, position = ours.rsplit(".", 1)
        kept[f"{name}.{int(position) + 1}.weight"] = tensor_of(state, f"{theirs}_relu_gamma", (len(weight), 1, 1)).flatten()
    kept |= _matrix(state)
    return {name: tensor.float().contiguous() for name, tensor in kept.items()}


def _matrix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The normalisation of the last cells, the matrix, and the normalisation of the features, as one matrix."""
    weight = tensor_of(state, "pre_fc1_weight", (None, None))  # (features, channels * cells)
    before, before_shift = _norm(state, "bn1", None, _LAST_EPSILON)
    behind, behind_shift = _norm(state, "fc1", len(weight), _LAST_EPSILON)
    if weight.shape[1] % len(before):
        raise WeightsFileError(f"pre_fc1_weight must have a multiple of {len(before)} columns, got {weight.shape[1]}.")
    num_cells = weight.shape[1] // len(before)
    bias = tensor_of(state, "pre_fc1_bias", (len(weight),)) + weight @ before_shift.repeat_interleave(num_cells)
    scaled = weight * before.repeat_interleave(num_cells) * behind[:, None]
    return {"to_features.weight": scaled, "to_features.bias": bias * behind + behind_shift}


def _norm(state: Mapping[str, Tensor], name: str, channels: int | None, epsilon: float) -> tuple[Tensor, Tensor]:
    """A batch normalisation as factor and shift, (channels,) each."""
    parts = ("gamma", "beta", "moving_mean", "moving_var")
    gain, shift, mean, variance = (tensor_of(state, f"{name}_{part}", (channels,)) for part in parts)
    if not len(gain) == len(shift) == len(mean) == len(variance):
        raise WeightsFileError(f"The parts of {name} must be equally long, got {len(gain)}, {len(shift)}, {len(mean)}, {len(variance)}.")
    factor = gain / torch.sqrt(variance + epsilon)
    return factor, shift - mean * factor
