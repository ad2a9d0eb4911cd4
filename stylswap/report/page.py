"""The page: sections with a sentence each, and what they are made of."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import StylswapError
from stylswap.photo import jpeg_bytes
from stylswap.report.bars import BarCharts, bar_charts_html
from stylswap.report.bins import BinCharts, bin_charts_html
from stylswap.report.chart import Curves, chart_html
from stylswap.report.compare import Comparisons, comparisons_html
from stylswap.report.gallery import Gallery, gallery_html
from stylswap.report.measured import FigureTable, figure_table_html
from stylswap.report.scatter import trade_off_html
from stylswap.report.trade_off import TradeOff
from stylswap.storage import write_atomically

QUALITY: Final = 88
STYLES: Final = ("style.css", "plot.css")
# The page itself forbids the browser to run or load anything; what it shows is all in the file.
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Card:
    """One key figure: a few words, a value, and what else belongs to it."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Figures:
    """Key figures as small cards."""

    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        columns: Headings.
        rows: As many texts each.
        folded: Where given, only this line shows until it is clicked.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: str = ""


@dataclass(frozen=True)
class Notes:
    """Things that the reader should not miss, as a list."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Commands:
    """Lines to be copied into a terminal."""

    lines: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture, (3, H, W) in [0, 1], and what it shows.

    Attributes:
        image: Embedded as JPEG.
        shows: For those who cannot see it.
        widest_px: Wider pictures are scaled down.
    """

    image: Tensor
    shows: str
    widest_px: int = 400


