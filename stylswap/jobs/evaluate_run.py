"""`stylswap evaluate`: load, measure, write a folder with figures and a report."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch

from stylswap.errors import FaceSetError, UsageError
from stylswap.examples import EXAMPLES, examples_path
from stylswap.jobs.evaluate import Inputs, OnPhoto, Pictures, evaluate, photo_names
from stylswap.jobs.evaluation import EVALUATION_FILE, INPUT_ROW, PASTE_ROW, SWAP_ROW, Evaluation, read_evaluation
from stylswap.jobs.figure_columns import CHIEF, COLUMNS
from stylswap.jobs.judges import Judges, mean_descriptor
from stylswap.jobs.look import OwnPhotos
from stylswap.jobs.run_folder import RUN_FILE
from stylswap.jobs.study_spec import photo_hash
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapper import Swapper
from stylswap.metrics.light import LIGHT_BINS
from stylswap.metrics.pose import YAW_BINS
from stylswap.metrics.statistics import Interval
from stylswap.photo import list_photos, write_png
from stylswap.report import REPORT_FILE, EvaluationView, Figure, PhotoView, write_evaluation_report
from stylswap.sheets import contact_sheet
from stylswap.storage import write_atomically

PHOTOS_FILE: Final = "photos.csv"
SHEET_FILE: Final = "sheet.png"
OWN_PHOTO: Final = "is one of the identity's own photos"
MOST_ON_SHEET: Final = 40
SHEET_COLUMNS: Final = 8
LARGER: Final = "-256"  # ends the name of a shipped identity that is another's larger edition
# Between the means of two folders; single photos of one person are up to 0.6 apart, and means are much steadier.
MOST_APART: Final = 0.4


@dataclass(frozen=True)
class EvaluateRequest:
    """What to measure.

    Attributes:
        identity: An identity file, or a name that ships.
        photos: Files and folders, none of them used in training.
        out: Where the figures and the report go.
        identity_photos: The identity's own photos; None: see `find_identity_photos`.
        options: How to swap.
        first: Only so many photos, in name order.
        device: As in `pick_device`.
    """

    identity: str | Path
    photos: Sequence[Path]
    out: Path
    identity_photos: Path | None = None
    options: SwapOptions = field(default_factory=SwapOptions)
    first: int | None = None
    device: str = "auto"

    @property
    def command(self) -> str:
        """What measures the same again."""
        words = ["stylswap", "evaluate", "--identity", str(self.identity), "--photos", *map(str, self.photos), "--out", str(self.out)]
        words += ["--identity-photos", str(self.identity_photos)] if self.identity_photos is not None else []
        words += ["--first", str(self.first)] if self.first is not None else []
        default = SwapOptions()
        for name in ("blend", "colour", "detail", "mask", "glasses", "forehead"):
            value = getattr(self.options, name)
            words += [f"--{name}", value] if value != getattr(default, name) else []
        return shlex.join(words)


def evaluate_identity(
    request: EvaluateRequest, *, on_photo: OnPhoto | None = None, on_interrupt: Callable[[], None] | None = None
) -> Evaluation:
    """Measure an identity on held-out photos; writes ``evaluation.json``, ``photos.csv``, ``sheet.png`` and ``report.html``.

    Args:
        request: What to measure.
        on_photo: See `stylswap.jobs.evaluate.OnPhoto`.
        on_interrupt: Called at the first Ctrl-C, after which the photo at hand is finished; inside the signal's handler.

    Raises:
        UsageError: If there are no photos but the identity's own, nobody says where those are, or `out` holds something else.
        FaceSetError: If no photo could be swapped, or the identity's photos cannot be used.
        IdentityFileError: If the identity cannot be read.
    """
    photos = _photos(request)
    swapper = Swapper.load(request.identity, options=request.options, device=request.device)
    folder = find_identity_photos(request.identity, request.identity_photos)
    held_out, skipped = _without_own(photos, folder)
    _check_out(request.out, swapper)
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{request.out}: the folder cannot be made ({error.strerror}); give another --out") from error
    judges = Judges.load(device=swapper.device)
    own = judges.own_photos(folder)
    _check_same_person(swapper, own, folder)
    inputs = Inputs(judges, Swapper.from_photos(folder, card=swapper.identity.card, device=request.device))
    kept: list[Pictures] = []

    def keep(pictures: Pictures | None, done: int, total: int) -> None:
        kept.extend([pictures] if pictures is not None else [])
        if on_photo is not None:
            on_photo(pictures, done, total)

    evaluation = evaluate(swapper, held_out, inputs, own, on_photo=keep, on_interrupt=on_interrupt)
    if skipped:
        note = f"{len(skipped)} of the {len(photos)} photos are the identity's own, which its training saw: they are not in the figures."
        evaluation = dataclasses.replace(evaluation, skipped={**skipped, **evaluation.skipped}, notes=(note, *evaluation.notes))
    evaluation.write(request.out)
    write_atomically(request.out / PHOTOS_FILE, photos_csv(evaluation).encode(errors="backslashreplace"))
    write_png(pictures_sheet(kept), request.out / SHEET_FILE)
    write_evaluation_report(request.out, view_of(evaluation, kept, own, command=request.command))
    return evaluation


def find_identity_photos(identity: str | Path, given: Path | None) -> Path:
    """Where the identity's own photos are: as given; for a name that ships, in the examples; else where its run folder says.

    Args:
        identity: As the user gave it.
        given: A folder, or None.

    Raises:
        UsageError: If nobody knows.
    """
    if given is not None:
        if not given.is_dir():
            raise UsageError(f"--identity-photos {given}: no such folder; give the folder with the identity's own photos")
        return given
    person = str(identity).removesuffix(LARGER)  # the same person at another size
    if person in EXAMPLES and not Path(identity).exists():
        return examples_path(person)
    run = Path(identity).with_suffix(".run") / RUN_FILE
    try:
        folder = Path(json.loads(run.read_text(encoding="utf-8"))["identity"])
        if folder.is_dir():
            return folder
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UsageError(f"give --identity-photos DIR, the photos of {identity}: what is alike is measured against them")


def photos_csv(evaluation: Evaluation) -> str:
    """One line a photo and row, with all figures."""
    stream = io.StringIO()
    keys = [column.key for column in COLUMNS]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["photo", "yaw", "light_from", "row", *keys])
    for photo in evaluation.photos:
        for row, figures in photo.rows.items():
            writer.writerow([photo.name, photo.yaw_bin, photo.light_bin, row, *(_cell(figures.get(key)) for key in keys)])
    return stream.getvalue()


def pictures_sheet(pictures: Sequence[Pictures]) -> torch.Tensor:
    """Input, paste and swap of the first photos, three lines for every `SHEET_COLUMNS` of them."""
    shown = pictures[:MOST_ON_SHEET]
    groups = [shown[start : start + SHEET_COLUMNS] for start in range(0, len(shown), SHEET_COLUMNS)]
    blank = torch.ones_like(shown[0].rows[INPUT_ROW])
    rows = [row for row in (INPUT_ROW, PASTE_ROW, SWAP_ROW) if any(row in item.rows for item in shown)]
    lines = []
    for group in groups:
        padding = [blank] * (min(SHEET_COLUMNS, len(shown)) - len(group))
        lines += [torch.stack([*(item.rows.get(row, blank) for item in group), *padding]) for row in rows]
    return contact_sheet(lines)


def as_figures(intervals: Mapping[str, Interval]) -> dict[str, Figure]:
    """Intervals as reports take them."""
    return {key: Figure(interval.mean, interval.low, interval.high) for key, interval in intervals.items()}


def view_of(evaluation: Evaluation, pictures: Sequence[Pictures], own: OwnPhotos, *, command: str) -> EvaluationView:
    """The evaluation as its report wants it."""
    views = [
        PhotoView(photo.name, shown.rows.get(INPUT_ROW), shown.rows.get(PASTE_ROW), shown.rows.get(SWAP_ROW), photo.rows[SWAP_ROW])
        for photo, shown in zip(evaluation.photos, pictures, strict=True)
    ]
    skipped = [f"{len(evaluation.skipped)} photos were skipped: {', '.join(list(evaluation.skipped)[:10])}"] if evaluation.skipped else []
    facts = evaluation.facts
    return EvaluationView(
        str(evaluation.identity["name"]),
        {row: as_figures(figures) for row, figures in evaluation.table().items()},
        COLUMNS,
        {title: _bins(evaluation, grouping, order) for title, grouping, order in _GROUPINGS},
        views,
        [*evaluation.notes, *skipped],
        command,
        f"{facts['processor']}, {facts['cores']} threads, torch {facts['torch']}, Python {facts['python']}; {facts['seconds']} s",
        identity_pictures=list(own.pictures),
    )


_GROUPINGS: Final = (("turn of the head", "yaw", tuple(name for name, _ in YAW_BINS)), ("light", "light", LIGHT_BINS))
# Curves by bin: the rows that swap, the columns that matter.
_CURVES: Final = (INPUT_ROW, PASTE_ROW, SWAP_ROW)


def _bins(evaluation: Evaluation, grouping: str, order: Sequence[str]) -> dict[str, dict[str, dict[str, Figure]]]:
    binned: dict[str, dict[str, dict[str, Figure]]] = {}
    for row in (name for name in _CURVES if name in evaluation.row_names):
        by_key = {key: evaluation.binned(row, key, grouping) for key in CHIEF}
        binned[row] = {
            name: as_figures({key: bins[name] for key, bins in by_key.items() if name in bins and bins[name].count}) for name in order
        }
        binned[row] = {name: figures for name, figures in binned[row].items() if figures}
    return binned


def _check_same_person(swapper: Swapper, own: OwnPhotos, folder: Path) -> None:
    """Somebody else's photos would be pasted under this identity's consent, and every figure would be against the wrong person."""
    distance = float(np.linalg.norm(own.descriptor - mean_descriptor(swapper.identity)))
    if distance > MOST_APART:
        raise UsageError(
            f"{folder}: these photos look like somebody else than {swapper.identity.card.name} (distance {distance:.2f} between the mean "
            f"descriptors, up to {MOST_APART} is the same person); give the identity's own photos with --identity-photos"
        )


def _photos(request: EvaluateRequest) -> list[Path]:
    if request.first is not None and request.first < 1:
        raise UsageError(f"--first must be at least 1, got {request.first}")
    photos = [path for given in request.photos for path in (list_photos(given) if given.is_dir() else [given])]
    missing = [str(path) for path in photos if not path.is_file()]
    if missing or not photos:
        raise UsageError(f"{', '.join(missing) or ', '.join(map(str, request.photos))}: no photos there")
    return photos[: request.first]


def _without_own(photos: Sequence[Path], folder: Path) -> tuple[list[Path], dict[str, str]]:
    """The photos that are not the identity's own, and a reason for each that is: a network knows those, and its figures would flatter.

    Compared by content, since a copy may have any name.
    """
    own = {_content(path) for path in list_photos(folder)} - {""}
    held_out = [path for path in photos if _content(path) not in own]
    if not held_out:
        raise UsageError(
            f"{len(photos)} of {len(photos)} photos are the identity's own, from {folder}: its training saw them, figures would flatter "
            "it; give --photos that it did not see"
        )
    kept = set(held_out)
    return held_out, {name: OWN_PHOTO for path, name in zip(photos, photo_names(photos), strict=True) if path not in kept}


def _content(path: Path) -> str:
    try:
        return photo_hash(path)
    except OSError:  # whoever reads the photo will say so, of this one alone
        return ""


def _check_out(out: Path, swapper: Swapper) -> None:
    """Replace an earlier evaluation of the same identity file, and nothing else: its figures or a run's report may be the only ones."""
    taken = [name for name in (EVALUATION_FILE, PHOTOS_FILE, SHEET_FILE, REPORT_FILE) if (out / name).exists()]
    if not taken:
        return
    way_out = "give another --out, or move it away"
    if EVALUATION_FILE not in taken:
        raise UsageError(f"{out}: holds {', '.join(taken)} and no evaluation, and would be overwritten; {way_out}")
    try:
        earlier = read_evaluation(out).identity
    except FaceSetError as error:
        raise UsageError(f"{out}: its {EVALUATION_FILE} is no evaluation that can be read, and would be overwritten; {way_out}") from error
    identity = swapper.identity
    if earlier.get("sha256") != identity.sha256:
        raise UsageError(
            f"{out}: holds the evaluation of another identity file, {earlier.get('name')} ({str(earlier.get('sha256'))[:12]}), not "
            f"{identity.card.name} ({identity.sha256[:12]}); {way_out}"
        )


def _cell(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"
