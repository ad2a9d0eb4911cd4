"""A network for 256 px that starts from one for 128 px; here 64 from 32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stylswap.config import Settings, load_settings
from stylswap.errors import IdentityFileError, SettingsError
from stylswap.identity_file import read_identity_file
from stylswap.jobs.run_folder import request_from_run
from stylswap.jobs.start import start_from
from stylswap.jobs.train import train
from stylswap.jobs.train_engine import build_networks
from stylswap.networks import GrownNetwork, ResidualNetwork, build_network, grow
from tests.jobs.conftest import TINY, request_for

CPU = torch.device("cpu")
GROWN = "network.options={widths=[8, 8, 16], blocks=1, branch_width=8, fine_width=4}"


def grown_settings(start: Path | str, *more: str) -> Settings:
    rest = [text for text in TINY if not text.startswith("network.options")]
    return load_settings(
        None, [*rest, "network.name=grown", GROWN, f"network.start={start}", "loss.critic_px=32", "loss.weights.detail=20", *more]
    )


def test_a_residual_identity_is_grown(tiny_identity: Path) -> None:
    network = build_networks(grown_settings(tiny_identity, "seed=5"), CPU).network
    base = ResidualNetwork([8, 8, 16], 1)
    base.load_state_dict(dict(read_identity_file(tiny_identity).tensors))
    wanted = grow(base, branch_width=8, fine_width=4, seed=5).state_dict()
    assert network.state_dict().keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in network.state_dict().items())
    assert len(network.trainable_parameters()) == len(list(network.parameters()))


def test_the_shipped_identity_is_grown() -> None:
    network = GrownNetwork()
    start_from(network, "ada")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        small = torch.nn.functional.avg_pool2d(images, 2)
        torch.testing.assert_close(torch.nn.functional.avg_pool2d(network(images), 2), network.base(small), rtol=0, atol=2e-6)
        assert (network(images) - images).abs().mean() > 0.01


def test_a_frozen_base_stays_and_what_was_grown_is_trained(tiny_identity: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    request = request_for(folders, tmp_path, grown_settings(tiny_identity, "network.freeze_base=true"))
    start = read_identity_file(tiny_identity).tensors

    def check(file: Path, steps: int) -> None:
        identity = read_identity_file(file)
        assert identity.network["name"] == "grown"
        assert identity.training["steps"] == steps
        assert all(torch.equal(tensor, identity.tensors[f"base.{name}"]) for name, tensor in start.items())
        assert identity.tensors["to_detail.weight"].abs().max() > 0
        assert "network.detail" in identity.training["last_terms"]

    train(request)
    check(request.out, 2)
    resumed = replace(request_from_run(request.run, overrides=["training.steps=4"]), out=tmp_path / "resumed.safetensors")
    assert resumed.settings.network.freeze_base
    train(resumed, resume=True)
    check(resumed.out, 4)
    # And a grown network starts from a grown one.
    network = build_networks(grown_settings(request.out), CPU).network
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in read_identity_file(request.out).tensors.items())
    with pytest.raises(IdentityFileError, match="is not the one that is to be trained"):
        start_from(build_network("residual", widths=[8, 8, 16], blocks=1), str(request.out))
    with pytest.raises(IdentityFileError, match="is not the one that is to be trained"):
        start_from(build_network("grown", widths=[8, 8, 16], blocks=1), str(request.out))


def test_a_residual_of_another_width_is_refused(tiny_identity: Path) -> None:
    with pytest.raises(IdentityFileError, match=r"\(residual .* is not the one that is to be trained \(residual"):
        start_from(build_network("grown"), str(tiny_identity))


def test_a_pyramid_does_not_start_from_a_residual(tiny_identity: Path) -> None:
    with pytest.raises(IdentityFileError, match=r"is not the one that is to be trained \(pyramid"):
        start_from(build_network("pyramid", scales=3, channels=4), str(tiny_identity))


def test_freezing_what_has_no_base_is_refused(tiny_identity: Path) -> None:
    settings = load_settings(None, [*TINY, f"network.start={tiny_identity}", "network.freeze_base=true"])
    with pytest.raises(SettingsError, match="the network 'residual' has no base to freeze; 'grown' has"):
        build_networks(settings, CPU)


def test_freezing_a_base_that_has_learned_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"without network\.start"):
        build_networks(grown_settings("", "network.freeze_base=true"), CPU)


def test_a_size_that_cannot_be_reduced_is_refused(tiny_identity: Path) -> None:
    with pytest.raises(SettingsError, match=r"larger than critic_px = 48 .* got 64"):
        build_networks(grown_settings(tiny_identity, "loss.critic_px=48"), CPU)
