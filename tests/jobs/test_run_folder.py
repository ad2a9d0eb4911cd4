"""What a new run may not overwrite; running and resuming itself is in test_train."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch

from stylswap.config import Settings
from stylswap.errors import RunError
from stylswap.faces.align import reference_shape
from stylswap.identity_file import IdentityFile, read_identity_file
from stylswap.jobs.run_folder import SETTINGS_FILE, TrainRequest, opened_run, record_request, request_from_run, write_identity
from tests.jobs.conftest import request_for


@pytest.fixture
def request_(tmp_path: Path) -> TrainRequest:
    return request_for((tmp_path / "ada", tmp_path / "faces"), tmp_path, Settings())


def enter(request: TrainRequest, *, resume: bool) -> None:
    with opened_run(request, resume=resume):
        pass


def with_checkpoint(run: Path) -> None:
    run.mkdir()
    (run / "checkpoint-000002.safetensors").touch()


def test_an_identity_file_that_exists_is_not_replaced(request_: TrainRequest, tmp_path: Path) -> None:
    request_.out.write_bytes(b"an hour of work")
    other_run = replace(request_, run=tmp_path / "other.run")
    with pytest.raises(RunError, match=r"tiny\.safetensors: exists already; give another --out, or move it away"):
        enter(other_run, resume=False)
    assert not other_run.run.exists()
    assert request_.out.read_bytes() == b"an hour of work"


def trained(request: TrainRequest, value: float) -> IdentityFile:
    facts: list[dict[str, Any]] = [{"name": "residual", "options": {}}, {}, {}, {}, {}]
    network, alignment, settings, data, training = facts
    tensors = {"weight": torch.full((2,), value)}
    return IdentityFile(tensors, network, 64, alignment, reference_shape(64), request.card, settings, data, training, "0.1.0")


def test_a_resumed_run_replaces_its_own(request_: TrainRequest) -> None:
    with_checkpoint(request_.run)
    write_identity(request_, trained(request_, 1.0))
    enter(request_, resume=True)
    assert read_identity_file(request_.out).tensors["weight"].tolist() == [1.0, 1.0]  # until there is a better one
    write_identity(request_, trained(request_, 2.0))
    enter(request_, resume=True)
    assert read_identity_file(request_.out).tensors["weight"].tolist() == [2.0, 2.0]


def test_a_resumed_run_replaces_no_others(request_: TrainRequest, tmp_path: Path) -> None:
    with_checkpoint(request_.run)
    write_identity(replace(request_, run=tmp_path), trained(request_, 1.0))
    others = request_.out.read_bytes()
    with pytest.raises(RunError, match=r"tiny\.safetensors: exists already.*no note.*move it away, and go on with --resume .*tiny\.run$"):
        enter(request_, resume=True)
    with pytest.raises(RunError, match="exists already"):  # written by somebody while this run was training
        write_identity(request_, trained(request_, 2.0))
    assert request_.out.read_bytes() == others
    request_.out.rename(tmp_path / "elsewhere.safetensors")
    enter(request_, resume=True)


def test_a_run_that_is_killed_while_it_writes_knows_both_files(request_: TrainRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    with_checkpoint(request_.run)
    write_identity(request_, trained(request_, 1.0))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(IdentityFile, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        write_identity(request_, trained(request_, 2.0))
    enter(request_, resume=True)
    trained(request_, 2.0).write(request_.out)
    enter(request_, resume=True)


def test_nothing_is_resumed_without_a_checkpoint(request_: TrainRequest) -> None:
    enter(request_, resume=False)
    with pytest.raises(RunError, match=r"no checkpoint to resume from; start the training again, without --resume"):
        enter(request_, resume=True)


def test_one_training_at_a_time(request_: TrainRequest) -> None:
    with opened_run(request_, resume=False):
        (request_.run / "journal.jsonl").write_text("of the first one")
        with pytest.raises(RunError, match=r"another training is running in this folder; wait for its end, or give another --out"):
            enter(request_, resume=False)
        assert (request_.run / "journal.jsonl").read_text() == "of the first one"
    enter(request_, resume=False)
    assert not (request_.run / "journal.jsonl").exists()


def test_what_another_training_tries_out_is_left_alone(request_: TrainRequest) -> None:
    """Two that write into one folder may begin at the same moment."""
    tried = request_.out.parent / ".stylswap-probe"  # the name that all once used
    tried.touch()
    enter(request_, resume=False)
    assert [path.name for path in sorted(request_.out.parent.iterdir())] == [tried.name, request_.run.name]


def test_a_training_that_fails_lets_go_of_its_folder(request_: TrainRequest) -> None:
    with pytest.raises(ZeroDivisionError), opened_run(request_, resume=False):
        1 / 0  # noqa: B018
    enter(request_, resume=False)


@pytest.mark.parametrize("kind", ["identity", "faces"])
def test_contact_sheets_do_not_get_among_the_photos(request_: TrainRequest, kind: str) -> None:
    folder: Path = getattr(request_, kind)
    inside = replace(request_, out=folder / "ada.safetensors", run=folder / "deeper" / "ada.run")
    with pytest.raises(RunError, match=rf"must not lie inside a folder of photos \({folder}\).*Give an --out, or a --run, somewhere else"):
        enter(inside, resume=False)
    assert not inside.run.exists()
    enter(replace(inside, run=request_.run), resume=False)  # the identity file itself is no picture


def test_more_steps_end_a_time_budget(request_: TrainRequest) -> None:
    enter(request_, resume=False)
    record_request(replace(request_, minutes=5.0))
    assert request_from_run(request_.run).minutes == 5.0
    assert request_from_run(request_.run, minutes=7.0).minutes == 7.0
    more = request_from_run(request_.run, overrides=["training.steps = 4000"])
    assert more.minutes is None
    assert more.settings.training.steps == 4000
    assert request_from_run(request_.run, minutes=7.0, overrides=["training.steps=4000"]).minutes == 7.0
    assert request_from_run(request_.run, overrides=["training.learning_rate=1e-4"]).minutes == 5.0


def test_a_run_that_was_begun_before_a_setting_was_there_goes_on_as_it_was(request_: TrainRequest) -> None:
    enter(request_, resume=False)
    record_request(request_)
    assert request_from_run(request_.run).settings == request_.settings
    file = request_.run / SETTINGS_FILE
    settings = tomllib.loads(file.read_text())
    del settings["training"]["optimiser"], settings["prepare"]["hairline"]
    del settings["loss"]["inner"], settings["loss"]["light"], settings["loss"]["expression"]
    file.write_text(tomli_w.dumps(settings))
    older = request_from_run(request_.run).settings
    assert (older.training.optimiser, older.prepare.hairline) == ("adam", False)
    assert (older.loss.inner, older.loss.light, older.loss.expression.mouth_weight) == (0, 0, 1)
    assert request_from_run(request_.run, overrides=["training.optimiser=soap"]).settings.training.optimiser == "soap"
    now = Settings()
    assert now.training.optimiser != older.training.optimiser and now.prepare.hairline
    assert now.loss.inner > 0 and now.loss.light > 0 and now.loss.expression.mouth_weight > 1


def test_the_way_out_of_a_taken_run_folder_leads_somewhere(request_: TrainRequest, tmp_path: Path) -> None:
    with_checkpoint(request_.run)
    with pytest.raises(RunError, match=rf"--resume {request_.run}, or give another --out$"):
        enter(request_, resume=False)
    other_out = replace(request_, out=tmp_path / "bob.safetensors")
    with pytest.raises(RunError, match=r"or give another --run folder$"):
        enter(other_out, resume=False)
    enter(replace(other_out, run=tmp_path / "bob.run"), resume=False)
