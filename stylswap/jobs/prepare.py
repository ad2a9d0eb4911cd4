"""Prepare a folder of photos for training, and say what is in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from stylswap.config import Settings
from stylswap.data.augment import MOST_PHOTOS
from stylswap.data.faceset import FaceSet
from stylswap.data.prepare import PreparedFace, Preparer, Refused, prepare_folder, stack_faces
from stylswap.errors import FaceSetError
from stylswap.faces.coverage import coverage_of
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import Pose
from stylswap.faces.segment import FACE_OUTLINE, LandmarkSegmenter
from stylswap.features.identity import FaceDescriptor, distances_to_mean
from stylswap.jobs.occluder_finder import OccluderFinder
from stylswap.storage import faces_folder

YAW_BINS_DEG: Final = (-90, -30, -10, 10, 30, 90)
# More than this share of strangers, and nobody can say which of the people is the identity.
MOST_STRANGERS: Final = 0.25

OnPhoto = Callable[[int, int], None]


@dataclass(frozen=True)
class PrepareReport:
    """What a folder holds.

    Attributes:
        folder: As it was given.
        num_used: Photos that will be used.
        refused: Photos that will not, and why.
        duplicates: Groups of photos that show nearly the same picture.
        yaw_counts: Photos used for each bin of `YAW_BINS_DEG`.
        pitch_range_deg: 5th and 95th percentile.
        warnings: Sentences for the user.
        poses: How far the heads are turned, see `stylswap.faces.coverage.coverage_of`.
        mean_descriptor: Mean face descriptor of the identity's photos, (128,), None for faces of many people.
    """

    folder: str
    num_used: int
    refused: tuple[Refused, ...]
    duplicates: tuple[tuple[str, ...], ...] = ()
    yaw_counts: tuple[int, ...] = ()
    pitch_range_deg: tuple[float, float] = (0.0, 0.0)
    warnings: tuple[str, ...] = ()
    poses: Mapping[str, Any] = field(default_factory=dict)
    mean_descriptor: tuple[float, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as JSON types."""
        bins = [f"{low}..{high}" for low, high in pairwise(YAW_BINS_DEG)]
        return {
            "folder": self.folder,
            "used": self.num_used,
            "refused": [{"photo": photo.name, "reason": photo.reason} for photo in self.refused],
            "near_duplicates": [list(group) for group in self.duplicates],
            "yaw_deg": dict(zip(bins, self.yaw_counts, strict=False)),
            "pitch_deg_5_to_95": [round(value, 1) for value in self.pitch_range_deg],
            "poses": dict(self.poses),
            "warnings": list(self.warnings),
        }

    def summary(self) -> dict[str, Any]:
        """What an identity file's header says of the folder, as JSON types; no names of photos."""
        facts = self.as_json()
        summary = {"photos": facts["used"], "refused": len(facts["refused"]), "yaw_deg": facts["yaw_deg"], "poses": facts["poses"]}
        return summary if self.mean_descriptor is None else {**summary, "mean_descriptor": list(self.mean_descriptor)}


def check_folder(folder: Path) -> None:
    """Refuse a folder that does not exist.

    Raises:
        FaceSetError: If it does not.
    """
    if not folder.is_dir():
        raise FaceSetError(f"{folder}: no such folder; a folder with photos was expected")


def make_preparer(
    settings: Settings, *, describe: bool, cache: Path | None = None, outline: LandmarkSegmenter = FACE_OUTLINE
) -> Preparer:
    """What the settings say is done to each photo; records go to the user's cache folder.

    Args:
        settings: Size, alignment and thresholds.
        describe: Also compute who it is; needed for the identity's photos.
        cache: Another folder for the records.
        outline: Of the masks.
    """
    descriptor = FaceDescriptor() if describe else None
    return Preparer(settings.size, settings.prepare, cache or faces_folder(), FaceDetector(), descriptor, outline)


