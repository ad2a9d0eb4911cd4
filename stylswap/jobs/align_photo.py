"""First stage of a swap: a photo is read, its faces are found, chosen and cut out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from stylswap.data.prepare import cut_crop
from stylswap.errors import StylswapError
from stylswap.faces.align import crop_from_photo, resized, transform_points
from stylswap.faces.batch import Face, FaceBatch
from stylswap.faces.coverage import beyond, stored_coverage
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import head_pose
from stylswap.faces.segment import Segmenter
from stylswap.identity_file import IdentityFile
from stylswap.jobs.choose import Chosen
from stylswap.jobs.paste import PASTE_SEGMENTER
from stylswap.jobs.stopwatch import Stopwatch
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapped import Aligned, Swapped
from stylswap.photo import Photo, from_array, read_photo

FloatArray = npt.NDArray[np.float64]
PhotoLike = Photo | Path | str | npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PhotoAligner:
    """Everything that the first stage needs to know of an identity. Light enough to be sent to another process.

    Attributes:
        size: Side of the crops, S.
        alignment: Model and points; see `crop_from_photo`.
        reference: (68, 2).
        coverage: The poses that the identity's photos show, see `stylswap.faces.coverage`; empty where the file does not say.
        options: How to swap.
        detector: Finds the faces.
        segmenter: Masks from landmarks.
        view_px: Side of the crops that face parsing wants, M; None where it is off.
    """

    size: int
    alignment: dict[str, str]
    reference: FloatArray
    coverage: dict[str, Any]
    options: SwapOptions
    detector: FaceDetector
    segmenter: Segmenter = PASTE_SEGMENTER
    view_px: int | None = None

    def __call__(self, photo: PhotoLike) -> Aligned | Swapped:
        """A photo that fails, or has nothing to swap, is a result; one photo never stops the others, whatever a decoder thinks of it."""
        watch = Stopwatch()
        try:
            return self._align(photo, watch)
        except Exception as error:
            return Swapped(None, None, "failed", reason_of(error), seconds=watch.seconds)

    def _align(self, photo: PhotoLike, watch: Stopwatch) -> Aligned | Swapped:
        with watch("decode"):
            opened = _opened(photo, self.options.size_limit_mp)
            rgb_u8 = opened.rgb_u8()
        with watch("detect"):
            found = self.detector.detect(rgb_u8)
            picked = self.options.choice.choose(rgb_u8, found, Path(photo) if isinstance(photo, Path | str) else None)
        if not found:
            return Swapped(opened, opened, "no_face", "no face found", seconds=watch.seconds)
        chosen, left_out, warnings = self._within_poses(found, picked)
        if not chosen:
            reason = "; ".join(filter(None, [picked.missing, *(f"face {number}: {why}" for number, why in sorted(left_out.items()))]))
            return Swapped(opened, opened, "skipped", reason, len(found), left_out=left_out, seconds=watch.seconds)
        with watch("align"):
            matrices = tuple(self._matrix(found[index]) for index in chosen)
            faces = self._cut(opened, [found[index] for index in chosen], matrices)
            views = self._views(opened, matrices)
        return Aligned(
            photo=opened,
            found=tuple(found),
            numbers=picked.numbers,
            chosen=tuple(chosen),
            left_out=left_out,
            missing=picked.missing,
            warnings=tuple(warnings),
            matrices=matrices,
            faces=faces,
            views=views,
            seconds=watch.seconds,
        )

    def _within_poses(self, found: Sequence[Face], picked: Chosen) -> tuple[list[int], dict[int, str], list[str]]:
        """Leave out the faces whose pose the identity does not know, or warn, as told."""
        left_out = {number: reason for number, reason in zip(picked.numbers, picked.reasons, strict=True) if reason}
        kept, warnings = [], []
        for index in picked.indices:
            warning = "" if self.options.beyond_pose == "swap" else beyond(head_pose(found[index].landmarks), self.coverage)
            if warning and self.options.beyond_pose == "skip":
                left_out[picked.numbers[index]] = warning
                continue
            kept.append(index)
            warnings.append(warning)
        return kept, left_out, warnings

    def _matrix(self, face: Face) -> FloatArray:
        return crop_from_photo(face.landmarks, self.reference, model=self.alignment["model"], points=self.alignment["points"])

    def _cut(self, photo: Photo, faces: Sequence[Face], matrices: Sequence[FloatArray]) -> FaceBatch:
        images = torch.stack([cut_crop(photo, matrix, self.size) for matrix in matrices])
        points = [transform_points(matrix, face.landmarks) for matrix, face in zip(matrices, faces, strict=True)]
        landmarks = torch.from_numpy(np.stack(points)).float()
        return FaceBatch(images, landmarks, self.segmenter.segment(images, landmarks))

    def _views(self, photo: Photo, matrices: Sequence[FloatArray]) -> torch.Tensor | None:
        if self.view_px is None:
            return None
        side = self.view_px
        return torch.stack([cut_crop(photo, resized(matrix, self.size, side), side) for matrix in matrices])


def aligner_of(
    identity: IdentityFile, options: SwapOptions, *, detector: FaceDetector | None = None, view_px: int | None = None
) -> PhotoAligner:
    """The first stage for an identity."""
    return PhotoAligner(
        identity.size,
        dict(identity.alignment),
        np.asarray(identity.reference),
        stored_coverage(identity.data.get("identity", {})),
        options,
        detector or FaceDetector(thorough=options.choice.thorough),
        view_px=view_px,
    )


def reason_of(error: Exception) -> str:
    """A failure in words for the journal."""
    return str(error) if isinstance(error, StylswapError) else f"{type(error).__name__}: {error}"


def _opened(photo: PhotoLike, size_limit_mp: float) -> Photo:
    if isinstance(photo, Photo):
        return photo
    if isinstance(photo, np.ndarray):
        return from_array(photo)
    return read_photo(Path(photo), size_limit_mp=size_limit_mp)
