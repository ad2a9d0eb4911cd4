"""The report: whole in itself, safe with hostile names, and right in its numbers."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from stylswap.errors import StylswapError
from stylswap.photo import write_png
from stylswap.report import (
    Card,
    Commands,
    Curve,
    Curves,
    Figures,
    Notes,
    Picture,
    PictureRow,
    Pictures,
    Section,
    Table,
    duration,
    loss_curves,
    write_report,
    write_train_report,
)
from stylswap.report.chart import MOST_POINTS, chart_html, ticks

VOID = {"meta", "img", "br", "input"}
HOSTILE = "<script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(2)>&amp;\udce9.jpg"


class Page(HTMLParser):
    """Reads a page, and fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text.append(data)

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]

    @property
    def all_text(self) -> str:
        return "\n".join(self.text)


def read(path: Path) -> Page:
    """The page, after the checks that every report must pass."""
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "base", "a"}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.attributes("src"))
    assert not page.attributes("href") + page.attributes("srcset")
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert any("default-src 'none'" in (attrs.get("content") or "") for _, attrs in page.tags)
    assert ("meta", {"charset": "utf-8"}) in page.tags
    return page


def picture(height: int = 8, width: int = 8) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))


def one_of_each(text: str) -> list[Section]:
    shown = Picture(picture(), text)
    parts = (
        Figures((Card(text, text, text),)),
        Table((text, text), ((text, text),), folded=text),
        Table((text,), ((text,),)),
        Notes((text,)),
        Commands((text,)),
        Pictures((PictureRow((shown, text), text),), (text, text)),
        Pictures((PictureRow((shown, shown, shown)),)),
        Pictures((PictureRow((shown,), text),)),
        Curves((Curve(text, (1.0, 2.0), (3.0, 4.0)), Curve(text, (), ()))),
    )
    return [Section(text, text, parts)]


def test_a_report_is_whole_in_itself(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, title="Title", lead="Lead", figures=Figures((Card("a", "b"),)), sections=one_of_each("plain words"))
    page = read(path)
    assert page.all_text.count("plain words") >= 15
    assert "http" not in path.read_text(encoding="utf-8").replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_names_from_strangers_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, title=HOSTILE, lead=HOSTILE, figures=Figures((Card(HOSTILE, HOSTILE),)), sections=one_of_each(HOSTILE))
    page = read(path)
    shown = HOSTILE.replace("\udce9", "?")  # no UTF-8 can hold it
    assert page.all_text.count(shown) >= 18
    assert set(page.attributes("alt")) == {shown}
    assert sum(shown in label for label in page.attributes("aria-label")) == 1


def test_pictures_are_embedded_and_scaled_down(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    image = torch.zeros(3, 60, 200)
    image[0, :, 100:] = 1.0
    rows = (PictureRow((Picture(image, "wide", widest_px=100), Picture(image, "as it is"))),)
    write_report(path, title="t", sections=[Section("s", "", (Pictures(rows),))])
    sources = read(path).attributes("src")
    decoded = [Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) for source in sources]
    assert [one.size for one in decoded] == [(100, 30), (200, 60)]
    red = decoded[0].getpixel((90, 15))
    assert isinstance(red, tuple) and red[0] > 240 and max(red[1:]) < 16
    assert decoded[0].getpixel((10, 15)) == (0, 0, 0)


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(StylswapError, match=r"report\.html: the report cannot be written"):
        write_report(tmp_path / "missing" / "report.html", title="t")
    (tmp_path / "report.html").mkdir()
    with pytest.raises(StylswapError, match="cannot be written"):
        write_report(tmp_path / "report.html", title="t")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def entry(step: int, *, total: float | None = 1.0, seconds: float = 0.5, skipped: bool = False, **terms: float | None) -> dict[str, Any]:
    named = {f"network.{name}": value for name, value in terms.items()}
    return {"step": step, "seconds": seconds, "terms": named, "total": total, "skipped": skipped}


def test_curves_have_the_numbers_of_the_journal() -> None:
    journal = [entry(1, total=3.0, style=0.5, content=2.0), entry(2, total=2.0, style=0.25, content=1.0)]
    curves = loss_curves(journal).curves
    assert curves == (
        Curve("style", (1.0, 2.0), (0.5, 0.25)),
        Curve("content", (1.0, 2.0), (2.0, 1.0)),
        Curve("total, weighted", (1.0, 2.0), (3.0, 2.0)),
    )


