"""The lighting network: unit features, blind to exposure and background, small and seeded."""

import pytest
import torch
from torch import Tensor

from stylswap.errors import SettingsError, ShapeError
from stylswap.networks.siamese import LightingNetwork, build_lighting_network


@pytest.fixture(scope="module")
def network() -> LightingNetwork:
    return build_lighting_network(seed=1).eval()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [32, 64, 128, 100])
def test_features_have_unit_length_at_every_size(network: LightingNetwork, size: int) -> None:
    features = network(noise(3, 1, size, size))
    assert features.shape == (3, 128)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))


def test_exposure_is_no_light(network: LightingNetwork) -> None:
    grey = noise(2, 1, 64, 64)
    assert (network(grey) - network(0.6 * grey + 0.1)).norm(dim=1).max() < 0.1


def test_the_background_is_not_looked_at(network: LightingNetwork) -> None:
    grey = noise(1, 1, 64, 64)
    changed = grey.clone()
    changed[..., :17, :] = 0
    changed[..., :15] = 1
    changed[..., 50:, :] = 1
    assert torch.equal(network(grey), network(changed))


def test_flat_pictures_have_finite_features_and_gradients(network: LightingNetwork) -> None:
    grey = torch.zeros(2, 1, 64, 64, requires_grad=True)
    features = network(grey)
    assert features.isfinite().all()
    features.sum().backward()
    assert grey.grad is not None
    assert grey.grad.isfinite().all()


def test_the_file_stays_below_two_megabytes(network: LightingNetwork) -> None:
    assert 4 * sum(parameter.numel() for parameter in network.parameters()) < 2_000_000


def test_near_features_are_the_same_light(network: LightingNetwork) -> None:
    features = network(noise(2, 1, 64, 64))
    logit = network.same_light_logit(torch.stack([features[0], features[0]]), torch.stack([features[0], -features[0]]))
    assert logit[0] > 0 > logit[1]


def test_settings_build_it_again_and_equal_seeds_give_equal_weights() -> None:
    first = build_lighting_network(seed=3, side=16, widths=(4, 8), features=6)
    again = build_lighting_network(seed=3, **first.settings())
    assert first.settings() == {"side": 16, "widths": [4, 8], "features": 6}
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    other = build_lighting_network(seed=4, **first.settings())
    assert not torch.equal(first.to_features.weight, other.to_features.weight)


@pytest.mark.parametrize("settings", [{"side": 20}, {"side": 0}, {"widths": ()}, {"widths": (4, 0)}, {"features": 1.5}])
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="lighting"):
        build_lighting_network(**settings)


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 1, 64, 32), (1, 64, 64)])
def test_shapes_that_do_not_fit_are_refused(network: LightingNetwork, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="grey must be"):
        network(torch.ones(shape))
