"""List the faces of photos: numbers, boxes, sizes, poses; on request numbered pictures to look at, and a CSV of choices to be edited."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from stylswap.errors import StylswapError, UsageError
from stylswap.faces.batch import Face
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import Pose, head_pose
from stylswap.jobs.choices import shortest_names, write_choices
from stylswap.jobs.choose import NONE, Chosen, FaceChoice, size_px
from stylswap.jobs.face_preview import check_free, draw_numbers, write_preview
from stylswap.jobs.swap_plan import folder_name
from stylswap.photo import list_photos, read_photo

PREVIEW_SUFFIX: Final = ".faces.jpg"


@dataclass(frozen=True, eq=False)
class ListedFace:
    """One face of a photo.

    Attributes:
        number: From left to right, from 1.
        face: Where it is.
        pose: Head pose.
        reason: Why the choice leaves it out, "" where it is chosen.
    """

    number: int
    face: Face
    pose: Pose
    reason: str

    def as_json(self) -> dict[str, Any]:
        """The face as JSON types; the box as left, top, right, bottom in pixels of the upright photo."""
        return {
            "number": self.number,
            "box": [round(side, 1) for side in self.face.box],
            "size_px": round(size_px(self.face)),
            **{name: round(value, 1) for name, value in self.pose._asdict().items()},
            "detector": self.face.detector,
            "score": round(self.face.score, 3),
            "chosen": not self.reason,
            "reason": self.reason,
        }


@dataclass(frozen=True, eq=False)
class ListedPhoto:
    """The faces of one photo.

    Attributes:
        photo: Its path.
        status: ``"faces"``, ``"no_face"`` or ``"failed"``.
        reason: Why there are none, or what was asked for and is not there; else "".
        faces: By number.
        preview: The numbered picture, where one was asked for and the photo could be read.
    """

    photo: Path
    status: str
    reason: str = ""
    faces: tuple[ListedFace, ...] = ()
    preview: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """The row as JSON types."""
        return {
            "photo": str(self.photo),
            "status": self.status,
            "reason": self.reason,
            "faces": [face.as_json() for face in self.faces],
            "preview": str(self.preview) if self.preview else None,
        }


def list_faces(
    inputs: Sequence[Path],
    *,
    choice: FaceChoice | None = None,
    preview: Path | None = None,
    choices: Path | None = None,
    size_limit_mp: float = 100.0,
    on_photo: Callable[[ListedPhoto, int, int], None] | None = None,
) -> tuple[ListedPhoto, ...]:
    """List the faces of photos and folders of photos.

    Args:
        inputs: Files and folders.
        choice: Say of each face whether it would be swapped; None: the largest.
        preview: Folder for numbered pictures, one for each photo that can be read. Not inside a folder of photos, where they would be
            taken for photos.
        choices: A CSV to be written, with the chosen faces of each photo that can be read; for `stylswap.jobs.choices.read_choices`.
        size_limit_mp: As in `read_photo`.
        on_photo: Called with each row, how many are done, and how many there are.

    Returns:
        One row for each photo, those without a face and those that cannot be read included.

    Raises:
        UsageError: If there is nothing to do, a preview would overwrite something else, or the CSV exists.
    """
    photos = _photos_of(inputs)
    if choices is not None and choices.exists():
        write_choices(choices, [])  # says what is wrong
    previews = _preview_paths(inputs, photos, preview) if preview is not None else {}
    lister = _Lister(choice or FaceChoice(), size_limit_mp)
    rows: list[ListedPhoto] = []
    # Threads are enough: decoding and dlib release the interpreter lock.
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for row in pool.map(lambda photo: lister.list(photo, previews.get(photo)), photos):
            rows.append(row)
            if on_photo is not None:
                on_photo(row, len(rows), len(photos))
    if choices is not None:
        names = shortest_names(inputs, photos)
        read = [row for row in rows if row.status != "failed"]
        write_choices(choices, [(names[row.photo], _wanted(row), len(row.faces)) for row in read])
    return tuple(rows)


@dataclass(frozen=True)
class _Lister:
    choice: FaceChoice
    size_limit_mp: float

    def list(self, photo: Path, preview: Path | None) -> ListedPhoto:
        """The row of one photo."""
        try:
            rgb_u8 = read_photo(photo, size_limit_mp=self.size_limit_mp).rgb_u8()
            found = FaceDetector(thorough=True).detect(rgb_u8)  # numbers must not depend on how the faces are chosen
            chosen = self.choice.choose(rgb_u8, found, photo)
            if preview is not None:
                write_preview(draw_numbers(rgb_u8, found, chosen.numbers, [not reason for reason in chosen.reasons]), preview)
        except Exception as error:  # one photo never stops the others, whatever a decoder or detector thinks of it
            return ListedPhoto(photo, "failed", str(error) if isinstance(error, StylswapError) else f"{type(error).__name__}: {error}")
        if not found:
            return ListedPhoto(photo, "no_face", "no face found", preview=preview)
        return ListedPhoto(photo, "faces", chosen.missing, _listed(found, chosen), preview)


def _listed(found: Sequence[Face], chosen: Chosen) -> tuple[ListedFace, ...]:
    faces = (
        ListedFace(number, face, head_pose(face.landmarks), reason)
        for number, face, reason in zip(chosen.numbers, found, chosen.reasons, strict=True)
    )
    return tuple(sorted(faces, key=lambda face: face.number))


def _wanted(row: ListedPhoto) -> str:
    return " ".join(str(face.number) for face in row.faces if not face.reason) or NONE


def _photos_of(inputs: Sequence[Path]) -> list[Path]:
    """All photos, each once."""
    photos: dict[Path, None] = {}
    for path in inputs:
        if not path.exists():
            raise UsageError(f"{path}: no such photo or folder")
        photos.update(dict.fromkeys(list_photos(path, dangling=True) if path.is_dir() else [path]))
    if not photos:
        raise UsageError(f"no photos found in {', '.join(map(str, inputs)) or 'an empty list'}")
    return list(photos)


def _preview_paths(inputs: Sequence[Path], photos: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Where the preview of each photo goes: the structure below an input folder is kept."""
    folders = [path for path in inputs if path.is_dir()]
    for path in folders:
        if folder.resolve().is_relative_to(path.resolve()):
            raise UsageError(f"--preview {folder} lies in {path}, where the pictures would be taken for photos; give a folder beside it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--preview {folder}: the folder cannot be made ({error.strerror})") from error
    stems = {photo: _below(folders, photo).with_suffix(PREVIEW_SUFFIX) for photo in photos}
    counts = Counter(stems.values())
    taken: dict[Path, Path] = {}
    for photo, stem in stems.items():
        # group.jpg beside group.png: the whole name tells them apart.
        path = folder / (stem if counts[stem] == 1 else stem.with_name(photo.name + PREVIEW_SUFFIX))
        if path in taken:
            raise UsageError(f"the previews of {taken[path]} and {photo} would both be {path}; list them into different folders")
        taken[path] = photo
        check_free(path)
    return {photo: path for path, photo in taken.items()}


def _below(folders: Sequence[Path], photo: Path) -> Path:
    for path in folders:
        if photo.is_relative_to(path):
            return Path(folder_name(path) if len(folders) > 1 else "") / photo.relative_to(path)
    return Path(photo.name)
