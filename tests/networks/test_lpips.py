"""The perceptual network against the published one, written down anew from torchvision's layers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from stylswap.errors import ShapeError
from stylswap.networks.lpips import BLOCKS, PerceptualNetwork

AFTER = (3, 8, 15, 22, 29)  # positions of relu1_2, relu2_2, relu3_3, relu4_3, relu5_3 among torchvision's layers


@pytest.fixture(scope="module")
def network() -> PerceptualNetwork:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = PerceptualNetwork()
        for head in network.heads:
            nn.init.uniform_(head.weight, 0.0, 1.0)
        for block in network.blocks:
            for convolution in block:
                nn.init.kaiming_normal_(convolution.weight)
                nn.init.normal_(convolution.bias, std=0.1)
        return network.eval()


def pictures(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def published(network: PerceptualNetwork, first: Tensor, second: Tensor) -> list[Tensor]:
    """Torchvision's VGG-16 with the same numbers, and the formula of the paper, feature by feature."""
    layers = make_layers(cfgs["D"], batch_norm=False)
    convolutions = iter(convolution for block in network.blocks for convolution in block)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            layer.load_state_dict(next(convolutions).state_dict())
    distances = []
    for number, position in enumerate(AFTER):
        one, other = (layers[: position + 1](image) for image in (first, second))
        one, other = (cells / cells.square().sum(dim=1, keepdim=True).sqrt() for cells in (one, other))
        weight = network.heads[number].weight.view(-1)
        distances.append(torch.einsum("bchw,c->bhw", (one - other) ** 2, weight)[:, None])
    return distances


@torch.no_grad()
def test_it_computes_what_the_published_layers_compute(network: PerceptualNetwork) -> None:
    first, second = pictures(2, 3, 40, 36), pictures(2, 3, 40, 36, seed=2)
    for ours, theirs in zip(network(first, second), published(network, first, second), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.max()))


@torch.no_grad()
def test_cells_of_five_depths(network: PerceptualNetwork) -> None:
    shapes = [tuple(cells.shape) for cells in network(pictures(2, 3, 37, 16), pictures(2, 3, 37, 16))]
    assert shapes == [(2, 1, 37, 16), (2, 1, 18, 8), (2, 1, 9, 4), (2, 1, 4, 2), (2, 1, 2, 1)]
    assert [count for _, count in BLOCKS] == [2, 2, 3, 3, 3]
    assert sum(parameter.numel() for parameter in network.parameters()) == 14_714_688 + 64 + 128 + 256 + 512 + 512


@torch.no_grad()
def test_equal_pictures_have_no_distance_and_brightness_of_features_does_not_count(network: PerceptualNetwork) -> None:
    first = pictures(1, 3, 16, 16)
    assert all(float(cells.abs().max()) == 0 for cells in network(first, first))
    blank = [cells.isfinite().all() for cells in network(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16))]
    assert all(blank)


def test_features_of_length_zero_have_finite_gradients(network: PerceptualNetwork) -> None:
    with torch.no_grad():
        dead = PerceptualNetwork()
        for parameter in dead.parameters():
            parameter.zero_()
    first = pictures(1, 3, 16, 16).requires_grad_()
    total = sum(cells.sum() for cells in dead(first, pictures(1, 3, 16, 16, seed=2)))
    (gradient,) = torch.autograd.grad(total, first)
    assert gradient.isfinite().all()


def test_the_gradient_reaches_both_pictures(network: PerceptualNetwork) -> None:
    both = [pictures(1, 3, 16, 16, seed=seed).requires_grad_() for seed in (1, 2)]
    for gradient in torch.autograd.grad(sum(cells.sum() for cells in network(*both)), both):
        assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((1, 3, 15, 16), (1, 3, 15, 16), "at least 16 px"),
        ((1, 3, 16, 16), (2, 3, 16, 16), "B = 1 in first"),
        ((1, 1, 16, 16), (1, 1, 16, 16), "first must be"),
    ],
)
def test_other_shapes_are_refused(network: PerceptualNetwork, first: tuple[int, ...], second: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        network(torch.zeros(first), torch.zeros(second))
