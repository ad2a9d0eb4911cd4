"""Tensors of an ONNX file. Nothing in the file is run, and the graph is not followed."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from stylswap.errors import WeightsFileError


def read_onnx(file: Path) -> dict[str, Tensor]:
    """The constants of an ONNX model, by name, in their own types.

    Raises:
        WeightsFileError: If the package `onnx` is not installed, or the file is no ONNX model.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        needed = '`pip install "stylswap[judges]"`, or `pip install onnx`'
        raise WeightsFileError(f"{file.name} is an ONNX file; to read it the package `onnx` is needed, once: {needed}.") from error
    try:
        model = onnx.load(str(file), load_external_data=False)
        return {constant.name: torch.from_numpy(numpy_helper.to_array(constant).copy()) for constant in model.graph.initializer}
    except Exception as error:  # protobuf, onnx and numpy each have their own
        raise WeightsFileError(f"{file} cannot be read as an ONNX model: {error}") from error
