"""Crops that are larger than what the critics learned to judge are shown to them reduced."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError
from stylswap.faces.batch import FaceBatch


def check_critic_px(size: int, critic_px: int) -> None:
    """Refuse crops that cannot be reduced by whole squares of pixels.

    Args:
        size: Side of the crops.
        critic_px: Side of what the critics see.

    Raises:
        SettingsError: If `critic_px` is below 1, or `size` is larger than it and no multiple of it.
    """
    if critic_px < 1:
        raise SettingsError(f"critic_px must be at least 1, got {critic_px}")
    if size > critic_px and size % critic_px:
        raise SettingsError(f"crops larger than critic_px = {critic_px} must have a multiple of it as their side, got {size}")


def reduced(images: Tensor, critic_px: int) -> Tensor:
    """Means over squares of pixels, (B, C, S, S) -> (B, C, critic_px, critic_px). Crops that are not larger come back as they are."""
    side = int(images.shape[-1])
    return images if side <= critic_px else F.avg_pool2d(images, side // critic_px)


def reduced_faces(faces: FaceBatch, critic_px: int) -> FaceBatch:
    """Faces as the critics see them; those that are not larger than `critic_px` come back as they are.

    Convention:
        Pixel centres lie at integers: of k x k pixels that become one, the middle at (k - 1) / 2 becomes 0.
    """
    if faces.size <= critic_px:
        return faces
    factor = faces.size // critic_px
    landmarks = (faces.landmarks + 0.5) / factor - 0.5
    return FaceBatch(reduced(faces.images, critic_px), landmarks, reduced(faces.masks, critic_px))