def test_steps_taken_again_after_a_resumption_count_once() -> None:
    journal = [entry(step, style=float(step)) for step in (1, 2, 3, 4)] + [entry(3, style=30.0), entry(4, style=40.0)]
    assert loss_curves(journal).curves[0] == Curve("style", (1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 30.0, 40.0))
    shorter = [*journal[:4], entry(2, style=20.0)]
    assert loss_curves(shorter).curves[0] == Curve("style", (1.0, 2.0), (1.0, 20.0))


def test_what_is_no_number_is_left_out() -> None:
    journal = [entry(1, style=1.0), entry(2, total=None, style=None), entry(3, total=float("nan"), style=3.0, extra=7.0)]
    style, extra, total = loss_curves(journal).curves
    assert style == Curve("style", (1.0, 3.0), (1.0, 3.0))
    assert extra == Curve("extra", (3.0,), (7.0,))
    assert total == Curve("total, weighted", (1.0,), (1.0,))


def test_terms_of_one_name_in_two_phases_keep_their_phase() -> None:
    journal = [{"step": 1, "seconds": 1.0, "terms": {"g.fake": 1.0, "d.fake": 2.0}, "total": 3.0, "skipped": False}]
    assert [curve.name for curve in loss_curves(journal).curves] == ["g.fake", "d.fake", "total, weighted"]


def test_a_held_term_has_curves_of_its_weight_and_of_what_is_held() -> None:
    held = [{**entry(step, style=2.0), "held": {"network.style": [40.0 * step, 0.1 * step]}} for step in (2, 3)]
    curves = loss_curves([entry(1, style=2.0), *held]).curves
    assert [curve.name for curve in curves] == ["style", "total, weighted", "weight of style", "style, held"]
    assert curves[2] == Curve("weight of style", (2.0, 3.0), (80.0, 120.0))
    assert curves[3].values == pytest.approx((0.2, 0.3))


def test_the_smooth_line_is_the_mean_around_each_value() -> None:
    values = tuple(float(number * number) for number in range(60))
    curve = Curve("c", tuple(map(float, range(60))), values)
    assert curve.window == 7
    expected = [sum(part := values[max(index - 3, 0) : index + 4]) / len(part) for index in range(60)]
    assert curve.smoothed() == pytest.approx(expected)
    assert Curve("c", (1.0,), (5.0,)).smoothed() == (5.0,)
    assert Curve("c", tuple(map(float, range(5000))), (1.0,) * 5000).window == 51


def points(html: str, kind: str) -> list[tuple[float, float]]:
    found = re.search(rf'<polyline class="{kind}" points="([^"]*)"', html)
    assert found
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in found[1].split())]


def test_the_chart_shows_the_values_where_its_axes_say() -> None:
    curve = Curve("c", (1.0, 5.0, 10.0), (0.2, 0.9, 0.4))
    html = chart_html(curve)
    texts = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)">([^<]+)</text>', html)
    y_of = {float(text): float(y) - 4 for _, y, anchor, text in texts if anchor == "end"}
    x_of = {float(text): float(x) for x, _, anchor, text in texts if anchor == "middle" and text != "step"}
    assert y_of.keys() >= {0.2, 0.4, 0.6, 0.8, 1.0} and x_of.keys() >= {0.0, 10.0}
    for (x, y), step, value in zip(points(html, "raw"), curve.steps, curve.values, strict=True):
        assert x == pytest.approx(x_of[0.0] + (x_of[10.0] - x_of[0.0]) * step / 10, abs=0.1)
        assert y == pytest.approx(y_of[0.2] + (y_of[1.0] - y_of[0.2]) * (value - 0.2) / 0.8, abs=0.1)
    assert "<span>0.4</span>" in html


@pytest.mark.parametrize(
    "values",
    [(0.0,), (1e-12, 1e-12), (5.0,) * 30, (-3.0, 3.0), (1e9, 1.0), (0.1,) * 200 + (1e30,), (1e-300, 2e-300)],
)
def test_odd_curves_stay_inside_the_chart(values: tuple[float, ...]) -> None:
    html = chart_html(Curve("c", tuple(range(1, len(values) + 1)), values))
    for x, y in points(html, "raw") + points(html, "smooth"):
        assert 0 <= x <= 320 and 0 <= y <= 170
    assert "nan" not in html and "inf" not in html