def prepare_inputs(
    folder: Path,
    settings: Settings,
    *,
    cache: Path | None = None,
    on_photo: OnPhoto | None = None,
    finder: OccluderFinder | None = None,
    outline: LandmarkSegmenter | None = None,
    leave_out: Collection[str] = (),
) -> tuple[FaceSet, PrepareReport]:
    """Prepare faces of many people to be edited in training.

    Args:
        folder: Searched with its subfolders.
        settings: Size, alignment and thresholds.
        cache: As in `make_preparer`.
        on_photo: Called with (done, all) after each photo, and from the start again for each face where `finder` looks.
        finder: Looks for what covers the faces; None: nobody looks.
        outline: Of the masks; None: that of `finder`, else `FACE_OUTLINE`.
        leave_out: sha256 of photos that are not used: the identity's own, where its folder lies in this one.

    Raises:
        FaceSetError: If the folder does not exist or holds no usable face.
        WeightsFileError: If `finder` misses the parser's weights.
    """
    faces, refused = _faces_of(folder, make_preparer(settings, describe=False, cache=cache, outline=_outline(outline, finder)), on_photo)
    faces, refused = _without(faces, refused, leave_out, folder)
    report, least = _report(folder, faces, refused), least_faces(settings.training.held_out)
    if len(faces) < least:
        report = replace(report, warnings=(f"only {len(faces)} usable faces; a training needs {least} at least, some hundreds are good",))
    return _looked_at(stack_faces(faces), finder, cache, on_photo), report


def prepare_identity(
    folder: Path,
    settings: Settings,
    *,
    cache: Path | None = None,
    on_photo: OnPhoto | None = None,
    finder: OccluderFinder | None = None,
    outline: LandmarkSegmenter | None = None,
) -> tuple[FaceSet, PrepareReport]:
    """Prepare the photos of one identity; photos that show somebody else are left out.

    Args:
        folder: Searched with its subfolders.
        settings: Size, alignment and thresholds.
        cache: As in `make_preparer`.
        on_photo: Called with (done, all) after each photo, and from the start again for each face where `finder` looks.
        finder: Looks for what covers the faces; None: nobody looks.
        outline: Of the masks; None: that of `finder`, else `FACE_OUTLINE`.

    Raises:
        FaceSetError: If the folder does not exist, holds too few usable photos, or several people.
        WeightsFileError: If `finder` misses the parser's weights.
    """
    faces, refused = _faces_of(folder, make_preparer(settings, describe=True, cache=cache, outline=_outline(outline, finder)), on_photo)
    faces, strangers = _split_strangers(faces, settings.prepare.other_person_distance)
    if len(strangers) > MOST_STRANGERS * (len(faces) + len(strangers)):
        shown = "\n".join(f"  {stranger.name}: {stranger.reason}" for stranger in strangers[:5])
        more = f"\n  and {len(strangers) - 5} more" if len(strangers) > 5 else ""
        raise FaceSetError(
            f"{folder}: {len(strangers)} of {len(faces) + len(strangers)} photos look like somebody else; the folder must show one person. "
            f"Move the other people's photos away, or, if this is one person after all, allow more: --set "
            f"prepare.other_person_distance={settings.prepare.other_person_distance + 0.2:g}.\n{shown}{more}"
        )
    refused = [*refused, *strangers]
    least = settings.prepare.min_photos
    if len(faces) < least:
        reasons = "\n".join(f"  {photo.name}: {photo.reason}" for photo in refused[:10])
        raise FaceSetError(
            f"{folder}: {len(faces)} usable photos of the identity, at least {least} are needed (30 to 300 are good).\n{reasons}".rstrip()
        )
    warnings = []
    if len(faces) < settings.prepare.few_photos:
        warnings.append(
            f"only {len(faces)} usable photos; from {settings.prepare.few_photos} on, in many poses and expressions, results are better"
        )
    if settings.loss.style.lit_alike and len(faces) > MOST_PHOTOS:
        warnings.append(
            f"more than {MOST_PHOTOS} photos are not relit (loss.style.lit_alike), because of the memory: light will be kept less well; "
            f"the {MOST_PHOTOS} best ones, in many poses and expressions, do more"
        )
    mean = np.mean([_descriptor(face) for face in faces], axis=0)
    report = replace(
        _report(folder, faces, refused),
        duplicates=near_duplicates(faces),
        warnings=tuple(warnings),
        mean_descriptor=tuple(round(float(value), 5) for value in mean),
    )
    return _looked_at(stack_faces(faces), finder, cache, on_photo), report


def least_faces(held_out: int) -> int:
    """How many faces a training needs, so many of which are held out: as many again."""
    return 2 * held_out


def outline_of_training(settings: Settings) -> LandmarkSegmenter:
    """What a training's masks begin as: who prepares a folder with it does what the training will then find done."""
    return OccluderFinder().outline if settings.prepare.mask == "parsing" else FACE_OUTLINE


