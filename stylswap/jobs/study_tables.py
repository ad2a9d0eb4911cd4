"""What a study leaves to be read: tables, plot, sheet and report of the rows that are finished."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from stylswap.errors import FaceSetError, StylswapError
from stylswap.jobs.evaluate import hardware
from stylswap.jobs.evaluate_run import as_figures
from stylswap.jobs.evaluation import CROP_ROW, INPUT_ROW, PASTE_ROW, SWAP_ROW, read_evaluation
from stylswap.jobs.figure_columns import CHIEF, COLUMNS
from stylswap.jobs.judges import FACERES, SFACE
from stylswap.jobs.study_request import StudyRequest, row_of, tasks_of
from stylswap.jobs.study_spec import StudySpec, Variant
from stylswap.jobs.study_variant import VariantTask
from stylswap.losses.weigh import ever_wanted
from stylswap.photo import read_photo, write_png
from stylswap.report import (
    Column,
    Figure,
    Study,
    StudyRow,
    study_sheet,
    study_trade_off,
    table_markdown,
    with_front,
    write_study_report,
    write_svg,
    write_table_csv,
)
from stylswap.report.study_rows import TRIVIAL
from stylswap.storage import write_atomically

TABLE_CSV: Final = "table.csv"
TABLE_MARKDOWN: Final = "table.md"
SHEET_FILE: Final = "sheet.png"
TRADEOFF_FILE: Final = "tradeoff.svg"
# Of the further sets of photos the tables show these.
OF_OTHERS: Final = ("sface_share", "inner", "light")
CROP_KEY: Final = "crop_share"
# Of identity, the first that was measured where no ArcFace-class recogniser was fetched.
WITHOUT_SFACE: Final = ("faceres_share", "dlib_share")


def write_study(request: StudyRequest, extra: Sequence[Variant] = ()) -> Study:
    """Tables, plot, sheet and report of what is finished.

    Args:
        request: The study.
        extra: Variants beyond its file, of a search.
    """
    tasks = tasks_of(request, [*request.spec.variant, *extra])
    rows = [row for task in tasks for row in study_rows(task)]
    spec = request.spec
    machine = hardware()
    columns = columns_of(spec, {key for row in rows for key in row.figures})
    measured_keys = [column.key for column in columns]
    error_key, identity_key = spec.tradeoff
    fair = {row.name for task in tasks if is_comparable(task) for row in study_rows(task)}
    processors = f"{machine['processor']}, {machine.get('gpu') or f'{torch.get_num_threads()} threads'}"
    study = Study(
        spec.title,
        spec.about,
        rows,
        columns,
        f"{processors}, {request.jobs} rows at a time; torch {machine['torch']}",
        request.command,
        (error_key, _identity_axis([key for key in (identity_key, *WITHOUT_SFACE) if key in measured_keys], rows, fair)),
    )
    study = _with_fair_front(study, fair)
    write_table_csv(request.out / TABLE_CSV, study)
    tables = "\n".join(f"## {group}\n\n{table_markdown(study, group)}" for group in study.groups)
    write_atomically(request.out / TABLE_MARKDOWN, tables.encode())
    sheet = _sheet(request.out, tasks)
    if any(row.figures for row in study.done if not row.trivial):
        write_svg(request.out / TRADEOFF_FILE, study_trade_off(_comparable(study, fair)))
        write_study_report(request.out, study, sheet)
    return study


def _identity_axis(keys: Sequence[str], rows: Sequence[StudyRow], fair: Collection[str]) -> str:
    """The first that trained rows have, for a recogniser judges none of the networks that it taught; else the first of any row."""
    for asked in ([row for row in rows if row.name in fair], rows):
        for key in keys:
            if any(key in row.figures for row in asked):
                return key
    return WITHOUT_SFACE[-1]


def _comparable(study: Study, fair: Collection[str]) -> Study:
    return dataclasses.replace(study, rows=[row for row in study.rows if row.trivial or row.name in fair])


def _with_fair_front(study: Study, fair: Collection[str]) -> Study:
    """Marks on the front, among the rows that can be compared."""
    front = {row.name for row in with_front(_comparable(study, fair)).rows if row.on_front}
    return dataclasses.replace(study, rows=[dataclasses.replace(row, on_front=row.name in front) for row in study.rows])


def study_rows(task: VariantTask) -> list[StudyRow]:
    """What the tables say of a task: one row, or the two that need no training."""
    row = row_of(task)
    trivial = task.variant is None
    suffix = "" if task.identity == next(iter(task.spec.photos.identities)) else f", {task.identity}"
    names = [(f"{INPUT_ROW}{suffix}", INPUT_ROW), (f"{PASTE_ROW}{suffix}", SWAP_ROW)] if trivial else [(task.name, SWAP_ROW)]
    group = TRIVIAL if task.variant is None else task.variant.group
    changed = {} if task.variant is None else task.variant.changed
    if row is None or row["status"] != "done":
        status, reason = ("missing", "not run yet") if row is None else ("failed", row["reason"])
        return [StudyRow(name, group, changed=changed, status=status, reason=reason) for name, _ in names]
    count = row["counts"][next(iter(task.spec.photos.held_out))]  # of the first set: its figures have intervals
    return [
        StudyRow(
            name,
            group,
            figures_of(task, judged),
            changed,
            steps=row.get("steps", 0),
            seconds=row.get("seconds", 0.0),
            num_photos=count,
        )
        for name, judged in names
    ]


def figures_of(task: VariantTask, judged: str) -> dict[str, Figure]:
    """A finished task's figures by column key, of all sets of photos."""
    figures: dict[str, Figure] = {}
    taught = taught_by(task)
    for number, name in enumerate(task.spec.photos.held_out):
        try:
            table = read_evaluation(task.folder / name).table()
        except FaceSetError:
            continue
        known = as_figures(table.get(judged, {}))
        crop = as_figures(table.get(CROP_ROW, {})) if judged == SWAP_ROW and task.variant is not None else {}
        if number == 0:
            figures |= known | ({CROP_KEY: crop["sface_share"]} if "sface_share" in crop else {})
        else:
            figures |= {f"{name}_{key}": known[key] for key in OF_OTHERS if key in known}
    hidden = [name for name in (SFACE, FACERES) if name in taught]
    if SFACE in taught:
        figures.pop(CROP_KEY, None)
    return {key: figure for key, figure in figures.items() if not any(name in key for name in hidden)}


