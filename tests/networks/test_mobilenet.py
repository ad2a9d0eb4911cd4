"""MobileNet: sizes, where it pads, where it cuts off, gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stylswap.errors import ShapeError
from stylswap.networks.mobilenet import NUM_FEATURES, MobileNet
from tests.networks.checks import check_faces_are_apart, check_gradient_reaches_everything


@pytest.fixture(scope="module")
def network() -> MobileNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = MobileNet().eval()
        # As drawn, thirteen blocks let nearly nothing through.
        for parameter in made.parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter)
        return made


def images(side: int = 64) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("side", [64, 160])
def test_a_face_becomes_1024_numbers(network: MobileNet, side: int) -> None:
    with torch.no_grad():
        cells, features = network.blocks(network.stem(images(side))), network(images(side))
    assert cells.shape == (2, 1024, side // 32, side // 32)
    assert features.shape == (2, NUM_FEATURES) == (2, 1024)
    assert 0 <= float(features.min()) < float(features.max()) <= 6
    # Keras counts 3,206,976 in its MobileNet without a top: there each of the 10,944 channels has two numbers of its normalisation.
    assert sum(parameter.numel() for parameter in network.parameters()) == 3_206_976 - 10_944


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 64, 64), "images must be"),
        ((3, 64, 64), "images must be"),
        ((1, 3, 64, 150), r"multiples of 32, got \(1, 3, 64, 150\)"),
        ((1, 3, 112, 64), r"multiples of 32, got \(1, 3, 112, 64\)"),
    ],
)
def test_other_shapes_are_refused(network: MobileNet, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        network(torch.zeros(shape))


def test_a_face_does_not_depend_on_the_one_beside_it(network: MobileNet) -> None:
    check_faces_are_apart(network, images())


def test_the_gradient_reaches_every_weight_and_the_image(network: MobileNet) -> None:
    check_gradient_reaches_everything(network, images())


def test_the_gradient_is_the_slope_of_the_features(network: MobileNet) -> None:
    with torch.random.fork_rng():
        precise = MobileNet().double().eval()
    precise.load_state_dict(network.state_dict())
    seen = images()[:1].double().requires_grad_()
    direction = torch.randn(seen.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(precise(seen).sum(), seen)
    with torch.no_grad():
        slope = float(precise(seen + 1e-7 * direction).sum() - precise(seen - 1e-7 * direction).sum()) / 2e-7
    assert abs(slope) > 1e-2
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-3)


def test_it_sees_blue_first_and_without_its_mean() -> None:
    # The means of ImageNet's colours, (blue, green, red), are where a network of this kind sees nothing.
    with torch.random.fork_rng():
        network = MobileNet()
    nn.init.zeros_(network.stem.convolution.bias)
    with torch.no_grad():
        image = torch.tensor([123.68, 116.779, 103.939])[None, :, None, None].expand(1, 3, 32, 32) / 255.0
        assert float(network.stem.convolution.weight.abs().sum()) > 0
        seen = []
        network.stem.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
        network(image)
        network(image + torch.tensor([0.0, 0.0, 1.0])[None, :, None, None] / 255.0)
    assert seen[0].abs().max() < 1e-4
    torch.testing.assert_close(seen[1].amax(dim=(0, 2, 3)), torch.tensor([1.0, 0.0, 0.0]), rtol=0, atol=1e-4)


def test_zeros_lie_at_the_bottom_and_at_the_right_where_it_halves() -> None:
    # Sums of 3x3 pixels that are all 0.5: what is less than 4.5 saw the border.
    with torch.random.fork_rng():
        stem = MobileNet().stem
    nn.init.zeros_(stem.convolution.bias)
    nn.init.zeros_(stem.convolution.weight)
    with torch.no_grad():
        stem.convolution.weight[0, 0] = 1.0
        sums, twice = stem(torch.full((1, 3, 32, 32), 0.5))[0, 0], stem(torch.ones(1, 3, 32, 32))[0, 0]
    assert sums.shape == (16, 16)
    assert sums[0, 0] == sums[8, 8] == 4.5
    assert sums[-1, 0] == sums[0, -1] == 3.0
    assert sums[-1, -1] == 2.0
    assert twice[0, 0] == 6.0  # of 9: cut off
