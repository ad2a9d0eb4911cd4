"""Studies: rows in processes of their own, resumed, never stopped by one that fails."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from stylswap.errors import FaceSetError, UsageError
from stylswap.jobs import ablate
from stylswap.jobs.ablate import run_study
from stylswap.jobs.evaluate import evaluate
from stylswap.jobs.evaluation import CROP_ROW, INPUT_ROW, SWAP_ROW, Evaluation, PhotoFigures
from stylswap.jobs.study_request import StudyRequest, tasks_of
from stylswap.jobs.study_spec import StudySpec
from stylswap.jobs.study_tables import figures_of, write_study
from stylswap.jobs.study_variant import ROW_FILE, VariantTask, held_out_photos, run_variant, spaced
from stylswap.photo import read_photo
from tests.jobs.conftest import EXAMPLES

WEIGHTS = {"loss.weights.style": 20.0}


def spec_of(root: Path, **changes) -> StudySpec:
    """Two variants over six photos of ada, eight faces and two photos to measure on, one of which is among the faces."""
    held = root / "held"
    if not held.is_dir():
        for name, count in (("ada", 6), ("faces", 8)):
            (root / name).mkdir()
            for path in sorted((EXAMPLES / name).glob("*.jpg"))[:count]:
                shutil.copyfile(path, root / name / path.name)
        shutil.copyfile(EXAMPLES / "ada" / "identity.toml", root / "ada" / "identity.toml")
        held.mkdir()
        for path in sorted((EXAMPLES / "photos").glob("*.jpg"))[:2]:
            shutil.copyfile(path, held / path.name)
        shutil.copyfile(sorted((root / "faces").glob("*.jpg"))[0], held / "seen-in-training.jpg")
    base = {
        "size": 64, "network.options": {"widths": [8, 8, 16], "blocks": 1}, "training.batch_size": 2, "training.held_out": 2,
        "training.precision": "float32", "loss.style.num_faces": 4, "prepare.min_photos": 5, "prepare.few_photos": 6,
    }  # fmt: skip
    tree = {
        "title": "Tiny", "steps": 2, "base": base,
        "photos": {"identities": {"ada": root / "ada"}, "faces": root / "faces",
                   "held_out": {"portraits": {"folder": held}}},
        "variant": [{"name": "base", "group": "style weight"}, {"name": "style 20", "group": "style weight", "set": WEIGHTS}],
    }  # fmt: skip
    return StudySpec.model_validate({**tree, **changes})


def leave(task: VariantTask, value: float, **more: float) -> None:
    """What `run_variant` leaves, with an invented figure."""
    folder = task.folder / "portraits"
    folder.mkdir(parents=True, exist_ok=True)
    swapped = {"dlib_share": value, "expression": value / 10, **more}
    rows = {INPUT_ROW: {"dlib_share": 0.8, "expression": 0.0, **more}, SWAP_ROW: swapped, CROP_ROW: {}}
    Evaluation({}, (PhotoFigures("a", "frontal", "front", rows),)).write(folder)
    row = {"name": task.name, "identity": task.identity, "fingerprint": task.fingerprint, "status": "done", "counts": {"portraits": 1}}
    (task.folder / ROW_FILE).write_text(json.dumps(row))


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Instead of training, rows leave an invented figure; the names of those that were run."""
    names: list[str] = []

    def instead(task: VariantTask) -> str:
        names.append(task.name)
        if task.name == "bad":
            (task.folder).mkdir(parents=True, exist_ok=True)
            row = {"name": "bad", "identity": "ada", "fingerprint": task.fingerprint, "status": "failed", "reason": "it hurt"}
            (task.folder / ROW_FILE).write_text(json.dumps(row))
            return "failed: it hurt"
        leave(task, {"base": 0.9, "style 20": 0.85}.get(task.name, 0.88))
        return "done"

    monkeypatch.setattr(ablate, "_in_process", instead)
    return names


