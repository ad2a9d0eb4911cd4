"""Figures for an identity: is it the person, and is it still the photo's expression and light?

Every figure is of the final photo; the network's bare crop stands beside it, and two rows that need no training.
"""

from __future__ import annotations

import platform
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stylswap.errors import FaceSetError
from stylswap.features.identity import SAME_PERSON_DISTANCE
from stylswap.identity_file import IdentityFile
from stylswap.interrupt import first_ctrl_c
from stylswap.jobs.align_photo import reason_of
from stylswap.jobs.evaluation import CROP_ROW, INPUT_ROW, PASTE_ROW, SWAP_ROW, Evaluation, PhotoFigures
from stylswap.jobs.judges import DLIB, Judges
from stylswap.jobs.look import Look, OwnPhotos
from stylswap.jobs.paste import place_crop
from stylswap.jobs.swapped import Swapped
from stylswap.jobs.swapper import Swapper
from stylswap.losses.weigh import ever_wanted
from stylswap.metrics.identity import retrieval
from stylswap.metrics.light import light_bin
from stylswap.metrics.picture import untouched
from stylswap.metrics.pose import yaw_bin
from stylswap.version import __version__

FloatArray = npt.NDArray[np.float64]

# Pictures kept of each photo, for the report.
KEPT_PX: Final = 160


@dataclass(frozen=True, eq=False)
class Pictures:
    """One photo's face as each row shows it, (3, P, P) in [0, 1]; for sheets and reports."""

    name: str
    rows: Mapping[str, Tensor]


OnPhoto = Callable[[Pictures | None, int, int], None]
"""Called after each photo with its pictures (None: it was skipped), how many are done, and how many there are."""


@dataclass(eq=False)
class Inputs:
    """Held-out photos as the judges see them before any swap; looked at once, however many identities are measured on them.

    Attributes:
        judges: Who look.
        paste: The classical swap of the same identity; None leaves its row out.
    """

    judges: Judges
    paste: Swapper | None = None
    _looks: dict[Path, Look] = field(default_factory=dict)
    _pasted: dict[Path, tuple[Look, dict[str, float]] | None] = field(default_factory=dict)

    def look(self, path: Path, swapped: Swapped) -> Look:
        """The input's face that was swapped."""
        if path not in self._looks:
            assert swapped.original is not None
            self._looks[path] = self.judges.look(swapped.original, swapped.faces[0].face, again=False)
        return self._looks[path]

    def pasted(self, path: Path) -> tuple[Look, dict[str, float]] | None:
        """The classical swap of the photo and its own figures; None where there is none."""
        if self.paste is not None and path not in self._pasted:
            swapped = self.paste.swap_many([path])[0]
            self._pasted[path] = look_after(self.judges, swapped) if swapped.status == "swapped" else None
        return self._pasted.get(path)


def evaluate(
    swapper: Swapper,
    photos: Sequence[Path],
    inputs: Inputs,
    own: OwnPhotos,
    *,
    on_photo: OnPhoto | None = None,
    on_interrupt: Callable[[], None] | None = None,
) -> Evaluation:
    """Swap photos and measure the largest face of each.

    Args:
        swapper: With the identity to be measured.
        photos: Held-out photos, none of them used in training.
        inputs: Remembers what does not depend on the identity.
        own: What the identity's own photos are like.
        on_photo: See `OnPhoto`.
        on_interrupt: Called at the first Ctrl-C, after which the photo at hand is finished; inside the signal's handler.

    Raises:
        FaceSetError: If no photo could be measured.
    """
    began = time.monotonic()
    measured: list[_Measured] = []
    skipped: dict[str, str] = {}
    asked = threading.Event()
    names = photo_names(photos)

    def ask_to_stop() -> None:
        asked.set()
        if on_interrupt is not None:
            on_interrupt()

    with first_ctrl_c(ask_to_stop):
        for done, (path, name) in enumerate(zip(photos, names, strict=True), start=1):
            item = None
            try:
                item = _measure(_swapped(swapper, path), path, name, inputs, own)
                measured.append(item)
            except Exception as error:  # one photo never stops the others, whatever a judge thinks of it
                skipped[name] = reason_of(error)
            if on_photo is not None:
                on_photo(item.pictures if item is not None else None, done, len(photos))
            if asked.is_set():
                break
    if not measured:
        reasons = "\n".join(f"  {name}: {reason}" for name, reason in list(skipped.items())[:5])
        raise FaceSetError(f"none of the {len(photos)} photos could be swapped, so there is nothing to measure\n{reasons}")
    _add_retrieval(measured, own)
    identity = {"name": swapper.identity.card.name, "sha256": swapper.identity.sha256, "engine": swapper.identity.engine}
    facts = {
        "seconds": round(time.monotonic() - began, 1),
        "options": swapper.options.as_json(),
        "own_cosines": {name: round(value, 4) for name, value in own.own.items()},
        "version": __version__,
        **hardware(),
    }
    figures = tuple(item.figures for item in measured)
    missing = len(photos) - len(measured) - len(skipped)
    early = (f"Interrupted: {missing} of {len(photos)} photos were not measured.",) if missing else ()
    return Evaluation(identity, figures, skipped, (*early, *_notes(swapper.identity, inputs)), facts, interrupted=missing > 0)


