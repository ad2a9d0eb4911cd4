"""Training as a job: from two folders to an identity file."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stylswap.config import Settings, load_settings
from stylswap.errors import (
    DeviceError,
    FaceSetError,
    IdentityFileError,
    RunError,
    SettingsError,
    ShapeError,
    TrainingError,
    UsageError,
    WeightError,
)
from stylswap.identity_file import read_identity_file
from stylswap.jobs.prepare import PrepareReport
from stylswap.jobs.run_folder import request_from_run
from stylswap.jobs.train import TrainEvents, train
from stylswap.photo import read_photo
from stylswap.training import session as session_module
from stylswap.training.checkpoint import checkpoints, load_checkpoint
from stylswap.training.loop import Tick
from stylswap.training.session import Progress
from tests.jobs.conftest import TINY, request_for

Folders = tuple[Path, Path]


def with_training(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update={"training": settings.training.model_copy(update=changes)})


def test_identity_file_tells_what_it_is(tiny_identity: Path, tiny_settings: Settings) -> None:
    identity = read_identity_file(tiny_identity)
    assert identity.card.name == "tiny"
    assert identity.card.consent == "synthetic"
    assert identity.size == 64
    assert identity.network["name"] == "residual"
    assert identity.network["options"]["widths"] == [8, 8, 16]
    assert identity.training["steps"] == 2
    assert identity.data["identity"]["photos"] == 6
    assert identity.data["faces"]["photos"] == 8
    assert len(identity.data["identity"]["mean_descriptor"]) == 128
    terms = [name for name, weight in tiny_settings.loss.weights.model_dump().items() if weight > 0]
    assert set(identity.training["last_terms"]) == {"discriminator.hinge", *(f"network.{name}" for name in terms)}


def test_run_folder_holds_what_users_expect(tiny_identity: Path, tiny_settings: Settings) -> None:
    run = tiny_identity.with_suffix(".run")
    assert load_settings(run / "settings.toml") == tiny_settings
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert lines[0]["terms"]["network.content"] < 1e-3  # the network starts as the identity
    sheet = read_photo(run / "sheet-000002.png")
    assert (sheet.height, sheet.width) == (3 * 66 + 2, 2 * 66 + 2)  # input, output, composite of two held-out faces
    assert [path.name for path in checkpoints(run)] == ["checkpoint-000002.safetensors"]
    assert (run / "prepare.json").is_file()


def test_training_changes_the_network_towards_the_identity(folders: Folders, tmp_path: Path, tiny_settings: Settings) -> None:
    # Each face as often as the others and as itself alone: six steps of two show all twelve.
    plain = {"relit_inputs": 0.0, "occluded_inputs": 0.0, "even_yaw": False}
    settings = with_training(tiny_settings, steps=24, sheet_every=1000, checkpoint_every=1000, **plain)
    ticks: list[Tick] = []
    train(request_for(folders, tmp_path, settings), TrainEvents(on_step=lambda progress: ticks.append(progress.tick)))
    for name in ("identity", "residual"):
        values = [tick.terms[f"network.{name}"] for tick in ticks]
        assert sum(values[-6:]) < 0.85 * sum(values[:6]), name
    assert sum(tick.total for tick in ticks[-6:]) < sum(tick.total for tick in ticks[:6])


DUEL = (
    "loss.weights.adversarial=0.5",
    "loss.ramps.adversarial=[0.3, 0.8, 0]",
    "loss.ramps.style=[0, 0.9, 20]",
    "training.average=0.9",
    "training.occluded_inputs=0.5",
    "loss.weights.keep=5",
)


def test_six_steps_are_three_then_resumed_three_bit_for_bit(folders: Folders, tmp_path: Path) -> None:
    settings = load_settings(None, [*TINY, *DUEL, "training.steps=6", "training.checkpoint_every=100"])
    whole = request_for(folders, tmp_path / "whole", settings)
    train(whole)

    parts = request_for(folders, tmp_path / "parts", settings)
    asks: list[Callable[[], None]] = []

    @contextmanager
    def listen(ask_to_stop: Callable[[], None]) -> Iterator[None]:
        asks.append(ask_to_stop)
        yield

    def ctrl_c_after_three(progress: Progress) -> None:
        if progress.tick.step == 3:
            asks[0]()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_module, "first_ctrl_c", listen)
        interrupted = train(parts, TrainEvents(on_step=ctrl_c_after_three))
    assert interrupted.interrupted
    assert interrupted.steps == 3
    assert interrupted.out is None
    resumed = train(request_from_run(parts.run), resume=True)
    assert resumed.steps == 6
    first, second = load_checkpoint(whole.run)[0], load_checkpoint(parts.run)[0]
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert read_identity_file(whole.out).training["steps"] == read_identity_file(parts.out).training["steps"] == 6
    lines = [json.loads(line)["terms"] for line in (whole.run / "journal.jsonl").read_text().splitlines()]
    assert ["network.adversarial" in terms for terms in lines] == ["discriminator.hinge" in terms for terms in lines]
    assert ["discriminator.hinge" in terms for terms in lines] == [False, False, True, True, True, True]
    tensors = read_identity_file(parts.out).tensors
    averages = {name: first[f"average.network.{name}"].half() for name in tensors}
    assert all(torch.equal(tensor, averages[name]) for name, tensor in tensors.items()), "what is written is the average"
    assert any(not torch.equal(tensor, first[f"trained.network.{name}"]) for name, tensor in tensors.items())


def test_minutes_end_inside_the_budget(folders: Folders, tmp_path: Path) -> None:
    rates: list[float] = []
    slow = ("style", "identity", "residual", "expression", "adversarial")  # many steps, also on a busy machine
    settings = load_settings(None, [*TINY, *(f"loss.weights.{name}=0" for name in slow)])
    request = replace(request_for(folders, tmp_path, settings), minutes=0.1)
    trained = train(request, TrainEvents(on_step=lambda progress: rates.append(progress.tick.learning_rate)))
    assert trained.seconds < 6.0
    assert trained.steps > 2  # training.steps does not count
    assert max(rates) > 5 * rates[-1]  # the schedule was fitted to the time


@pytest.mark.parametrize("minutes", [0.0, -5.0, float("nan"), float("inf")])
def test_impossible_budgets_are_refused_first(folders: Folders, tmp_path: Path, tiny_settings: Settings, minutes: float) -> None:
    with pytest.raises(UsageError, match="positive number"):
        train(replace(request_for(folders, tmp_path, tiny_settings), minutes=minutes))
    assert not list(tmp_path.iterdir())


def test_a_crash_before_the_first_checkpoint_is_no_dead_end(folders: Folders, tmp_path: Path, tiny_settings: Settings) -> None:
    request = request_for(folders, tmp_path, tiny_settings)
    request.run.mkdir()
    (request.run / "journal.jsonl").write_text('{"step": 1}\n')
    train(request)
    steps = [json.loads(line)["step"] for line in (request.run / "journal.jsonl").read_text().splitlines()]
    assert steps == [1, 2]  # the stale line is gone


def test_resuming_keeps_the_device_and_takes_new_training_settings(tiny_identity: Path) -> None:
    run = tiny_identity.with_suffix(".run")
    request = request_from_run(run, overrides=["training.learning_rate=0.0005"])
    assert request.device == "cpu"
    assert request.settings.training.learning_rate == 0.0005
    with pytest.raises(SettingsError, match="Did you mean"):
        request_from_run(run, overrides=["training.learning_rat=1"])


def test_a_taken_run_folder_is_not_overwritten(folders: Folders, tiny_identity: Path, tiny_settings: Settings) -> None:
    with pytest.raises(RunError, match="--resume"):
        train(request_for(folders, tiny_identity.parent, tiny_settings))


def test_a_run_that_never_took_a_step_may_be_started_again(folders: Folders, tmp_path: Path, tiny_settings: Settings) -> None:
    request = request_for(folders, tmp_path, tiny_settings)
    strict = tiny_settings.model_copy(update={"prepare": tiny_settings.prepare.model_copy(update={"min_photos": 50})})
    with pytest.raises(FaceSetError, match="at least 50"):
        train(replace(request, settings=strict))
    assert train(request).out == request.out


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("size=16", ShapeError, "at least 32"),
        ("network.name=pyramit", SettingsError, "Did you mean 'pyramid'"),
        ("loss.content.layers=['relu4_2', 'relu9_9']", SettingsError, "relu9_9"),
        ("loss.style.layers=['relu9_8']", SettingsError, "relu9_8"),
        ("network.start=nobody", IdentityFileError, "'nobody' is neither an identity file"),
        ("loss.recognisers=['dlip']", SettingsError, "Did you mean 'dlib'"),
        ("loss.ramps.stile=[0, 1, 0]", SettingsError, "Did you mean 'style'"),
        ("loss.ramps.style=[0.5, 0.2, 0]", WeightError, "start <= full"),
    ],
)
def test_what_cannot_work_is_refused_before_the_photos_are_prepared(
    folders: Folders, tmp_path: Path, override: str, error: type[Exception], message: str
) -> None:
    settings = load_settings(None, [*TINY[2:], override])
    heard: list[str] = []
    with pytest.raises(error, match=message):
        train(request_for(folders, tmp_path, settings), TrainEvents(on_photo=lambda kind: heard.append(kind) or (lambda *_: None)))
    assert not heard
    assert not list(tmp_path.iterdir())


def test_nothing_to_train_for_is_refused_first(folders: Folders, tmp_path: Path, tiny_settings: Settings) -> None:
    weights = tiny_settings.loss.weights
    nothing = weights.model_copy(update=dict.fromkeys(type(weights).model_fields, 0.0))
    settings = tiny_settings.model_copy(update={"loss": tiny_settings.loss.model_copy(update={"weights": nothing})})
    with pytest.raises(SettingsError, match=r"loss\.weights: all are 0, and no ramp raises one"):
        train(request_for(folders, tmp_path, settings))
    assert not list(tmp_path.iterdir())


def test_photos_of_the_identity_are_no_strangers(folders: Folders, tmp_path: Path, tiny_settings: Settings) -> None:
    everybody = tmp_path / "everybody"
    for number, folder in enumerate(folders):
        shutil.copytree(folder, everybody / str(number))
    reports: list[PrepareReport] = []
    trained = train(
        request_for((everybody / "0", everybody), tmp_path, tiny_settings), TrainEvents(on_prepared=reports.append)
    )
    assert trained.out is not None
    own, others = reports
    assert (own.num_used, others.num_used) == (6, 8)
    assert {photo.reason for photo in others.refused} == {"is one of the identity's own photos"}
    assert sorted(photo.name for photo in others.refused) == sorted(f"0/{path.name}" for path in folders[0].iterdir())
    with pytest.raises(FaceSetError, match="all 6 usable photos are photos of the identity; faces of many other people were expected"):
        train(request_for((folders[0], everybody / "0"), tmp_path / "same", tiny_settings))


def test_missing_folder_leaves_nothing_behind(folders: Folders, tmp_path: Path, tiny_settings: Settings) -> None:
    with pytest.raises(FaceSetError, match="no such folder"):
        train(replace(request_for(folders, tmp_path, tiny_settings), faces=tmp_path / "missing"))
    assert not list(tmp_path.iterdir())


def test_resuming_with_other_photos_is_refused(folders: Folders, tmp_path: Path, tiny_settings: Settings) -> None:
    request = request_for(folders, tmp_path, tiny_settings)
    train(request)
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for photo in sorted(folders[1].iterdir())[1:]:
        shutil.copy(photo, fewer)
    with pytest.raises(RunError, match="photos have changed"):
        train(replace(request, faces=fewer, settings=with_training(tiny_settings, held_out=1)), resume=True)
    assert request_from_run(request.run) == request, "what was refused does not stay"


@pytest.mark.parametrize(("size", "way_out"), [(2, r"--set training\.batch_size=1"), (1, "a smaller --size")])
def test_too_little_memory_has_a_way_out(
    folders: Folders, tmp_path: Path, tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch, size: int, way_out: str
) -> None:
    def step(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(session_module.Loop, "step", step)
    with pytest.raises(TrainingError, match=rf"too little memory for {size} faces a step; give {way_out}"):
        train(request_for(folders, tmp_path, with_training(tiny_settings, batch_size=size)))


def test_resuming_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        request_from_run(tmp_path)


def test_too_few_faces(folders: Folders, tmp_path: Path, tiny_settings: Settings) -> None:
    settings = with_training(tiny_settings, held_out=5)
    with pytest.raises(FaceSetError, match="at least 10 are needed"):
        train(request_for(folders, tmp_path, settings))


def test_unwritable_output_is_found_out_before_training(folders: Folders, tmp_path: Path, tiny_settings: Settings) -> None:
    (tmp_path / "file").write_text("in the way")
    request = replace(request_for(folders, tmp_path, tiny_settings), out=tmp_path / "file" / "tiny.safetensors")
    with pytest.raises(RunError, match="cannot be written"):
        train(request)


def test_full_disk_keeps_the_last_good_checkpoint(
    folders: Folders, tmp_path: Path, tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_training(tiny_settings, steps=4, checkpoint_every=2)
    request = request_for(folders, tmp_path, settings)

    real = session_module.save_checkpoint

    def full(run: Path, tensors: object, header: dict[str, int]) -> Path:
        if header["step"] > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(run, tensors, header)

    monkeypatch.setattr(session_module, "save_checkpoint", full)
    with pytest.raises(TrainingError, match=r"No space left.*--resume"):
        train(request)
    assert load_checkpoint(request.run)[1]["step"] == 2


def test_device_that_is_not_there(folders: Folders, tmp_path: Path, tiny_settings: Settings) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(DeviceError, match="cpu"):
        train(replace(request_for(folders, tmp_path, tiny_settings), device="cuda"))
