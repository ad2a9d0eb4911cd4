"""The aligned faces of one folder, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stylswap.errors import ShapeError
from stylswap.faces.batch import FaceBatch
from stylswap.faces.landmarks import Pose, mirror_landmarks
from stylswap.shapes import check_shapes


@dataclass(frozen=True, eq=False)
class RowBatch:
    """Faces of a `FaceSet`, and where they stand in it, so that what was computed of them before can be found again.

    Attributes:
        faces: The B faces.
        rows: Their rows, B numbers.
    """

    faces: FaceBatch
    rows: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FaceSet:
    """M aligned faces and their mirror images.

    Rows M .. 2M-1 are the mirror images of rows 0 .. M-1; they are made when asked for. Images and masks are kept as bytes: a thousand
    crops of 128 px are 50 MB.

    Attributes:
        names: Photo paths below the folder, M of them.
        hashes: sha256 of each photo's file.
        images_u8: (M, 3, S, S).
        masks_u8: (M, 1, S, S).
        landmarks: In pixels of the crop, (M, 68, 2) float32.
        poses: Head pose in the photo, M of them.
    """

    names: tuple[str, ...]
    hashes: tuple[str, ...]
    images_u8: Tensor
    masks_u8: Tensor
    landmarks: Tensor
    poses: tuple[Pose, ...]

    def __post_init__(self) -> None:
        count = check_shapes(
            images_u8=(self.images_u8, "M 3 S S"), masks_u8=(self.masks_u8, "M 1 S S"), landmarks=(self.landmarks, "M 68 2")
        )["M"]
        told = [len(facts) for facts in (self.names, self.hashes, self.poses)]
        if told != [count] * 3:
            raise ShapeError(f"{count} faces need as many names, hashes and poses, got {told}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def size(self) -> int:
        """Side of the crops in pixels."""
        return int(self.images_u8.shape[-1])

    @property
    def num_rows(self) -> int:
        """Faces with their mirror images: 2M."""
        return 2 * len(self)

    @property
    def all_landmarks(self) -> Tensor:
        """Landmarks of the faces and their mirror images, (2M, 68, 2)."""
        mirrored = mirror_landmarks(self.landmarks.double().numpy(), self.size)
        return torch.cat([self.landmarks, torch.from_numpy(mirrored).float()])

    def faces(self, rows: Sequence[int]) -> FaceBatch:
        """The faces of some rows, in this order.

        Args:
            rows: Numbers in 0 .. 2M-1; from M on, mirrored.

        Raises:
            ShapeError: If a row does not exist.
        """
        count = len(self)
        if any(not 0 <= row < self.num_rows for row in rows):
            raise ShapeError(f"rows must be in 0..{self.num_rows - 1}, got {list(rows)}")
        photo = torch.tensor([row % count for row in rows], dtype=torch.long)
        mirrored = torch.tensor([row >= count for row in rows], dtype=torch.bool)
        images = self.images_u8[photo].float() / 255
        masks = self.masks_u8[photo].float() / 255
        landmarks = self.landmarks[photo].clone()
        images[mirrored] = images[mirrored].flip(-1)
        masks[mirrored] = masks[mirrored].flip(-1)
        turned = mirror_landmarks(landmarks[mirrored].double().numpy(), self.size)
        landmarks[mirrored] = torch.from_numpy(np.ascontiguousarray(turned)).float()
        return FaceBatch(images, landmarks, masks)

    def batch(self, rows: Sequence[int]) -> RowBatch:
        """The faces of some rows together with the rows."""
        return RowBatch(self.faces(rows), tuple(rows))

    def subset(self, rows: Sequence[int]) -> FaceSet:
        """Only some photos; rows in 0 .. M-1."""
        index = torch.tensor(list(rows), dtype=torch.long)
        return FaceSet(
            tuple(self.names[row] for row in rows),
            tuple(self.hashes[row] for row in rows),
            self.images_u8[index],
            self.masks_u8[index],
            self.landmarks[index],
            tuple(self.poses[row] for row in rows),
        )
