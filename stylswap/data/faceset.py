"""The aligned faces of one folder, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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
        kept: What covers the faces and must stay, (B, 1, S, S) in [0, 1], 1 = occluder. Left out, or one number without axes: the same
            everywhere, 0 if left out.
        step: Of the training, from 0: what is to change from step to step, and come again in a resumed training, follows from it.

    Raises:
        ShapeError: If `kept` does not fit the faces.
    """

    faces: FaceBatch
    rows: tuple[int, ...]
    kept: Tensor = field(default_factory=lambda: torch.zeros(()))
    step: int = 0

    def __post_init__(self) -> None:
        if not self.kept.ndim:
            # Terms may rely on four axes, on the faces' device.
            object.__setattr__(self, "kept", self.kept.to(self.faces.masks).expand_as(self.faces.masks))
        check_shapes(images=(self.faces.images, "B 3 S S"), kept=(self.kept, "B 1 S S"))


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
        kept_u8: What covers the faces and must stay, (M, 1, S, S), 255 = occluder; None where nobody looked.
    """

    names: tuple[str, ...]
    hashes: tuple[str, ...]
    images_u8: Tensor
    masks_u8: Tensor
    landmarks: Tensor
    poses: tuple[Pose, ...]
    kept_u8: Tensor | None = None

    def __post_init__(self) -> None:
        shapes = {"images_u8": (self.images_u8, "M 3 S S"), "masks_u8": (self.masks_u8, "M 1 S S"), "landmarks": (self.landmarks, "M 68 2")}
        if self.kept_u8 is not None:
            shapes["kept_u8"] = (self.kept_u8, "M 1 S S")
        count = check_shapes(**shapes)["M"]
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
        photo, mirrored = self._places(rows)
        landmarks = self.landmarks[photo].clone()
        turned = mirror_landmarks(landmarks[mirrored].double().numpy(), self.size)
        landmarks[mirrored] = torch.from_numpy(np.ascontiguousarray(turned)).float()
        return FaceBatch(_floats(self.images_u8, photo, mirrored), landmarks, _floats(self.masks_u8, photo, mirrored))

    def kept(self, rows: Sequence[int]) -> Tensor:
        """What covers the faces of some rows and must stay, (B, 1, S, S) in [0, 1]: zeros where nobody looked.

        Args:
            rows: See `faces`.

        Raises:
            ShapeError: If a row does not exist.
        """
        photo, mirrored = self._places(rows)
        if self.kept_u8 is None:
            return torch.zeros(len(photo), 1, self.size, self.size)
        return _floats(self.kept_u8, photo, mirrored)

    def batch(self, rows: Sequence[int], *, step: int = 0) -> RowBatch:
        """The faces of some rows together with the rows, with what covers them, and with the step that they are for."""
        return RowBatch(self.faces(rows), tuple(rows), self.kept(rows), step)

    def subset(self, rows: Sequence[int]) -> FaceSet:
        """Only some photos; rows in 0 .. M-1."""
        index = torch.tensor(list(rows), dtype=torch.long)
        return replace(
            self,
            names=tuple(self.names[row] for row in rows),
            hashes=tuple(self.hashes[row] for row in rows),
            images_u8=self.images_u8[index],
            masks_u8=self.masks_u8[index],
            landmarks=self.landmarks[index],
            poses=tuple(self.poses[row] for row in rows),
            kept_u8=None if self.kept_u8 is None else self.kept_u8[index],
        )

    def _places(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The photos of some rows, (B,), and whether they are mirrored, (B,)."""
        count = len(self)
        if any(not 0 <= row < self.num_rows for row in rows):
            raise ShapeError(f"rows must be in 0..{self.num_rows - 1}, got {list(rows)}")
        photo = torch.tensor([row % count for row in rows], dtype=torch.long)
        return photo, torch.tensor([row >= count for row in rows], dtype=torch.bool)


def _floats(stored_u8: Tensor, photo: Tensor, mirrored: Tensor) -> Tensor:
    """Bytes (M, C, S, S) of some photos (B,) as numbers in [0, 1], (B, C, S, S); some of them are mirrored, (B,)."""
    images = stored_u8[photo].float() / 255
    images[mirrored] = images[mirrored].flip(-1)
    return images
