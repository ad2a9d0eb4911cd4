"""The report of a training."""

from __future__ import annotations

import math
import shlex
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from stylswap.errors import PhotoError
from stylswap.photo import read_photo
from stylswap.report.chart import Curve, Curves
from stylswap.report.page import Card, Commands, Figures, Notes, Part, Picture, PictureRow, Pictures, Section, Table, write_report

REPORT_FILE: Final = "report.html"
SHEET_WIDEST_PX: Final = 1600
# A table longer than this is folded.
MOST_ROWS: Final = 8

Entries = Sequence[Mapping[str, Any]]


def write_train_report(
    run: Path,
    *,
    name: str,
    settings: Mapping[str, Any],
    prepared: Sequence[Mapping[str, Any]],
    journal: Entries,
    seconds: float,
    device: str,
    identity_file: Path | None,
) -> Path:
    """Write ``report.html`` into a run folder, with its contact sheets inside.

    Args:
        run: The run folder; its ``sheet-<step>.png`` are shown: the first, one in the middle, the last.
        name: Of the identity.
        settings: The effective settings, as nested tables.
        prepared: What `PrepareReport.as_json` says of the identity's photos and of the faces.
        journal: The journal's entries.
        seconds: Of optimisation.
        device: What computed.
        identity_file: What was written, or None after an interruption.

    Returns:
        The report's path.

    Raises:
        StylswapError: If it cannot be written.
    """
    entries = entries_that_count(journal)
    state = f"Written to {identity_file}." if identity_file else "Interrupted before its end; the run folder holds a checkpoint."
    sections = [_sheets(run), loss_section(entries), _photos(prepared), _settings(settings), _next(run, identity_file)]
    write_report(
        run / REPORT_FILE,
        title=f"Training of {name}",
        lead=f"A network that gives faces the identity of {name}. {state}",
        figures=_figures(entries, seconds, device, prepared),
        sections=sections,
    )
    return run / REPORT_FILE


def entries_that_count(journal: Entries) -> list[Mapping[str, Any]]:
    """The entries that count: a resumed training takes the steps after its checkpoint again, and only the second time holds."""
    kept: list[Mapping[str, Any]] = []
    for entry in journal:
        while kept and kept[-1]["step"] >= entry["step"]:
            kept.pop()
        kept.append(entry)
    return kept


def loss_curves(journal: Entries) -> Curves:
    """One curve for each loss term of a journal, unweighted, one for the weighted total, and two for each held term.

    These are its weight, and what is to stay at a level. What is no number is left out.
    """
    entries = entries_that_count(journal)
    names = list(dict.fromkeys(name for entry in entries for name in entry["terms"]))
    measured = {name: [(entry["step"], entry["terms"].get(name)) for entry in entries] for name in names}
    short = [name.split(".")[-1] for name in names]
    labels = short if len(set(short)) == len(names) else names
    curves = [_curve(label, measured[name]) for label, name in zip(labels, names, strict=True)]
    curves.append(_curve("total, weighted", [(entry["step"], entry["total"]) for entry in entries]))
    for name in dict.fromkeys(name for entry in entries for name in entry.get("held", {})):  # journals of 0.1 have none
        held = [(entry["step"], *entry.get("held", {}).get(name, (None, None))) for entry in entries]
        label = name.split(".")[-1]
        curves.append(_curve(f"weight of {label}", [(step, weight) for step, weight, _ in held]))
        curves.append(_curve(f"{label}, held", [(step, measured) for step, _, measured in held]))
    return Curves(tuple(curves))


def loss_section(journal: Entries) -> Section:
    """The loss curves of a journal."""
    charts = loss_curves(journal)
    window = max((curve.window for curve in charts.curves), default=1)
    lines = f"thin the value of each step, thick the mean of the {window} steps around it" if window > 1 else "the value of each step"
    sentence = (
        f"One chart for each term, unweighted: {lines}. The number on the right is where the line ends. Lower is better "
        "within one term; but adversarial and hinge are two sides of a game: a hinge near 2 says that nobody can tell outputs from photos. "
        "A held term has a chart of its weight, which moves, and of what is to stay at its level."
    )
    return Section("Losses", sentence, (charts,))


