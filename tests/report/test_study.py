"""The report of a study: its tables hold the figures, the best is bold, failed variants are shown."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stylswap.errors import StylswapError, UsageError
from stylswap.photo import write_png
from stylswap.report import (
    TRIVIAL,
    Column,
    Figure,
    FigureRow,
    Study,
    StudyRow,
    study_trade_off,
    table_markdown,
    with_front,
    write_study_report,
    write_table_csv,
)
from stylswap.report.measured import best_cells, markdown_text
from tests.test_report import HOSTILE, read

COLUMNS = (
    Column("share", "share", 2, "higher", "Identity."),
    Column("inner", "inner", 3, "lower", "Expression."),
    Column("sharpness", "sharpness", 2, "", "Neither."),
)


def figure(mean: float, half: float = 0.02) -> Figure:
    return Figure(mean, mean - half, mean + half)


def row(name: str, share: float, inner: float, group: str = "style weight", **more: Any) -> StudyRow:
    figures = {"share": figure(share), "inner": figure(inner, 0.004), "sharpness": figure(1.0)}
    facts: dict[str, Any] = {"changed": {"weights.style": name}, "steps": 900, "seconds": 60.0, "num_photos": 45}
    return StudyRow(name, group, figures, **{**facts, **more})


def study(*rows: StudyRow, **more: Any) -> Study:
    facts: dict[str, Any] = {"title": "Weights", "about": "What they do.", "columns": COLUMNS, "hardware": "2 cores", "command": "ablate x"}
    return Study(rows=rows, **{"tradeoff": ("inner", "share"), **facts, **more})


BASE = row("base", 0.5, 0.033, changed={})
TRIVIALS = (row("return the input", 0.1, 0.0, TRIVIAL, changed={}), row("paste", 0.9, 0.07, TRIVIAL, changed={}))
ROWS = (
    BASE,
    row("style 80", 0.65, 0.04),
    row("style 5", 0.25, 0.03),
    row("no light", 0.45, 0.036, "losses removed"),
    StudyRow("patch | 3", "losses removed", changed={"patch": 3}, status="failed", reason="a loss of <nan>"),
    StudyRow("radius 3", "losses removed", changed={"radius": 3}, status="missing"),
    *TRIVIALS,
)


def cells(markdown: str, name: str) -> list[str]:
    (line,) = [line for line in markdown.splitlines() if line.startswith("|") and name in line]
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_csv_holds_every_figure_in_full(tmp_path: Path) -> None:
    third = StudyRow('a, "b"\n', "g", {"share": Figure(1 / 3, 0.1 + 0.2, 0.4)}, {"x.y": [1, 2]}, seconds=1.5, steps=7, on_front=True)
    write_table_csv(tmp_path / "table.csv", study(third, *ROWS))
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 1 + len(ROWS)
    first = lines[0]
    assert (first["name"], first["group"], first["steps"], first["on_front"]) == (third.name, "g", "7", "1")
    assert [float(first[key]) for key in ("share", "share_low", "share_high")] == [1 / 3, 0.1 + 0.2, 0.4]
    assert json.loads(first["changed"]) == {"x.y": [1, 2]} and first["inner"] == first["inner_low"] == ""
    for line, expected in zip(lines[1:], ROWS, strict=True):
        assert (line["name"], line["status"], line["reason"]) == (expected.name, expected.status, expected.reason)
        assert {key: float(line[key]) for key in expected.figures} == {key: figure.mean for key, figure in expected.figures.items()}
    with pytest.raises(StylswapError, match="cannot be written"):
        write_table_csv(tmp_path / "missing" / "table.csv", study())


def test_the_best_of_a_column_is_bold_and_trivial_rows_take_no_part() -> None:
    text = table_markdown(study(*ROWS))
    assert text.splitlines()[0] == "| variant | share ↑ | inner ↓ | sharpness |"
    assert cells(text, "style 80") == ["style 80", "**0.65** ± 0.02", "0.040 ± 0.004", "1.00 ± 0.02"]
    assert cells(text, "style 5")[1:3] == ["0.25 ± 0.02", "**0.030** ± 0.004"]
    assert cells(text, "paste")[:3] == ["*paste*", "0.90 ± 0.02", "0.070 ± 0.004"]
    assert text.count("**") == 4


def test_best_is_what_is_printed_best() -> None:
    rows = [FigureRow("a", {"share": figure(0.501)}), FigureRow("b", {"share": figure(0.499)}), FigureRow("c", {"share": figure(0.42)})]
    assert best_cells(rows, COLUMNS) == {(0, "share"), (1, "share")}
    assert best_cells(rows[:1], COLUMNS) == set()  # one row is no competition
    odd = FigureRow("nan", {"share": Figure(float("nan"), 0.0, 1.0)})
    assert best_cells([odd, *rows], COLUMNS) == {(1, "share"), (2, "share")}


def test_a_group_has_the_base_above_and_the_trivial_rows_below() -> None:
    lines = table_markdown(study(*ROWS), "losses removed").splitlines()
    assert [re.split(r"\W+", line)[1:3] for line in lines[2:6]] == [["base", "0"], ["no", "light"], ["return", "the"], ["paste", "0"]]
    assert lines[6:] == ["", "- patch \\| 3: failed: a loss of \\<nan\\>", "- radius 3: missing: no reason was given"]
    own = table_markdown(study(*ROWS), "style weight")
    assert own.count("base") == 1 and "no light" not in own and "failed" not in own
    assert "base" not in table_markdown(study(*ROWS), TRIVIAL) and "paste" in table_markdown(study(*ROWS), TRIVIAL)


def test_what_was_measured_of_no_row_has_no_column() -> None:
    more = (*COLUMNS, Column("gaze", "gaze", 1, "lower", "Degrees."))
    assert "gaze" not in table_markdown(study(*ROWS, columns=more))
    one = replace(BASE, figures={"gaze": Figure(-0.01, float("nan"), float("nan"))})
    text = table_markdown(study(one, ROWS[1], columns=more))
    assert cells(text, "base") == ["base", "–", "–", "–", "0.0"]  # no interval, and no minus zero


def test_markdown_shows_names_as_they_are() -> None:
    assert markdown_text("a|b *c* <d>\n[e]_f") == "a\\|b \\*c\\* \\<d\\> \\[e\\]\\_f"


def test_the_front_is_that_of_trained_rows() -> None:
    marked = with_front(study(*ROWS, row("worse", 0.5, 0.034)))
    assert [one.name for one in marked.rows if one.on_front] == ["base", "style 80", "style 5"]
    assert "| ● base |" in table_markdown(marked)


def test_the_plot_has_the_rows_that_were_measured() -> None:
    shown = study_trade_off(study(*ROWS, replace(BASE, name="half", figures={"share": figure(0.5)})))
    assert [point.name for point in shown.points] == ["base", "style 80", "style 5", "no light", "return the input", "paste"]
    assert [point.trivial for point in shown.points] == [False] * 4 + [True] * 2
    assert (shown.points[1].x.mean, shown.points[1].y.mean) == (0.04, 0.65)
    group = study_trade_off(study(*ROWS), "losses removed")
    assert {point.name: point.faint for point in group.points} == {"base": False, "style 80": True, "style 5": True, "no light": False}
    assert len(study_trade_off(study(*ROWS), trivial=False).points) == 4


def test_axes_that_make_no_trade_are_refused() -> None:
    with pytest.raises(UsageError, match="share is better higher, inner lower"):
        study_trade_off(study(*ROWS, tradeoff=("share", "inner")))
    with pytest.raises(UsageError, match="no column 'gaze'; it has share, inner, sharpness"):
        study_trade_off(study(*ROWS, tradeoff=("gaze", "share")))


def test_the_report_holds_it_all(tmp_path: Path) -> None:
    write_png(torch.rand(3, 20, 40), tmp_path / "sheet.png")
    path = write_study_report(tmp_path, study(*ROWS), tmp_path / "sheet.png")
    assert path == tmp_path / "report.html"
    page = read(path)
    text = page.text
    assert text[text.index("variants done") + 1 : text.index("variants done") + 3] == ["4", "1 failed, 1 missing"]
    assert text[text.index("best share") + 1 : text.index("best share") + 3] == ["0.65", "style 80"]
    assert text[text.index("best inner") + 1 : text.index("best inner") + 3] == ["0.030", "style 5"]
    assert text[text.index("training time") + 1] == "4 min 0 s"
    failed = text.index("patch | 3")
    assert text[failed : failed + 3] == ["patch | 3", "losses removed", "failed: a loss of <nan>"]
    assert "missing: no reason was given" in text and "2 cores" in text and "ablate x" in text
    assert "weights.style = style 80" in text
    html = path.read_text(encoding="utf-8")
    # Once in the table of each group: the base competes in both.
    assert html.count("<td><b>0.65</b><small>±0.02</small></td>") == 1 and html.count("<td><b>0.50</b>") == 1
    assert html.count('class="front"') == 3 and len(page.attributes("src")) == 1  # all, and each of two groups
    assert html.count('class="trivial"') == 2 * 2 and html.count('class="dot"') == 3 + 1


def test_sheets_of_rows_are_shown_where_there_is_none_of_all(tmp_path: Path) -> None:
    write_png(torch.rand(3, 20, 40), tmp_path / "own.png")
    rows = (replace(BASE, sheet=tmp_path / "own.png"), replace(ROWS[1], sheet=tmp_path / "gone.png"))
    page = read(write_study_report(tmp_path, study(*rows), None))
    assert page.attributes("alt") == ["contact sheet of base"] and "gone.png" in page.all_text
    assert "What it looks like" not in read(write_study_report(tmp_path, study(*ROWS), None)).text


def test_names_are_escaped_everywhere(tmp_path: Path) -> None:
    columns = tuple(replace(column, title=HOSTILE, help=HOSTILE) for column in COLUMNS)
    changed = {HOSTILE: HOSTILE}
    rows = [row(HOSTILE, 0.5, 0.03, HOSTILE, changed=changed), row("b", 0.4, 0.02, HOSTILE), row(HOSTILE, 0.1, 0.0, TRIVIAL)]
    rows.append(StudyRow(HOSTILE, HOSTILE, status=HOSTILE, reason=HOSTILE))
    made = Study(HOSTILE, HOSTILE, rows, columns, HOSTILE, HOSTILE, ("inner", "share"))
    page = read(write_study_report(tmp_path, made, tmp_path / HOSTILE.replace("/", "")))
    assert page.all_text.count(HOSTILE.replace("\udce9", "?")) > 20
    assert "img" not in {tag for tag, _ in page.tags}
    write_table_csv(tmp_path / "table.csv", made)
    assert "?.jpg" in (tmp_path / "table.csv").read_text(encoding="utf-8")


def test_a_study_without_a_row_has_a_report(tmp_path: Path) -> None:
    page = read(write_study_report(tmp_path, study(), None))
    assert "Nothing was measured yet." in page.all_text
    assert "Nothing was measured yet." in read(write_study_report(tmp_path, study(ROWS[4]), None)).all_text
