"""Pictures as the bytes that detector, drawing and files take."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor


def pixels_u8(image: Tensor) -> npt.NDArray[np.uint8]:
    """(3, H, W) in [0, 1], clamped, as (H, W, 3) uint8."""
    pixels: npt.NDArray[np.uint8] = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    return pixels
