"""Tuning the face parser, on a small network and six small faces."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from stylswap.data.faceset import FaceSet
from stylswap.data.occluded_faces import SHARES
from stylswap.errors import FaceSetError, RunError, SettingsError, WeightsFileError
from stylswap.features import parsing as features
from stylswap.features.parsing import FaceParser
from stylswap.jobs import parsing
from stylswap.jobs.parsing import HEADER_KEY, TuneRequest, answers_of, parser_bytes, tune_parser
from stylswap.networks import bisenet

SIDE = 32


@pytest.fixture
def start(tmp_path: Path, input_set: FaceSet, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of a network with few channels; whatever folder is given, its faces are `input_set`."""
    for name, width in (("_WIDTHS", (8, 8, 16, 16)), ("_CONTEXT", 8), ("_FUSED", 16)):
        monkeypatch.setattr(bisenet, name, width)
    monkeypatch.setattr(parsing, "prepare_inputs", lambda folder, settings: (input_set, None))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parser = FaceParser(bisenet.BiSeNet(), side=SIDE, border_px=0)
    path = tmp_path / "start.safetensors"
    path.write_bytes(parser_bytes(parser, {"licence": "of the start"}))
    return path


def request_of(start: Path, name: str, steps: int = 3, *, seed: int = 0, leave: tuple[str, ...] = ()) -> TuneRequest:
    out = start.with_name(f"{name}.safetensors")
    return TuneRequest(out, Path("faces"), start, steps=steps, leave=leave, seed=seed, batch_size=2, crop_px=64, side=SIDE, device="cpu")


