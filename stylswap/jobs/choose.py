"""Which of a photo's faces are swapped: the largest, all, some by number, those like a reference, or what a CSV says of the photo.

Convention:
    Faces are numbered from left to right by the middle of their boxes, from 1, as people name them under a group photo. The detector looks
    for small faces, too, wherever numbers matter (`FaceChoice.thorough`), so that `stylswap faces` and `stylswap swap` count the same.
    The size of a face is the longer side of its box in pixels of the photo: what `stylswap faces` prints.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stylswap.errors import SettingsError, UsageError, did_you_mean
from stylswap.faces.batch import Face
from stylswap.faces.detect import FaceDetector
from stylswap.features.identity import SAME_PERSON_DISTANCE, FaceDescriptor
from stylswap.photo import read_photo

LARGEST: Final = "largest"
ALL: Final = "all"
NONE: Final = "none"

Wanted = str | tuple[int, ...]
"""`LARGEST`, `ALL`, `NONE`, or numbers of faces in rising order."""


def parse_faces(text: str, *, allow_none: bool = False) -> Wanted:
    """Read what ``--faces``, or the column ``faces`` of a CSV, asks for.

    Args:
        text: ``largest``, ``all``, or numbers as ``2``, ``1,3`` or ``1 3``.
        allow_none: Also take ``none``, which makes sense for single photos only.

    Raises:
        SettingsError: If it is something else.
    """
    words = [LARGEST, ALL, *([NONE] if allow_none else [])]
    given = text.strip().lower()
    if given in words:
        return given
    parts = [part for part in re.split(r"[\s,;]+", given) if part]
    if parts and all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        return tuple(sorted({int(part) for part in parts}))
    wish = f"expected {', '.join(words)} or numbers from 1 on such as 1,3; `stylswap faces` shows them"
    close = difflib.get_close_matches(given, words, n=1, cutoff=0.6)
    raise SettingsError(f"unknown faces '{text}': {wish}.{did_you_mean(given, words) if close else ''}")


def size_px(face: Face) -> float:
    """The longer side of a face's box, in pixels of the photo: what ``--min-size`` compares."""
    left, top, right, bottom = face.box
    return max(right - left, bottom - top)


def numbers_of(faces: Sequence[Face]) -> tuple[int, ...]:
    """The number of each face, from left to right from 1; of two with the same middle the upper comes first.

    Args:
        faces: In any order, for instance the largest first, as a detector returns them.
    """
    middles = [(face.box[0] + face.box[2], face.box[1] + face.box[3]) for face in faces]
    order = sorted(range(len(faces)), key=lambda index: middles[index])
    return tuple(order.index(index) + 1 for index in range(len(faces)))


@dataclass(frozen=True)
class Reference:
    """The face of a photo that others are compared with.

    Attributes:
        name: Of the photo.
        descriptor: See `FaceDescriptor`, 128 numbers.
    """

    name: str
    descriptor: tuple[float, ...]

    @property
    def sha256(self) -> str:
        """Of the descriptor, to four digits."""
        return hashlib.sha256(json.dumps([round(value, 4) for value in self.descriptor]).encode()).hexdigest()


def read_references(paths: Sequence[Path], *, size_limit_mp: float = 100.0) -> tuple[Reference, ...]:
    """The faces of reference photos, for `FaceChoice.like`.

    Args:
        paths: Photos with one face each. Small faces in the background do no harm: they are not looked for.
        size_limit_mp: As in `read_photo`.

    Raises:
        PhotoError: If a photo cannot be read.
        UsageError: If it shows no face, or several.
    """
    detector, descriptor = FaceDetector(), FaceDescriptor()
    references = []
    for path in paths:
        rgb_u8 = read_photo(path, size_limit_mp=size_limit_mp).rgb_u8()
        faces = detector.detect(rgb_u8)
        if not faces:
            raise UsageError(f"--like {path}: no face was found in it; give a photo that shows the face large and from the front")
        if len(faces) > 1:
            raise UsageError(f"--like {path}: {len(faces)} faces were found in it, one is needed; cut out the one that is meant")
        references.append(Reference(path.name, tuple(descriptor.describe(rgb_u8, faces[0]).tolist())))
    return tuple(references)