def test_only_what_is_missing_or_changed_is_done(tmp_path: Path, done: list[str]) -> None:
    request = StudyRequest(spec_of(tmp_path), tmp_path / "out", "the command")
    told: list[tuple[str, str]] = []
    run_study(request, on_row=lambda name, state, *_: told.append((name, state)))
    assert done == ["trivial ada", "base", "style 20"]
    done.clear()
    run_study(request, on_row=lambda name, state, *_: told.append((name, state)))
    assert done == []
    assert told[-3:] == [("trivial ada", "done earlier"), ("base", "done earlier"), ("style 20", "done earlier")]
    variants = [{"name": "base"}, {"name": "style 20", "set": {"loss.weights.style": 21.0}}]
    run_study(StudyRequest(spec_of(tmp_path, variant=variants), tmp_path / "out"))
    assert done == ["style 20"], "its setting is another one"


def test_tables_and_report(tmp_path: Path, done: list[str]) -> None:
    study = run_study(StudyRequest(spec_of(tmp_path), tmp_path / "out", "the command"))
    assert [row.name for row in study.rows] == ["return the input", "paste", "base", "style 20"]
    by_name = {row.name: row for row in study.rows}
    assert by_name["return the input"].figures["dlib_share"].mean == 0.8
    assert by_name["paste"].figures["dlib_share"].mean == 0.88
    assert by_name["style 20"].changed == WEIGHTS
    rows = list(csv.DictReader((tmp_path / "out" / "table.csv").read_text().splitlines()))
    assert [float(row["dlib_share"]) for row in rows] == [0.8, 0.88, 0.9, 0.85]
    assert "style 20" in (tmp_path / "out" / "table.md").read_text()
    assert "the command" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "tradeoff.svg").read_text().startswith("<svg")


def test_the_axis_is_a_judge_of_the_trained_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without SFace: FaceRes judges the rows without training, and teaches the others."""

    def instead(task: VariantTask) -> str:
        leave(task, 0.9, faceres_share=0.8)
        return "done"

    monkeypatch.setattr(ablate, "_in_process", instead)
    study = run_study(StudyRequest(spec_of(tmp_path), tmp_path / "out"))
    assert "faceres_share" in study.rows[0].figures
    assert study.tradeoff[1] == "dlib_share"
    assert any(row.on_front for row in study.rows)
    untaught = spec_of(tmp_path, base={**spec_of(tmp_path).base, "loss.recognisers": ["dlib"]})
    assert run_study(StudyRequest(untaught, tmp_path / "other")).tradeoff[1] == "faceres_share"


def test_a_row_that_fails_stops_no_other_and_is_tried_again(tmp_path: Path, done: list[str]) -> None:
    variants = [{"name": "bad"}, {"name": "base"}]
    request = StudyRequest(spec_of(tmp_path, variant=variants), tmp_path / "out", jobs=2)
    study = run_study(request)
    assert sorted(done) == ["bad", "base", "trivial ada"]
    states = {row.name: (row.status, row.reason) for row in study.rows if not row.trivial}
    assert states == {"bad": ("failed", "it hurt"), "base": ("done", "")}
    assert "it hurt" in (tmp_path / "out" / "report.html").read_text()
    done.clear()
    run_study(request)
    assert done == ["bad"]


def test_a_group_alone(tmp_path: Path, done: list[str]) -> None:
    variants = [{"name": "a", "group": "one"}, {"name": "b", "group": "two"}]
    study = run_study(StudyRequest(spec_of(tmp_path, variant=variants), tmp_path / "out", only=("two",)))
    assert done == ["trivial ada", "b"]
    assert {row.name: row.status for row in study.rows}["a"] == "missing"
    with pytest.raises(UsageError, match="no group three"):
        StudyRequest(spec_of(tmp_path), tmp_path / "out", only=("three",))
    with pytest.raises(UsageError, match="jobs"):
        StudyRequest(spec_of(tmp_path), tmp_path / "out", jobs=0)


def test_a_real_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of training, two photos measured; then again, and nothing is trained anew."""
    from stylswap.jobs import study_variant
    from stylswap.jobs.judges import Judges

    monkeypatch.setattr(Judges, "load", classmethod(lambda cls, *, device: cls()))
    spec = spec_of(tmp_path)
    task = tasks_of(StudyRequest(spec, tmp_path / "out"))[1]
    monkeypatch.setattr(study_variant.torch, "set_num_threads", lambda count: None)
    run_variant(task)
    row = task.done()
    assert row is not None, json.loads((task.folder / ROW_FILE).read_text())
    assert (row["steps"], row["counts"]) == (2, {"portraits": 2})
    strip = read_photo(task.folder / "strip.png")
    assert strip.width == strip.height, "two faces, input above output"
    study = write_study(StudyRequest(spec, tmp_path / "out"))
    assert {row.name: row.status for row in study.rows} == {
        "return the input": "missing", "paste": "missing", "base": "done", "style 20": "missing"
    }  # fmt: skip
    assert read_photo(tmp_path / "out" / "sheet.png").height > strip.height / 2
    monkeypatch.setattr(study_variant, "train", lambda *_, **__: pytest.fail("it is trained already"))
    (task.folder / ROW_FILE).unlink()
    run_variant(task)
    assert task.done() is not None
    # Another setting, and a training that fails: the old network must not pass for its result.
    changed = spec_of(tmp_path, variant=[{"name": "base", "set": WEIGHTS}])
    task = tasks_of(StudyRequest(changed, tmp_path / "out"))[1]
    monkeypatch.setattr(study_variant, "train", lambda *_, **__: (_ for _ in ()).throw(FaceSetError(f"{tmp_path / 'faces'} hurts")))
    for _ in range(2):
        run_variant(task)
        row = json.loads((task.folder / ROW_FILE).read_text())
        assert (row["status"], row["reason"]) == ("failed", "faces hurts"), "and without this machine's folders"


