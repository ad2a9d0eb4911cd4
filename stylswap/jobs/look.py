"""What judges see: one face of one photo, and an identity's own photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stylswap.faces.landmarks import Pose, head_pose
from stylswap.features.blendshapes import FaceSigns
from stylswap.jobs.paste import PASTE_SEGMENTER
from stylswap.metrics.light import sh_light
from stylswap.metrics.picture import sharpness

FloatArray = npt.NDArray[np.float64]

# Side of the square that is looked at: twice the usual crop, so that what a network of 128 px cannot draw is seen to be missing.
VIEW_PX: Final = 256


@dataclass(frozen=True, eq=False)
class Look:
    """One face of one photo.

    Attributes:
        landmarks: In the photo, (68, 2).
        view: The square that is looked at, (3, V, V) in [0, 1].
        points: The landmarks in it, (68, 2).
        embeddings: By recogniser, (D,).
        signs: Blendshapes and gaze; None where nobody could tell.
    """

    landmarks: FloatArray
    view: Tensor
    points: FloatArray
    embeddings: Mapping[str, FloatArray]
    signs: FaceSigns | None

    @cached_property
    def mask(self) -> Tensor:
        """The face inside an outline around its landmarks, (1, V, V): the same area whatever was pasted, and with whatever mask."""
        points = torch.from_numpy(self.points).float()[None]
        return PASTE_SEGMENTER.segment(self.view[None], points)[0]

    def light_of(self, view: Tensor) -> FloatArray:
        """Spherical harmonics of a view under this face's normals, (9,); NaN where they could not be fitted.

        Args:
            view: This face's own, or what became of it, (3, V, V).
        """
        return sh_light(view, torch.from_numpy(self.points).float(), self.mask)

    @cached_property
    def light(self) -> FloatArray:
        """`light_of` its own view."""
        return self.light_of(self.view)

    @cached_property
    def pose(self) -> Pose:
        """Of the head."""
        return head_pose(self.landmarks)

    @cached_property
    def sharpness(self) -> float | None:
        """Share of fine detail."""
        return sharpness(self.view, self.mask)


@dataclass(frozen=True, eq=False)
class OwnPhotos:
    """What the judges see in an identity's own photos.

    Attributes:
        means: The mean direction, by recogniser.
        own: Mean cosine of a photo to the mean of the others, by recogniser.
        descriptor: Mean of dlib's descriptors, for distances.
        sharpness: Of each photo.
        pictures: A few of them, (3, V, V).
    """

    means: Mapping[str, FloatArray]
    own: Mapping[str, float]
    descriptor: FloatArray
    sharpness: Sequence[float | None]
    pictures: Sequence[Tensor] = ()

    def as_json(self) -> dict[str, Any]:
        """Everything but the pictures, as JSON types."""
        means = {name: mean.tolist() for name, mean in self.means.items()}
        return {"means": means, "own": dict(self.own), "descriptor": self.descriptor.tolist(), "sharpness": list(self.sharpness)}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> OwnPhotos:
        """What `as_json` gave, without the pictures.

        Raises:
            KeyError: If something is missing.
        """
        means = {name: np.asarray(mean, dtype=np.float64) for name, mean in facts["means"].items()}
        return cls(means, facts["own"], np.asarray(facts["descriptor"], dtype=np.float64), facts["sharpness"])
