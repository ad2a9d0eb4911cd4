"""dlib's face network: sizes, the two ways around a halving, gradients. That it computes what dlib computes: `features/test_dlib_file`."""

from __future__ import annotations

import pytest
import torch

from stylswap.errors import ShapeError
from stylswap.networks.dlib_resnet import NUM_FEATURES, SIDE_PX, DlibResNet
from tests.networks.checks import check_faces_are_apart, check_gradient_reaches_everything


@pytest.fixture(scope="module")
def network() -> DlibResNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DlibResNet().eval()


def images() -> torch.Tensor:
    return torch.rand(2, 3, SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(1))


def test_a_face_becomes_128_numbers(network: DlibResNet) -> None:
    sides = []
    cells = torch.rand(1, 32, 35, 35, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert network.stem(images()).shape == (2, 32, 72, 72)
        for block in network.blocks:
            cells = block(cells)
            sides.append((cells.shape[1], cells.shape[2], cells.shape[3]))
        assert network(images()).shape == (2, NUM_FEATURES) == (2, 128)
    assert sides == [(32, 35, 35)] * 3 + [(64, 17, 17)] * 4 + [(128, 8, 8)] * 3 + [(256, 4, 4)] * 3 + [(256, 2, 2)]
    assert sum(parameter.numel() for parameter in network.parameters()) == 5_607_488


@pytest.mark.parametrize("shape", [(1, 3, 112, 112), (1, 1, 150, 150), (3, 150, 150)])
def test_other_shapes_are_refused(network: DlibResNet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="images must be"):
        network(torch.zeros(shape))


def test_a_face_does_not_depend_on_the_one_beside_it(network: DlibResNet) -> None:
    check_faces_are_apart(network, images())


def test_what_is_missing_is_zero_at_the_end() -> None:
    # Halving 8 x 8 cells: 3 x 3 through the convolutions, whose only number is a shift of 1; 4 x 4 of the mean around them.
    block = DlibResNet().blocks[3]  # 32 channels -> 64
    cells = torch.arange(64.0).reshape(1, 1, 8, 8).expand(1, 32, 8, 8)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        block.second.bias.fill_(1.0)
        seen = block(cells)[0]
    mean = torch.tensor([[4.5, 6.5, 8.5, 10.5]]) + torch.arange(4.0)[:, None] * 16
    through = torch.zeros(4, 4)
    through[:3, :3] = 1.0
    torch.testing.assert_close(seen, torch.cat([(mean + through).expand(32, 4, 4), through.expand(32, 4, 4)]))


def test_the_gradient_reaches_every_weight_and_the_image(network: DlibResNet) -> None:
    check_gradient_reaches_everything(network, images()[:1])