@dataclass(frozen=True)
class Chosen:
    """What was chosen of one photo's faces; rows are in the order of the faces that were given.

    Attributes:
        indices: Of the chosen faces, rising.
        reasons: For each face "" where it is chosen, else why not.
        numbers: The number of each face, see `numbers_of`; those of `stylswap faces` only where the choice is `thorough`.
        missing: What was asked for and is not there ("face 3 was asked for, 2 were found"), else "".
    """

    indices: tuple[int, ...]
    reasons: tuple[str, ...]
    numbers: tuple[int, ...]
    missing: str = ""

    @property
    def reason(self) -> str:
        """All that was left out, in one line: what is missing, then the faces by number; "" where every face was chosen."""
        told = sorted((number, reason) for number, reason in zip(self.numbers, self.reasons, strict=True) if reason)
        return "; ".join(filter(None, [self.missing, *(f"face {number}: {reason}" for number, reason in told)]))


@dataclass(frozen=True)
class FaceChoice:
    """A rule for choosing faces. It can be pickled.

    Attributes:
        faces: What to take of a photo: `LARGEST`, `ALL` or numbers.
        min_size_px: Faces whose box's longer side is below are left out, whatever else is said.
        like: Take only who is on these reference photos instead, see `read_references`. References that are alike show one person;
            of a photo's faces the one most like a person is taken, if it is close enough.
        like_distance: Largest distance of descriptors that is close enough. At 0.6, dlib's own figure, 99.4 % of the pairs of the
            benchmark LFW are told apart; lower is stricter. Photos of one person in other light and pose are often further apart: give
            several references rather than a larger distance.
        per_photo: What to take of single photos instead of `faces` and `like`, by `photo_key`; see `stylswap.jobs.choices`.
    """

    faces: Wanted = LARGEST
    min_size_px: float = 0.0
    like: tuple[Reference, ...] = ()
    like_distance: float = SAME_PERSON_DISTANCE
    per_photo: Mapping[str, Wanted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.faces, str):
            object.__setattr__(self, "faces", parse_faces(self.faces))
        elif not self.faces or min(self.faces) < 1:
            raise SettingsError(f"faces must be numbers from 1 on, got {self.faces}")
        if not self.min_size_px >= 0:
            raise SettingsError(f"--min-size must be 0 or more pixels, got {self.min_size_px}")
        if not 0 < self.like_distance <= 2:
            raise SettingsError(f"--like-distance must be in 0..2 (0.6: the same person), got {self.like_distance}")
        if self.like and not isinstance(self.faces, str):
            raise SettingsError("--like and numbers in --faces contradict each other; give one of them")

    @property
    def thorough(self) -> bool:
        """True where the detector must look for small faces, too: for all but the largest."""
        return bool(self.faces != LARGEST or self.like or self.per_photo)

    def for_photo(self, photo: Path | None) -> dict[str, Any]:
        """What decides about one photo, as JSON types: the same for the same photo, the same faces are chosen."""
        row = self.per_photo.get(photo_key(photo)) if photo is not None else None
        wanted: Wanted = self.faces if row is None else row
        facts: dict[str, Any] = {"faces": wanted if isinstance(wanted, str) else list(wanted), "min_size_px": self.min_size_px}
        if self.like and row is None:
            facts["like"] = [[reference.name, reference.sha256] for reference in self.like]
            facts["like_distance"] = self.like_distance
        return {**facts, "thorough": self.thorough}

    def is_none_for(self, photo: Path) -> bool:
        """Whether it was said for this photo that nobody in it is to be swapped, which is known without looking at it."""
        return self.per_photo.get(photo_key(photo)) == NONE

    def choose(self, rgb_u8: npt.NDArray[np.uint8], faces: Sequence[Face], photo: Path | None = None) -> Chosen:
        """Which faces of a photo are swapped, and why the others are not.

        Args:
            rgb_u8: The upright photo, (H, W, 3) uint8 RGB; looked at only with `like`.
            faces: All that were found in it.
            photo: Its path, for `per_photo`.
        """
        numbers = numbers_of(faces)
        reasons = [self._too_small(face) for face in faces]
        left = [index for index, reason in enumerate(reasons) if not reason]
        row = self.per_photo.get(photo_key(photo)) if photo is not None else None
        wanted, missing = (self.faces if row is None else row), ""
        if self.like and row is None:
            refused = _unlike(self.like, self.like_distance, rgb_u8, [faces[index] for index in left], [numbers[index] for index in left])
        elif isinstance(wanted, str):
            refused = _by_word(wanted, [faces[index] for index in left])
        else:
            refused = ["" if numbers[index] in wanted else "not asked for" for index in left]
            missing = _missing(wanted, len(faces))
        for index, reason in zip(left, refused, strict=True):
            reasons[index] = reason
        chosen = tuple(index for index, reason in enumerate(reasons) if not reason)
        return Chosen(chosen, tuple(reasons), numbers, missing)

    def _too_small(self, face: Face) -> str:
        size = size_px(face)
        return "" if size >= self.min_size_px else f"smaller than --min-size {self.min_size_px:g} px ({size:.0f} px)"


