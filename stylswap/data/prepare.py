"""A photo becomes an aligned face, once: the result is kept on disk under the photo's content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from stylswap.config import PrepareSettings
from stylswap.data.faceset import FaceSet
from stylswap.errors import StylswapError
from stylswap.faces.align import crop_from_photo, inverse, rect_of_crop, reference_shape, scale_of, shifted, transform_points, warp
from stylswap.faces.batch import Face
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import Pose, head_pose
from stylswap.faces.segment import FACE_OUTLINE, LandmarkSegmenter
from stylswap.features.identity import FaceDescriptor
from stylswap.photo import Photo, list_photos, read_photo
from stylswap.storage import write_atomically

# Raise it whenever the same photo and settings would give another record.
_RECORD_VERSION: Final = 2
# What the losses look at where nobody parses the faces.
SEGMENTER: Final = FACE_OUTLINE

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PreparedFace:
    """One photo's aligned face.

    Attributes:
        name: The photo's path below its folder.
        sha256: Of the photo's file.
        image_u8: (3, S, S).
        mask_u8: (1, S, S).
        landmarks: In pixels of the crop, (68, 2) float32.
        pose: Head pose in the photo.
        descriptor: dlib's face descriptor, (128,), or None where none was asked for.
        num_faces: How many faces the photo holds; the largest was taken.
        crop_side_px: Side of the aligned square in the photo's pixels.
    """

    name: str
    sha256: str
    image_u8: npt.NDArray[np.uint8]
    mask_u8: npt.NDArray[np.uint8]
    landmarks: npt.NDArray[np.float32]
    pose: Pose
    descriptor: FloatArray | None
    num_faces: int
    crop_side_px: float


@dataclass(frozen=True)
class Refused:
    """A photo that is not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Preparer:
    """Detects, aligns, masks and describes the largest face of a photo.

    Attributes:
        size: Side of the crops in pixels.
        settings: Alignment and thresholds.
        cache: Folder for the records; made when missing.
        detector: Finds the faces.
        descriptor: Says who it is; None where nobody asks, since it takes most of the time.
        segmenter: Draws the masks.
    """

    size: int
    settings: PrepareSettings
    cache: Path
    detector: FaceDetector
    descriptor: FaceDescriptor | None
    segmenter: LandmarkSegmenter = SEGMENTER

    def prepare(self, path: Path, name: str) -> PreparedFace | Refused:
        """The face of one photo, from the cache where the same photo was prepared the same way before."""
        try:
            content = path.read_bytes()
        except OSError as error:
            return Refused(name, f"cannot be read ({error.strerror})")
        sha256 = hashlib.sha256(content).hexdigest()
        record = self.cache / self._key(sha256)
        arrays = read_record(record)
        if arrays is None:
            try:
                write_record(record, self._compute(path))
            except (StylswapError, MemoryError) as error:
                return Refused(name, str(error) or "too large for the memory")
            except RuntimeError as error:  # dlib's word for whatever it cannot digest
                return Refused(name, f"the face detector failed ({error})")
            arrays = load_file(record)
        if "numbers" not in arrays:
            return Refused(name, "no face found")
        yaw, pitch, roll, num_faces, crop_side_px = arrays["numbers"].tolist()
        if crop_side_px < self.settings.min_face_px:
            return Refused(name, f"the face is too small ({crop_side_px:.0f} px, {self.settings.min_face_px} px wanted)")
        return PreparedFace(
            name,
            sha256,
            arrays["image_u8"],
            arrays["mask_u8"],
            arrays["landmarks"],
            Pose(yaw, pitch, roll),
            arrays.get("descriptor"),
            int(num_faces),
            crop_side_px,
        )

    def _key(self, sha256: str) -> str:
        described = self.descriptor is not None
        alignment = self.settings.alignment.model_dump()
        makers = [asdict(self.detector), asdict(self.segmenter), reference_shape(self.size).tolist()]
        facts = [_RECORD_VERSION, sha256, described, alignment, makers]
        return record_name(facts)

    def _compute(self, path: Path) -> dict[str, npt.NDArray[np.generic]]:
        """The record of a photo; without numbers where there is no face, so that nobody looks for one again."""
        photo = read_photo(path)
        rgb_u8 = photo.rgb_u8()
        faces = self.detector.detect(rgb_u8)
        if not faces:
            return {"num_faces": np.zeros(1)}
        face = faces[0]
        image, landmarks, side_px = self._align(photo, face)
        mask = self.segmenter.segment(image[None], torch.from_numpy(landmarks)[None])[0]
        numbers = [*head_pose(face.landmarks), len(faces), side_px]
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "image_u8": (image * 255).round().clamp(0, 255).byte().numpy(),
            "mask_u8": (mask * 255).round().byte().numpy(),
            "landmarks": landmarks.astype(np.float32),
            "numbers": np.array(numbers, dtype=np.float64),
        }
        if self.descriptor is not None:
            arrays["descriptor"] = self.descriptor.describe(rgb_u8, face)
        return arrays

    def _align(self, photo: Photo, face: Face) -> tuple[torch.Tensor, FloatArray, float]:
        alignment = self.settings.alignment
        matrix = crop_from_photo(face.landmarks, reference_shape(self.size), model=alignment.model, points=alignment.points)
        image = cut_crop(photo, matrix, self.size)
        return image, transform_points(matrix, face.landmarks), self.size / scale_of(matrix)


