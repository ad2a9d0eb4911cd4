"""A face travels as one thing: `Face` in a photo, `FaceBatch` once aligned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stylswap.shapes import check_shapes

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face found in a photo, in the photo's pixels.

    Attributes:
        landmarks: The 68 points, (68, 2), x then y, pixel centres at integers.
        box: left, top, right, bottom of the detector's box; may reach beyond the photo.
        score: The detector's confidence; comparable only between faces of one detector.
        detector: ``"hog"`` or ``"cnn"``.
    """

    landmarks: FloatArray
    box: tuple[float, float, float, float]
    score: float
    detector: str

    def __post_init__(self) -> None:
        check_shapes(landmarks=(self.landmarks, "68 2"))

    @property
    def area_px(self) -> float:
        """Area of the box in square pixels."""
        left, top, right, bottom = self.box
        return max(right - left, 0.0) * max(bottom - top, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class FaceBatch:
    """Aligned faces on their way through data, engine and blend.

    Attributes:
        images: Crops, (B, 3, S, S), float32 RGB in [0, 1].
        landmarks: The 68 points in pixels of the crop, (B, 68, 2).
        masks: Face masks, (B, 1, S, S) in [0, 1], 1 = face.
    """

    images: Tensor
    landmarks: Tensor
    masks: Tensor

    def __post_init__(self) -> None:
        check_shapes(images=(self.images, "B 3 S S"), landmarks=(self.landmarks, "B 68 2"), masks=(self.masks, "B 1 S S"))

    def __len__(self) -> int:
        return int(self.images.shape[0])

    @property
    def size(self) -> int:
        """Side of the crops in pixels."""
        return int(self.images.shape[-1])

    def to(self, device: torch.device | str) -> FaceBatch:
        """The same faces on another device."""
        return FaceBatch(self.images.to(device), self.landmarks.to(device), self.masks.to(device))

    def __getitem__(self, rows: slice) -> FaceBatch:
        return FaceBatch(self.images[rows], self.landmarks[rows], self.masks[rows])
