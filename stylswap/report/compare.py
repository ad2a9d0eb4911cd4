"""Before and after in one frame, with a slider between them, and without a script.

The slider is an ordinary range input that covers the frame, so mouse, finger, arrow keys and screen readers work it as they do
everywhere. What follows its thumb is drawn by the style sheet, in one of two ways:

- Chromium and Safari: the thumb is the subject of a view timeline, and the animation that cuts the picture before runs along it.
- Firefox: the part of the input left of the thumb is a box of its own (``::-moz-range-progress``), and the picture before is its
  background. This is why that picture is handed over as a custom property, once, and not as an element.

A browser that knows neither, and paper, show the two pictures side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from stylswap.report.gallery import Thumbnail, picture_html


@dataclass(frozen=True)
class Comparison:
    """A picture before and after.

    Attributes:
        before: A text stands where there is no picture, and says why.
        after: Of the same size.
        name: Below them; also what they show, for those who cannot see them.
        mark: A figure at the right of the name.
        lines: What else there is to say, each on a line.
    """

    before: Thumbnail | str
    after: Thumbnail | str
    name: str
    mark: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparisons:
    """Comparisons side by side, as many in a line as there is room for."""

    pairs: tuple[Comparison, ...]


def comparisons_html(comparisons: Comparisons) -> str:
    """The comparisons."""
    return f'<div class="pairs">{"".join(map(_pair, comparisons.pairs))}</div>'


def _pair(pair: Comparison) -> str:
    mark = f'<span class="mark">{escape(pair.mark)}</span>' if pair.mark else ""
    lines = "".join(f"<small>{escape(line)}</small>" for line in pair.lines)
    return f'<figure class="pair">{_frame(pair)}<figcaption><b>{escape(pair.name)}</b>{mark}{lines}</figcaption></figure>'


def _frame(pair: Comparison) -> str:
    before, after = pair.before, pair.after
    tags = '<span class="tag">before</span><span class="tag">after</span>'
    if isinstance(before, str) or isinstance(after, str):
        pictures = picture_html(before, f"{pair.name}, before") + picture_html(after, f"{pair.name}, after")
        return f'<div class="frame apart">{pictures}{tags}</div>'
    name = escape(pair.name)
    return (
        f'<div class="frame slider" style="--ratio:{after.width}/{after.height};--before:url({before.uri})">'
        f"{picture_html(after, f'{pair.name}, after')}"
        f'<div class="before" role="img" aria-label="{name}, before"></div>'
        f'<input type="range" min="0" max="100" value="50" autocomplete="off" aria-label="{name}: percent of the picture before">'
        f"{tags}</div>"
    )