def _outline(outline: LandmarkSegmenter | None, finder: OccluderFinder | None) -> LandmarkSegmenter:
    if outline is not None:
        return outline
    return FACE_OUTLINE if finder is None else finder.outline


def _without(
    faces: list[PreparedFace], refused: list[Refused], leave_out: Collection[str], folder: Path
) -> tuple[list[PreparedFace], list[Refused]]:
    """What is left without photos of the identity, by their sha256."""
    others = [face for face in faces if face.sha256 not in leave_out]
    if not others:
        raise FaceSetError(f"{folder}: all {len(faces)} usable photos are photos of the identity; faces of many other people were expected")
    own = [Refused(face.name, "is one of the identity's own photos") for face in faces if face.sha256 in leave_out]
    return others, [*refused, *own]


def _looked_at(faces: FaceSet, finder: OccluderFinder | None, cache: Path | None, on_photo: OnPhoto | None) -> FaceSet:
    return faces if finder is None else finder.find(faces, cache=cache, on_photo=on_photo)


def _faces_of(folder: Path, preparer: Preparer, on_photo: OnPhoto | None) -> tuple[list[PreparedFace], list[Refused]]:
    check_folder(folder)
    faces, refused = prepare_folder(folder, preparer, on_photo=on_photo)
    if not faces and not refused:
        raise FaceSetError(f"{folder}: the folder holds no photos (JPEG, PNG, WebP, TIFF, HEIC, BMP, GIF)")
    if not faces:
        reasons = "\n".join(f"  {photo.name}: {photo.reason}" for photo in refused[:10])
        raise FaceSetError(f"{folder}: no usable face in {len(refused)} photos\n{reasons}")
    return faces, refused


def _split_strangers(faces: Sequence[PreparedFace], limit: float) -> tuple[list[PreparedFace], list[Refused]]:
    distances = distances_to_mean(np.stack([_descriptor(face) for face in faces]))
    own = [face for face, distance in zip(faces, distances, strict=True) if distance <= limit]
    strangers = [
        Refused(face.name, f"looks like somebody else (distance {distance:.2f} to the others' mean, up to {limit} is the same person)")
        for face, distance in zip(faces, distances, strict=True)
        if distance > limit
    ]
    return own, strangers


def _descriptor(face: PreparedFace) -> npt.NDArray[np.float64]:
    assert face.descriptor is not None, "identity photos are prepared with describe=True"
    return face.descriptor


def _report(folder: Path, faces: Sequence[PreparedFace], refused: Sequence[Refused]) -> PrepareReport:
    poses = [face.pose for face in faces]
    pitches = np.percentile([pose.pitch_deg for pose in poses], [5, 95])
    return PrepareReport(
        str(folder),
        len(faces),
        tuple(refused),
        yaw_counts=_yaw_counts(poses),
        pitch_range_deg=(float(pitches[0]), float(pitches[1])),
        poses=coverage_of(poses),
    )


def _yaw_counts(poses: Sequence[Pose]) -> tuple[int, ...]:
    counts, _ = np.histogram([pose.yaw_deg for pose in poses], bins=YAW_BINS_DEG)
    return tuple(int(count) for count in counts)


def near_duplicates(faces: Sequence[PreparedFace], limit: float = 0.02) -> tuple[tuple[str, ...], ...]:
    """Groups of photos whose aligned faces are nearly the same picture.

    Args:
        faces: All of one size.
        limit: Largest mean absolute difference of 16 x 16 grey thumbnails in [0, 1]. Bursts and re-saved copies are far below, other
            expressions and lights above.

    Returns:
        Names, in groups of two and more.
    """
    # One by one: as numbers with a point, all crops of a large folder would be more than the whole training needs.
    images = (torch.from_numpy(face.image_u8)[None].float() / 255 for face in faces)
    thumbnails = torch.cat([F.interpolate(image, size=(16, 16), mode="area").mean(dim=1).flatten(1) for image in images])
    groups: list[tuple[str, ...]] = []
    taken: set[int] = set()
    for number, thumbnail in enumerate(thumbnails):
        if number in taken:
            continue
        distances = (thumbnails[number:] - thumbnail).abs().mean(dim=1)
        alike = [number + int(offset) for offset in torch.nonzero(distances <= limit).flatten() if number + int(offset) not in taken]
        if len(alike) > 1:
            taken.update(alike)
            groups.append(tuple(faces[index].name for index in alike))
    return tuple(groups)
