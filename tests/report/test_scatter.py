"""The trade-off plot: the front is the front, points lie where their values say, labels lie beside each other."""

from __future__ import annotations

import random
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from stylswap.errors import StylswapError
from stylswap.report import Figure, Section, TradeOff, TradePoint, pareto_front, write_report, write_svg
from stylswap.report.placing import Box, place_labels
from stylswap.report.scatter import trade_off_html
from stylswap.report.trade_off import Axes, fair_price, front_steps
from tests.test_report import HOSTILE, Page, read

NAN = float("nan")


def point(name: str, x: float, y: float, group: str = "g", *, half: float = 0.0, trivial: bool = False, faint: bool = False) -> TradePoint:
    return TradePoint(name, group, Figure(x, x - half, x + half), Figure(y, y - half, y + half), trivial, faint)


def plot(*points: TradePoint, price: float | None = None) -> TradeOff:
    return TradeOff("plot", points, "error", "identity", price)


def spots(html: str, kind: str = "spot") -> list[tuple[float, float]]:
    found = re.findall(rf'<path class="{kind}[^>]*translate\(([-\d.]+) ([-\d.]+)\)"><title>', html)
    return [(float(x), float(y)) for x, y in found]


def test_the_front_is_what_nothing_beats() -> None:
    values = [(0.05, 0.7), (0.03, 0.5), (0.04, 0.45), (0.02, 0.2), (0.05, 0.6), (0.03, 0.4)]
    assert pareto_front(values) == [3, 1, 0]  # by rising error
    assert pareto_front([(1.0, 1.0), (1.0, 1.0), (2.0, 1.0), (1.0, 0.5)]) == [0, 1]  # equal ones both, an error more for nothing is beaten
    assert pareto_front([]) == []


def test_the_front_agrees_with_its_definition() -> None:
    rng = random.Random(0)
    values = [(float(rng.randrange(12)), float(rng.randrange(12))) for _ in range(80)]
    free = [n for n, (x, y) in enumerate(values) if not any((a < x and b >= y) or (a <= x and b > y) for a, b in values)]
    assert sorted(pareto_front(values)) == free and 1 < len(free) < 40


def test_the_axes_map_values_linearly() -> None:
    axes = Axes(Box(100, 50, 900, 450), 0.02, 0.06, 0.2, 0.7)
    assert (axes.x_px(0.02), axes.x_px(0.06), axes.x_px(0.03)) == pytest.approx((100, 900, 300))
    assert (axes.y_px(0.2), axes.y_px(0.7), axes.y_px(0.3)) == pytest.approx((450, 50, 370))


def test_points_are_drawn_where_the_axes_say() -> None:
    shown = plot(point("a", 0.02, 0.2), point("b", 0.04, 0.4), point("c", 0.03, 0.25))
    (ax, ay), (bx, by), (cx, cy) = spots(trade_off_html(shown))
    assert ax < cx < bx and by < cy < ay  # less error is left, more identity is up
    assert cx == pytest.approx((ax + bx) / 2, abs=0.1) and cy == pytest.approx(ay + (by - ay) / 4, abs=0.1)


def test_the_axes_hold_the_intervals_and_do_not_wait_for_faint_points() -> None:
    axes = Axes.around(plot(point("a", 0.5, 0.5, half=0.1), point("far", 9.0, -9.0, faint=True)))
    assert axes.x_low < 0.4 and 0.6 < axes.x_high < 0.7 and axes.y_low < 0.4 and 0.6 < axes.y_high < 0.7


def test_the_front_is_drawn_in_steps_and_without_trivial_points() -> None:
    shown = plot(point("a", 1.0, 1.0), point("b", 2.0, 3.0), point("beaten", 2.0, 2.0), point("input", 0.0, 5.0, trivial=True))
    axes = Axes.around(shown)
    expected = [(1.0, axes.y_low, 1.0, 1.0), (1.0, 1.0, 2.0, 1.0), (2.0, 1.0, 2.0, 3.0), (2.0, 3.0, axes.x_high, 3.0)]
    assert front_steps(shown, axes) == [pytest.approx(piece) for piece in expected]
    assert front_steps(plot(point("input", 0.0, 5.0, trivial=True)), axes) == []


def test_the_front_ends_where_the_plot_ends() -> None:
    shown = plot(point("a", 1.0, 1.0, half=0.2), point("far left", -5.0, 0.9, faint=True), point("far up", 9.0, 9.0, faint=True))
    axes = Axes.around(shown)
    pieces = front_steps(shown, axes)
    assert pieces[0] == pytest.approx((axes.x_low, 0.9, 1.0, 0.9)) and pieces[-1] == pytest.approx((1.0, 1.0, axes.x_high, 1.0))
    for x1, y1, x2, y2 in pieces:
        assert axes.x_low <= x1 <= x2 <= axes.x_high and axes.y_low <= y1 <= y2 <= axes.y_high