def photo_key(photo: Path) -> str:
    """The name of a photo in `FaceChoice.per_photo`: absolute, with its folder's links followed."""
    return str(photo.parent.resolve() / photo.name)


def _by_word(wanted: str, faces: Sequence[Face]) -> list[str]:
    if wanted == LARGEST:
        largest = max(range(len(faces)), key=lambda index: faces[index].area_px, default=-1)
        return ["" if index == largest else "not the largest" for index in range(len(faces))]
    return ["" if wanted == ALL else "not asked for"] * len(faces)


def _missing(wanted: Sequence[int], num_found: int) -> str:
    absent = [str(number) for number in wanted if number > num_found]
    if not absent:
        return ""
    found = {0: "none was found", 1: "1 was found"}.get(num_found, f"{num_found} were found")
    one = len(absent) == 1
    return f"face{'' if one else 's'} {' and '.join(absent)} {'was' if one else 'were'} asked for, {found}"


def _unlike(
    references: Sequence[Reference], limit: float, rgb_u8: npt.NDArray[np.uint8], faces: Sequence[Face], numbers: Sequence[int]
) -> list[str]:
    """For each face "" where some person of the references is most like it, else why it is not taken."""
    if not faces:
        return []
    described = np.array([FaceDescriptor().describe(rgb_u8, face) for face in faces])  # (F, 128)
    known = np.array([reference.descriptor for reference in references])  # (R, 128)
    distances = np.linalg.norm(described[:, None] - known, axis=-1)  # (F, R)
    nearest = {}  # person -> the face most like it
    persons = _persons(known, limit)
    for person in set(persons):
        own = distances[:, [number == person for number in persons]].min(axis=1)  # (F,)
        if own.min() <= limit:
            nearest[person] = int(own.argmin())
    reasons = []
    for index, row in enumerate(distances):
        best = int(row.argmin())
        name, other = references[best].name, nearest.get(persons[best])
        if index in nearest.values():
            reasons.append("")
        elif other is None or row[best] > limit:
            reasons.append(f"not like {name} ({row[best]:.2f} > {limit:.2f})")
        else:
            reasons.append(f"face {numbers[other]} is more like {name} ({row[best]:.2f})")
    return reasons


def _persons(known: npt.NDArray[np.float64], limit: float) -> list[int]:
    """A number for each reference, (R, 128) -> R: the same for references that are alike, directly or by way of others."""
    persons = list(range(len(known)))
    for one in range(len(known)):
        for other in range(one):
            if np.linalg.norm(known[one] - known[other]) <= limit and persons[one] != persons[other]:
                old, new = persons[one], persons[other]
                persons = [new if person == old else person for person in persons]
    return persons
