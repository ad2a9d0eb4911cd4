"""The networks: sizes, ranges, gradients, the registry."""

import json

import pytest
import torch
from torch import nn

from stylswap.errors import SettingsError, ShapeError
from stylswap.networks import NETWORKS, PyramidNetwork, ResidualNetwork, build_network
from stylswap.networks.blocks import InstanceNorm, SwapNetwork, check_whole, enlarge

SMALL = {
    "pyramid": {"scales": 3, "channels": 4},
    "residual": {"widths": [4, 8, 8], "blocks": 1},
    "grown": {"widths": [4, 8], "blocks": 1, "branch_width": 4, "fine_width": 2},
}
LAST = {"pyramid": "to_rgb", "residual": "to_change", "grown": "base.to_change"}


def images(side: int, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(side))


def num_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(params=sorted(SMALL))
def small(request: pytest.FixtureRequest) -> SwapNetwork:
    return build_network(request.param, **SMALL[request.param])


def test_every_network_is_tried_here() -> None:
    assert set(SMALL) == set(NETWORKS)


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("pyramid", {}, 1_108_451),  # the paper's "1 M"
        ("pyramid", {"scales": 6}, 1_820_739),
        ("pyramid", {"scales": 1, "channels": 2}, 3 * 9 * 2 + 2 + 2 * 9 * 2 + 2 + 2 * 2 + 2 + 2 * 3 + 3),
        ("residual", {}, 2_427_395),
        ("grown", {}, 2_427_395 + 26_841),
    ],
)
def test_number_of_parameters(name: str, settings: dict[str, int], expected: int) -> None:
    assert num_parameters(build_network(name, **settings)) == expected


def test_pyramid_is_laid_out_as_in_the_paper() -> None:
    network = PyramidNetwork()
    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    branch = [(3, 32, 3), (32, 32, 3), (32, 32, 1)]
    joins = [[(c, c, 3), (c, c, 3), (c, c, 1)] for c in (64, 96, 128, 160)]
    expected = branch * 5 + [conv for join in joins for conv in join] + [(160, 3, 1)]
    assert [(conv.in_channels, conv.out_channels, conv.kernel_size[0]) for conv in convs] == expected
    assert sum(isinstance(module, nn.ReLU) for module in network.modules()) == 27
    assert not any(isinstance(module, nn.GroupNorm | nn.BatchNorm2d) for module in network.modules())


def test_pyramid_sees_its_input_average_pooled() -> None:
    network = build_network("pyramid", scales=2, channels=4)
    with torch.no_grad():
        for parameter in network.branches[1].parameters():  # the fine branch off: only the pooled input counts
            parameter.zero_()
        crops = images(8)
        swapped = crops.view(2, 3, 4, 2, 4, 2).flip((3, 5)).reshape(2, 3, 8, 8)  # pixels change places within 2 x 2
        torch.testing.assert_close(network(swapped), network(crops))
        assert (network(crops.flip(2)) - network(crops)).abs().max() > 1e-3


@pytest.mark.parametrize("side", [128, 256])
def test_residual_starts_as_the_identity(side: int) -> None:
    network = ResidualNetwork()
    crops = images(side, batch=1)
    with torch.no_grad():
        assert torch.equal(network(crops), crops)
        assert torch.equal(network.eval()(crops.contiguous(memory_format=torch.channels_last)), crops)


def test_residual_can_learn_from_its_start() -> None:
    network = build_network("residual", **SMALL["residual"])
    crops = images(16)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    errors = []
    for _ in range(20):
        error = (network(crops) - 0.5 * crops).square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert errors[-1] < 0.25 * errors[0]


def test_images_in_images_out(small: SwapNetwork) -> None:
    for side in (16, 24):
        output = small(images(side))
        assert output.shape == (2, 3, side, side)
        assert output.dtype == torch.float32


def test_channels_last_stays_and_changes_no_number(small: SwapNetwork) -> None:
    with torch.no_grad():
        for parameter in small.parameters():  # away from the zero start of the residual network
            parameter.add_(0.05)
        expected = small(images(16))
        output = small.to(memory_format=torch.channels_last)(images(16).contiguous(memory_format=torch.channels_last))
    assert output.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-4)


def test_the_start_depends_on_the_input_and_is_no_explosion() -> None:
    network = build_network("pyramid")
    with torch.no_grad():
        outputs = network(images(32))
    assert 0.01 < outputs.std() < 1
    assert (outputs[0] - outputs[1]).abs().mean() > 0.01


