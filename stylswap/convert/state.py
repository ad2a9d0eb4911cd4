"""Files of nothing but tensors, read without running any code that they may hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor


def read_state(file: Path) -> Mapping[str, Tensor]:
    """The tensors of a PyTorch file; it is read with ``weights_only=True``."""
    state: Mapping[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return state
