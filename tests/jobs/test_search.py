"""The search over weights: two goals, resumed, a failed draw is no draw."""

from __future__ import annotations

from pathlib import Path

import pytest

from stylswap.errors import UsageError
from stylswap.jobs import ablate
from stylswap.jobs.search import search
from stylswap.jobs.study_request import StudyRequest
from tests.jobs.test_ablate import leave, spec_of

pytest.importorskip("optuna", reason="the extra `search` is not installed")
RANGES = {"ranges": {"loss.weights.style": [10.0, 300.0]}}


def spec_with(root: Path, **changes):
    return spec_of(root, search=RANGES, tradeoff=("expression", "dlib_share"), **changes)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The style weights that were tried; every third draw fails."""
    tried: list[float] = []

    def instead(task) -> str:
        tried.append(task.variant.set["loss.weights.style"])
        if len(tried) % 3 == 0:
            return "failed: it hurt"
        leave(task, tried[-1] / 300)
        return "done"

    monkeypatch.setattr(ablate, "_in_process", instead)
    return tried


def test_draws_until_enough_are_done_and_goes_on_where_it_stood(tmp_path: Path, drawn: list[float]) -> None:
    request = StudyRequest(spec_with(tmp_path), tmp_path / "out")
    request.out.mkdir()
    study = search(request, 3)
    assert len(drawn) == 4, "one of them failed"
    assert all(10 <= weight <= 300 for weight in drawn)
    rows = [row for row in study.rows if row.group == "search"]
    assert [row.status for row in rows] == ["done", "done", "missing", "done"]
    # More identity costs as much expression here: every draw is on the front.
    assert [row.on_front for row in rows] == [True, True, False, True]
    first = list(drawn)
    search(request, 3)
    assert drawn == first, "three are done"
    search(request, 4)
    assert drawn[: len(first)] == first
    assert len(drawn) == len(first) + 1


def test_a_draw_that_was_cut_off_is_done_first(tmp_path: Path, drawn: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    request = StudyRequest(spec_with(tmp_path), tmp_path / "out")
    request.out.mkdir()
    instead = ablate._in_process
    monkeypatch.setattr(ablate, "_in_process", lambda task: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        search(request, 1)
    monkeypatch.setattr(ablate, "_in_process", instead)
    study = search(request, 1)
    assert [row.name for row in study.rows if row.group == "search"] == ["draw 0"]
    search(request, 2)
    assert len(set(drawn)) == 2, "another seed, another draw"


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"search.ranges"):
        search(StudyRequest(spec_of(tmp_path), tmp_path / "out"), 2)
