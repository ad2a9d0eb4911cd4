"""The landmark network: places as means over maps, small and seeded, with a gradient that says where to."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError, ShapeError
from stylswap.networks.landmarks import LandmarkNetwork, _mean_places, build_landmark_network

SMALL = {"side": 32, "widths": (8, 8, 8, 16)}


@pytest.fixture(scope="module")
def network() -> LandmarkNetwork:
    return build_landmark_network(seed=1, **SMALL).eval()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [32, 64, 48, 20])
def test_points_lie_in_the_crop_at_every_size(network: LandmarkNetwork, size: int) -> None:
    points = network(noise(3, 3, size, size))
    assert points.shape == (3, 68, 2)
    assert points.min() > 0
    assert points.max() < 1


def test_a_peak_is_found_where_it_is_and_halves_between_two() -> None:
    maps = torch.full((1, 3, 8, 8), -50.0)
    maps[0, 0, 2, 5] = 50.0  # row 2, column 5
    maps[0, 1, 2, 5] = maps[0, 1, 2, 6] = 50.0
    maps[0, 2] = 0.0
    places = _mean_places(maps)[0]
    torch.testing.assert_close(places, torch.tensor([[5.5 / 8, 2.5 / 8], [6 / 8, 2.5 / 8], [0.5, 0.5]]))


def test_the_gradient_says_where_to() -> None:
    maps = torch.zeros(1, 1, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(_mean_places(maps)[0, 0, 0], maps)  # x to the right
    assert (gradient[0, 0, :, 2:] > 0).all()
    assert (gradient[0, 0, :, :2] < 0).all()
    assert torch.autograd.gradcheck(_mean_places, noise(2, 2, 3, 3).double().requires_grad_())


def test_larger_crops_are_seen_as_their_means(network: LandmarkNetwork) -> None:
    images, twice = (F.interpolate(noise(2, 3, 4, 4), size=(side, side), mode="bilinear") for side in (32, 64))
    points = network(images)
    assert (network(twice) - points).abs().mean() < 0.1 * (network(images.flip(-1)) - points).abs().mean()


def test_a_face_of_the_batch_does_not_see_the_others(network: LandmarkNetwork) -> None:
    images = noise(3, 3, 32, 32)
    together = network(images)
    torch.testing.assert_close(together, torch.cat([network(image[None]) for image in images]), atol=1e-5, rtol=0)
    assert (together[0] - together[1]).abs().max() > 1e-4


def test_settings_build_it_again_and_equal_seeds_give_equal_weights(network: LandmarkNetwork) -> None:
    before = torch.random.get_rng_state()
    again = build_landmark_network(seed=1, **network.settings())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert network.settings() == {"side": 32, "widths": [8, 8, 8, 16]}
    assert all(torch.equal(one, other) for one, other in zip(network.parameters(), again.parameters(), strict=True))
    other = build_landmark_network(seed=2, **SMALL)
    assert not torch.equal(network.to_maps.weight, other.to_maps.weight)


def test_the_file_stays_below_a_megabyte() -> None:
    assert 2 * sum(parameter.numel() for parameter in build_landmark_network().parameters()) < 1_000_000  # as float16


def test_every_part_of_it_learns() -> None:
    network = build_landmark_network(seed=1, **SMALL)
    network(noise(2, 3, 32, 32))[..., 0].square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    "settings", [{"side": 24}, {"side": 0}, {"widths": (8, 8, 8)}, {"widths": (8, 8, 8, 12)}, {"widths": (8, 8, 0, 8)}]
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="landmarks: "):
        build_landmark_network(**settings)


@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (1, 3, 32, 48), (3, 32, 32)])
def test_images_that_do_not_fit_are_refused(network: LandmarkNetwork, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="images must be"):
        network(torch.zeros(shape))
