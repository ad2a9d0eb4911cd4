"""One row of a study, in a process of its own: train, measure, leave the figures in its folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from stylswap.errors import UsageError
from stylswap.identity_file import CARD_NAME, IdentityCard, IdentityFile, read_card, read_identity_file
from stylswap.jobs.align_photo import reason_of
from stylswap.jobs.evaluate import Inputs, Pictures, evaluate
from stylswap.jobs.evaluation import INPUT_ROW, SWAP_ROW
from stylswap.jobs.judges import Judges
from stylswap.jobs.look import OwnPhotos
from stylswap.jobs.run_folder import TrainRequest
from stylswap.jobs.study_spec import (
    StudySpec,
    Variant,
    fingerprint_of,
    folder_hash,
    join_options,
    photo_hash,
    slug,
    training_fingerprint,
)
from stylswap.jobs.swapper import Swapper
from stylswap.jobs.train import train
from stylswap.photo import list_photos, write_png
from stylswap.sheets import contact_sheet
from stylswap.storage import write_atomically
from stylswap.training.checkpoint import checkpoints

ROW_FILE: Final = "row.json"
IDENTITY_FILE: Final = "identity.safetensors"
RUN_FOLDER: Final = "run"
PHOTOS_FOLDER: Final = "photos"
MARKER: Final = "fingerprint"
TRIVIAL_FOLDER: Final = "trivial"
# Faces on a row's strip of the contact sheet.
SHOWN: Final = 12


@dataclass(frozen=True)
class VariantTask:
    """One row to be done.

    Attributes:
        spec: The study.
        variant: The row; None: the rows without training, with their identity.
        identity: Its name.
        out: The study's folder.
        device: As in `pick_device`.
        threads: Of the processor.
        judges: Who is there to measure, see `Judges.present`.
        consent: Who allowed the faces of identities whose folder has no ``identity.toml``; None: such a row fails.
    """

    spec: StudySpec
    variant: Variant | None
    identity: str
    out: Path
    device: str = "auto"
    threads: int = 1
    judges: tuple[str, ...] = ()
    consent: str | None = None

    @property
    def name(self) -> str:
        """Of the row."""
        return f"{TRIVIAL_FOLDER} {self.identity}" if self.variant is None else self.variant.name

    @property
    def folder(self) -> Path:
        """Where everything of it goes."""
        return self.out / slug(self.name)

    @property
    def fingerprint(self) -> str:
        """See `fingerprint_of`."""
        return fingerprint_of(self.spec, self.variant or Variant(name=self.name, identity=self.identity), self.judges)

    def done(self) -> dict[str, Any] | None:
        """What `run_variant` left, if it is of this very variant."""
        try:
            row: dict[str, Any] = json.loads((self.folder / ROW_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return row if row.get("fingerprint") == self.fingerprint and row.get("status") == "done" else None


def run_variant(task: VariantTask) -> None:
    """Train and measure; leaves `ROW_FILE`, also where it fails. Meant for a process of its own.

    Args:
        task: What to do. A training that was interrupted goes on from its last checkpoint.
    """
    torch.set_num_threads(task.threads)
    task.folder.mkdir(parents=True, exist_ok=True)
    try:
        facts = _trivial(task) if task.variant is None else _trained(task, task.variant)
        row = {"status": "done", "reason": "", **facts}
    except Exception as error:  # whatever it was, the other rows go on
        row = {"status": "failed", "reason": without_folders(task, reason_of(error))}
    row = {"name": task.name, "identity": task.identity, "fingerprint": task.fingerprint, **row}
    write_atomically(task.folder / ROW_FILE, json.dumps(row, indent=1).encode())


def held_out_photos(spec: StudySpec) -> dict[str, list[Path]]:
    """The photos to measure on, by name: none of them among the training faces, evenly spaced.

    Raises:
        UsageError: If none are left.
    """
    trained_on = {photo_hash(path) for path in list_photos(spec.photos.faces)}
    chosen = {}
    for name, part in spec.photos.held_out.items():
        photos = [path for path in list_photos(part.folder) if photo_hash(path) not in trained_on]
        if not photos:
            raise UsageError(f"{part.folder}: no photos that are not among the training faces")
        chosen[name] = spaced(photos, part.count)
    return chosen


def spaced(photos: list[Path], count: int | None) -> list[Path]:
    """So many of them, evenly spaced; all where there are not more."""
    if count is None or count >= len(photos):
        return photos
    return [photos[round(place * (len(photos) - 1) / max(count - 1, 1))] for place in range(count)]


def _trained(task: VariantTask, variant: Variant) -> dict[str, Any]:
    spec, settings = task.spec, task.spec.settings_of(variant)
    photos = spec.photos.identities[task.identity]
    out, run = task.folder / IDENTITY_FILE, task.folder / RUN_FOLDER
    own = _some_photos(task, photos, variant.photos)
    fingerprint = training_fingerprint(spec, variant)
    finished = _finished(out, run, fingerprint)
    if finished is None:
        resume = bool(checkpoints(run)) and _trained_for(run) == fingerprint
        if not resume:
            shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True, exist_ok=True)
        out.unlink(missing_ok=True)  # of another variant: if this training fails, it must not be taken for its result
        (run / MARKER).write_text(fingerprint)
        request = TrainRequest(own, spec.photos.faces, out, _card(task), settings, run, device=task.device)
        if train(request, resume=resume).out is None:
            raise KeyboardInterrupt
        finished = read_identity_file(out)
        for path in checkpoints(run):
            path.unlink()  # what a study leaves behind would fill the disk
    swapper = Swapper(finished, options=join_options(variant), device=task.device)
    facts = _measure(task, swapper)
    training = finished.training
    return {**facts, "steps": training["steps"], "seconds": training["seconds"]}


def _trivial(task: VariantTask) -> dict[str, Any]:
    """The two rows without training, measured as if pasting were the swap."""
    folder = task.spec.photos.identities[task.identity]
    return _measure(task, Swapper.from_photos(folder, card=_card(task), device=task.device))


def _card(task: VariantTask) -> IdentityCard:
    """Who it is: as its folder says, else with the consent that was given for all."""
    folder = task.spec.photos.identities[task.identity]
    says = (folder / CARD_NAME).is_file()
    return read_card(folder, name=None if says else task.identity, consent=None if says else task.consent)


def _measure(task: VariantTask, swapper: Swapper) -> dict[str, Any]:
    judges = Judges.load(device=swapper.device)
    own = _own_photos(task, judges)
    inputs = Inputs(judges)
    strips: list[torch.Tensor] = []
    inputs_shown: list[torch.Tensor] = []
    counts = {}
    for name, photos in held_out_photos(task.spec).items():
        kept: list[Pictures] = []
        evaluation = evaluate(swapper, photos, inputs, own, on_photo=lambda item, *_, kept=kept: kept.extend([item] if item else []))
        if evaluation.interrupted:  # means over some of the photos would stand in the table as if they were of all
            raise KeyboardInterrupt
        folder = task.folder / name
        folder.mkdir(exist_ok=True)
        evaluation.write(folder)
        counts[name] = len(evaluation.photos)
        each = max(SHOWN // len(task.spec.photos.held_out), 1)
        shown = [kept[index] for index in sorted({round(place * (len(kept) - 1) / max(each - 1, 1)) for place in range(each)})]
        strips += [item.rows[SWAP_ROW] for item in shown]
        inputs_shown += [item.rows[INPUT_ROW] for item in shown]
    write_png(contact_sheet([torch.stack(inputs_shown), torch.stack(strips)], gap_px=0), task.folder / "strip.png")
    return {"counts": counts}


def _some_photos(task: VariantTask, folder: Path, count: int | None) -> Path:
    """The identity's folder, or one with links to some of its photos."""
    if count is None:
        return folder
    some = task.folder / PHOTOS_FOLDER
    shutil.rmtree(some, ignore_errors=True)
    some.mkdir(parents=True)
    for number, path in enumerate(spaced(list_photos(folder), count)):
        # Numbered: where folders within the folder hold one name twice, the copy of the second would be written into the first, and a
        # link is the user's own photo.
        link = some / f"{number:04d}-{path.name}"
        try:
            os.link(path, link)
        except OSError:  # another disk
            shutil.copyfile(path, link)
    return some


