"""Checkpoints: the newest whole one counts, and two are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stylswap.errors import RunError
from stylswap.training.checkpoint import checkpoints, load_checkpoint, refuse_checkpoints, save_checkpoint


def save(run: Path, *steps: int) -> None:
    for step in steps:
        save_checkpoint(run, {"weight": torch.full((2, 3), float(step))}, {"step": step, "note": "Zoë"})


def steps_of(run: Path) -> list[int]:
    return [int(path.stem.split("-")[1]) for path in checkpoints(run)]


def test_tensors_and_header_come_back(tmp_path: Path) -> None:
    tensors = {
        "bf16": torch.randn(3, 4, dtype=torch.bfloat16),
        "scalar": torch.tensor(7),
        "last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "trained": torch.nn.Parameter(torch.randn(2)),
        "part": torch.randn(4, 4)[:, 1],
    }
    path = save_checkpoint(tmp_path, tensors, {"step": 12, "data": "abc", "elapsed_seconds": 1.25})
    assert path.name == "checkpoint-000012.safetensors"
    read, header = load_checkpoint(tmp_path)
    assert header == {"step": 12, "data": "abc", "elapsed_seconds": 1.25}
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor.detach())
    assert list(tmp_path.iterdir()) == [path], "and nothing else is left over"


def test_two_are_kept(tmp_path: Path) -> None:
    save(tmp_path, 200, 400, 600, 800)
    assert steps_of(tmp_path) == [600, 800]
    assert load_checkpoint(tmp_path)[1]["step"] == 800


def test_what_was_just_written_stays_whatever_lies_there(tmp_path: Path) -> None:
    save(tmp_path, 600, 800, 5)
    assert steps_of(tmp_path) == [5, 600, 800]


def test_a_new_training_is_not_begun_over_an_old_one(tmp_path: Path) -> None:
    refuse_checkpoints(tmp_path)
    refuse_checkpoints(tmp_path / "not there yet")
    save(tmp_path, 1)
    with pytest.raises(RunError, match="go on with it by --resume"):
        refuse_checkpoints(tmp_path)


def test_the_millionth_step_is_newer_than_the_one_before(tmp_path: Path) -> None:
    save(tmp_path, 999_998, 999_999, 1_000_000)
    assert steps_of(tmp_path) == [999_999, 1_000_000]
    assert load_checkpoint(tmp_path)[1]["step"] == 1_000_000


@pytest.mark.parametrize("damage", ["truncated", "empty", "other", "zeros"])
def test_a_damaged_one_falls_back_to_the_one_before(tmp_path: Path, damage: str) -> None:
    save(tmp_path, 1, 2)
    newest = checkpoints(tmp_path)[-1]
    content = newest.read_bytes()
    if damage == "other":
        save_file({"weight": torch.zeros(1)}, newest)
    else:
        newest.write_bytes({"truncated": content[:-5], "empty": b"", "zeros": bytes(len(content))}[damage])
    tensors, header = load_checkpoint(tmp_path)
    assert header["step"] == 1
    assert tensors["weight"][0, 0] == 1


def test_a_folder_without_a_whole_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no readable checkpoint to resume from"):
        load_checkpoint(tmp_path)
    save(tmp_path, 1)
    checkpoints(tmp_path)[0].write_bytes(b"x")
    with pytest.raises(RunError, match="no readable checkpoint"):
        load_checkpoint(tmp_path)


def test_other_files_are_no_checkpoints(tmp_path: Path) -> None:
    save(tmp_path, 3)
    (tmp_path / ".checkpoint-000009.safetensors.1234.part").write_bytes(b"x")
    (tmp_path / "checkpoint-best.safetensors").write_bytes(b"x")
    assert steps_of(tmp_path) == [3]


def test_a_full_disk_keeps_the_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1, 2)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, 3)
    assert steps_of(tmp_path) == [1, 2]
    assert load_checkpoint(tmp_path)[1]["step"] == 2
