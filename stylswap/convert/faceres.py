"""The face recogniser FaceRes: a MobileNet and its heads, as TensorFlow.js stores them.

There a model is two files: one says what the numbers are, the other one holds them, back to back. What the first says is written down here,
so that the second is enough; the manifest pins it by its sha256.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from stylswap.convert.state import rounded, tensor_of
from stylswap.errors import WeightsFileError

_CHANNELS: Final = (32, 64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)  # behind the first convolution and behind each of the 13 blocks
_HIDDEN, _AGES = 256, 100  # of the heads that tell age and gender
_NUMBER: Final = np.dtype("<f2")
_AXES_BYTES: Final = 8


def layout() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of each array of float16 in ``faceres.bin``, in their order; two int32, the axes of the mean, follow them."""
    yield from (("age_pred/kernel", (_HIDDEN, _AGES)), ("age_pred/bias", (_AGES,)))
    yield from (("feats/kernel", (_CHANNELS[-1], _HIDDEN)), ("feats/bias", (_HIDDEN,)))
    yield from (("gender_pred/kernel", (_HIDDEN, 1)), ("gender_pred/bias", (1,)))
    yield from _convolution("conv1", (3, 3, 3, _CHANNELS[0]))
    for block, (before, outputs) in enumerate(pairwise(_CHANNELS), start=1):
        yield from ((f"conv_dw_{block}/depthwise_kernel", (3, 3, before, 1)), (f"conv_dw_{block}_bn/batchnorm_1/mul", (before,)))
        yield from ((f"conv_dw_{block}_bn/batchnorm_1/sub", (before,)), *_limits(f"conv_dw_{block}"))
        yield from _convolution(f"conv_pw_{block}", (1, 1, before, outputs))


def _convolution(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from ((f"{name}/convolution/merged_input", shape), (f"{name}_bn/batchnorm_1/sub", shape[-1:]), *_limits(name))


def _limits(name: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Where activations are cut off, above and below: one number each."""
    return (f"{name}_relu/Cast", ()), (f"{name}_relu/Const_1", ())


def read_faceres(file: Path) -> dict[str, Tensor]:
    """The arrays of ``faceres.bin``, by name, float16.

    Raises:
        WeightsFileError: If the file has another size.
    """
    content = file.read_bytes()
    shapes = dict(layout())
    counts = [int(np.prod(shape, dtype=np.int64)) for shape in shapes.values()]
    wanted = sum(counts) * _NUMBER.itemsize + _AXES_BYTES
    if len(content) != wanted:
        raise WeightsFileError(f"{file} cannot be read as faceres.bin: it should have {wanted} bytes, got {len(content)}.")
    numbers = np.frombuffer(content, dtype=_NUMBER, count=sum(counts))
    parts = np.split(numbers, np.cumsum(counts)[:-1])
    return {name: torch.from_numpy(part.reshape(shape).copy()) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def faceres_to_folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename FaceRes' tensors, turn their axes, fold what is left of the batch normalisations, and drop the heads.

    The products are computed in float64, so that what is lost is the rounding to float16 and nothing else.

    Args:
        state: The arrays of ``faceres.bin``; convolutions are (height, width, inputs, outputs), depthwise ones
            (height, width, channels, 1).

    Returns:
        State of `stylswap.networks.mobilenet.MobileNet`: weights as float16, (outputs, inputs, height, width); biases as float32.

    Raises:
        WeightsFileError: If a tensor is missing, does not fit to the others, or does not fit into float16.
    """
    kept = _point(state, "conv1", "stem.convolution")
    for block in range(len(_CHANNELS) - 1):
        theirs, ours = f"conv_dw_{block + 1}", f"blocks.{block}.look.convolution"
        kernel = tensor_of(state, f"{theirs}/depthwise_kernel", (None, None, None, 1)).permute(2, 3, 0, 1)
        factor = tensor_of(state, f"{theirs}_bn/batchnorm_1/mul", (len(kernel),))
        kept[f"{ours}.weight"] = kernel * factor[:, None, None, None]
        kept[f"{ours}.bias"] = tensor_of(state, f"{theirs}_bn/batchnorm_1/sub", (len(kernel),))
        kept |= _point(state, f"conv_pw_{block + 1}", f"blocks.{block}.mix")
    return {name: rounded(name, tensor) for name, tensor in kept.items()}


def _point(state: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    weight = tensor_of(state, f"{theirs}/convolution/merged_input", (None, None, None, None)).permute(3, 2, 0, 1)
    return {f"{ours}.weight": weight, f"{ours}.bias": tensor_of(state, f"{theirs}_bn/batchnorm_1/sub", (len(weight),))}