def test_tuning_writes_what_the_parser_loads(start: Path, input_set: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    request = request_of(start, "tuned", leave=("bar", "mask"))
    ticks: list[int] = []
    tuned = tune_parser(request, on_step=lambda progress: ticks.append(progress.tick.step))
    assert ticks == [1, 2, 3]
    assert tuned.steps == 3
    assert set(tuned.last) == {"network.classes", "network.face"}
    written, before = load_file(request.out), load_file(start)
    kinds = {name: torch.float32 if name.endswith(".bias") else torch.float16 for name in before}
    assert {name: tensor.dtype for name, tensor in written.items()} == kinds
    same = {name for name in written if torch.equal(written[name], before[name])}
    assert same == {name for name in before if name.startswith(("resnet.stem.", "resnet.stages.0."))}
    monkeypatch.setattr(features, "weights_path", lambda name: request.out)
    loaded = FaceParser.load().network.state_dict()
    for name, tensor in tuned.parser.network.state_dict().items():
        torch.testing.assert_close(loaded[name], tensor, rtol=1e-3, atol=1e-3)


def test_what_comes_out_is_the_average_over_the_steps(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "CHECKPOINT_EVERY", 1)
    request, name = request_of(start, "tuned"), "fusion.mix.weight"
    trained: list[Tensor] = []

    def remember(progress: object) -> None:
        step: int = progress.tick.step  # type: ignore[attr-defined]
        trained.append(load_file(request.run / f"checkpoint-{step:06d}.safetensors")[f"trained.network.{name}"])

    tuned = tune_parser(request, on_step=remember).parser.network.state_dict()[name]
    average = load_file(start)[name].float()
    for step, weights in enumerate(trained, start=1):
        keep = (step + 1) / (step + 10)
        average = keep * average + (1 - keep) * weights
    torch.testing.assert_close(tuned, average, rtol=0, atol=1e-7)
    assert (tuned - trained[-1]).abs().max() > 1e-6


def test_what_is_left_out_is_not_drawn(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[set[str]] = []

    class Spy(parsing.OccludedFaces):
        def __post_init__(self) -> None:
            drawn.append(set(self.shares))

    monkeypatch.setattr(parsing, "OccludedFaces", Spy)
    tune_parser(request_of(start, "tuned", 1, leave=("bar", "blob", "none")))
    assert drawn == [set(SHARES) - {"bar", "blob", "none"}]


def test_the_file_says_what_it_saw_and_where_it_comes_from(start: Path) -> None:
    request = request_of(start, "tuned", 1, seed=7, leave=("mask", "bar"))
    tune_parser(request)
    with safe_open(request.out, framework="pt") as file:
        header = json.loads(file.metadata()[HEADER_KEY])
    told = {name: header[name] for name in ("trained_on", "left_out", "seed", "steps", "base")}
    assert told == {"trained_on": {"faces": 6}, "left_out": ["bar", "mask"], "seed": 7, "steps": 1, "base": {"licence": "of the start"}}
    assert str(start.parent) not in json.dumps(header)


def test_an_interrupted_training_goes_on_to_the_same_end(start: Path) -> None:
    whole = request_of(start, "whole", 4)
    tune_parser(whole)

    def interrupt(progress: object) -> None:
        import signal

        if progress.tick.step == 2:  # type: ignore[attr-defined]
            signal.raise_signal(signal.SIGINT)

    parts = request_of(start, "parts", 4)
    assert tune_parser(parts, on_step=interrupt).out is None
    assert not parts.out.exists()
    with pytest.raises(RunError, match="--resume"):
        tune_parser(parts)
    with pytest.raises(RunError, match="another training"):
        tune_parser(request_of(start, "parts", 4, seed=1), resume=True)
    assert tune_parser(parts, resume=True).out == parts.out
    assert parts.out.read_bytes() == whole.out.read_bytes()


def test_a_killed_training_goes_on_from_its_checkpoint_to_the_same_end(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "CHECKPOINT_EVERY", 2)
    whole, killed = request_of(start, "whole", 4), request_of(start, "killed", 4)
    tune_parser(whole)

    def die(progress: object) -> None:
        if progress.tick.step == 3:  # type: ignore[attr-defined]
            raise KeyError("killed")

    with pytest.raises(KeyError):
        tune_parser(killed, on_step=die)
    steps: list[int] = []
    tune_parser(killed, resume=True, on_step=lambda progress: steps.append(progress.tick.step))
    assert steps == [3, 4]
    assert killed.out.read_bytes() == whole.out.read_bytes()


def test_answers_are_those_to_the_clean_faces(start: Path, input_set: FaceSet) -> None:
    network = bisenet.BiSeNet()
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(start).items()})
    parser = FaceParser(network, side=SIDE, border_px=0)
    answers = answers_of(parser, input_set)
    assert answers.shape == (12, 19, SIDE // 8, SIDE // 8)
    assert answers.dtype == torch.float16
    for row in (0, 8):
        torch.testing.assert_close(answers[row].float(), parser.logits(input_set.faces([row]).images)[0], rtol=0.01, atol=0.01)


def test_what_cannot_be_trained_is_refused(tmp_path: Path, start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="unknown kind of occluder 'hands'"):
        tune_parser(request_of(start, "tuned", leave=("hands",)))
    with pytest.raises(WeightsFileError, match="no face parser"):
        tune_parser(request_of(tmp_path / "none.safetensors", "tuned"))
    monkeypatch.undo()  # the true network and folders
    with pytest.raises(WeightsFileError, match="no face parser of this version"):
        tune_parser(request_of(start, "tuned"))


def test_the_script_trains_and_explains(
    tmp_path: Path, start: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(__file__).resolve().parents[2] / "scripts" / "train_parsing.py"
    spec = importlib.util.spec_from_file_location("train_parsing", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    asked: list[TuneRequest] = []

    def tune(request: TuneRequest, **options: object) -> parsing.Tuned:
        asked.append(request)
        return tune_parser(request_of(start, "tuned", 10), **options)  # type: ignore[arg-type]

    monkeypatch.setattr(script, "tune_parser", tune)
    words = ["--faces", tmp_path, "--out", tmp_path / "tuned.safetensors", "--minutes", "2", "--leave", "bar,mask", "--seed", "3"]
    monkeypatch.setattr("sys.argv", ["train_parsing", *map(str, words)])
    assert script.main() == 0
    assert asked == [TuneRequest(tmp_path / "tuned.safetensors", tmp_path, minutes=2, leave=("bar", "mask"), seed=3)]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("10  classes ")
    assert "10 steps in" in lines[-1]
    monkeypatch.setattr(script, "tune_parser", tune_parser)
    monkeypatch.setattr(parsing, "prepare_inputs", _refuse)
    monkeypatch.setattr("sys.argv", ["train_parsing", "--faces", "none", "--out", str(tmp_path / "x.safetensors"), "--start", str(start)])
    assert script.main() == 1
    assert "train_parsing: no such folder" in capsys.readouterr().err


def _refuse(folder: Path, settings: object) -> None:
    raise FaceSetError("no such folder")
