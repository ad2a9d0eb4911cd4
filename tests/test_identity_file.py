"""The identity file: all of it comes back, and whatever is not one is refused with the way out."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from stylswap.errors import ConsentError, IdentityFileError
from stylswap.faces.align import reference_shape
from stylswap.identity_file import CONSENTS, FORMAT, IdentityCard, IdentityFile, read_card, read_identity_file


@pytest.fixture
def identity() -> IdentityFile:
    network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    return IdentityFile(
        tensors=network.state_dict(),
        network={"name": "residual", "options": {"widths": [8, 8]}},
        size=64,
        alignment={"model": "similarity", "points": "inner"},
        reference=reference_shape(64),
        card=IdentityCard("Zoë", "written", "drawer 3", "CC0"),
        settings={"size": 64, "loss": {"weights": {"style": 25.0}}},
        data={"identity": {"photos": 60}},
        training={"steps": 3, "seconds": 1.5},
        version="0.1.0",
    )


@pytest.fixture
def path(identity: IdentityFile, tmp_path: Path) -> Path:
    path = tmp_path / "new folder" / "zoë.safetensors"
    identity.write(path)
    return path


def with_header(path: Path, change: dict[str, Any] | str) -> Path:
    """The same tensors under a changed header; None takes a key out."""
    header = change
    if not isinstance(change, str):
        facts = read_identity_file(path).header() | change
        header = json.dumps({key: value for key, value in facts.items() if value is not None})
    save_file(load_file(path), path, metadata={"stylswap": header})
    return path


def test_everything_comes_back(identity: IdentityFile, path: Path) -> None:
    read = read_identity_file(path)
    assert read.header() == identity.header()
    assert read.tensors.keys() == identity.tensors.keys()
    for name, tensor in identity.tensors.items():
        assert torch.equal(read.tensors[name], tensor)
    assert np.array_equal(read.reference, identity.reference)
    assert read.reference.dtype == np.float64
    assert read.card == identity.card
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert list(path.parent.iterdir()) == [path]


def test_how_far_up_it_is_swapped_comes_back_and_old_files_do_not_say(identity: IdentityFile, path: Path) -> None:
    assert read_identity_file(path).forehead is None
    replace(identity, forehead=0.75).write(path)
    assert read_identity_file(path).forehead == 0.75
    with_header(path, {"forehead": None})
    assert read_identity_file(path).forehead is None


def test_any_safetensors_reader_opens_it(identity: IdentityFile, path: Path) -> None:
    assert torch.equal(load_file(path)["weight"], identity.tensors["weight"])


def test_a_file_that_cannot_be_written_is_named(identity: IdentityFile, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(IdentityFileError, match=r"x\.safetensors: the identity file cannot be written"):
        identity.write(tmp_path / "file" / "x.safetensors")


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(IdentityFileError, match=r"no such identity file; `stylswap train --out bob\.safetensors`"):
        read_identity_file(tmp_path / "bob.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(IdentityFileError, match="damaged or not a safetensors file"):
        read_identity_file(path)


def test_a_photo_is_no_identity_file(examples: Path) -> None:
    with pytest.raises(IdentityFileError, match="damaged or not a safetensors file"):
        read_identity_file(examples / "photos" / "0001.jpg")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_other_networks_are_no_identity_files(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors", metadata=metadata)
    with pytest.raises(IdentityFileError, match="but not an identity file of stylswap"):
        read_identity_file(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    "metadata",
    [
        {"stylswap": '{"licence": "CC0", "maker": "x", "source": "y"}'},
        {"stylswap": '{"base": {}, "steps": 650, "version": "0.1.0"}'},
        {"stylswap-lighting": '{"network": {}}'},
        {"stylswap": '{"step": 250, "data": "ab"}'},
    ],
    ids=["converted", "tuned", "lighting", "checkpoint"],
)
def test_other_weights_of_stylswap_are_not_called_damaged(tmp_path: Path, metadata: dict[str, str]) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors", metadata=metadata)
    with pytest.raises(IdentityFileError, match=r"other\.safetensors: holds no identity, but a checkpoint or other weights") as caught:
        read_identity_file(tmp_path / "other.safetensors")
    assert "damaged" not in str(caught.value)


def test_a_newer_format_asks_for_an_upgrade(path: Path) -> None:
    with_header(path, {"format": FORMAT + 1, "version": "9.1", "card": {"surprise": 1}})
    with pytest.raises(IdentityFileError, match=rf"stylswap 9\.1 in format {FORMAT + 1}.*pip install --upgrade stylswap"):
        read_identity_file(path)


@pytest.mark.parametrize(
    "change",
    [
        {"network": None},
        {"card": None},
        {"size": "wide"},
        {"format": "one"},
        {"reference": [[1.0, 2.0]]},
        {"reference": "none"},
        {"card": {"name": "x"}},
        {"card": {"name": "x", "consent": "self", "age": 3}},
        {"card": {"name": "x", "consent": "surely"}},
        "[1, 2]",
        "{not json",
    ],
)
def test_a_header_that_is_wrong_is_refused(path: Path, change: dict[str, Any] | str) -> None:
    with pytest.raises(IdentityFileError, match="the header is incomplete or wrong"):
        read_identity_file(with_header(path, change))


def test_the_hash_belongs_to_the_file_and_not_to_the_identity(identity: IdentityFile, path: Path, tmp_path: Path) -> None:
    replace(read_identity_file(path), version="0.2.0").write(tmp_path / "second.safetensors")
    assert read_identity_file(tmp_path / "second.safetensors").sha256 != read_identity_file(path).sha256
    assert "sha256" not in identity.header()


@pytest.mark.parametrize("consent", CONSENTS)
def test_each_consent_is_accepted(consent: str) -> None:
    assert IdentityCard("x", consent).consent == consent


def test_an_unknown_consent_is_refused_with_a_hint() -> None:
    with pytest.raises(ConsentError, match=r"unknown consent 'writen'\. Did you mean 'written'\?"):
        IdentityCard("x", "writen")


@pytest.mark.parametrize("field", ["name", "note", "licence"])
def test_what_no_file_could_hold_is_refused_before_the_training(field: str) -> None:
    with pytest.raises(ConsentError, match=rf"the identity's {field} is no valid text: 'Ren\\udce9'; write it in UTF-8"):
        IdentityCard(**{"name": "x", "consent": "self", field: "Ren\udce9"})


def test_a_folders_name_in_another_encoding_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"Ren\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system knows UTF-8 names alone")
    assert read_card(folder, consent="self").name == "Ren\ufffd"


def test_the_card_comes_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "identity.toml").write_text('name = "Zoë"\nconsent = "self"\nnote = "me"\nlicence = "CC0"\n', encoding="utf-8")
    assert read_card(tmp_path) == IdentityCard("Zoë", "self", "me", "CC0")
    assert read_card(tmp_path, name="Ann").name == "Ann"


def test_the_command_line_wins_over_the_card(tmp_path: Path) -> None:
    (tmp_path / "identity.toml").write_text('consent = "self"\nnote = "me"\n', encoding="utf-8")
    assert read_card(tmp_path, name="folder", consent="research", note="") == IdentityCard("folder", "research", "")


def test_the_command_line_alone_is_enough(tmp_path: Path) -> None:
    assert read_card(tmp_path, name="folder", consent="written", note="letter") == IdentityCard("folder", "written", "letter")


@pytest.mark.parametrize("content", [None, 'name = "x"\n', 'consent = ""\n'])
def test_without_consent_nothing_is_trained(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "identity.toml").write_text(content, encoding="utf-8")
    with pytest.raises(ConsentError, match=r"(?s)who allowed this face to be used.*--consent self\|written\|synthetic\|research") as caught:
        read_card(tmp_path, name="folder")
    assert str(tmp_path / "identity.toml") in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'consent = "sef"', "unknown consent 'sef'. Did you mean 'self'?"),
        (b"consent = true", "unknown consent 'True'"),
        (b'konsent = "self"', "unknown key 'konsent'. Did you mean 'consent'?"),
        (b"consent = ", "not a readable TOML file"),
        (b"\xff\xff", "not a readable TOML file"),
    ],
)
def test_a_card_that_is_wrong_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "identity.toml").write_bytes(content)
    with pytest.raises(ConsentError) as caught:
        read_card(tmp_path, name="folder")
    assert message in str(caught.value)


def test_the_examples_card_is_valid(examples: Path) -> None:
    assert read_card(examples / "ada", name="x").consent == "synthetic"
