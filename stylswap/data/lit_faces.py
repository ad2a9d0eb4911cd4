"""Faces that were photographed under known lamps: the file of the Extended Yale Face Database B, aligned like every other crop."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from stylswap.data.relight import direction
from stylswap.errors import FaceSetError
from stylswap.faces.align import FloatArray, crop_from_photo, reference_shape, warp
from stylswap.faces.detect import FaceDetector
from stylswap.shapes import check_shapes

PAD_PX: Final = 48  # the detector wants room around a face, which these tight pictures do not have
ENLARGE: Final = 2

FindLandmarks = Callable[[npt.NDArray[np.uint8]], FloatArray | None]
"""A grey picture (H, W) uint8 -> its 68 points (68, 2), or None."""


@dataclass(frozen=True, eq=False)
class LitFaces:
    """M aligned grey faces under known lights.

    Attributes:
        images_u8: (M, S, S).
        people: Number of the person, (M,).
        azimuth_deg: Of the lamp, (M,); see `stylswap.data.relight`.
        elevation_deg: Of the lamp, (M,).
        num_guessed: People whose landmarks were not found, so that they got the others' mean alignment.
    """

    images_u8: Tensor
    people: Tensor
    azimuth_deg: Tensor
    elevation_deg: Tensor
    num_guessed: int = 0

    def __post_init__(self) -> None:
        check_shapes(
            images_u8=(self.images_u8, "M S S"),
            people=(self.people, "M"),
            azimuth_deg=(self.azimuth_deg, "M"),
            elevation_deg=(self.elevation_deg, "M"),
        )

    def __len__(self) -> int:
        return len(self.people)

    @property
    def directions(self) -> Tensor:
        """Towards each face's lamp, (M, 3)."""
        return self.light_directions[self.light_numbers]

    @cached_property
    def _lights(self) -> tuple[Tensor, Tensor]:
        angles = torch.stack([self.azimuth_deg, self.elevation_deg], dim=1)
        lights, numbers = torch.unique(angles, dim=0, return_inverse=True)
        return lights, numbers

    @property
    def light_numbers(self) -> Tensor:
        """Number of each face's light, (M,)."""
        return self._lights[1]

    @property
    def light_directions(self) -> Tensor:
        """Of each light, (L, 3)."""
        lights = self._lights[0]
        return direction(lights[:, 0], lights[:, 1])

    def of_people(self, people: Collection[int]) -> LitFaces:
        """Only the faces of some people."""
        rows = torch.isin(self.people, torch.tensor(sorted(people)))
        return LitFaces(self.images_u8[rows], self.people[rows], self.azimuth_deg[rows], self.elevation_deg[rows], self.num_guessed)


def read_lit_faces(path: Path, size: int, *, find: FindLandmarks | None = None) -> LitFaces:
    """Read and align a file of lit faces.

    The head does not move while the lamps flash, so each person's best-lit picture gives the one matrix for all of that person's.

    Args:
        path: An ``.npz`` with ``images`` (N, H, W) uint8, ``person``, ``azimuth_deg`` and ``elevation_deg`` (N,).
        size: Side of the crops wanted.
        find: Finds the landmarks; None: ours.

    Raises:
        FaceSetError: If the file cannot be read, lacks an array, or no face in it is found.
    """
    images_u8, person, azimuth_deg, elevation_deg = _arrays(path)
    find = find or _find_landmarks
    matrices: dict[int, FloatArray | None] = {}
    for number in np.unique(person).tolist():
        rows = np.flatnonzero(person == number)
        best = rows[np.argmin(np.abs(azimuth_deg[rows]) + np.abs(elevation_deg[rows]))]
        points = find(images_u8[best])
        matrices[number] = None if points is None else crop_from_photo(points, reference_shape(size))
    found = [matrix for matrix in matrices.values() if matrix is not None]
    if not found:
        raise FaceSetError(f"{path}: no face was found on any person's best-lit picture")
    mean = np.mean(found, axis=0)
    crops = []
    for image, number in zip(images_u8, person.tolist(), strict=True):
        matrix = matrices[number]
        crops.append(warp(torch.from_numpy(image.astype(np.float32))[None], mean if matrix is None else matrix, (size, size))[0])
    return LitFaces(
        torch.stack(crops).round().clamp(0, 255).byte(),
        torch.from_numpy(person.astype(np.int64)),
        torch.from_numpy(azimuth_deg.astype(np.float32)),
        torch.from_numpy(elevation_deg.astype(np.float32)),
        len(matrices) - len(found),
    )


def _arrays(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], FloatArray, FloatArray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = [file[name] for name in ("images", "person", "azimuth_deg", "elevation_deg")]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise FaceSetError(f"{path} is no .npz with images, person, azimuth_deg and elevation_deg: {error}") from error
    images, person, azimuth_deg, elevation_deg = arrays
    check_shapes(images=(images, "N H W"), person=(person, "N"), azimuth_deg=(azimuth_deg, "N"), elevation_deg=(elevation_deg, "N"))
    if images.dtype != np.uint8 or len(images) == 0:
        raise FaceSetError(f"{path}: images must be uint8 and not empty, got {images.dtype} {images.shape}")
    return images, person.astype(np.int64), azimuth_deg.astype(np.float64), elevation_deg.astype(np.float64)


def _find_landmarks(grey_u8: npt.NDArray[np.uint8]) -> FloatArray | None:
    padded = np.pad(grey_u8, PAD_PX, mode="edge")
    larger = Image.fromarray(padded).resize((padded.shape[1] * ENLARGE, padded.shape[0] * ENLARGE), Image.Resampling.BILINEAR)
    faces = FaceDetector(min_score=-0.3).detect(np.repeat(np.asarray(larger)[..., None], 3, axis=2))
    if not faces:
        return None
    return np.asarray((faces[0].landmarks + 0.5) / ENLARGE - 0.5 - PAD_PX)
