"""The face parser's network: sizes, names, and what each part does to numbers that can be worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stylswap.convert.parsing import _PARSING_TO_BISENET
from stylswap.errors import ShapeError
from stylswap.networks import bisenet
from stylswap.networks.bisenet import AttentionRefinement, BiSeNet, FeatureFusion, ResidualBlock, ResNet18
from tests.networks.checks import check_gradient_reaches_everything


@pytest.fixture(scope="module")
def network() -> BiSeNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BiSeNet().eval()


def images(height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))


def filled(module: nn.Module, value: float, bias: float) -> nn.Module:
    for name, parameter in module.named_parameters():
        nn.init.constant_(parameter, bias if name.endswith("bias") else value)
    return module.eval()


def test_cells_are_an_eighth_of_the_side(network: BiSeNet) -> None:
    with torch.no_grad():
        assert network(images(64, 96)).shape == (1, 19, 8, 12)
        eighth, sixteenth, last = network.resnet(images(64, 96))
    assert [tuple(part.shape) for part in (eighth, sixteenth, last)] == [(1, 128, 8, 12), (1, 256, 4, 6), (1, 512, 2, 3)]


@pytest.mark.parametrize("shape", [(1, 3, 48, 64), (1, 3, 64, 72), (1, 1, 64, 64), (3, 64, 64)])
def test_other_shapes_are_refused(network: BiSeNet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="multiples of 32" if shape[:2] == (1, 3) else "images must be"):
        network(torch.zeros(shape))


def test_its_tensors_are_those_that_the_converter_makes(network: BiSeNet) -> None:
    made = {f"{name}.weight" for name in _PARSING_TO_BISENET} | {f"{name}.bias" for name, (_, norm) in _PARSING_TO_BISENET.items() if norm}
    assert set(network.state_dict()) == made
    assert sum(parameter.numel() for parameter in network.parameters()) == 13_144_064


def test_the_gradient_reaches_every_weight_and_the_image(network: BiSeNet) -> None:
    check_gradient_reaches_everything(network, images())


def test_every_layer_has_a_say_far_away(network: BiSeNet) -> None:
    # The mean over the whole picture tells the first cell of the last pixel.
    first = images()
    second = first.clone()
    second[..., -1, -1] += 5.0
    with torch.no_grad():
        change = (network(first) - network(second)).abs()[0, :, 0, 0]
    assert change.max() > 1e-7


def test_a_residual_block_by_hand() -> None:
    block = filled(ResidualBlock(1, 1), 0.0, -1.0)
    nn.init.constant_(block.second.bias, 2.0)  # type: ignore[union-attr,arg-type]
    assert block(torch.tensor([[[[3.0]]]])).item() == 5.0, "identity + second(relu(first))"
    nn.init.constant_(block.second.bias, -4.0)  # type: ignore[union-attr,arg-type]
    assert block(torch.tensor([[[[3.0]]]])).item() == 0.0, "the sum is rectified"
    assert ResidualBlock(2, 3, stride=2)(torch.zeros(1, 2, 6, 6)).shape == (1, 3, 3, 3)


def test_attention_weighs_channels_by_their_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bisenet, "_CONTEXT", 1)
    refinement = AttentionRefinement(1)
    filled(refinement, 0.0, 0.0)
    with torch.no_grad():
        refinement.features.weight[0, 0, 1, 1] = 1.0  # passes the picture on
        refinement.attention.weight.fill_(2.0)
    cells = torch.tensor([[[[-1.0, 1.0], [2.0, 3.0]]]])
    expected = cells.clamp(min=0) * torch.sigmoid(torch.tensor(2.0 * 6.0 / 4.0))
    torch.testing.assert_close(refinement(cells), expected)


def test_fusion_strengthens_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bisenet, "_WIDTHS", (1, 1, 1, 1))
    monkeypatch.setattr(bisenet, "_CONTEXT", 1)
    monkeypatch.setattr(bisenet, "_FUSED", 4)
    fusion = filled(FeatureFusion(), 1.0, 0.0)
    fine, wide = torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[2.0, -4.0]]]])
    mixed = torch.tensor([3.0, 0.0])  # of each of the 4 channels, rectified; their mean is 1.5, squeezed to 4 * 1.5
    expected = (mixed * (1 + torch.sigmoid(torch.tensor(4 * 1.5)))).expand(1, 4, 1, 2)
    torch.testing.assert_close(fusion(fine, wide), expected)


def test_the_stem_quarters_the_side() -> None:
    network = ResNet18()
    assert network.stem(torch.zeros(1, 3, 32, 32)).shape == (1, 64, 16, 16)
    assert [len(stage) for stage in network.stages] == [2, 2, 2, 2]  # type: ignore[arg-type]
