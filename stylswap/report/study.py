"""The report of an ablation study: tables by what was varied, the trade-off, the contact sheet, and what failed."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

from stylswap.errors import PhotoError, StylswapError
from stylswap.photo import read_photo
from stylswap.report.measured import ABSENT, Column, Figure, figure_table_markdown, markdown_text, measured
from stylswap.report.page import Card, Commands, Figures, Part, Picture, PictureRow, Pictures, Section, Table, write_report
from stylswap.report.study_rows import TRIVIAL, Study, StudyRow, study_table, study_trade_off, with_front
from stylswap.report.training import MOST_ROWS, REPORT_FILE, duration
from stylswap.storage import write_atomically

__all__ = [
    "TRIVIAL",
    "Column",
    "Figure",
    "Study",
    "StudyRow",
    "study_trade_off",
    "table_markdown",
    "with_front",
    "write_study_report",
    "write_table_csv",
]

SHEET_WIDEST_PX: Final = 1800
CROWDED: Final = 10
ROW_SHEET_WIDEST_PX: Final = 1000


def write_table_csv(path: Path, study: Study) -> None:
    """Write every figure in full precision: one line a row, ``KEY``, ``KEY_low`` and ``KEY_high`` for each column.

    What was not measured is empty; settings are JSON.

    Args:
        path: Its folder must exist.
        study: To be written.

    Raises:
        StylswapError: If it cannot be written.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    keys = [f"{column.key}{end}" for column in study.columns for end in ("", "_low", "_high")]
    facts = ["group", "name", "status", "reason", "steps", "seconds", "num_photos", "on_front", "changed"]
    writer.writerow([*facts, *keys])
    for row in study.rows:
        cells: list[Any] = [row.group, row.name, row.status, row.reason, row.steps, row.seconds, row.num_photos, int(row.on_front)]
        cells.append(json.dumps(dict(row.changed), ensure_ascii=False, default=str))
        for column in study.columns:
            figure = measured(row.figures, column.key)
            cells += ["", "", ""] if figure is None else [repr(float(end)) for end in (figure.mean, figure.low, figure.high)]
        writer.writerow(cells)
    try:
        write_atomically(path, file.getvalue().encode("utf-8", errors="replace"))
    except OSError as error:
        raise StylswapError(f"{path}: the table cannot be written ({error.strerror or error})") from error


def table_markdown(study: Study, group: str | None = None) -> str:
    """A table of means ± half of their intervals, the best of each column bold, and the rows that failed as a list below.

    Args:
        study: To be shown.
        group: Only its rows; the base and the trivial rows stand beside them. None: all rows.
    """
    text = figure_table_markdown(study_table(study, group))
    failed = [row for row in study.rows if row.status != "done" and group in (None, row.group)]
    lines = [f"- {markdown_text(row.name)}: {markdown_text(_why(row))}\n" for row in failed]
    return text + ("\n" + "".join(lines) if lines else "")


def write_study_report(out: Path, study: Study, sheet: Path | None) -> Path:
    """Write ``report.html`` into the folder of a study.

    Args:
        out: The folder; it must exist.
        study: Where no row is marked as on the front, the front is worked out here.
        sheet: The contact sheet of all variants.

    Returns:
        The report's path.

    Raises:
        UsageError: If `Study.tradeoff` cannot be drawn; see `study_trade_off`.
        StylswapError: If it cannot be written.
    """
    if not any(row.on_front for row in study.rows):
        study = with_front(study)
    sections = [*_failed(study), _trade_off(study), *(_group(study, group) for group in study.groups), *_sheets(study, sheet), _how(study)]
    write_report(out / REPORT_FILE, title=study.title, lead=study.about, figures=_figures(study), sections=sections)
    return out / REPORT_FILE