@dataclass(frozen=True, eq=False)
class PictureRow:
    """Pictures side by side.

    Attributes:
        cells: A text stands where there is no picture, and says why.
        caption: Below them.
    """

    cells: tuple[Picture | str, ...]
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Rows of pictures.

    Attributes:
        rows: Each with as many cells as there are columns.
        columns: Headings; without any, each row is a strip of its own.
        widest_px: Of all columns together; 0: as wide as the page.
    """

    rows: tuple[PictureRow, ...]
    columns: tuple[str, ...] = ()
    widest_px: int = 0


@dataclass(frozen=True)
class Group:
    """Things that have something in common.

    Attributes:
        kind: One word.
        label: What they have in common.
        count: How many they are.
        names: Of the first ones; they show when the group is opened.
    """

    kind: str
    label: str
    count: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Groups:
    """Groups with their counts, each folded."""

    groups: tuple[Group, ...]


Chart = Curves | BarCharts | BinCharts | TradeOff
Part = Figures | Table | Notes | Commands | Pictures | Groups | Gallery | Comparisons | FigureTable | Chart


@dataclass(frozen=True, eq=False)
class Section:
    """A heading, a sentence, and what there is to see."""

    title: str
    sentence: str
    parts: tuple[Part, ...]


def write_report(path: Path, *, title: str, lead: str = "", figures: Figures | None = None, sections: Sequence[Section] = ()) -> None:
    """Write one self-contained HTML file; an old one is replaced only by a whole new one.

    Args:
        path: Its folder must exist.
        title: Heading of the page.
        lead: A sentence or two below it.
        figures: The key figures below the lead.
        sections: The rest, in this order.

    Raises:
        StylswapError: If it cannot be written.
    """
    body = [f"<header><h1>{escape(title)}</h1>", f'<p class="lead">{escape(lead)}</p>' if lead else "", "</header>"]
    body += [_part(figures)] if figures else []
    body += [_section(section) for section in sections]
    content = "\n".join(body)
    style = "".join(files("stylswap.report").joinpath(name).read_text(encoding="utf-8") for name in STYLES)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style></head>\n<body><main>\n{content}\n</main></body></html>\n"
    )
    try:
        # Names of files may hold bytes that are no UTF-8; Python carries them as lone surrogates.
        write_atomically(path, page.encode("utf-8", errors="replace"))
    except OSError as error:
        raise StylswapError(f"{path}: the report cannot be written ({error.strerror or error})") from error


def _section(section: Section) -> str:
    parts = "\n".join(_part(part) for part in section.parts)
    return f"<section><h2>{escape(section.title)}</h2>\n<p>{escape(section.sentence)}</p>\n{parts}</section>"


def _part(part: Part) -> str:
    match part:
        case Figures(cards):
            html = f'<dl class="cards">{"".join(map(_card, cards))}</dl>'
        case Table():
            html = _table(part)
        case Notes(lines):
            html = f'<ul class="notes">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'
        case Commands(lines):
            html = f"<pre>{escape(chr(10).join(lines))}</pre>"
        case Pictures():
            html = _pictures(part)
        case Groups(groups):
            html = f'<div class="groups">{"".join(map(_group, groups))}</div>'
        case Gallery():
            html = gallery_html(part)
        case Comparisons():
            html = comparisons_html(part)
        case FigureTable():
            html = figure_table_html(part)
        case Curves() | BarCharts() | BinCharts() | TradeOff():
            html = _chart(part)
    return html


def _chart(chart: Chart) -> str:
    match chart:
        case Curves(curves):
            html = f'<div class="charts">{"".join(map(chart_html, curves))}</div>'
        case BarCharts():
            html = bar_charts_html(chart)
        case BinCharts():
            html = bin_charts_html(chart)
        case TradeOff():
            html = trade_off_html(chart)
    return html


def _card(card: Card) -> str:
    note = f"<small>{escape(card.note)}</small>" if card.note else ""
    return f"<div><dt>{escape(card.label)}</dt><dd>{escape(card.value)}{note}</dd></div>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    shown = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"<details><summary>{escape(table.folded)}</summary>{shown}</details>" if table.folded else shown


def _group(group: Group) -> str:
    names = "".join(f"<li>{escape(name)}</li>" for name in group.names)
    more = f"<p>and {group.count - len(group.names):,} more</p>" if group.count > len(group.names) else ""
    head = f'<span class="count">{group.count:,}</span><span class="kind">{escape(group.kind)}</span><span>{escape(group.label)}</span>'
    return f"<details><summary>{head}</summary><ul>{names}</ul>{more}</details>"


def _pictures(pictures: Pictures) -> str:
    most = max((len(row.cells) for row in pictures.rows), default=1)
    kind = "compare" if pictures.columns else "strip" if most > 1 else "wide"
    head = "".join(f"<span>{escape(column)}</span>" for column in pictures.columns)
    rows = [f'<div class="row head" aria-hidden="true">{head}</div>'] if head else []
    for row in pictures.rows:
        labels = pictures.columns or ("",) * len(row.cells)
        cells = "".join(_cell(cell, label) for cell, label in zip(row.cells, labels, strict=True))
        caption = f'<p class="caption">{escape(row.caption)}</p>' if row.caption else ""
        rows.append(f'<div class="row">{cells}</div>{caption}')
    layout = f"--columns:{most};--phone-columns:{most if most <= 3 else 2}"
    layout += f";max-width:{pictures.widest_px}px" if pictures.widest_px else ""
    return f'<div class="pictures {kind}" style="{layout}">{"".join(rows)}</div>'


def _cell(cell: Picture | str, label: str) -> str:
    caption = f"<figcaption>{escape(label)}</figcaption>" if label else ""
    if isinstance(cell, str):
        return f'<figure><div class="missing">{escape(cell)}</div>{caption}</figure>'
    image = cell.image
    if image.shape[-1] > cell.widest_px:
        size = (max(round(image.shape[-2] * cell.widest_px / image.shape[-1]), 1), cell.widest_px)
        image = F.interpolate(image[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]
    coded = base64.b64encode(jpeg_bytes(image, quality=QUALITY)).decode("ascii")
    size_px = f'width="{image.shape[-1]}" height="{image.shape[-2]}"'
    return f'<figure><img src="data:image/jpeg;base64,{coded}" {size_px} alt="{escape(cell.shows)}">{caption}</figure>'
