"""How photos are swapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stylswap.errors import SettingsError, did_you_mean
from stylswap.jobs.choose import FaceChoice
from stylswap.names import BEYOND_POSE, DETAILS, FOREHEADS, GLASSES, JOIN_BLENDS, JOIN_COLOURS, MASKS


@dataclass(frozen=True)
class SwapOptions:
    """How photos are swapped.

    Attributes:
        blend: ``"auto"`` feathers unless the seam would be plain, see `stylswap.faces.join`; else ``"poisson"``, ``"feather"``, ``"none"``.
        colour: ``"auto"`` likewise; else ``"balance"``, ``"skin"`` or ``"none"``; see `stylswap.faces.join`.
        detail: ``"bands"`` sharpens the network's crop and carries over what the photo has that is finer; ``"none"`` leaves the
            face smooth.
        choice: Which faces of a photo.
        mask: What of a crop is face: ``"parsing"`` keeps what covers the face, ``"landmarks"`` does not look, ``"auto"`` parses where
            the weights are there.
        glasses: What becomes of glasses where faces are parsed: ``"keep"`` leaves them to the photo with the eyes behind them, ``"rims"``
            leaves their rims, ``"swap"`` leaves them to the network; ``"auto"`` takes ``"rims"`` for a network that has learned what
            eyes behind glasses look like, and ``"keep"`` for any other.
        beyond_pose: Faces turned further than any of the identity's photos: ``"warn"`` swaps them and says so, ``"skip"`` leaves them,
            ``"swap"`` does not care.
        label: A visible text in the corner of every swapped photo; "" for none.
        size_limit_mp: Photos of more megapixels are refused.
        forehead: How far up a forehead is swapped: ``"auto"`` no further than the identity's own photos show it, on people who show plainly
            more, where faces are parsed and the identity file says how far that is; ``"whole"`` as far as the mask goes.
    """

    blend: str = "auto"
    colour: str = "auto"
    detail: str = "bands"
    choice: FaceChoice = field(default_factory=FaceChoice)
    mask: str = "auto"
    glasses: str = "auto"
    beyond_pose: str = "warn"
    label: str = ""
    size_limit_mp: float = 100.0
    forehead: str = "auto"

    def __post_init__(self) -> None:
        checks: Sequence[tuple[str, str, Sequence[str]]] = (
            ("blend", self.blend, JOIN_BLENDS),
            ("colour", self.colour, JOIN_COLOURS),
            ("detail", self.detail, DETAILS),
            ("mask", self.mask, MASKS),
            ("glasses", self.glasses, GLASSES),
            ("forehead", self.forehead, FOREHEADS),
            ("beyond_pose", self.beyond_pose, BEYOND_POSE),
        )
        for name, value, known in checks:
            if value not in known:
                raise SettingsError(f"unknown {name} '{value}'.{did_you_mean(value, known)}")

    def as_json(self) -> dict[str, Any]:
        """What decides about an output, as JSON types; but the choice of faces, which may differ from photo to photo."""
        return {name: value for name, value in vars(self).items() if name not in ("choice", "size_limit_mp")}
