"""Charts over bins: points at their values, gaps where nothing was measured, names escaped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stylswap.report import BinChart, BinCharts, Figure, Section, write_report
from stylswap.report.bins import LEFT_PX, RIGHT_PX, WIDTH_PX, bin_charts_html, bin_places
from tests.test_report import HOSTILE, Page, read

NAN = float("nan")


def html_of(chart: BinChart) -> str:
    html = bin_charts_html(BinCharts((chart,)))
    Page(html)
    return html


def lines(html: str) -> list[str]:
    return re.findall(r'<path class="line" d="(M[^"h]*|)"/>', html)


def circles(html: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'cx="([-\d.]+)" cy="([-\d.]+)"', html)]


def test_bins_share_the_width_and_lines_stand_apart() -> None:
    width = (WIDTH_PX - LEFT_PX - RIGHT_PX) / 4
    assert bin_places(4, 1, 0) == pytest.approx([LEFT_PX + width * (number + 0.5) for number in range(4)])
    first, second, third = (bin_places(4, 3, line) for line in range(3))
    assert second == pytest.approx(bin_places(4, 1, 0))
    assert [b - a for a, b in zip(first, second, strict=True)] == pytest.approx([c - b for b, c in zip(second, third, strict=True)])
    for many in (bin_places(30, 5, 0), bin_places(30, 5, 4)):
        assert many[0] > LEFT_PX and many[-1] < WIDTH_PX - RIGHT_PX


def test_points_lie_at_their_values() -> None:
    chart = BinChart("c", ("a", "b", "c"), {"swap": [Figure(value, value - 1, value + 1) for value in (1.0, 3.0, 2.0)]}, "y")
    html = html_of(chart)
    (_, low), (_, high), (_, middle) = circles(html)
    assert high < middle < low and middle == pytest.approx((low + high) / 2, abs=0.1)
    bars = [(float(top), float(bottom)) for bottom, top in re.findall(r'class="cross" d="M[-\d.]+ ([-\d.]+)V([-\d.]+)"', html)]
    assert len(bars) == 3 and bars[0][1] - bars[0][0] == pytest.approx(low - high, abs=0.2)  # an interval of 2, as from 1 to 3
    assert "1, 0 to 2" in html


def test_a_line_is_broken_where_nothing_was_measured() -> None:
    one = Figure(1.0, 1.0, 1.0)
    chart = BinChart("c", ("a", "b", "c", "d"), {"swap": [one, one, None, one], "none": [None, Figure(NAN, NAN, NAN), None, None]}, "y")
    html = html_of(chart)
    drawn = [line for line in lines(html) if line]
    assert len(drawn) == 1 and drawn[0].count("M") == 2 and drawn[0].count("L") == 1 and len(circles(html)) == 3
    assert "nan" not in html.lower()


def test_a_chart_without_values_says_so() -> None:
    assert "no values" in html_of(BinChart("c", ("a",), {"swap": [None]}, "y"))
    assert "no values" in html_of(BinChart("c", (), {}, "y"))


def test_a_line_must_have_a_figure_for_each_bin() -> None:
    with pytest.raises(ValueError, match="zip"):
        bin_charts_html(BinCharts((BinChart("c", ("a", "b"), {"swap": [Figure(1, 1, 1)]}, "y"),)))


def test_what_stands_below_a_bin_has_a_line_of_its_own_and_long_names_are_small() -> None:
    figures = [Figure(1, 1, 1)] * 5
    page = Page(html_of(BinChart("c", tuple(f"-{n}0° to -{n}5°\n{n}" for n in range(5)), {"swap": figures}, "y")))
    assert "-40° to -45°" in page.text and "4" in page.text
    sizes = [float(size) for size in re.findall(r"font-size:([\d.]+)px", " ".join(page.attributes("style")))]
    assert max(sizes) < 10
    short = Page(html_of(BinChart("c", ("a", "b"), {"swap": figures[:2]}, "y")))
    assert set(short.attributes("style")) == {"font-size:11.0px"}


def test_names_are_escaped(tmp_path: Path) -> None:
    charts = BinCharts((BinChart(HOSTILE, (HOSTILE,), {HOSTILE: [Figure(1, 0, 2)]}, HOSTILE), BinChart(HOSTILE, (), {}, "")))
    write_report(tmp_path / "report.html", title="t", sections=[Section("s", "", (charts,))])
    assert read(tmp_path / "report.html").all_text.count(HOSTILE.replace("\udce9", "?")) == 1 + 1 + 1 + 1 + 1
