"""One face swapped in different ways, for the figures of `stylswap.jobs.occluder_report`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stylswap.data.prepare import cut_crop
from stylswap.engines.rendering import StyleRenderer
from stylswap.faces.align import crop_from_photo, resized, transform_points, warp
from stylswap.faces.batch import FaceBatch
from stylswap.faces.detect import FaceDetector
from stylswap.faces.segment import Segmenter
from stylswap.identity_file import IdentityFile
from stylswap.jobs.paste import PASTE_SEGMENTER, PasteOptions, paste_crop, place_crop
from stylswap.jobs.swapper import network_of
from stylswap.photo import Photo

FloatArray = npt.NDArray[np.float64]

MASK_PX: Final = 256  # side of the crop that masks are made from


@dataclass(frozen=True, eq=False)
class BenchSwap:
    """One face that was swapped: the result, its mask in the photo's pixels (H, W), and seconds by step."""

    photo: Photo
    mask: npt.NDArray[np.float32]
    seconds: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class BenchCrop:
    """An occluded face and what the network makes of it, (3, S, S) each; the landmarks' mask and the opacity, (1, S, S) each."""

    image: Tensor
    output: Tensor
    mask: Tensor
    alpha: Tensor


class OccluderBench:
    """An identity and two ways to make masks."""

    def __init__(self, identity: IdentityFile, parser: Segmenter, detector: FaceDetector) -> None:
        self._identity = identity
        self._renderer = StyleRenderer(network_of(identity))
        self._segmenters = {"landmarks": PASTE_SEGMENTER, "parser": parser}
        self._detector = detector

    def landmarks(self, photo: Photo) -> FloatArray | None:
        """The largest face's, (68, 2)."""
        found = self._detector.detect(photo.rgb_u8())
        return found[0].landmarks if found else None

    def swap(self, photo: Photo, landmarks: FloatArray, way: str) -> BenchSwap:
        """Swap one face; the mask is cut at `MASK_PX`, the network's crop at its own size, both over the same square."""
        size, alignment = self._identity.size, self._identity.alignment
        marks = [time.perf_counter()]
        matrix = crop_from_photo(landmarks, self._identity.reference, model=alignment["model"], points=alignment["points"])
        view_from_photo = resized(matrix, size, MASK_PX)
        crop, view = cut_crop(photo, matrix, size), cut_crop(photo, view_from_photo, MASK_PX)
        points = torch.from_numpy(transform_points(view_from_photo, landmarks)).float()
        marks.append(time.perf_counter())
        mask = self._segmenters[way].segment(view[None], points[None])[0]
        marks.append(time.perf_counter())
        output = self._renderer.render(FaceBatch(crop[None], points[None], torch.ones(1, 1, size, size))).images[0]
        result = paste_crop(photo, output, mask, matrix, PasteOptions())
        marks.append(time.perf_counter())
        seconds = {"mask": marks[2] - marks[1], "whole_face": marks[3] - marks[0]}
        return BenchSwap(result, _in_photo(photo, output, mask, matrix), seconds)

    def alone(self, photo: Photo, landmarks: FloatArray, alpha: Tensor) -> BenchCrop:
        """The network without masks and pasting; `alpha` is the occluder's opacity in the photo, (1, H, W)."""
        size, alignment = self._identity.size, self._identity.alignment
        matrix = crop_from_photo(landmarks, self._identity.reference, model=alignment["model"], points=alignment["points"])
        crop, points = cut_crop(photo, matrix, size), torch.from_numpy(transform_points(matrix, landmarks)).float()
        mask = self._segmenters["landmarks"].segment(crop[None], points[None])
        output = self._renderer.render(FaceBatch(crop[None], points[None], mask)).images[0]
        return BenchCrop(crop, output, mask[0], warp(alpha, matrix, (size, size)).clamp(0, 1))


def _in_photo(photo: Photo, output: Tensor, mask: Tensor, matrix: FloatArray) -> npt.NDArray[np.float32]:
    whole = np.zeros((photo.height, photo.width), np.float32)
    place = place_crop(photo, output, mask, matrix)
    if place is not None:
        whole[place.rect.top : place.rect.bottom, place.rect.left : place.rect.right] = place.mask[0].numpy()
    return whole