def cut_crop(photo: Photo, crop_from_photo: FloatArray, size: int) -> torch.Tensor:
    """The aligned square of a face, (3, size, size); beyond the photo its edge is repeated."""
    photo_from_crop = inverse(crop_from_photo)
    margin_px = 2 + int(np.ceil(2 / scale_of(crop_from_photo)))  # room for the anti-aliasing filter
    rect = rect_of_crop(photo_from_crop, size, margin_px=margin_px).clipped(photo.height, photo.width)
    region = photo.image(rect)
    return warp(region, crop_from_photo @ shifted(rect.top, rect.left), (size, size)).clamp(0, 1)


def prepare_folder(
    folder: Path, preparer: Preparer, *, on_photo: Callable[[int, int], None] | None = None
) -> tuple[list[PreparedFace], list[Refused]]:
    """Prepare every photo of a folder, in name order.

    Args:
        folder: Searched with its subfolders.
        preparer: What is done to each photo.
        on_photo: Called with (done, all) after each photo.

    Returns:
        The faces, and the photos without a usable one.
    """
    paths = list_photos(folder, dangling=True)  # each is told of
    preparer.cache.mkdir(parents=True, exist_ok=True)
    faces: list[PreparedFace] = []
    refused: list[Refused] = []
    # Threads are enough: decoding and dlib release the interpreter lock.
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        results = pool.map(lambda path: preparer.prepare(path, path.relative_to(folder).as_posix()), paths)
        for done, result in enumerate(results, start=1):
            if isinstance(result, Refused):
                refused.append(result)
            else:
                faces.append(result)
            if on_photo is not None:
                on_photo(done, len(paths))
    return faces, refused


def stack_faces(faces: list[PreparedFace]) -> FaceSet:
    """Prepared faces as one `FaceSet`."""
    return FaceSet(
        tuple(face.name for face in faces),
        tuple(face.sha256 for face in faces),
        torch.from_numpy(np.stack([face.image_u8 for face in faces])),
        torch.from_numpy(np.stack([face.mask_u8 for face in faces])),
        torch.from_numpy(np.stack([face.landmarks for face in faces])),
        tuple(face.pose for face in faces),
    )


def record_name(facts: list[Any]) -> str:
    """A record's path below the cache folder; it follows from everything that decides what is in the record, JSON types."""
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return f"{key[:2]}/{key[2:40]}.safetensors"


def read_record(record: Path) -> dict[str, npt.NDArray[Any]] | None:
    """A record's arrays; None where there is no record, or a damaged one."""
    try:
        return load_file(record)
    except (OSError, SafetensorError):
        return None


def write_record(record: Path, arrays: dict[str, npt.NDArray[np.generic]]) -> None:
    """Keep arrays under a path, whose folder is made when missing."""
    record.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(record, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