def taught_by(task: VariantTask) -> tuple[str, ...]:
    """The recognisers of a row's identity term: figures of SFace and FaceRes are left out of a row that they taught."""
    if task.variant is None:
        return ()
    loss = task.spec.settings_of(task.variant).loss
    return loss.recognisers if {"identity", "residual"} & ever_wanted(loss.weights.model_dump(), loss.ramps) else ()


def is_comparable(task: VariantTask) -> bool:
    """Whether a row may stand on the front: the same identity and the same budget as the base."""
    variant = task.variant
    if variant is None or task.identity != next(iter(task.spec.photos.identities)):
        return False
    return task.spec.settings_of(variant).training.steps == task.spec.steps


def columns_of(spec: StudySpec, measured: Collection[str]) -> tuple[Column, ...]:
    """The chief columns of the first set of photos, the network's bare crop, and a few of every other set.

    Args:
        spec: The study.
        measured: Keys that some row has; other columns are left out. Without SFace dlib's share is among them.
    """
    by_key = {column.key: column for column in COLUMNS}
    _, *others = spec.photos.held_out
    share = by_key["sface_share"]
    crop = dataclasses.replace(share, key=CROP_KEY, title="share, bare crop", help="The network's crop before it is pasted. " + share.help)
    known = CHIEF if "sface_share" in measured else (*CHIEF, WITHOUT_SFACE[-1])
    columns = [by_key[key] for key in known]
    columns.insert(1, crop)
    for name in others:
        columns += [dataclasses.replace(by_key[key], key=f"{name}_{key}", title=f"{by_key[key].title}, {name}") for key in OF_OTHERS]
    return tuple(column for column in columns if column.key in measured or column.key in spec.tradeoff[:1])


def _sheet(out: Path, tasks: Sequence[VariantTask]) -> Path | None:
    """One line of faces for each row, the inputs on top."""
    strips: list[tuple[str, Tensor]] = []
    inputs: Tensor | None = None
    first = next(iter(tasks)).identity
    for task in tasks:
        path = task.folder / "strip.png"
        if task.done() is None or not path.is_file():
            continue
        try:
            picture = read_photo(path).image()
        except StylswapError:
            continue
        side = picture.shape[1] // 2
        cells = picture.unfold(2, side, side).permute(2, 0, 1, 3)  # (N, 3, 2 side, side)
        if task.identity == first and inputs is None:
            inputs = cells[:, :, :side]
        name = f"paste {task.identity}" if task.variant is None else task.name
        strips.append((name, cells[:, :, side:]))
    if inputs is None:
        return None
    same = [(name, strip) for name, strip in strips if strip.shape == inputs.shape]
    path = out / SHEET_FILE
    write_png(study_sheet(same, inputs), path)
    return path