def test_along_a_dotted_line_identity_pays_for_error() -> None:
    shown = plot(point("a", 0.0, 0.0), point("b", 0.1, 1.0))
    assert fair_price(shown) == 10.0 and "0.01 more of error is paid for with 0.1 more of identity" in shown.caption
    dear = plot(point("a", 0.0, 0.0), point("b", 0.1, 1.0), price=40.0)
    axes = Axes.around(dear, 34)  # a line of the key, and the room above
    lines = re.findall(r'class="iso" d="M([-\d.]+) ([-\d.]+)L([-\d.]+) ([-\d.]+)"', trade_off_html(dear))
    assert len(lines) == 7
    for x1, y1, x2, y2 in (tuple(map(float, line)) for line in lines):
        across = (x2 - x1) / (axes.x_px(1.0) - axes.x_px(0.0))
        up = (y2 - y1) / (axes.y_px(1.0) - axes.y_px(0.0))
        assert up / across == pytest.approx(40.0, rel=0.02)
        assert axes.box.left - 0.1 <= x1 < x2 <= axes.box.right + 0.1 and axes.box.top - 0.1 <= y2 < y1 <= axes.box.bottom + 0.1


def test_trivial_points_are_hollow_and_faint_ones_have_no_name() -> None:
    trained = (point("a", 1.0, 1.0), point("b", 2.0, 2.0))
    html = trade_off_html(plot(*trained, point("input", 0, 0, trivial=True), point("f", 1.5, 1.5, faint=True)))
    assert len(spots(html)) == 2 and len(spots(html, "hollow")) == 1
    names = re.findall(r'class="name"[^>]*>([^<]*)<', html)
    assert sorted(names) == ["a", "b", "input"]
    assert '<circle class="faint"' in html and "Hollow" in html and "Grey dots" in html


def test_a_group_has_its_colour_and_shape_in_every_plot() -> None:
    both = trade_off_html(TradeOff("t", (point("a", 1, 1, "one"), point("b", 2, 2, "two")), "x", "y", groups=("one", "two")))
    alone = trade_off_html(TradeOff("t", (point("b", 2, 2, "two"),), "x", "y", groups=("one", "two")))
    look = re.search(r'<path (class="spot [^>]*) transform[^>]*><title>b:', both)
    assert look is not None and look.group(1) in alone and ">one<" not in alone


def test_labels_do_not_lie_on_each_other() -> None:
    rng = random.Random(1)
    frame = Box(0, 0, 900, 500)
    points = [(rng.gauss(450, 60), rng.gauss(250, 50)) for _ in range(30)]
    boxes = place_labels(points, [70.0] * 30, 13.0, frame)
    assert all(one.overlap(other) == 0 for n, one in enumerate(boxes) for other in boxes[:n])
    assert all(frame.holds(box) for box in boxes)
    markers = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    covered = sum(box.overlap(marker) > 0 for box in boxes for marker in markers)
    assert covered <= 3  # thirty names in this crowd; a name over a marker is the last resort
    assert place_labels([(895.0, 5.0)], [70.0], 13.0, frame)[0].right <= 900


def test_a_lone_point_has_its_name_at_its_right() -> None:
    (box,) = place_labels([(100.0, 100.0)], [50.0], 12.0, Box(0, 0, 900, 500))
    assert box == pytest.approx(Box(110.0, 94.0, 160.0, 106.0))


@pytest.mark.parametrize(
    "points",
    [
        (),
        (point("one", 0.0, 0.0),),
        (point("same", 1.0, 1.0), point("same", 1.0, 1.0)),
        (TradePoint("no interval", "g", Figure(1.0, NAN, NAN), Figure(2.0, NAN, NAN)),),
        (point("only faint", 1.0, 1.0, faint=True),),
    ],
)
def test_odd_plots_are_drawn(points: tuple[TradePoint, ...]) -> None:
    html = trade_off_html(plot(*points))
    Page(html)
    assert "nan" not in html.lower() and "inf" not in html
    assert ("Nothing was measured yet." in html) == (not any(not one.faint for one in points))


def test_names_in_the_plot_are_escaped(tmp_path: Path) -> None:
    short = "<b>\"'&x"
    shown = TradeOff(HOSTILE, (point(short, 1.0, 2.0, short), point(HOSTILE, 2.0, 1.0, HOSTILE, trivial=True)), HOSTILE, short)
    write_report(tmp_path / "report.html", title="t", sections=[Section("s", "", (shown,))])
    page = read(tmp_path / "report.html")
    assert page.text.count(short) == 2 and f"{short} (more is better)" in page.text  # in the key and beside the point
    assert not {"b", "img"} & {tag for tag, _ in page.tags}


def test_a_picture_of_its_own_is_valid_and_brings_its_colours(tmp_path: Path) -> None:
    write_svg(tmp_path / "t.svg", plot(point("a & <b>", 1.0, 1.0, half=0.1), point("input", 0.0, 0.0, trivial=True)))
    root = ElementTree.parse(tmp_path / "t.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.attrib["viewBox"].startswith("0 0 900 ")
    assert "a & <b>" in [element.text for element in root.iter()]
    style = "".join(element.text or "" for element in root.iter() if element.tag.endswith("style"))
    assert "prefers-color-scheme: dark" in style and "url(" not in style and "@import" not in style
    used = {word for element in root.iter() for word in element.attrib.get("class", "").split()}
    assert {"spot", "hollow", "iso", "front", "sheet", "g0"} <= used and all(f".{word}" in style for word in used)
    with pytest.raises(StylswapError, match="cannot be written"):
        write_svg(tmp_path / "missing" / "t.svg", plot())
