"""What a journal says of each photo of a swap, read with patience: older journals lack keys, and damaged ones hold anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_SIDES: Final = 4
# Beyond this a number is damage, and no chart could show it.
_LARGEST: Final = 1e9


@dataclass(frozen=True)
class FaceRecord:
    """One face that was swapped. None and "" where the journal does not say.

    Attributes:
        number: Of the face in its photo, from 1.
        box: Left, top, right, bottom in pixels of the upright photo.
        yaw_deg: Head pose.
        pitch_deg: Head pose.
        roll_deg: Head pose.
        seam: 0: its edge is as smooth as the input is there; larger is worse.
        blend: How it was joined.
        colour: How its colour was matched.
        parsed: Whether face parsing made its mask.
        occluded_share: How much of it something covers that stayed the photo's, in [0, 1].
        glasses: Whether it wears glasses.
        warning: On its pose.
    """

    number: int
    box: tuple[float, float, float, float] | None
    yaw_deg: float | None
    pitch_deg: float | None
    roll_deg: float | None
    seam: float | None
    blend: str
    colour: str
    parsed: bool | None
    occluded_share: float | None
    glasses: bool
    warning: str


@dataclass(frozen=True)
class PhotoRecord:
    """One photo. None and "" where the journal does not say.

    Attributes:
        photo: Its path, as text.
        output: The result's path, as text.
        status: "swapped", "no_face", "skipped" or "failed".
        reason: Why it was not swapped.
        faces_found: How many faces it has.
        faces: Those that were swapped.
        left_out: A reason for each face that was not.
        seconds: By stage.
        cached: True when an earlier run did it.
    """

    photo: str
    output: str | None
    status: str
    reason: str
    faces_found: int | None
    faces: tuple[FaceRecord, ...]
    left_out: tuple[str, ...]
    seconds: dict[str, float]
    cached: bool

    @property
    def worst(self) -> FaceRecord | None:
        """The face with the worst seam, of those that have a figure."""
        measured = [face for face in self.faces if face.seam is not None]
        return max(measured, key=lambda face: face.seam or 0.0) if measured else None


def photo_record(line: Mapping[str, Any]) -> PhotoRecord:
    """The record of one line of a journal; what is missing or of another kind than it should be counts as not said."""
    faces = line.get("faces")
    faces = [face for face in faces if isinstance(face, Mapping)] if isinstance(faces, list | tuple) else []
    seconds, left_out = line.get("seconds"), line.get("left_out")
    spent = {str(stage): _number(value) for stage, value in seconds.items()} if isinstance(seconds, Mapping) else {}
    found = _number(line.get("faces_found"))
    return PhotoRecord(
        photo=_text(line.get("photo")) or "a photo without a name",
        output=_text(line.get("output")) or None,
        status=_text(line.get("status")) or "unknown",
        reason=_text(line.get("reason")),
        faces_found=None if found is None else int(found),
        faces=tuple(_face(number, face) for number, face in enumerate(faces, 1)),
        left_out=tuple(map(_text, left_out.values())) if isinstance(left_out, Mapping) else (),
        seconds={stage: value for stage, value in spent.items() if value is not None and value >= 0},
        cached=line.get("cached") is True,
    )


def _face(number: int, line: Mapping[str, Any]) -> FaceRecord:
    parsed, own_number = line.get("parsed"), _number(line.get("number"))
    return FaceRecord(
        number=number if own_number is None else int(own_number),
        box=_box(line.get("box")),
        yaw_deg=_number(line.get("yaw_deg")),
        pitch_deg=_number(line.get("pitch_deg")),
        roll_deg=_number(line.get("roll_deg")),
        seam=_number(line.get("seam")),
        blend=_text(line.get("blend")),
        colour=_text(line.get("colour")),
        parsed=parsed if isinstance(parsed, bool) else None,
        occluded_share=_number(line.get("occluded_share")),
        glasses=line.get("glasses") is True,
        warning=_text(line.get("warning")),
    )


def _box(value: object) -> tuple[float, float, float, float] | None:
    sides = [_number(side) for side in value] if isinstance(value, list | tuple) else []
    known = [side for side in sides if side is not None]
    if len(known) != _SIDES or len(sides) != _SIDES or known[0] >= known[2] or known[1] >= known[3]:
        return None
    return known[0], known[1], known[2], known[3]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST or math.isnan(value):
        return None
    return float(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
