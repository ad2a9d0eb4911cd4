"""MobileFaceNet's network: sizes, what it makes of its numbers, where it pads, gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stylswap.errors import ShapeError
from stylswap.networks.mobilefacenet import NUM_FEATURES, SIDE_PX, MobileFaceNet
from tests.networks.checks import check_faces_are_apart, check_gradient_reaches_everything


@pytest.fixture(scope="module")
def network() -> MobileFaceNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MobileFaceNet().eval()


def images() -> torch.Tensor:
    return torch.rand(2, 3, SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(1))


def test_a_face_becomes_192_numbers(network: MobileFaceNet) -> None:
    with torch.no_grad():
        cells = network.mix(network.second(network.first(images())))
        last = network.blocks(cells)
        features = network(images())
    assert cells.shape == (2, 64, 56, 56)
    assert last.shape == (2, 128, 7, 7)
    assert features.shape == (2, NUM_FEATURES) == (2, 192)
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_030_336


@pytest.mark.parametrize("shape", [(1, 3, 128, 128), (1, 1, 112, 112), (3, 112, 112)])
def test_other_shapes_are_refused(network: MobileFaceNet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="images must be"):
        network(torch.zeros(shape))


def test_a_face_does_not_depend_on_the_one_beside_it(network: MobileFaceNet) -> None:
    check_faces_are_apart(network, images())


def test_the_gradient_reaches_every_weight_and_the_image(network: MobileFaceNet) -> None:
    check_gradient_reaches_everything(network, images()[:1])


def test_the_gradient_is_the_slope_of_the_features() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network = MobileFaceNet().double().eval()
    seen = images()[:1].double().requires_grad_()
    direction = torch.randn(seen.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(network(seen).sum(), seen)
    with torch.no_grad():
        slope = float(network(seen + 1e-6 * direction).sum() - network(seen - 1e-6 * direction).sum()) / 2e-6
    assert abs(slope) > 1e-4
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-4)


def test_blocks_of_one_shape_pass_on_what_came_in() -> None:
    network = MobileFaceNet()
    cells = torch.rand(1, 64, 8, 8)
    for parameter in network.blocks.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        assert not network.blocks[0](cells).any()  # it halves
        assert torch.equal(network.blocks[1](cells), cells)
        assert not network.blocks[5](cells).any()
        assert torch.equal(network.blocks[6](cells.repeat(1, 2, 1, 1)), cells.repeat(1, 2, 1, 1))


def test_zeros_lie_at_the_bottom_and_at_the_right_where_it_halves() -> None:
    # Sums of 3x3 pixels that are all 1: what is less than 9 saw the border.
    first = MobileFaceNet().first
    nn.init.zeros_(first.convolution.bias)
    nn.init.zeros_(first.convolution.weight)
    with torch.no_grad():
        first.convolution.weight[0, 0] = 1.0
        sums = first(torch.ones(1, 3, SIDE_PX, SIDE_PX))[0, 0]
    assert sums.shape == (56, 56)
    assert sums[0, 0] == sums[30, 30] == 9.0
    assert sums[-1, 0] == sums[0, -1] == 6.0
    assert sums[-1, -1] == 4.0
