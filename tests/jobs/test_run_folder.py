"""What a new run may not overwrite; running and resuming itself is in test_train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stylswap.config import Settings
from stylswap.errors import RunError
from stylswap.jobs.run_folder import TrainRequest, open_run
from tests.jobs.conftest import request_for


@pytest.fixture
def request_(tmp_path: Path) -> TrainRequest:
    return request_for((tmp_path / "ada", tmp_path / "faces"), tmp_path, Settings())


def with_checkpoint(run: Path) -> None:
    run.mkdir()
    (run / "checkpoint-000002.safetensors").touch()


def test_an_identity_file_that_exists_is_not_replaced(request_: TrainRequest, tmp_path: Path) -> None:
    request_.out.write_bytes(b"an hour of work")
    other_run = replace(request_, run=tmp_path / "other.run")
    with pytest.raises(RunError, match=r"tiny\.safetensors: exists already; give another --out, or move it away"):
        open_run(other_run, resume=False)
    assert not other_run.run.exists()
    assert request_.out.read_bytes() == b"an hour of work"


def test_a_resumed_run_replaces_its_own(request_: TrainRequest) -> None:
    with_checkpoint(request_.run)
    request_.out.write_bytes(b"of fewer steps")
    open_run(request_, resume=True)
    assert (request_.run / "run.json").is_file()


def test_the_way_out_of_a_taken_run_folder_leads_somewhere(request_: TrainRequest, tmp_path: Path) -> None:
    with_checkpoint(request_.run)
    with pytest.raises(RunError, match=rf"--resume {request_.run}, or give another --out$"):
        open_run(request_, resume=False)
    other_out = replace(request_, out=tmp_path / "bob.safetensors")
    with pytest.raises(RunError, match=r"or give another --run folder$"):
        open_run(other_out, resume=False)
    open_run(replace(other_out, run=tmp_path / "bob.run"), resume=False)
