"""SFace's network: sizes, what it makes of its numbers, gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stylswap.errors import ShapeError
from stylswap.networks.sface import NUM_FEATURES, SIDE_PX, SFace
from tests.networks.checks import check_faces_are_apart, check_gradient_reaches_everything


@pytest.fixture(scope="module")
def network() -> SFace:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SFace().eval()


def images() -> torch.Tensor:
    return torch.rand(2, 3, SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(1))


def test_a_face_becomes_128_numbers(network: SFace) -> None:
    with torch.no_grad():
        cells = network.blocks(network.stem(images()))
        features = network(images())
    assert cells.shape == (2, 1024, 7, 7)
    assert features.shape == (2, NUM_FEATURES) == (2, 128)
    assert sum(parameter.numel() for parameter in network.parameters()) == 9_629_632


@pytest.mark.parametrize("shape", [(1, 3, 128, 128), (1, 1, 112, 112), (3, 112, 112)])
def test_other_shapes_are_refused(network: SFace, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="images must be"):
        network(torch.zeros(shape))


def test_a_face_does_not_depend_on_the_one_beside_it(network: SFace) -> None:
    check_faces_are_apart(network, images())


def test_the_gradient_reaches_every_weight_and_the_image(network: SFace) -> None:
    check_gradient_reaches_everything(network, images()[:1])


def test_grey_is_nothing_and_colours_are_told_apart() -> None:
    # Every slope is 1, and each layer passes its first channel on: what comes out is the first pixel's red.
    network = SFace()
    for name, parameter in network.named_parameters():
        nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)
    nn.init.zeros_(network.to_features.weight)
    with torch.no_grad():
        network.to_features.weight[0, 0] = 1.0
        network.stem[0].weight.zero_()  # type: ignore[operator]
        network.stem[0].weight[0, 0, 1, 1] = 1.0  # type: ignore[index]
        network.blocks.apply(_pass_on)
        grey, white, red = torch.full((1, 3, 112, 112), 0.5), torch.ones(1, 3, 112, 112), torch.zeros(1, 3, 112, 112)
        red[:, 0] = 1.0
        seen = [float(network(image)[0, 0]) for image in (grey, white, red, 1.0 - red)]
    assert seen == pytest.approx([0.0, 127.5 / 128, 127.5 / 128, -127.5 / 128], abs=1e-6)


def _pass_on(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        module.weight.zero_()
        centre = module.kernel_size[0] // 2
        module.weight[0, 0, centre, centre] = 1.0