def test_nobody_consented(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    (tmp_path / "ada" / "identity.toml").unlink()
    task = tasks_of(StudyRequest(spec, tmp_path / "out"))[1]
    run_variant(task)
    assert "consent" in json.loads((task.folder / ROW_FILE).read_text())["reason"]


def test_rows_that_cannot_be_compared_stay_off_the_front(tmp_path: Path, done: list[str]) -> None:
    variants = [
        {"name": "base"}, {"name": "longer", "steps": 9}, {"name": "longer by a setting", "set": {"training.steps": 9}},
        {"name": "style 20", "set": WEIGHTS},
    ]  # fmt: skip
    study = run_study(StudyRequest(spec_of(tmp_path, variant=variants), tmp_path / "out"))
    # Of the three each is better in one of both: more identity, more error.
    assert {row.name for row in study.rows if row.on_front} == {"base", "style 20"}


def test_sface_is_no_judge_of_what_it_taught(tmp_path: Path, done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    variants = [{"name": "base"}, {"name": "taught", "set": {"loss.recognisers": ["sface"], "loss.weights.identity": 9.0}}]
    tasks = tasks_of(StudyRequest(spec_of(tmp_path, variant=variants), tmp_path / "out"))
    for task in tasks:
        leave(task, 0.9, sface_share=0.7)
    assert [("sface_share" in figures_of(task, SWAP_ROW)) for task in tasks] == [True, True, False]


def test_faceres_is_no_judge_of_what_it_taught(tmp_path: Path, done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    two, three = ({"loss.recognisers": ["dlib", *more], "loss.weights.identity": 9.0} for more in ([], ["faceres"]))
    variants = [{"name": "base", "set": two}, {"name": "taught", "set": three}]
    tasks = tasks_of(StudyRequest(spec_of(tmp_path, variant=variants), tmp_path / "out"))
    for task in tasks:
        leave(task, 0.9, faceres_share=0.7, faceres_residual=0.4, sface_share=0.6)
    assert [("faceres_share" in figures_of(task, SWAP_ROW)) for task in tasks] == [True, True, False]
    assert figures_of(tasks[2], SWAP_ROW).keys() >= {"sface_share"}
    assert "faceres_residual" not in figures_of(tasks[2], SWAP_ROW)


def test_a_training_that_cannot_be_is_a_reason(tmp_path: Path) -> None:
    variant = {"name": "few", "photos": 2}
    task = tasks_of(StudyRequest(spec_of(tmp_path, variant=[variant]), tmp_path / "out"))[1]
    run_variant(task)
    row = json.loads((task.folder / ROW_FILE).read_text())
    assert row["status"] == "failed"
    assert "at least 5" in row["reason"]
    assert len(list((task.folder / "photos").iterdir())) == 2
    assert task.done() is None


def _dies(task: VariantTask) -> None:
    os._exit(7)


def test_a_process_that_dies_is_a_failed_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablate, "run_variant", _dies)
    task = tasks_of(StudyRequest(spec_of(tmp_path), tmp_path / "out"))[1]
    assert list(ablate.run_tasks([task], 1)) == [(task, "failed: the process ended with code 7 and left nothing")]


def test_no_photo_of_the_training_is_measured(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    assert "seen-in-training.jpg" not in [path.name for path in held_out_photos(spec)["portraits"]]
    assert len(held_out_photos(spec)["portraits"]) == 2
    only_seen = spec_of(tmp_path, photos={**spec.photos.model_dump(), "held_out": {"portraits": {"folder": tmp_path / "faces"}}})
    with pytest.raises(UsageError, match="not among the training faces"):
        held_out_photos(only_seen)


def test_evenly_spaced() -> None:
    paths = [Path(str(number)) for number in range(10)]
    assert [path.name for path in spaced(paths, 4)] == ["0", "3", "6", "9"]
    assert spaced(paths, None) == spaced(paths, 12) == paths
    assert [path.name for path in spaced(paths, 1)] == ["0"]


def test_photos_of_one_name_in_two_folders_are_two_photos(tmp_path: Path) -> None:
    """Some of an identity's photos are links to the user's own: nothing may be written through them."""
    spec = spec_of(tmp_path, variant=[{"name": "few", "photos": 4}])
    own = tmp_path / "ada"
    (own / "more").mkdir()
    photos = sorted(own.glob("*.jpg"))
    for first, second in zip(photos[:3], photos[3:], strict=True):
        second.rename(own / "more" / first.name)
    kept = {path: path.read_bytes() for path in own.rglob("*.jpg")}
    assert len(kept) == 6
    task = tasks_of(StudyRequest(spec, tmp_path / "out"))[1]
    run_variant(task)
    assert len(list((task.folder / "photos").iterdir())) == 4
    assert {path: path.read_bytes() for path in kept} == kept
    assert len({path.read_bytes() for path in (task.folder / "photos").iterdir()}) == 4


def test_a_row_that_is_interrupted_while_it_is_measured_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stylswap.jobs import study_variant
    from stylswap.jobs.judges import Judges

    monkeypatch.setattr(Judges, "load", classmethod(lambda cls, *, device: cls()))
    monkeypatch.setattr(study_variant.torch, "set_num_threads", lambda count: None)
    task = tasks_of(StudyRequest(spec_of(tmp_path), tmp_path / "out"))[0]  # without a training

    def interrupted(swapper, photos, inputs, own, *, on_photo):  # type: ignore[no-untyped-def]
        return evaluate(swapper, photos, inputs, own, on_photo=lambda *_: signal.raise_signal(signal.SIGINT))

    monkeypatch.setattr(study_variant, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_variant(task)
    assert task.done() is None
    monkeypatch.setattr(study_variant, "evaluate", evaluate)
    run_variant(task)
    row = task.done()
    assert row is not None
    assert row["counts"] == {"portraits": 2}
