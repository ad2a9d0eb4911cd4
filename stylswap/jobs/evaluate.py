"""Figures for a trained identity: is it the person, and is it still the photo's expression and light?

A first, small set; every figure is of the final photo. The judge of identity, dlib's descriptor, is never used in training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F

from stylswap.data.prepare import cut_crop
from stylswap.errors import FaceSetError
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import INNER, MOUTH, eye_distance
from stylswap.features.identity import SAME_PERSON_DISTANCE, FaceDescriptor
from stylswap.identity_file import IdentityFile
from stylswap.jobs.swapped import Swapped, SwappedFace
from stylswap.jobs.swapper import Swapper
from stylswap.photo import Photo

FloatArray = npt.NDArray[np.float64]

LIGHT_CELLS: Final = 8
LUMA: Final = (0.2126, 0.7152, 0.0722)  # Rec. 709


@dataclass(frozen=True)
class Figures:
    """Of one photo, before (the input itself, the trivial baseline) or after the swap.

    Attributes:
        identity_distance: dlib descriptor distance to the identity's mean; under 0.6 dlib says the same person.
        inner_error: Mean distance of the 51 inner landmarks to the input's, over the distance between the eyes.
        mouth_error: The same for the 20 points of the mouth.
        light_correlation: Of 8 x 8 low-pass luminance inside the face, with the input's.
    """

    identity_distance: float
    inner_error: float
    mouth_error: float
    light_correlation: float


@dataclass(frozen=True)
class Evaluation:
    """Figures for each photo that was swapped.

    Attributes:
        photos: Names.
        before: Of the inputs.
        after: Of the final photos.
        num_skipped: Photos without a face, or whose result has no face any more.
    """

    photos: tuple[str, ...]
    before: tuple[Figures, ...]
    after: tuple[Figures, ...]
    num_skipped: int

    def table(self) -> dict[str, dict[str, float]]:
        """Means, by row: the input returned as it is, and the swap."""
        return {name: _means(figures) for name, figures in (("return the input", self.before), ("swap", self.after))}


def evaluate(
    swapper: Swapper, photos: Sequence[Path], *, on_photo: Callable[[Swapped, int], None] | None = None
) -> Evaluation:
    """Swap photos and measure.

    Args:
        swapper: With the identity to be measured.
        photos: Held-out photos, none of them used in training.
        on_photo: Called with each result and how many are done.

    Raises:
        FaceSetError: If no photo could be measured, or the identity file holds no mean descriptor.
    """
    judge = _Judge(swapper)
    names, before, after = [], [], []
    for done, path in enumerate(photos, start=1):
        swapped = swapper.swap(path)
        if on_photo is not None:
            on_photo(swapped, done)
        if swapped.status != "swapped" or swapped.photo is None or swapped.original is None:
            continue
        names.append(path.name)
        before.append(judge.figures(swapped.original, swapped.original, swapped.faces[0]))
        after.append(judge.figures(swapped.photo, swapped.original, swapped.faces[0]))
    if not names:
        raise FaceSetError(f"none of the {len(photos)} photos could be swapped, so there is nothing to measure")
    return Evaluation(tuple(names), tuple(before), tuple(after), len(photos) - len(names))


def mean_descriptor(identity: IdentityFile) -> FloatArray:
    """The mean of dlib's descriptors of the identity's photos, (128,).

    Raises:
        FaceSetError: If the file does not hold it.
    """
    mean = identity.data.get("identity", {}).get("mean_descriptor")
    if mean is None:
        raise FaceSetError("the identity file holds no mean descriptor; train it again with this version")
    return np.asarray(mean, dtype=np.float64)


class _Judge:
    def __init__(self, swapper: Swapper) -> None:
        self._mean = mean_descriptor(swapper.identity)
        self._size = swapper.identity.size
        self._detector = FaceDetector()
        self._descriptor = FaceDescriptor()

    def figures(self, photo: Photo, original: Photo, swapped: SwappedFace) -> Figures:
        rgb_u8 = photo.rgb_u8()
        # Landmarks inside the input's own box: a second detection would move the box and with it the points.
        face = self._detector.landmarks_in(rgb_u8, swapped.face)
        distance = float(np.linalg.norm(self._descriptor.describe(rgb_u8, face) - self._mean))
        errors = np.linalg.norm(face.landmarks - swapped.face.landmarks, axis=1) / float(eye_distance(swapped.face.landmarks))
        light = np.corrcoef(self._light(photo, swapped), self._light(original, swapped))[0, 1]
        return Figures(distance, float(errors[INNER].mean()), float(errors[MOUTH].mean()), float(light))

    def _light(self, photo: Photo, swapped: SwappedFace) -> FloatArray:
        crop = cut_crop(photo, swapped.crop_from_photo, self._size)
        luma = (crop * crop.new_tensor(LUMA)[:, None, None]).sum(dim=0)[None, None]
        mask = F.interpolate(swapped.mask[None], size=luma.shape[-2:], mode="area")
        cells = F.interpolate(luma * mask, size=(LIGHT_CELLS, LIGHT_CELLS), mode="area")
        cover = F.interpolate(mask, size=(LIGHT_CELLS, LIGHT_CELLS), mode="area")
        inside = cover > 0.5
        values: FloatArray = (cells[inside] / cover[inside]).double().numpy()
        return values


def identity_share(figures: Sequence[Figures]) -> float:
    """Share of photos that dlib takes for the identity (distance under 0.6)."""
    return float(np.mean([figure.identity_distance < SAME_PERSON_DISTANCE for figure in figures]))


def _means(figures: Sequence[Figures]) -> dict[str, float]:
    names = ("identity_distance", "inner_error", "mouth_error", "light_correlation")
    means = {name: round(float(np.mean([getattr(figure, name) for figure in figures])), 4) for name in names}
    return {**means, "taken_for_the_identity": round(identity_share(figures), 3)}


def as_markdown(table: dict[str, dict[str, Any]]) -> str:
    """The table for a document."""
    columns = list(next(iter(table.values())))
    lines = [f"| | {' | '.join(column.replace('_', ' ') for column in columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in table.items():
        values = ["–" if np.isnan(row[column]) else f"{row[column]:.3f}" for column in columns]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines)