def duration(seconds: float) -> str:
    """A duration as people say it: "8.2 s", "2 min 5 s", "1 h 3 min"."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _curve(name: str, measured: Iterable[tuple[float, float | None]]) -> Curve:
    there = [(float(step), float(value)) for step, value in measured if value is not None and math.isfinite(value)]
    return Curve(name, tuple(step for step, _ in there), tuple(value for _, value in there))


def _figures(entries: Entries, seconds: float, device: str, prepared: Sequence[Mapping[str, Any]]) -> Figures:
    cards = [Card("steps", str(entries[-1]["step"] if entries else 0)), Card("training time", duration(seconds))]
    if entries:
        cards.append(Card("a step", f"{statistics.median(entry['seconds'] for entry in entries):.2f} s", "median"))
    cards.append(Card("device", device))
    labels = ("photos of the identity", "faces to train on")
    for label, facts in zip(labels, prepared, strict=False):
        cards.append(Card(label, str(facts["used"]), f"{len(facts['refused'])} left out"))
    if skipped := sum(bool(entry["skipped"]) for entry in entries):
        cards.append(Card("steps skipped", str(skipped), "their losses were no numbers"))
    return Figures(tuple(cards))


def _sheets(run: Path) -> Section:
    sheets = sorted(run.glob("sheet-*.png"))
    shown = sorted({0, (len(sheets) - 1) // 2, len(sheets) - 1}) if sheets else []
    rows = tuple(PictureRow((_sheet(sheets[index]),), f"after step {_step(sheets[index])}") for index in shown)
    sentence = (
        "Faces that were kept out of the training. From top to bottom: the input, what the network makes of it, and the same "
        "inside the face mask only."
    )
    return Section("What it does to faces it has not seen", sentence, (Pictures(rows),) if rows else ())


def _step(sheet: Path) -> str:
    return sheet.stem.removeprefix("sheet-").lstrip("0") or "0"


def _sheet(path: Path) -> Picture | str:
    try:
        return Picture(read_photo(path).image(), f"contact sheet after step {_step(path)}", SHEET_WIDEST_PX)
    except PhotoError as error:
        return str(error)


def _photos(prepared: Sequence[Mapping[str, Any]]) -> Section:
    parts: list[Part] = []
    if warnings := [f"{facts['folder']}: {warning}" for facts in prepared for warning in facts["warnings"]]:
        parts.append(Notes(tuple(warnings)))
    bins = tuple(prepared[0]["yaw_deg"]) if prepared else ()
    columns = ("folder", "used", "left out", *(f"yaw {bin_}°" for bin_ in bins), "pitch, 5 to 95 %")
    parts.append(Table(columns, tuple(_folder_row(facts, bins) for facts in prepared)))
    refused = tuple((facts["folder"], photo["photo"], photo["reason"]) for facts in prepared for photo in facts["refused"])
    if refused:
        folded = f"{len(refused)} photos were left out, and why" if len(refused) > MOST_ROWS else ""
        parts.append(Table(("folder", "left out", "reason"), refused, folded))
    alike = tuple((facts["folder"], ", ".join(group)) for facts in prepared for group in facts["near_duplicates"])
    if alike:
        folded = f"{len(alike)} groups of photos are nearly the same picture" if len(alike) > MOST_ROWS else ""
        parts.append(Table(("folder", "nearly the same picture"), alike, folded))
    sentence = (
        "How many photos were used, and how the heads are turned: 0° looks into the camera. "
        "What the identity's photos do not show, the network has to guess."
    )
    return Section("Photos", sentence, tuple(parts))


def _folder_row(facts: Mapping[str, Any], bins: Sequence[str]) -> tuple[str, ...]:
    low, high = facts["pitch_deg_5_to_95"]
    yaw = (str(facts["yaw_deg"].get(bin_, 0)) for bin_ in bins)
    return (facts["folder"], str(facts["used"]), str(len(facts["refused"])), *yaw, f"{low:.0f}° to {high:.0f}°")


def _settings(settings: Mapping[str, Any]) -> Section:
    rows = tuple(leaves(settings))
    table = Table(("setting", "value"), rows, folded=f"{len(rows)} effective settings")
    return Section("Settings", "What decided this training.", (table,))


def leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of nested tables, the names with dots between them."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _next(run: Path, identity_file: Path | None) -> Section:
    if identity_file is None:
        return Section("Next", "Go on where it stopped:", (Commands((f"stylswap train --resume {shlex.quote(str(run))}",)),))
    command = f"stylswap swap --identity {shlex.quote(str(identity_file))} PHOTO_OR_DIR --out swapped/"
    return Section("Next", "Swap it into photos:", (Commands((command,)),))