def _finished(out: Path, run: Path, fingerprint: str) -> IdentityFile | None:
    return read_identity_file(out) if out.is_file() and _trained_for(run) == fingerprint else None


def _trained_for(run: Path) -> str:
    marker = run / MARKER
    return marker.read_text() if marker.is_file() else ""


def without_folders(task: VariantTask, text: str) -> str:
    """A reason without the folders of this machine: tables are meant to be shown."""
    photos = task.spec.photos
    known = [task.folder, task.out, photos.faces, *photos.identities.values(), *(part.folder for part in photos.held_out.values())]
    for folder in known:
        for spelling in (str(folder.resolve()), str(folder)):
            text = text.replace(spelling, folder.name)
    return text


def _own_photos(task: VariantTask, judges: Judges) -> OwnPhotos:
    """What the identity's own photos are like: looked at by the first row that needs it, then remembered."""
    path = task.out / f"own-{slug(task.identity)}.json"
    key = {"photos": folder_hash(task.spec.photos.identities[task.identity]), "judges": list(judges.names)}
    try:
        facts: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if facts["key"] == key:
            return OwnPhotos.from_json(facts)
    except (OSError, ValueError, KeyError):
        pass
    own = judges.own_photos(task.spec.photos.identities[task.identity])
    write_atomically(path, json.dumps({"key": key, **own.as_json()}).encode())
    return own
