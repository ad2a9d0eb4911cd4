"""Teaching the landmark network, for a few steps on a few example faces."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from stylswap.data.faceset import FaceSet
from stylswap.errors import FaceSetError, RunError, UsageError
from stylswap.faces.landmarks import EYES, INNER, MOUTH, eye_distance
from stylswap.features.landmarks import HEADER_KEY, LandmarkCritic, read_landmark_network
from stylswap.jobs import landmarks
from stylswap.jobs.landmarks import LandmarkRequest, joined, measure_landmarks, train_landmarks
from stylswap.networks.landmarks import LandmarkNetwork, build_landmark_network


def small(**settings: int) -> LandmarkNetwork:
    return build_landmark_network(side=32, widths=(8, 8, 8, 16), **settings)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch, input_set: FaceSet) -> None:
    """A small network on six faces, whatever the folder."""
    monkeypatch.setattr(landmarks, "prepare_inputs", lambda folder, settings: (input_set, None))
    monkeypatch.setattr(landmarks, "build_landmark_network", small)
    monkeypatch.setattr(landmarks, "BATCH_SIZE", 2)


def request_of(root: Path, name: str = "points", steps: int = 4, **more: object) -> LandmarkRequest:
    return LandmarkRequest(root / f"{name}.safetensors", (root,), steps=steps, device="cpu", **more)  # type: ignore[arg-type]


def interrupt(progress: object) -> None:
    import signal

    if progress.tick.step == 2:  # type: ignore[attr-defined]
        signal.raise_signal(signal.SIGINT)


def test_training_writes_a_file_that_says_what_it_saw(tmp_path: Path, input_set: FaceSet) -> None:
    ticks: list[int] = []
    request = request_of(tmp_path, seed=3)
    trained = train_landmarks(request, on_step=lambda progress: ticks.append(progress.tick.step))
    assert ticks == [1, 2, 3, 4]
    assert (trained.out, trained.steps) == (request.out, 4)
    with safe_open(request.out, framework="pt") as file:
        header = json.loads(file.metadata()[HEADER_KEY])
    assert (header["trained_on"], header["seed"], header["steps"]) == (5, 3, 4), "the sixth face is held out"
    assert header["held_out"] == trained.figures._asdict()
    assert trained.figures.faces == 2, "with its mirror image"
    assert str(tmp_path) not in json.dumps(header)
    stored = read_landmark_network(request.out).state_dict()
    assert all(torch.equal(stored[name], value.half().float()) for name, value in trained.network.state_dict().items())
    assert not torch.equal(trained.network.to_maps.weight, small(seed=3).to_maps.weight)


def test_an_interrupted_training_goes_on_to_the_same_end(tmp_path: Path) -> None:
    whole = request_of(tmp_path, "whole")
    train_landmarks(whole)
    parts = request_of(tmp_path, "parts")
    assert train_landmarks(parts, on_step=interrupt).out is None
    assert not parts.out.exists()
    with pytest.raises(RunError, match="another training"):
        train_landmarks(request_of(tmp_path, "parts", seed=1), resume=True)
    with pytest.raises(RunError, match="go on with it by --resume"):
        train_landmarks(parts)
    assert train_landmarks(parts, resume=True).out == parts.out
    assert parts.out.read_bytes() == whole.out.read_bytes()


def test_figures_are_means_over_groups_of_points(input_set: FaceSet) -> None:
    network = small(seed=1).eval()
    figures = measure_landmarks(network, input_set)
    batch = input_set.faces(range(12))
    far = (LandmarkCritic(network)(batch.images) - batch.landmarks).norm(dim=2)
    far = far / torch.from_numpy(eye_distance(batch.landmarks.double().numpy())).float()[:, None]
    wanted = [float(far[:, group].mean()) for group in (INNER, MOUTH, EYES)]
    assert figures[:3] == pytest.approx(wanted, rel=1e-4)
    assert len(set(wanted)) == 3
    assert figures.faces == 12


def test_several_folders_are_one_set(input_set: FaceSet, identity_set: FaceSet) -> None:
    both = joined([input_set, identity_set])
    assert both.names == input_set.names + identity_set.names
    assert both.hashes == input_set.hashes + identity_set.hashes
    assert both.poses == input_set.poses + identity_set.poses
    for row, (faces, own) in {2: (input_set, 2), 6: (identity_set, 0), 13: (identity_set, 7)}.items():
        one, other = both.faces([row]), faces.faces([own])
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.masks, other.masks)
        assert torch.equal(one.landmarks, other.landmarks)


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one folder"):
        train_landmarks(LandmarkRequest(tmp_path / "points.safetensors", ()))


def test_the_script_trains_and_explains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(__file__).resolve().parents[2] / "scripts" / "train_landmarks.py"
    spec = importlib.util.spec_from_file_location("train_landmarks", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    out = tmp_path / "points.safetensors"
    words = ["train_landmarks", "--faces", str(tmp_path), "--faces", str(tmp_path), "--out", str(out), "--steps", "1", "--seed", "5"]
    monkeypatch.setattr("sys.argv", words)
    assert script.main() == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["faces"] == 4, "one held out of each folder"
    assert "1 steps in" in told.err

    def refuse(folder: Path, settings: object) -> None:
        raise FaceSetError("no such folder")

    monkeypatch.setattr(landmarks, "prepare_inputs", refuse)
    monkeypatch.setattr("sys.argv", [*words, "--out", str(tmp_path / "other.safetensors")])
    assert script.main() == 1
    assert "train_landmarks: no such folder" in capsys.readouterr().err
