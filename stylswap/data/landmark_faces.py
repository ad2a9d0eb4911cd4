"""Faces for the landmark network: crops that were moved, turned, scaled and recoloured, with their landmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.data.batches import batch_rows
from stylswap.data.faceset import FaceSet
from stylswap.faces.align import transform_points, warp

FloatArray = npt.NDArray[np.float64]

# How far a crop is moved: a swap's output shifts its points by a few pixels, and the network must follow each of them.
MOST_TURN_DEG: Final = 8.0
MOST_SCALE: Final = 0.08
MOST_SHIFT: Final = 0.04  # of the side
MOST_STRETCH: Final = 0.06  # of width against height: other proportions than people's
BLURRED: Final = 0.5  # share of the crops; outputs are softer than photos


@dataclass(frozen=True, eq=False)
class LandmarkFaces:
    """Crops and their landmarks.

    Attributes:
        images: (B, 3, S, S) in [0, 1].
        landmarks: (B, 68, 2) in shares of the crop.
    """

    images: Tensor
    landmarks: Tensor


class LandmarkBatches:
    """The batch of a step follows from the seed and the step's number alone.

    Args:
        faces: Faces and their mirror images.
        batch_size: Of a step.
        seed: Of everything that is drawn.
    """

    def __init__(self, faces: FaceSet, batch_size: int, *, seed: int = 0) -> None:
        self._faces = faces
        self._batch_size = batch_size
        self._seed = seed

    def __call__(self, step: int) -> LandmarkFaces:
        """The batch of a step, from 0."""
        rows = batch_rows(self._faces.num_rows, self._batch_size, seed=self._seed, step=step)
        faces = self._faces.faces(rows)
        random = np.random.default_rng([self._seed, step])
        size = faces.size
        images, points = [], []
        for image, landmarks in zip(faces.images, faces.landmarks.double().numpy(), strict=True):
            matrix = _moved(size, random)
            images.append(_recoloured(warp(image, matrix, (size, size)), random))
            points.append(transform_points(matrix, landmarks))
        landmarks = torch.from_numpy(np.stack(points)).float()
        return LandmarkFaces(torch.stack(images), (landmarks + 0.5) / size)


def _moved(size: int, random: np.random.Generator) -> FloatArray:
    """A turn, scale, stretch and shift around the middle of the crop, (3, 3)."""
    turn = math.radians(random.uniform(-MOST_TURN_DEG, MOST_TURN_DEG))
    scale, stretch = 1 + random.uniform(-MOST_SCALE, MOST_SCALE), 1 + random.uniform(-MOST_STRETCH, MOST_STRETCH)
    linear = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) @ np.diag([stretch, 1 / stretch])
    middle = np.full(2, (size - 1) / 2)
    shift = middle + random.uniform(-MOST_SHIFT, MOST_SHIFT, 2) * size - linear @ middle
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, shift
    return matrix


def _recoloured(image: Tensor, random: np.random.Generator) -> Tensor:
    """Another exposure and colour of light, a little noise, half the time a little blur."""
    gamma, gains = math.exp(random.uniform(-0.4, 0.4)), torch.from_numpy(random.uniform(0.8, 1.2, 3)).float()
    image = image.clamp(1e-4, 1) ** gamma * gains[:, None, None]
    if random.random() < BLURRED:
        smaller = round(image.shape[-1] / random.uniform(1.2, 2.2))
        small = F.interpolate(image[None], size=(smaller, smaller), mode="area")
        image = F.interpolate(small, size=image.shape[1:], mode="bilinear", align_corners=False)[0]
    noise = torch.from_numpy(random.standard_normal(tuple(image.shape), dtype=np.float32)) * random.uniform(0, 0.02)
    return (image + noise).clamp(0, 1)
