"""Training and judging the lighting network, on a tiny file of lit faces and on example faces."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from stylswap.data.faceset import FaceSet
from stylswap.data.light_pairs import RelitPairs
from stylswap.data.lit_faces import LitFaces, read_lit_faces
from stylswap.errors import FaceSetError, RunError, UsageError
from stylswap.features.lighting import HEADER_KEY, read_lighting
from stylswap.jobs import lighting, lighting_report
from stylswap.jobs.lighting import LightingRequest, split_faces, split_people, train_lighting
from stylswap.jobs.lighting_report import BASELINES, as_markdown, auc, equal_error_rate, evaluate_lighting, figures, relit_crops, yale_crops
from tests.lit import find, write_lit_file

NETWORK = (("side", 16), ("widths", (4, 8)), ("features", 16))


@pytest.fixture(scope="module")
def lit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lit_file(tmp_path_factory.mktemp("lit") / "lit.npz")


@pytest.fixture(scope="module")
def lit(lit_file: Path) -> LitFaces:
    return read_lit_faces(lit_file, 64, find=find)


def test_people_and_faces_are_split_without_overlap(lit: LitFaces, input_set: FaceSet) -> None:
    train, test = split_people(lit)
    assert set(train.people.tolist()) & set(test.people.tolist()) == set()
    assert len(train) + len(test) == len(lit)
    assert set(split_people(lit)[1].people.tolist()) == set(test.people.tolist())
    kept, held = split_faces(input_set)
    assert len(held) == 1
    assert set(kept.names) | set(held.names) == set(input_set.names)


def test_training_writes_a_file_that_says_what_it_saw(tmp_path: Path, lit_file: Path) -> None:
    request = LightingRequest(tmp_path / "light.safetensors", "yale", yale=lit_file, steps=4, crop_px=32, network=NETWORK, device="cpu")
    ticks: list[int] = []
    trained = train_lighting(request, on_step=lambda progress: ticks.append(progress.tick.step), find=find)
    assert ticks == [1, 2, 3, 4]
    assert trained.steps == 4
    assert set(trained.last) == {"network.contrastive", "network.classification"}
    with safe_open(request.out, framework="pt") as file:
        header = json.loads(file.metadata()[HEADER_KEY])
    assert header["trained_on"] == {"yale_people": 3, "yale_pictures": 24}
    grey = torch.rand(1, 1, 32, 32)
    assert torch.equal(read_lighting(request.out)(grey), trained.network(grey))


def test_a_resumed_training_ends_where_a_whole_one_does(tmp_path: Path, lit_file: Path) -> None:
    def request(name: str, steps: int, seed: int = 0) -> LightingRequest:
        out = tmp_path / f"{name}.safetensors"
        return LightingRequest(out, "yale", yale=lit_file, steps=steps, seed=seed, crop_px=32, network=NETWORK, device="cpu")

    whole = train_lighting(request("whole", 4), find=find)

    def interrupt(progress: object) -> None:
        import signal

        if progress.tick.step == 2:  # type: ignore[attr-defined]
            signal.raise_signal(signal.SIGINT)

    assert train_lighting(request("parts", 4), on_step=interrupt, find=find).out is None
    with pytest.raises(RunError, match="go on with it by --resume"):
        train_lighting(request("parts", 4), find=find)
    resumed = train_lighting(request("parts", 4), resume=True, find=find)
    assert resumed.out is not None
    assert all(torch.equal(a, b) for a, b in zip(whole.network.parameters(), resumed.network.parameters(), strict=True))
    with pytest.raises(RunError, match="another training"):
        train_lighting(request("parts", 4, seed=1), resume=True, find=find)


def test_relit_and_both_train_too(tmp_path: Path, lit_file: Path, input_set: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lighting, "ordinary_faces", lambda _: input_set)
    for source, seen in (("relit", {"relit_faces": 5}), ("both", {"yale_people": 3, "yale_pictures": 24, "relit_faces": 5})):
        out = tmp_path / f"{source}.safetensors"
        request = LightingRequest(out, source, lit_file, tmp_path, steps=2, crop_px=32, network=NETWORK, device="cpu")  # type: ignore[arg-type]
        train_lighting(request, find=find)
        with safe_open(out, framework="pt") as file:
            assert json.loads(file.metadata()[HEADER_KEY])["trained_on"] == seen


def test_a_source_without_its_data_is_refused(tmp_path: Path) -> None:
    for source, word in (("yale", "--yale"), ("relit", "--faces")):
        with pytest.raises(UsageError, match=word):
            train_lighting(LightingRequest(tmp_path / "x.safetensors", source))  # type: ignore[arg-type]


def test_auc_and_equal_error_rate_by_hand() -> None:
    high, low = np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0])
    assert auc(high, low) == 1
    assert auc(low, high) == 0
    assert auc(low, low) == 0.5
    assert auc(np.array([1.0, 3.0]), np.array([2.0])) == 0.5
    assert equal_error_rate(high, low) == pytest.approx(0, abs=0.01)
    line = np.linspace(0, 1, 1000)
    assert equal_error_rate(line, line) == pytest.approx(0.5, abs=0.01)
    assert equal_error_rate(line + 0.5, line) == pytest.approx(0.25, abs=0.01)


def test_figures_of_a_perfect_and_of_a_blind_judge(lit: LitFaces) -> None:
    crops = yale_crops(lit)
    rows = {tuple(grey.flatten().tolist()): number for number, grey in enumerate(crops.grey)}

    def perfect(grey: torch.Tensor) -> torch.Tensor:
        return crops.directions[[rows[tuple(one.flatten().tolist())] for one in grey]]

    best = figures(crops, perfect)
    assert best["auc"] == 1
    assert best["equal_error_rate"] == pytest.approx(0, abs=0.02)
    assert best["top_match_error_deg"] == pytest.approx(0, abs=0.1)
    assert best["identity_auc"] == 0.5
    blind = figures(crops, lambda grey: torch.ones(len(grey), 2))
    assert blind["auc"] == 0.5
    assert blind["identity_auc"] == 0.5


def test_plain_methods_see_some_light(lit: LitFaces) -> None:
    for describe in BASELINES.values():
        assert figures(yale_crops(lit), describe)["auc"] > 0.8


def test_one_light_is_nothing_to_judge_on(lit: LitFaces) -> None:
    rows = lit.azimuth_deg == 60
    one = LitFaces(lit.images_u8[rows], lit.people[rows], lit.azimuth_deg[rows], lit.elevation_deg[rows])
    with pytest.raises(FaceSetError, match="nothing to judge on"):
        figures(yale_crops(one), BASELINES["raw pixels"])


def test_the_shipped_network_beats_pixels_on_relit_faces(input_set: FaceSet) -> None:
    crops = relit_crops(RelitPairs(input_set, 64), num_lights=12, num_people=6)
    assert torch.equal(crops.grey, relit_crops(RelitPairs(input_set, 64), num_lights=12, num_people=6).grey)
    network = lighting_report.load_network(None).eval()
    assert figures(crops, network)["auc"] > max(figures(crops, BASELINES["raw pixels"])["auc"], 0.9)


def test_the_shipped_network_on_unseen_yale_people(shared_data: Path) -> None:
    table = evaluate_lighting(lighting_report.load_network(None), shared_data / "lighting" / "yale_b_cropped.npz", held_out=True)
    assert table["network"]["auc"] > table["raw pixels"]["auc"]


def test_the_report_is_a_table(lit_file: Path, input_set: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lighting_report, "ordinary_faces", lambda _: input_set)
    monkeypatch.setattr(lighting_report, "split_faces", lambda faces: (faces, faces))  # a tenth of six is nobody to pair
    network = lighting_report.load_network(None)
    table = evaluate_lighting(network, lit_file, faces=Path("faces"), held_out=True, find=find)
    assert list(table) == ["network", *BASELINES]
    lines = as_markdown(table).splitlines()
    assert len(lines) == 2 + len(table)
    assert len({line.count("|") for line in lines}) == 1
    json.dumps(table)


def test_the_script_trains_judges_and_explains(
    tmp_path: Path, lit_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(__file__).resolve().parents[2] / "scripts" / "train_lighting.py"
    spec = importlib.util.spec_from_file_location("train_lighting", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for room in (lighting, lighting_report):
        monkeypatch.setattr(room, "read_lit_faces", lambda file, size, find: read_lit_faces(file, size, find=_find))
    out = tmp_path / "light.safetensors"
    words = ["--source", "yale", "--yale", lit_file, "--out", out, "--steps", "1", "--evaluate", lit_file, "--json"]
    monkeypatch.setattr("sys.argv", ["train_lighting", *map(str, words)])
    assert script.main() == 0
    assert 0 <= json.loads(capsys.readouterr().out)["network"]["auc"] <= 1
    monkeypatch.setattr("sys.argv", ["train_lighting", "--evaluate", str(tmp_path / "none.npz")])
    assert script.main() == 1
    assert "train_lighting: " in capsys.readouterr().err


_find = find