def _figures(study: Study) -> Figures:
    trained = [row for row in study.rows if not row.trivial]
    counts = Counter(row.status for row in trained)
    others = ", ".join(f"{count} {status}" for status, count in counts.items() if status != "done")
    cards = [Card("variants done", str(counts["done"]), others)]
    for key in reversed(study.tradeoff):
        column = study.column(key)
        values = [(figure.mean, row.name) for row in study.done if not row.trivial and (figure := measured(row.figures, key))]
        if values:
            value, name = max(values) if column.better == "higher" else min(values)
            cards.append(Card(f"best {column.title}", column.text(value), name))
    photos = sorted({row.num_photos for row in study.done if row.num_photos})
    if photos:
        number = f"{photos[0]}" if len(photos) == 1 else f"{photos[0]} to {photos[-1]}"
        cards.append(Card("held-out photos", number, "each variant judged on"))
    cards.append(Card("training time", duration(sum(row.seconds for row in trained)), "of all variants"))
    return Figures(tuple(cards))


def _failed(study: Study) -> list[Section]:
    rows = tuple((row.name, row.group, _why(row)) for row in study.rows if row.status != "done")
    if not rows:
        return []
    sentence = "They are in no table and in no plot. The same command again tries them once more."
    folded = f"{len(rows)} variants without figures" if len(rows) > MOST_ROWS else ""
    return [Section("What is not done, and why", sentence, (Table(("variant", "study", "what happened"), rows, folded),))]


def _why(row: StudyRow) -> str:
    return f"{row.status}: {row.reason or 'no reason was given'}"


def _trade_off(study: Study) -> Section:
    meanings = tuple((column.title, column.better or ABSENT, column.help) for column in study.columns)
    plots = [study_trade_off(study), study_trade_off(study, trivial=False)]
    # The trivial rows lie far from all others, which then crowd: a second plot is theirs alone.
    crowded = len(plots[1].points) >= CROWDED and len(plots[0].points) > len(plots[1].points)
    parts: list[Part] = [*plots[: 1 + crowded], Table(("figure", "better", "what it is"), meanings, "What the figures mean")]
    sentence = "Every point is a mean over the held-out photos." + (" The second plot leaves the untrained rows out." if crowded else "")
    return Section("The trade-off", sentence, tuple(parts))


def _group(study: Study, group: str) -> Section:
    parts: list[Part] = [study_table(study, group, notes=True)]
    plot = study_trade_off(study, group)
    # A plot of one point says nothing, and that of a study of one group stands above already.
    if len(study.groups) > 1 and sum(not point.faint for point in plot.points) > 1:
        parts.append(plot)
    sentence = "Bold: best of its column, untrained rows aside. ±: half of the 95 % interval. A dot: on the front of all variants."
    return Section(group, sentence, tuple(parts))


def _sheets(study: Study, sheet: Path | None) -> list[Section]:
    if sheet is not None:
        shown = [PictureRow((_picture(sheet, "contact sheet: a row for each variant", SHEET_WIDEST_PX),))]
    else:
        own = [(row.name, row.sheet) for row in study.done if row.sheet]
        shown = [PictureRow((_picture(path, f"contact sheet of {name}", ROW_SHEET_WIDEST_PX),), name) for name, path in own]
    sentence = "Held-out photos, the first row as they are. No figure sees blur, a seam, or a ghost of glasses: look."
    return [Section("What it looks like", sentence, (Pictures(tuple(shown)),))] if shown else []


def _picture(path: Path, shows: str, widest_px: int) -> Picture | str:
    try:
        return Picture(read_photo(path).image(), shows, widest_px)
    except PhotoError as error:
        return str(error)


def _how(study: Study) -> Section:
    trained = [row for row in study.done if not row.trivial]
    rows = tuple((row.name, f"{row.steps:,}", duration(row.seconds), str(row.num_photos), row.changes or ABSENT) for row in trained)
    runs = Table(("variant", "steps", "seconds", "photos judged", "settings that differ"), rows, f"{len(rows)} runs")
    parts: tuple[Part, ...] = (Table(("", ""), (("hardware", study.hardware),)), Commands((study.command,)), runs)
    return Section("How it was run", "", parts)
