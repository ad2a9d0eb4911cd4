"""What becomes of a photo on its way through a swap: values that the stages hand on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from stylswap.faces.batch import Face, FaceBatch
from stylswap.faces.landmarks import Pose
from stylswap.photo import Photo

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Aligned:
    """A photo whose faces are found and, as far as they were chosen, cut out.

    Attributes:
        photo: As it was.
        found: All F faces, the largest first.
        numbers: Of each of them, as `stylswap faces` shows it.
        chosen: Places in `found` of the B faces that are swapped.
        left_out: A reason for each face that is not, by its number.
        missing: What was asked for and is not there, else "".
        warnings: One text for each chosen face, "" for none.
        matrices: crop_from_photo of each chosen face, (3, 3) each.
        faces: The chosen faces, (B, 3, S, S); their masks come from the landmarks alone.
        views: The same squares at the side that face parsing wants, (B, 3, M, M); None where it is off.
        seconds: By stage.
    """

    photo: Photo
    found: tuple[Face, ...]
    numbers: tuple[int, ...]
    chosen: tuple[int, ...]
    left_out: dict[int, str]
    missing: str
    warnings: tuple[str, ...]
    matrices: tuple[FloatArray, ...]
    faces: FaceBatch
    views: Tensor | None
    seconds: dict[str, float]


@dataclass(frozen=True, eq=False)
class RenderedFaces:
    """What the networks made of one photo's B faces.

    Attributes:
        outputs: (B, 3, S, S) in [0, 1].
        masks: What of them goes into the photo, (B, 1, M, M) in [0, 1].
        parsed: For each face, whether face parsing made its mask.
        occluded: For each face, the share of the landmark mask that something covers and that stays the photo's, in [0, 1].
        glasses: For each face, whether it wears glasses.
        seconds: Spent on this photo.
    """

    outputs: Tensor
    masks: Tensor
    parsed: tuple[bool, ...]
    occluded: tuple[float, ...]
    glasses: tuple[bool, ...]
    seconds: dict[str, float]


@dataclass(frozen=True, eq=False)
class SwappedFace:
    """One face that was replaced.

    Attributes:
        face: Where it was.
        pose: Head pose.
        output: The network's bare crop, (3, S, S) in [0, 1].
        mask: What of the crop went into the photo, (1, M, M) in [0, 1].
        crop_from_photo: (3, 3), of the output's side S.
        facts: For the journal: blend, seam figure, occluders and so on; JSON types.
    """

    face: Face
    pose: Pose
    output: Tensor
    mask: Tensor
    crop_from_photo: FloatArray
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The face as JSON types."""
        return {
            "box": [round(side, 1) for side in self.face.box],
            "detector": self.face.detector,
            "score": round(self.face.score, 3),
            **{name: round(value, 1) for name, value in self.pose._asdict().items()},
            **self.facts,
        }


@dataclass(frozen=True, eq=False)
class Swapped:
    """What became of one photo.

    Attributes:
        photo: The result; the photo as it was where nothing was swapped; None where it could not even be read.
        original: The photo as it was; None where it could not be read.
        status: ``"swapped"``, ``"no_face"``, ``"skipped"`` (faces were found, none was to be swapped) or ``"failed"``.
        reason: Why it was not swapped, or which of the faces asked for is not there; else "".
        num_found: Faces that were found.
        faces: The faces that were replaced.
        left_out: A reason for each face that was not, by its number, see `stylswap.jobs.choose`.
        seconds: By stage.
    """

    photo: Photo | None
    original: Photo | None
    status: str
    reason: str = ""
    num_found: int = 0
    faces: tuple[SwappedFace, ...] = ()
    left_out: dict[int, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
