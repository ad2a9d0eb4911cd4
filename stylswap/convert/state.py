"""Files of nothing but tensors, read without running any code that they may hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from stylswap.errors import WeightsFileError


def read_state(file: Path) -> Mapping[str, Tensor]:
    """The tensors of a PyTorch file; it is read with ``weights_only=True``."""
    state: Mapping[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return state


def tensor_of(state: Mapping[str, Tensor], key: str, shape: tuple[int | None, ...]) -> Tensor:
    """A tensor of a foreign network, checked.

    Args:
        state: Tensors by name.
        key: Its name.
        shape: That it must have; None stands for any size.

    Returns:
        As float64.

    Raises:
        WeightsFileError: If it is missing or has another shape.
    """
    tensor = state.get(key)
    actual = None if tensor is None else tuple(tensor.shape)
    fits = actual is not None and len(actual) == len(shape) and all(want in (None, got) for got, want in zip(actual, shape, strict=True))
    if tensor is None or not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise WeightsFileError(f"{key} must have shape ({wanted}), got {actual}.")
    return tensor.double()


def rounded(name: str, tensor: Tensor) -> Tensor:
    """A tensor as our files hold it: weights as float16, biases and other lists of numbers as float32.

    Raises:
        WeightsFileError: If it does not fit into float16; `name` is for the message.
    """
    small = tensor.to(torch.float16 if tensor.ndim > 1 else torch.float32).contiguous()
    if not small.isfinite().all():
        raise WeightsFileError(f"{name} does not fit into float16: it reaches {float(tensor.abs().max()):.3g}.")
    return small
