"""The frozen critic: its file, its luminance, its gradient."""

from pathlib import Path

import pytest
import torch

from stylswap.errors import ShapeError, WeightsFileError
from stylswap.features.lighting import LightingCritic, lighting_bytes, read_lighting
from stylswap.networks.siamese import build_lighting_network


def rgb(count: int = 2, size: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_it_looks_at_rec_709_luminance_only() -> None:
    critic = LightingCritic(build_lighting_network(seed=1))
    images = rgb() * 0.5 + 0.2
    shift = torch.tensor([0.1, -0.1 * 0.2126 / 0.7152, 0.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(critic(images), critic(images + shift), atol=1e-5, rtol=0)
    assert (critic(images) - critic(images.flip(-1))).norm(dim=1).min() > 1e-3


def test_the_gradient_reaches_the_images_and_not_the_weights() -> None:
    critic = LightingCritic(build_lighting_network(seed=1))
    images = rgb().requires_grad_()
    (critic(images) - critic(rgb().flip(-1)).detach()).square().sum().backward()
    assert images.grad is not None
    assert images.grad[..., 20:44, 20:44].abs().max() > 0
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in critic.parameters())


def test_a_file_gives_the_same_network_back(tmp_path: Path) -> None:
    network = build_lighting_network(seed=2, side=16, widths=(4, 8), features=6)
    path = tmp_path / "light.safetensors"
    path.write_bytes(lighting_bytes(network, {"source": "relit"}))
    read = read_lighting(path)
    assert read.settings() == network.settings()
    grey = torch.rand(2, 1, 32, 32)
    assert torch.equal(read(grey), network(grey))


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "light.safetensors"
    for content in (None, b"no tensors"):
        if content:
            path.write_bytes(content)
        with pytest.raises(WeightsFileError, match="holds no lighting network"):
            read_lighting(path)


def test_the_shipped_network_sees_side_light() -> None:
    critic = LightingCritic.load()
    ramp = torch.linspace(0.1, 0.9, 64)
    images = torch.stack([ramp.expand(3, 64, 64), (0.8 * ramp + 0.05).expand(3, 64, 64), ramp.flip(0).expand(3, 64, 64)])
    features = critic(images)
    assert (features[0] - features[1]).norm() < 0.3 * (features[0] - features[2]).norm()
    with pytest.raises(ShapeError):
        critic(torch.ones(1, 1, 64, 64))