def hardware() -> dict[str, Any]:
    """What computes."""
    machine = {"processor": _processor(), "cores": torch.get_num_threads(), "torch": torch.__version__, "python": platform.python_version()}
    return {**machine, "gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else machine


def look_after(judges: Judges, swapped: Swapped) -> tuple[Look, dict[str, float]]:
    """The final photo's face, and what only the whole photo tells: seam, and whether anything outside the mask changed.

    Args:
        judges: Who look.
        swapped: A photo that was swapped.
    """
    assert swapped.photo is not None
    assert swapped.original is not None
    figures = {"seam": 100 * float(swapped.faces[0].facts["seam"])}
    before_u8 = swapped.original.rgb_u8()
    mask = np.zeros(before_u8.shape[:2], dtype=bool)
    for face in swapped.faces:
        place = place_crop(swapped.original, face.output, face.mask, face.crop_from_photo)
        if place is not None:
            rect = place.rect
            mask[rect.top : rect.top + rect.height, rect.left : rect.left + rect.width] |= (place.mask[0] > 0).numpy()
    figures["untouched"] = float(untouched(before_u8, swapped.photo.rgb_u8(), mask))
    return judges.look(swapped.photo, swapped.faces[0].face), figures


def photo_names(photos: Sequence[Path]) -> list[str]:
    """What each photo is called: by its file, and where folders hold that name several times, by its path as well."""
    count = Counter(path.name for path in photos)
    return [path.name if count[path.name] == 1 else path.as_posix() for path in photos]


@dataclass(frozen=True, eq=False)
class _Measured:
    figures: PhotoFigures
    before: Look
    looks: Mapping[str, Look]
    pictures: Pictures


def _swapped(swapper: Swapper, path: Path) -> Swapped:
    swapped = swapper.swap_many([path])[0]
    if swapped.status != "swapped":
        raise FaceSetError(swapped.reason)
    return swapped


def _measure(swapped: Swapped, path: Path, name: str, inputs: Inputs, own: OwnPhotos) -> _Measured:
    judges, face = inputs.judges, swapped.faces[0]
    before = inputs.look(path, swapped)
    after, whole = look_after(judges, swapped)
    looks = {INPUT_ROW: before, SWAP_ROW: after, CROP_ROW: judges.look_at_output(face.output, face.crop_from_photo, face.face)}
    nothing = {"seam": 0.0, "untouched": 0.0, "lpips_outside": 0.0}
    extra: dict[str, dict[str, float]] = {
        INPUT_ROW: nothing,
        SWAP_ROW: {**whole, "lpips_outside": judges.perceptual_outside(before, after)},
    }
    pasted = inputs.pasted(path)
    if pasted is not None:
        looks[PASTE_ROW], whole = pasted
        extra[PASTE_ROW] = {**whole, "lpips_outside": judges.perceptual_outside(before, looks[PASTE_ROW])}
    rows = {row: {**judges.compare(before, look, own), **extra.get(row, {})} for row, look in looks.items()}
    for figures in rows.values():
        figures[f"{DLIB}_taken"] = float(figures[f"{DLIB}_distance"] < SAME_PERSON_DISTANCE)
    light = light_bin(before.light) if np.isfinite(before.light).all() else ""
    pictures = {row: _small(look.view) for row, look in looks.items()}
    return _Measured(PhotoFigures(name, yaw_bin(before.pose.yaw_deg), light, rows), before, looks, Pictures(name, pictures))


def _small(view: Tensor) -> Tensor:
    return torch.nn.functional.interpolate(view[None], size=(KEPT_PX, KEPT_PX), mode="area")[0]


def _add_retrieval(measured: Sequence[_Measured], own: OwnPhotos) -> None:
    """For every output: is the identity the nearest person, among itself and all input people?"""
    for name, mean in own.means.items():
        people = np.stack([item.before.embeddings[name] for item in measured])
        for item in measured:
            for row, look in item.looks.items():
                figures = item.figures.rows[row]
                assert isinstance(figures, dict)
                figures[f"{name}_retrieved"] = retrieval(look.embeddings[name][None], mean, people)


def _notes(identity: IdentityFile, inputs: Inputs) -> tuple[str, ...]:
    notes = [*inputs.judges.absent, *_taught_by(identity, inputs.judges.names)]
    if inputs.paste is None:
        notes.append("The row 'paste' needs the identity's photos (--identity-photos).")
    return tuple(notes)


def _taught_by(identity: IdentityFile, judges: Sequence[str]) -> list[str]:
    """Which judges of likeness are none, since the training listened to them."""
    loss = identity.settings.get("loss", {})
    if not {"identity", "residual"} & ever_wanted(loss.get("weights", {}), loss.get("ramps", {})):
        return []
    teachers = [name for name in loss.get("recognisers", [loss.get("recogniser", "")]) if name in judges]
    if not teachers:
        return []
    others = [name for name in judges if name not in teachers]
    left = f"judge by {' and '.join(others)}" if others else "nobody is left to judge likeness; see `stylswap weights fetch sface`"
    them = "these" if len(teachers) > 1 else "it"
    return [f"The identity was trained with {' and '.join(teachers)}, so figures by {them} flatter: {left}."]


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()
