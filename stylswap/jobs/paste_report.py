"""How outputs join their photos: every blend by the seam that it leaves, every way to a sharper face by what it gains and costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.data.prepare import cut_crop
from stylswap.engines.rendering import StyleRenderer
from stylswap.errors import FaceSetError
from stylswap.faces.align import resized, scale_of, warp
from stylswap.faces.batch import FaceBatch
from stylswap.faces.detail import LUMA, carry_detail
from stylswap.faces.detect import FaceDetector
from stylswap.faces.join import JoinOptions, join_patch
from stylswap.faces.landmarks import INNER, MOUTH, FloatArray, eye_distance
from stylswap.features.identity import FaceDescriptor
from stylswap.jobs.judges import mean_descriptor
from stylswap.jobs.paste import PasteOptions, Place, paste_face, place_crop
from stylswap.jobs.swapped import SwappedFace
from stylswap.jobs.swapper import Swapper, network_of
from stylswap.photo import Photo, jpeg_bytes, read_photo, write_photo
from stylswap.shapes import Rect
from stylswap.sheets import contact_sheet
from stylswap.storage import write_atomically

Table = dict[str, dict[str, float]]

JOINS: Final = {
    "poisson": PasteOptions("poisson", "none"),
    "poisson+balance": PasteOptions("poisson", "balance"),
    "feather": PasteOptions("feather", "none"),
    "feather+balance": PasteOptions("feather", "balance"),
    "auto": PasteOptions(),
    "poisson+skin": PasteOptions("poisson", "skin"),
    "feather+skin": PasteOptions("feather", "skin"),
    "pure poisson": PasteOptions("poisson", "none", 0.0),
    "cut": PasteOptions("none", "none"),
}
PHASES: Final = 2  # a crop of twice the side is rendered as 2 x 2 crops, each of every second pixel
WINDOW_PX: Final = 224
QUALITY: Final = 85  # of the sheet
# Limits of the octaves in which sharpness is measured, as standard deviations in pixels of the crop: above what it can hold, and the last
# that it can hold.
OCTAVES: Final = (0.35, 0.7)


@dataclass(frozen=True, eq=False)
class Case:
    """A photo and its largest face, with the identity's output."""

    photo: Photo
    face: SwappedFace


def find_cases(swapper: Swapper, photos: Iterable[Path], *, least_px: float = 0.0) -> list[Case]:
    """The photos with a face whose aligned square is at least so many pixels wide.

    Raises:
        FaceSetError: If there is none.
    """
    torch.set_num_threads(1)  # time is measured in what one core needs
    cases = []
    for path in photos:
        swapped = swapper.swap(path)
        if swapped.original is not None and swapped.faces:
            case = Case(swapped.original, swapped.faces[0])
            if swapper.identity.size / scale_of(case.face.crop_from_photo) >= least_px:
                cases.append(case)
    if not cases:
        raise FaceSetError(f"no photo has a face whose crop is at least {least_px:.0f} px wide; take larger photos")
    return cases


def compare_joins(swapper: Swapper, cases: Sequence[Case]) -> tuple[Table, list[Tensor]]:
    """Paste every face in every way.

    Returns:
        By way of `JOINS`: seam figure in percent of the range of colours, distance to the identity, milliseconds of one core for the paste
        (median), and the share of photos for which ``auto`` chose it. And for each face a line of crops, (1 + ways, 3, S, S), the input
        first.
    """
    judge, size = _Judge(swapper), swapper.identity.size
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in JOINS}
    chosen, lines = [], []
    for case in cases:
        face, crops = case.face, [cut_crop(case.photo, case.face.crop_from_photo, size)]
        for name, options in JOINS.items():
            start = time.process_time()
            pasted = paste_face(case.photo, face.output, face.mask, face.crop_from_photo, options)
            milliseconds = 1e3 * (time.process_time() - start)
            rows[name].append((100 * pasted.seam, judge.figures(pasted.photo, face)[0], milliseconds))
            crops.append(cut_crop(pasted.photo, face.crop_from_photo, size))
            if name == "auto":
                chosen.append(pasted.blend if pasted.colour == "none" else f"{pasted.blend}+{pasted.colour}")
        lines.append(torch.stack(crops))
    table = {
        name: {
            "seam_percent": float(np.mean([row[0] for row in figures])),
            "identity_distance": float(np.mean([row[1] for row in figures])),
            "milliseconds": float(np.median([row[2] for row in figures])),
            "share_chosen": chosen.count(name) / len(chosen),
        }
        for name, figures in rows.items()
    }
    return table, lines


def compare_details(swapper: Swapper, cases: Sequence[Case]) -> tuple[Table, list[Tensor]]:
    """Paste every face with every way to more detail.

    Returns:
        Means by way: energy above the crop's resolution and of the last octave below it, inside the mask, as shares of the input's (root
        mean squares); distance to the identity; error of the inner landmarks and of the mouth; milliseconds of one core to render and
        paste (median). And a line of windows at 100 % for each way, (B, 3, W, W), the input first.
    """
    judge, ways = _Judge(swapper), _ways(swapper)
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in ways}
    windows: dict[str, list[Tensor]] = {"input": [], **{name: [] for name in ways}}
    for case in cases:
        face = case.face
        windows["input"].append(_window(case.photo, face))
        before = _octaves(case.photo, case)
        for name, way in ways.items():
            start = time.process_time()
            photo = way(case)
            milliseconds = 1e3 * (time.process_time() - start)
            shares = [float(after / own) for after, own in zip(_octaves(photo, case), before, strict=True)]
            rows[name].append((*shares, *judge.figures(photo, face), milliseconds))
            windows[name].append(_window(photo, face))
    columns = ("fine_share", "middle_share", "identity_distance", "inner_error", "mouth_error")
    table = {}
    for name, figures in rows.items():
        values = np.array(figures)
        table[name] = dict(zip(columns, values[:, :-1].mean(axis=0).tolist(), strict=True))
        table[name]["milliseconds"] = float(np.median(values[:, -1]))
    return table, [torch.stack(line) for line in windows.values()]