def test_output_is_clamped_outside_training_only(small: SwapNetwork) -> None:
    last = small.get_submodule(LAST[small.name])
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    crops = images(16)
    with torch.no_grad():
        last.bias.copy_(torch.tensor([9.0, -9.0, 0.1]))
        trained, rendered = small.train()(crops), small.eval()(crops)
    assert trained[:, 0].min() > 1
    assert trained[:, 1].max() < 0
    assert torch.equal(rendered, trained.clamp(0, 1))


def test_every_parameter_gets_a_gradient(small: SwapNetwork) -> None:
    with torch.no_grad():
        for parameter in small.parameters():  # away from the zero start of the residual network
            parameter.add_(0.05)
    small(images(16)).square().sum().backward()
    for name, parameter in small.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_gradient_is_right() -> None:
    network = build_network("residual", widths=[2, 3], blocks=1).double()
    with torch.no_grad():
        network.to_change.weight.fill_(0.1)
    assert torch.autograd.gradcheck(network, images(4, batch=1).double().requires_grad_())


def test_a_face_does_not_see_the_rest_of_the_batch(small: SwapNetwork) -> None:
    crops = images(16)
    with torch.no_grad():
        torch.testing.assert_close(small(crops)[1:], small(crops[1:]))


@pytest.mark.parametrize(("name", "multiple", "smallest"), [("pyramid", 16, 16), ("residual", 16, 32), ("grown", 32, 64)])
def test_sides_that_do_not_fit_are_refused(name: str, multiple: int, smallest: int) -> None:
    network = build_network(name)
    with pytest.raises(ShapeError, match=f"multiple of {multiple}, and at least {smallest}, got 100 .* crop at 96"):
        network(images(100, batch=1))
    with pytest.raises(ShapeError, match=f"crop at {smallest}"):
        network(images(8, batch=1))
    with pytest.raises(ShapeError, match="images must be"):
        network(torch.rand(1, 3, 32, 64))
    with pytest.raises(ShapeError, match="images must be"):
        network(torch.rand(1, 1, 32, 32))


def test_rebuilt_from_its_settings(small: SwapNetwork) -> None:
    settings = json.loads(json.dumps(small.settings()))
    again = build_network(small.name, seed=5, **settings)
    assert again.settings() == small.settings() == SMALL[small.name]
    again.load_state_dict(small.state_dict())
    with torch.no_grad():
        assert torch.equal(again(images(16)), small(images(16)))


def test_weights_come_from_the_seed_and_nothing_else() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_network("pyramid", seed=3, **SMALL["pyramid"]).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = build_network("pyramid", seed=3, **SMALL["pyramid"]).state_dict()
    other = build_network("pyramid", seed=4, **SMALL["pyramid"]).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["to_rgb.weight"], other["to_rgb.weight"])


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("pyramyd", {}, "there is no network 'pyramyd'. Did you mean 'pyramid'?"),
        ("gan", {}, "there is no network 'gan'. Known: grown, pyramid, residual."),
        ("pyramid", {"scale": 5}, "pyramid has no setting 'scale'. Did you mean 'scales'?"),
        ("pyramid", {"scales": 0}, "pyramid: scales must be a whole number of at least 1, got 0"),
        ("pyramid", {"channels": 3.5}, "pyramid: channels must be a whole number of at least 1, got 3.5"),
        ("residual", {"blocks": True}, "residual: blocks must be a whole number of at least 1, got True"),
        ("residual", {"widths": [8, -8]}, "residual: widths[1] must be a whole number of at least 1, got -8"),
        ("residual", {"widths": [8]}, "residual: widths must be two or more whole numbers, for instance [16, 32, 64], got [8]"),
        ("residual", {"widths": 8}, "residual: widths must be two or more whole numbers, for instance [16, 32, 64], got 8"),
    ],
)
def test_unknown_names_and_impossible_settings_are_refused(name: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        build_network(name, **settings)
    assert str(caught.value) == message


@pytest.mark.parametrize("channels_last", [False, True])
def test_instance_norm_is_torchs(channels_last: bool) -> None:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    features = torch.randn(2, 5, 4, 6).contiguous(memory_format=layout)
    ours, theirs = InstanceNorm(5), nn.InstanceNorm2d(5, affine=True)
    with torch.no_grad():
        ours.weight.copy_(torch.arange(5.0))
        ours.bias.copy_(torch.arange(5.0) - 2)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(features), theirs(features))
    assert ours(features).is_contiguous(memory_format=layout)


def test_enlarging_by_hand() -> None:
    row = torch.tensor([0.0, 4.0]).expand(1, 1, 2, 2)
    assert enlarge(row, "nearest")[0, 0, 0].tolist() == [0, 0, 4, 4]
    assert enlarge(row, "bilinear")[0, 0, 0].tolist() == [0, 1, 3, 4]


def test_whole_numbers_pass() -> None:
    check_whole("any", 0, first=0, second=7)
