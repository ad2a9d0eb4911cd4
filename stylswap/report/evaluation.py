"""The report of an evaluation: one identity on held-out photos, beside returning the input and pasting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch.nn.functional as F
from torch import Tensor

from stylswap.report.bins import BinChart, BinCharts
from stylswap.report.gallery import open_photo
from stylswap.report.measured import ABSENT, Column, Figure, FigureRow, FigureTable, measured
from stylswap.report.page import Card, Commands, Figures, Notes, Part, Picture, PictureRow, Pictures, Section, Table, write_report
from stylswap.report.training import REPORT_FILE

# The row that is judged; all others are there for comparison.
SWAP: Final = "swap"
MOST_PHOTOS: Final = 10
# As they are coded, for sharp screens, and as they are shown.
PHOTO_PX: Final = 260
SHOWN_PX: Final = 200
MOST_CARDS: Final = 6

Shown = Path | Tensor | None
"""A picture: a file, an image (3, H, W) in [0, 1], or nothing."""


@dataclass(frozen=True, eq=False)
class PhotoView:
    """One held-out photo.

    Attributes:
        name: Of the photo.
        input: As it was.
        paste: The classical swap.
        swap: The final photo.
        figures: Of the swap, by column key; None or absent where not measured.
    """

    name: str
    input: Shown
    paste: Shown
    swap: Shown
    figures: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class EvaluationView:
    """All that is known of an evaluation.

    Attributes:
        identity_name: Who was swapped in.
        rows: Row name -> column key -> figure; the row `SWAP` is the one that is judged.
        columns: In the order of the table.
        bins: What the photos are grouped by -> row name -> bin -> column key -> figure. Bins are in the order in which they first come.
        photos: All that were judged; the worst and the best are shown.
        notes: What could not be measured and why, and what else the reader should not miss.
        command: What makes it again.
        hardware: What computed.
        rank_by: Column key that says which photos are worst; "": the first column where one way is better.
        identity_pictures: A few photos of the identity, to compare with.
    """

    identity_name: str
    rows: Mapping[str, Mapping[str, Figure]]
    columns: Sequence[Column]
    bins: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Figure]]]]
    photos: Sequence[PhotoView]
    notes: Sequence[str]
    command: str
    hardware: str
    rank_by: str = ""
    identity_pictures: Sequence[Path | Tensor] = ()


def write_evaluation_report(out: Path, evaluation: EvaluationView) -> Path:
    """Write ``report.html`` into the folder of an evaluation.

    Args:
        out: The folder; it must exist.
        evaluation: What was measured. Files of photos are read here; one that has vanished is a placeholder.

    Returns:
        The report's path.

    Raises:
        StylswapError: If it cannot be written.
    """
    sections = [_notes(evaluation), _table(evaluation), *_charts(evaluation), *_photos(evaluation), _how(evaluation)]
    write_report(
        out / REPORT_FILE,
        title=f"Evaluation of {evaluation.identity_name}",
        lead=f"{len(evaluation.photos):,} photos that no training saw, swapped and judged as final photos, before they are coded.",
        figures=_figures(evaluation),
        sections=[section for section in sections if section is not None],
    )
    return out / REPORT_FILE


def ranked(evaluation: EvaluationView) -> tuple[Column | None, list[PhotoView]]:
    """What the photos are ranked by, and the photos with that figure, worst first. Without such a column: None, and no photos."""
    chosen = [column for column in evaluation.columns if column.better and evaluation.rank_by in ("", column.key)]
    if not chosen:
        return None, []
    column = chosen[0]
    values = {number: value for number, photo in enumerate(evaluation.photos) if (value := _number(photo, column.key)) is not None}
    order = sorted(values, key=lambda number: values[number], reverse=column.better == "lower")
    return column, [evaluation.photos[number] for number in order]


def _figures(evaluation: EvaluationView) -> Figures:
    cards: list[Card] = []
    for column in evaluation.columns:
        figure = measured(evaluation.rows.get(SWAP, {}), column.key)
        if figure is not None and len(cards) < MOST_CARDS:
            others = [(name, measured(figures, column.key)) for name, figures in evaluation.rows.items() if name != SWAP]
            note = ", ".join(f"{name} {column.text(other.mean)}" for name, other in others if other is not None)
            cards.append(Card(column.heading, column.text(figure.mean), note))
    return Figures(tuple(cards))


def _notes(evaluation: EvaluationView) -> Section | None:
    return Section("What to know first", "", (Notes(tuple(evaluation.notes)),)) if evaluation.notes else None


def _table(evaluation: EvaluationView) -> Section:
    columns = tuple(column for column in evaluation.columns if any(measured(row, column.key) for row in evaluation.rows.values()))
    rows = tuple(FigureRow(name, figures, trivial=name != SWAP) for name, figures in evaluation.rows.items())
    meanings = tuple((column.title, column.better or ABSENT, column.help) for column in evaluation.columns)
    parts: list[Part] = [FigureTable(rows, columns, "row"), Table(("figure", "better", "what it is"), meanings, "What the figures mean")]
    sentence = (
        "Means over the photos; ±: half of the 95 % interval. Rows in grey need no training: whoever returns the input keeps "
        "every expression, and nobody's identity changes."
    )
    return Section("Figures", sentence, tuple(parts))


def _charts(evaluation: EvaluationView) -> list[Section]:
    sections = []
    for grouping, rows in evaluation.bins.items():
        bins = tuple(dict.fromkeys(name for by_bin in rows.values() for name in by_bin))
        charts = []
        for column in evaluation.columns:
            lines = {row: [measured(by_bin.get(name, {}), column.key) for name in bins] for row, by_bin in rows.items()}
            lines = {row: line for row, line in lines.items() if any(line)}
            if lines:
                better = f"{column.better} is better" if column.better else ""
                charts.append(BinChart(column.title, bins, lines, better))
        if charts:
            sentence = "Upright lines are 95 % intervals; a curve is broken where nothing was measured."
            sections.append(Section(f"By {grouping}", sentence, (BinCharts(tuple(charts)),)))
    return sections


def _photos(evaluation: EvaluationView) -> list[Section]:
    column, photos = ranked(evaluation)
    sections = []
    if evaluation.identity_pictures:
        shown = enumerate(evaluation.identity_pictures, 1)
        cells = tuple(_picture(picture, f"{evaluation.identity_name}, {number}") for number, picture in shown)
        pictures = Pictures((PictureRow(cells),), widest_px=SHOWN_PX * len(cells))
        sections.append(Section(f"Who {evaluation.identity_name} is", "", (pictures,)))
    if column is None or not photos:
        return sections
    num_worst = min(MOST_PHOTOS, (len(photos) + 1) // 2)
    worst, best = photos[:num_worst], photos[num_worst:][::-1][:MOST_PHOTOS]
    for word, some in (("Worst", worst), ("Best", best)):
        if some:
            rows = tuple(_photo_row(photo, evaluation.columns) for photo in some)
            pictures = Pictures(rows, ("input", "paste", "swap"), widest_px=3 * SHOWN_PX)
            title = f"{word} {len(some)} of {len(photos):,} photos"
            sections.append(Section(title, f"By {column.title}, {word.lower()} first.", (pictures,)))
    return sections


def _photo_row(photo: PhotoView, columns: Sequence[Column]) -> PictureRow:
    pictures = (("input", photo.input), ("paste", photo.paste), ("swap", photo.swap))
    said = [f"{column.title} {column.text(value)}" for column in columns if (value := _number(photo, column.key)) is not None]
    return PictureRow(tuple(_picture(picture, f"{photo.name}, {what}") for what, picture in pictures), " · ".join([photo.name, *said]))


def _picture(picture: Shown, shows: str) -> Picture | str:
    """Made small at once: sixty photos in full size do not fit into memory."""
    if picture is None:
        return "no picture"
    if isinstance(picture, Path):
        photo = open_photo(picture)
        if isinstance(photo, str):
            return photo
        picture = photo.image()
    scale = PHOTO_PX / max(picture.shape[-2:])
    if scale < 1:
        size = (max(round(picture.shape[-2] * scale), 1), max(round(picture.shape[-1] * scale), 1))
        picture = F.interpolate(picture[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]
    return Picture(picture, shows, PHOTO_PX)


def _number(photo: PhotoView, key: str) -> float | None:
    value = photo.figures.get(key)
    return value if value is not None and math.isfinite(value) else None


def _how(evaluation: EvaluationView) -> Section:
    return Section("How it was run", "", (Table(("", ""), (("hardware", evaluation.hardware),)), Commands((evaluation.command,))))