def write_sheet(lines: Sequence[Tensor], path: Path, swapper: Swapper) -> None:
    """Lines of pictures (B, 3, S, S) as one JPEG, which says of itself what it shows, like every output."""
    write_atomically(path, jpeg_bytes(contact_sheet(lines), quality=QUALITY))
    write_photo(read_photo(path), path, mark=swapper.mark)  # the same JPEG again, now with the mark


def _ways(swapper: Swapper) -> dict[str, Callable[[Case], Photo]]:
    size, renderer = swapper.identity.size, StyleRenderer(network_of(swapper.identity))

    def render(crops: Tensor) -> Tensor:
        unused = torch.zeros(len(crops), 68, 2), torch.zeros(len(crops), 1, size, size)
        return renderer.render(FaceBatch(crops, *unused)).images

    def paste(case: Case, output: Tensor, matrix: FloatArray, options: PasteOptions) -> Photo:
        return paste_face(case.photo, output, case.face.mask, matrix, options).photo

    def single(case: Case, options: PasteOptions) -> Photo:
        matrix = case.face.crop_from_photo
        return paste(case, render(cut_crop(case.photo, matrix, size)[None])[0], matrix, options)

    def everything(case: Case) -> Photo:
        output = render(cut_crop(case.photo, case.face.crop_from_photo, size)[None])[0]
        place = _place(case, output)
        held = warp(place.region, place.crop_from_region, (size, size))  # agrees with itself everywhere
        patch = carry_detail(place.patch, place.region, held, place.crop_from_region)
        joined = join_patch(place.region, patch, place.mask, JoinOptions())
        return case.photo.with_patch(place.rect, joined.image, place.mask > 0)

    def phases(case: Case) -> Photo:
        matrix = resized(case.face.crop_from_photo, size, PHASES * size)
        parts = F.pixel_unshuffle(cut_crop(case.photo, matrix, PHASES * size), PHASES)  # (3 P P, S, S)
        outputs = render(parts.unflatten(0, (3, -1)).transpose(0, 1))  # (P P, 3, S, S)
        return paste(case, F.pixel_shuffle(outputs.transpose(0, 1).flatten(0, 1), PHASES), matrix, PasteOptions(detail="none"))

    return {
        "none": lambda case: single(case, PasteOptions(detail="none")),
        "bands": lambda case: single(case, PasteOptions(sharpen=False)),
        "bands, sharpened": lambda case: single(case, PasteOptions()),
        "all of the input's detail": everything,
        f"{PHASES} x {PHASES} phases": phases,
    }


class _Judge:
    def __init__(self, swapper: Swapper) -> None:
        self._mean = mean_descriptor(swapper.identity)
        self._detector = FaceDetector()
        self._descriptor = FaceDescriptor()

    def figures(self, photo: Photo, swapped: SwappedFace) -> tuple[float, float, float]:
        """Distance to the identity, error of the inner landmarks and of the mouth over the distance between the eyes."""
        rgb_u8 = photo.rgb_u8()
        face = self._detector.landmarks_in(rgb_u8, swapped.face)
        distance = float(np.linalg.norm(self._descriptor.describe(rgb_u8, face) - self._mean))
        errors = np.linalg.norm(face.landmarks - swapped.face.landmarks, axis=1) / float(eye_distance(swapped.face.landmarks))
        return distance, float(errors[INNER].mean()), float(errors[MOUTH].mean())


def _place(case: Case, output: Tensor) -> Place:
    place = place_crop(case.photo, output, case.face.mask, case.face.crop_from_photo)
    if place is None:
        raise FaceSetError("a face's mask lies beyond its photo; leave such photos out")
    return place


def _octaves(photo: Photo, case: Case) -> tuple[float, float]:
    """Root of the energy of luma inside the mask, above and below the limit of the crop."""
    place = _place(case, case.face.output)
    image = photo.image(place.rect)
    luma = (image * image.new_tensor(LUMA)[:, None, None]).sum(dim=0, keepdim=True)
    inside = place.mask > 0.99
    fine, coarse = (_smoothed(luma, sigma / scale_of(place.crop_from_region)) for sigma in OCTAVES)
    return float((luma - fine)[inside].square().sum().sqrt()), float((fine - coarse)[inside].square().sum().sqrt())


def _smoothed(luma: Tensor, sigma_px: float) -> Tensor:
    radius = max(int(np.ceil(3 * sigma_px)), 1)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(luma[None], (radius,) * 4, mode="replicate")
    smooth: Tensor = F.conv2d(F.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return smooth[0]


def _window(photo: Photo, face: SwappedFace) -> Tensor:
    """A square at 100 % over the eyes and the mouth, (3, W, W); photos smaller than it are filled up with black."""
    x, y = np.round(face.face.landmarks[INNER].mean(axis=0)).astype(int)
    top = max(min(int(y) - WINDOW_PX // 2, photo.height - WINDOW_PX), 0)
    left = max(min(int(x) - WINDOW_PX // 2, photo.width - WINDOW_PX), 0)
    picture = photo.image(Rect(top, left, WINDOW_PX, WINDOW_PX).clipped(photo.height, photo.width))
    return F.pad(picture, (0, WINDOW_PX - picture.shape[2], 0, WINDOW_PX - picture.shape[1]))
