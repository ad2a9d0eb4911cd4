"""The report of an evaluation: figures beside the trivial rows, curves by bin, the worst and the best photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stylswap.photo import write_png
from stylswap.report import Column, EvaluationView, Figure, PhotoView, write_evaluation_report
from stylswap.report.evaluation import ranked
from tests.test_report import HOSTILE, Page, read

COLUMNS = (
    Column("sharpness", "sharpness", 2, "", "Neither."),
    Column("share", "share", 2, "higher", "Identity."),
    Column("inner", "inner", 3, "lower", "Expression."),
    Column("gaze", "gaze", 1, "lower", "Degrees."),
)


def figures(share: float, inner: float) -> dict[str, Figure]:
    return {"share": Figure(share, share - 0.05, share + 0.05), "inner": Figure(inner, inner - 0.002, inner + 0.002)}


ROWS = {"return the input": figures(0.1, 0.0), "paste": figures(0.8, 0.07), "swap": figures(0.66, 0.035)}
BINS = {
    "yaw": {
        "swap": {"left": figures(0.5, 0.04), "front": figures(0.7, 0.03)},
        "paste": {"front": figures(0.8, 0.06), "right": figures(0.6, 0.1)},
    },
    "light": {"swap": {"side": figures(0.6, 0.03)}},
    "nothing": {"swap": {"bin": {}}},
}


def photo(name: str, share: float | None, inner: float | None = 0.03, **more: Any) -> PhotoView:
    return PhotoView(name, torch.rand(3, 12, 12), None, torch.rand(3, 12, 12), {"share": share, "inner": inner}, **more)


def view(*photos: PhotoView, **more: Any) -> EvaluationView:
    facts: dict[str, Any] = {"identity_name": "ada", "rows": ROWS, "columns": COLUMNS, "bins": BINS, "photos": photos}
    return EvaluationView(**{**facts, "notes": ("gaze: no judge is installed",), "command": "evaluate x", "hardware": "2 cores", **more})


def captions(page: Page) -> list[str]:
    return [text.split(" · ")[0] for text in page.text if " · share" in text]


def test_the_table_has_the_rows_and_the_figures(tmp_path: Path) -> None:
    path = write_evaluation_report(tmp_path, view(photo("a.jpg", 0.5)))
    assert path == tmp_path / "report.html"
    page = read(path)
    text = page.text
    start = text.index("swap", text.index("Figures"))
    assert text[start : start + 5] == ["swap", "0.66", "±0.05", "0.035", "±0.002"]
    card = text.index("share ↑")
    assert text[card : card + 3] == ["share ↑", "0.66", "return the input 0.10, paste 0.80"]
    assert "gaze: no judge is installed" in text and "gaze ↓" not in text  # no column of nothing
    assert "2 cores" in text and "evaluate x" in text and "Evaluation of ada" in text
    html = path.read_text(encoding="utf-8")
    assert html.count('class="trivial"') == 2 and "<b>0.66</b>" not in html  # alone among the trained, it wins nothing


def test_there_is_a_curve_for_each_figure_and_grouping(tmp_path: Path) -> None:
    page = read(write_evaluation_report(tmp_path, view()))
    charts = [label for label in page.attributes("aria-label") if "bins" in label]
    assert charts == [
        "share: higher is better by 3 bins",
        "inner: lower is better by 3 bins",
        "share: higher is better by 1 bins",
        "inner: lower is better by 1 bins",
    ]
    text = page.text
    start = text.index("By yaw")
    places = [text.index(name, start) for name in ("left", "front", "right")]
    assert places == sorted(places)  # in the order in which they first come
    assert "By light" in text and "By nothing" not in text


def test_photos_are_ranked_by_what_was_asked_for() -> None:
    photos = [photo("good", 0.9, 0.05), photo("none", None, None), photo("bad", 0.1, 0.01)]
    photos += [photo("nan", float("nan")), photo("mid", 0.5, 0.03)]
    column, order = ranked(view(*photos))
    assert column is COLUMNS[1] and [one.name for one in order] == ["bad", "mid", "good"]
    column, order = ranked(view(*photos, rank_by="inner"))
    assert column is COLUMNS[2] and [one.name for one in order] == ["good", "nan", "mid", "bad"]  # equal errors keep their order
    assert ranked(view(*photos, rank_by="unknown")) == (None, [])
    assert ranked(view(*photos, rank_by="gaze"))[1] == []


@pytest.mark.parametrize(("count", "worst", "best"), [(1, 1, 0), (2, 1, 1), (5, 3, 2), (19, 10, 9), (50, 10, 10)])
def test_the_worst_and_the_best_are_shown_and_none_twice(tmp_path: Path, count: int, worst: int, best: int) -> None:
    page = read(write_evaluation_report(tmp_path, view(*(photo(f"{n:02}.jpg", n / 100) for n in range(count)))))
    names = captions(page)
    assert names == [f"{n:02}.jpg" for n in [*range(worst), *range(count - 1, count - 1 - best, -1)]]
    assert len(page.attributes("src")) == 2 * len(names)  # input and swap; there is no paste
    assert (f"Best {best} of {count} photos" in page.text) == (best > 0)


def test_photos_are_files_or_pictures_and_may_be_missing(tmp_path: Path) -> None:
    write_png(torch.rand(3, 900, 600), tmp_path / "large.png")
    one = replace(photo("a.jpg", 0.5), input=tmp_path / "large.png", swap=tmp_path / "gone.png")
    page = read(write_evaluation_report(tmp_path, view(one, identity_pictures=(tmp_path / "large.png", torch.rand(3, 8, 8)))))
    assert page.attributes("alt") == ["ada, 1", "ada, 2", "a.jpg, input"]
    assert [attrs["height"] for tag, attrs in page.tags if tag == "img"] == ["260", "8", "260"]
    assert "no picture" in page.text and "no longer there" in page.text


def test_names_are_escaped_everywhere(tmp_path: Path) -> None:
    columns = tuple(replace(column, title=HOSTILE, help=HOSTILE) for column in COLUMNS)
    bins = {HOSTILE: {HOSTILE: {HOSTILE: figures(0.5, 0.5)}}}
    rows = {"swap": figures(0.5, 0.5), HOSTILE: figures(0.1, 0.1)}
    made = EvaluationView(HOSTILE, rows, columns, bins, [photo(HOSTILE, 0.5)], [HOSTILE], HOSTILE, HOSTILE)
    page = read(write_evaluation_report(tmp_path, made))
    assert page.all_text.count(HOSTILE.replace("\udce9", "?")) > 20
    assert not [1 for _, attrs in page.tags if "onerror" in attrs] and len(page.attributes("src")) == 2


def test_an_evaluation_of_nothing_has_a_report(tmp_path: Path) -> None:
    page = read(write_evaluation_report(tmp_path, view(rows={}, bins={}, notes=())))
    assert "0 photos" in page.all_text and captions(page) == []
