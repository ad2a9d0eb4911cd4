"""Bars and bins: as long and as many as the numbers say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stylswap.report import Bar, BarCharts, Bars, Histogram, Section, write_report
from stylswap.report.bars import bar_charts_html, bins_of
from tests.test_report import HOSTILE, read


def test_bins_hold_what_they_say() -> None:
    edges, counts, above = bins_of((0.0, 0.05, 0.1, 0.1, 0.95, 1.0))
    assert edges[0] == 0.0 and edges[-1] == pytest.approx(1.0) and above == 0
    step = edges[1]
    assert step == pytest.approx(0.1)
    assert counts == [2, 2, 0, 0, 0, 0, 0, 0, 0, 2]  # an edge belongs to the bin above it, the last one to the last bin


def test_one_odd_value_in_a_hundred_does_not_flatten_the_rest() -> None:
    edges, counts, above = bins_of((*(number / 100 for number in range(100)), 1e6))
    assert edges[-1] <= 1.0 + 1e-9 and above == 1 and sum(counts) == 100
    assert "1 above 1 not drawn" in bar_charts_html(BarCharts((Histogram("h", (*(n / 100 for n in range(100)), 1e6), "n"),)))


@pytest.mark.parametrize("values", [(0.0,), (5.0,) * 7, (-1.0, 1.0), (1e9, -1e9), (1e-12,), (1e9, 1e9), (0.1,) * 500])
def test_every_value_is_in_a_bin(values: tuple[float, ...]) -> None:
    edges, counts, above = bins_of(values)
    assert sum(counts) + above == len(values) and above <= len(values) // 100
    assert edges == sorted(set(edges)) and edges[0] <= min(values) and 1 <= len(counts) <= 40


def rects(html: str) -> list[tuple[float, ...]]:
    found = re.findall(r'<rect class="bar" x="([-\d.]+)" y="([-\d.]+)" width="([-\d.]+)" height="([-\d.]+)"', html)
    return [tuple(map(float, rect)) for rect in found]


def test_bars_are_as_long_as_their_values() -> None:
    parts = (Bar("decode", 1.0, "1 s"), Bar("detect", 4.0, "4 s"), Bar("none", 0.0, "0 s"))
    widths = [width for _, _, width, _ in rects(bar_charts_html(BarCharts((Bars("seconds", "5 s", parts),))))]
    assert widths[1] == pytest.approx(4 * widths[0], abs=0.2) and widths[2] == 1.0


def test_the_columns_of_a_histogram_are_as_high_as_their_counts() -> None:
    html = bar_charts_html(BarCharts((Histogram("h", (0.0, 0.0, 0.0, 0.0, 1.0, 1.0), "n"),)))
    heights = [height for _, _, _, height in rects(html) if height]
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.2) and len(heights) == 2
    assert "median 0.00, most 1.00" in html
    for x, y, width, height in rects(html):
        assert x >= 0 and y >= 0 and x + width <= 320 and y + height <= 170
    assert "no values" in bar_charts_html(BarCharts((Histogram("h", (), "n"),)))


def test_names_in_charts_are_escaped(tmp_path: Path) -> None:
    charts = BarCharts(
        (Histogram(HOSTILE, (1.0,), HOSTILE), Bars(HOSTILE, HOSTILE, (Bar(HOSTILE, 1.0, HOSTILE),)), Histogram(HOSTILE, (), ""))
    )
    write_report(tmp_path / "report.html", title="t", sections=[Section("s", "", (charts,))])
    assert read(tmp_path / "report.html").all_text.count(HOSTILE.replace("\udce9", "?")) == 2 + 4 + 1
