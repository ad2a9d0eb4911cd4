"""A training that starts from another identity's network; grown ones are in `test_start_grown`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stylswap.config import load_settings
from stylswap.errors import IdentityFileError, WeightsFileError
from stylswap.identity_file import read_identity_file
from stylswap.jobs import start
from stylswap.jobs.start import start_from
from stylswap.jobs.train import train
from stylswap.jobs.train_engine import build_networks
from stylswap.networks import build_network
from tests.jobs.conftest import TINY, request_for

TINY_NETWORK = {"widths": [8, 8, 16], "blocks": 1}


def test_a_network_takes_the_weights_of_an_identity_file(tiny_identity: Path) -> None:
    network = build_network("residual", seed=9, **TINY_NETWORK)
    wanted = read_identity_file(tiny_identity).tensors
    assert any(not torch.equal(tensor, network.state_dict()[name]) for name, tensor in wanted.items())
    start_from(network, str(tiny_identity))
    assert network.state_dict().keys() == wanted.keys()
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in wanted.items())


def test_a_shipped_identity_goes_by_its_name(tiny_identity: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(start, "weights_path", lambda name: asked.append(name) or tiny_identity)
    start_from(build_network("residual", **TINY_NETWORK), "ada")
    assert asked == ["ada"]
    start_from(build_network("residual", **TINY_NETWORK), str(tiny_identity))
    assert asked == ["ada"], "a path is no name"


def test_the_settings_decide(tiny_identity: Path) -> None:
    cpu = torch.device("cpu")
    fresh = build_networks(load_settings(None, [*TINY, "seed=4"]), cpu).network
    started = build_networks(load_settings(None, [*TINY, "seed=4", f"network.start={tiny_identity}"]), cpu).network
    wanted = build_network("residual", seed=4, **TINY_NETWORK).state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in fresh.state_dict().items())
    learned = read_identity_file(tiny_identity).tensors
    assert all(torch.equal(tensor, learned[name]) for name, tensor in started.state_dict().items())


def test_a_resumption_does_not_need_the_network_that_it_once_started_from(tmp_path: Path) -> None:
    settings = load_settings(None, [*TINY, f"network.start={tmp_path / 'gone.safetensors'}"])
    network = build_networks(settings, torch.device("cpu"), resume=True).network
    assert network.settings() == build_network("residual", **TINY_NETWORK).settings()
    with pytest.raises(IdentityFileError, match=r"gone\.safetensors"):
        build_networks(settings, torch.device("cpu"))


def test_a_started_training_begins_where_the_other_ended(folders: tuple[Path, Path], tiny_identity: Path, tmp_path: Path) -> None:
    # A rate that changes next to nothing: what comes out is what went in.
    rates = ["training.learning_rate=1e-12", "training.final_learning_rate=1e-12"]
    settings = load_settings(None, [*TINY, *rates, "training.steps=1", f"network.start={tiny_identity}"])
    trained = train(request_for(folders, tmp_path, settings))
    assert trained.out is not None
    before, after = (read_identity_file(file).tensors for file in (tiny_identity, trained.out))
    assert read_identity_file(trained.out).settings["network"]["start"] == tiny_identity.name, "no folder of the maker's"
    assert all(torch.allclose(tensor, after[name], rtol=0, atol=1e-9) for name, tensor in before.items())


def test_another_network_is_refused_with_both_named(tiny_identity: Path) -> None:
    for network in (build_network("residual", widths=[8, 16, 16], blocks=1), build_network("pyramid", scales=3, channels=4)):
        with pytest.raises(IdentityFileError, match=r"network.start: .*tiny.safetensors \(residual .* is not the one .* \(" + network.name):
            start_from(network, str(tiny_identity))


def test_a_name_that_nobody_has_is_refused(tmp_path: Path) -> None:
    for name in ("adda", str(tmp_path / "none.safetensors"), str(tmp_path), "lighting"):
        with pytest.raises(IdentityFileError, match=r"is neither an identity file nor one of .*ada"):
            start_from(build_network("residual", **TINY_NETWORK), name)


def test_a_file_that_is_no_identity_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises((IdentityFileError, WeightsFileError)):
        start_from(build_network("residual", **TINY_NETWORK), str(tmp_path / "x.safetensors"))
