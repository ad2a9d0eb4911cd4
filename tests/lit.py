"""A tiny file of lit faces: heads shaped from moved landmarks, with skin of their own, under known lamps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from stylswap.data.relief import face_height, normals
from stylswap.data.relight import Lights, direction, shading
from stylswap.faces.align import FloatArray, reference_shape

SIDE = 96
ANGLES = ((0, 0), (10, 0), (60, 0), (-60, 0), (0, 60), (85, 20), (-35, 15), (35, 15))


def write_lit_file(path: Path, num_people: int = 6) -> Path:
    """An ``.npz`` like that of the Extended Yale B faces, every person under every light."""
    generator = torch.Generator().manual_seed(7)
    azimuth, elevation = (torch.tensor([float(angles[axis]) for angles in ANGLES]) for axis in (0, 1))
    lights = Lights(direction(azimuth, elevation), torch.full((len(ANGLES),), 0.02), torch.ones(len(ANGLES), 3))
    pictures, people = [], []
    for person in range(1, num_people + 1):
        landmarks = torch.from_numpy(reference_shape(SIDE)).float() + torch.randn(68, 2, generator=generator)
        height = face_height(landmarks[None], SIDE, SIDE).expand(len(ANGLES), -1, -1)
        lamp, even = shading(height, normals(height), lights)
        skin = 0.5 + 0.2 * torch.rand(SIDE, SIDE, generator=generator)
        pictures.append(((lamp + even) * skin).clamp(0, 1) * 255)
        people += [person] * len(ANGLES)
    np.savez_compressed(
        path,
        images=torch.cat(pictures).byte().numpy(),
        person=np.array(people, dtype=np.uint8),
        azimuth_deg=np.tile(azimuth.numpy(), num_people).astype(np.int16),
        elevation_deg=np.tile(elevation.numpy(), num_people).astype(np.int16),
    )
    return path


def find(_: npt.NDArray[np.uint8]) -> FloatArray:
    """Where the landmarks of these pictures are."""
    return reference_shape(SIDE)
