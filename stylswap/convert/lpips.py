"""The perceptual distance: a pickle of numpy arrays, read without running anything that it may hold."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from stylswap.errors import WeightsFileError

_BLOCKS: Final = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and convolutions
_TRUNK, _HEAD = "VGG16_0", "NetLinLayer_{}"


def read_arrays(file: Path) -> Mapping[str, Any]:
    """The nested dictionary of arrays in a pickle; whatever else it asks for is refused before it is made.

    numpy itself is not called for, either: where the pickle names numpy's three helpers it gets the stand-ins below.

    Args:
        file: A pickle of dictionaries and float32 arrays.

    Returns:
        Names -> further dictionaries, or tensors, float32.

    Raises:
        WeightsFileError: If it holds anything else, or is no pickle.
    """
    try:
        with file.open("rb") as stream:
            content = _ArraysOnly(stream).load()
    except WeightsFileError:
        raise
    except Exception as error:  # a pickle that is cut off or made up can raise anything
        raise WeightsFileError(f"{file.name} is no pickle of arrays: {type(error).__name__}: {error}") from error
    if not isinstance(content, dict):
        raise WeightsFileError(f"{file.name} must hold a dictionary of arrays, got {type(content).__name__}.")
    return _tensors(content)


def lpips_to_perceptual(tree: Mapping[str, Any]) -> dict[str, Tensor]:
    """Rename the arrays of VGG-16 and its heads, and turn them to PyTorch's order of axes.

    Args:
        tree: ``VGG16_0`` with ``Conv_0`` ... ``Conv_12`` (``kernel`` as side, side, inputs, outputs; ``bias``), and ``NetLinLayer_0`` ...
            ``NetLinLayer_4``, each with ``Conv_0`` and its ``kernel``.

    Returns:
        State of `stylswap.networks.lpips.PerceptualNetwork`: the trunk's weights as float16, (outputs, inputs, side, side); biases and
        heads as float32, because they are 23 kB in all.

    Raises:
        WeightsFileError: If an array is missing, has another shape, or does not fit into float16; or if a head weighs a channel less
            than nothing.
    """
    kept: dict[str, Tensor] = {}
    inputs, number = 3, 0
    for block, (channels, count) in enumerate(_BLOCKS):
        for place in range(count):
            weight = _array_of(tree, (_TRUNK, f"Conv_{number}", "kernel"), (3, 3, inputs, channels))
            bias = _array_of(tree, (_TRUNK, f"Conv_{number}", "bias"), (channels,))
            kept[f"blocks.{block}.{place}.weight"] = weight.permute(3, 2, 0, 1).half().contiguous()
            kept[f"blocks.{block}.{place}.bias"] = bias
            inputs, number = channels, number + 1
        head = _array_of(tree, (_HEAD.format(block), "Conv_0", "kernel"), (1, 1, channels, 1))
        kept[f"heads.{block}.weight"] = head.permute(3, 2, 0, 1).contiguous()
        if float(head.min()) < 0:
            raise WeightsFileError(f"Head {block} holds a weight below 0 ({float(head.min()):g}): that is no distance.")
    for name, tensor in kept.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsFileError(f"{name} does not fit into {str(tensor.dtype).removeprefix('torch.')}.")
    return kept


class _Kind:
    """In the place of numpy.dtype: 32 bits, least significant byte first, and no other."""

    def __init__(self, code: str, *_: object) -> None:
        if code != "f4":
            raise WeightsFileError(f"The pickle holds an array of kind '{code}'; float32 ('f4') was expected.")

    def __setstate__(self, state: tuple[object, ...]) -> None:
        if state[1] != "<":
            raise WeightsFileError(f"The pickle holds an array of byte order '{state[1]}'; '<' was expected.")


class _Array:
    """In the place of numpy.ndarray: takes the bytes and does nothing else."""

    tensor: Tensor

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_columns, content = state
        if not isinstance(kind, _Kind) or not isinstance(content, bytes):
            raise WeightsFileError("The pickle holds an array whose content is not plain bytes.")
        array = np.frombuffer(content, dtype="<f4").reshape(shape, order="F" if by_columns else "C")
        self.tensor = torch.from_numpy(array.astype(np.float32))


class _ArraysOnly(pickle.Unpickler):
    """Gives a pickle the stand-ins above, and nothing else that it asks for by name."""

    _KNOWN: Final[Mapping[tuple[str, str], object]] = {
        ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
        ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array(),
        ("numpy", "ndarray"): "ndarray",  # only handed to _reconstruct, so a word will do, and cannot be called
        ("numpy", "dtype"): _Kind,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._KNOWN:
            raise WeightsFileError(f"The pickle asks for {module}.{name}; arrays are all that it may hold. Nothing of it was run.")
        return self._KNOWN[module, name]

    def persistent_load(self, pid: object) -> Any:
        raise WeightsFileError(f"The pickle refers to something outside itself ({pid!r}); arrays are all that it may hold.")


def _tensors(tree: Mapping[Any, Any], where: str = "") -> dict[str, Any]:
    """The same tree with tensors for arrays."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if not isinstance(name, str) or not isinstance(value, dict | _Array):
            raise WeightsFileError(f"The pickle holds {type(value).__name__} at {where}{name}; arrays are all that it may hold.")
        found[name] = _tensors(value, f"{where}{name}/") if isinstance(value, dict) else value.tensor
    return found


def _array_of(tree: Mapping[str, Any], path: tuple[str, ...], shape: tuple[int, ...]) -> Tensor:
    value: Any = tree
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, Tensor) or tuple(value.shape) != shape:
        actual = tuple(value.shape) if isinstance(value, Tensor) else None
        raise WeightsFileError(f"{'/'.join(path)} must have shape {shape}, got {actual}.")
    return value