def test_a_long_curve_is_thinned_and_still_ends_where_it_ends() -> None:
    steps = tuple(map(float, range(1, 10_001)))
    html = chart_html(Curve("c", steps, tuple(step / 10_000 for step in steps)))
    drawn = points(html, "raw")
    assert len(drawn) <= MOST_POINTS
    assert drawn[-1] == pytest.approx((304.0, 8.0), abs=0.1)  # the last step at the right edge, its value 1 at the top


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.123, 0.129), (-5.0, 1234.0), (1e-7, 3e-7), (99.99, 100.01)])
def test_ticks_are_round_and_enclose(low: float, high: float) -> None:
    found = ticks(low, high, count=4)
    step = found[1] - found[0]
    assert 3 <= len(found) <= 7
    assert found[0] <= low + 1e-6 * step and found[-1] >= high - 1e-6 * step
    assert found[0] > low - step and found[-1] < high + step


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0 s"), (8.25, "8.2 s"), (125.0, "2 min 5 s"), (59.99, "1 min 0 s"), (3780.0, "1 h 3 min")]
)
def test_durations_read_well(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def prepared(folder: str, **more: Any) -> dict[str, Any]:
    facts = {"folder": folder, "used": 30, "refused": [], "near_duplicates": [], "yaw_deg": {"-90..-30": 4, "-30..90": 26}}
    return {**facts, "pitch_deg_5_to_95": [-12.3, 8.0], "warnings": [], **more}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "ada.run"
    folder.mkdir()
    for step in (200, 400, 600, 731):
        write_png(picture(12, 32), folder / f"sheet-{step:06d}.png")
    yield folder


def test_the_train_report_says_what_happened(run: Path) -> None:
    refused = [{"photo": HOSTILE, "reason": "no face found"}]
    identity = prepared("alice", refused=refused, near_duplicates=[["a.jpg", "b.jpg"]], warnings=["only 30 usable photos"])
    journal = [entry(step, style=1.0 / step, seconds=0.5, skipped=step == 3) for step in range(1, 732)]
    path = write_train_report(
        run,
        name="alice <i>",
        settings={
            "size": 128,
            "loss": {"weights": {"style": 25.0}, "style": {"layers": ["relu3_1", "relu4_1"]}},
            "network": {"options": {}},
        },
        prepared=[identity, prepared("faces")],
        journal=journal,
        seconds=365.5,
        device="cpu",
        identity_file=Path("my files/alice.safetensors"),
    )
    assert path == run / "report.html"
    page = read(path)
    text = page.all_text
    assert "Training of alice <i>" in text and "Written to my files/alice.safetensors" in text
    for expected in ("731", "6 min 6 s", "0.50 s", "cpu", "only 30 usable photos", "a.jpg, b.jpg", "-12° to 8°", "1 left out"):
        assert expected in text, expected
    assert HOSTILE.replace("\udce9", "?") in text
    for expected in ("loss.weights.style", "25.0", "relu3_1, relu4_1", "network.options", "size", "steps skipped"):
        assert expected in text, expected
    assert page.attributes("alt") == [f"contact sheet after step {step}" for step in (200, 400, 731)]
    assert "stylswap swap --identity 'my files/alice.safetensors' PHOTO_OR_DIR --out swapped/" in text
    assert f"{sum(1 / step for step in range(706, 732)) / 26:.4g}" in text  # where the smooth line ends


def test_the_report_of_an_interrupted_training_says_how_to_go_on(run: Path) -> None:
    (run / "sheet-000731.png").write_bytes(b"half a pictu")
    path = write_train_report(
        run, name="a", settings={}, prepared=[prepared("a"), prepared("f")], journal=[], seconds=0.0, device="cuda", identity_file=None
    )
    page = read(path)
    assert "Interrupted" in page.all_text and f"stylswap train --resume {run}" in page.all_text
    assert len(page.attributes("src")) == 2 and "sheet-000731.png" in page.all_text


def test_long_lists_are_folded_and_a_run_without_sheets_has_a_report(tmp_path: Path) -> None:
    refused = [{"photo": f"{number}.jpg", "reason": "no face found"} for number in range(40)]
    path = write_train_report(
        tmp_path,
        name="a",
        settings={"size": 64},
        prepared=[prepared("a", refused=refused), prepared("f")],
        journal=[entry(1, style=1.0)],
        seconds=1.0,
        device="cpu",
        identity_file=None,
    )
    page = read(path)
    assert "40 photos were left out, and why" in page.all_text and "39.jpg" in page.all_text
    assert not page.attributes("src")
