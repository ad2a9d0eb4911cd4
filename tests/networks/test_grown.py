"""Growing: what a grown network keeps of its base, and what is trained."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from stylswap.errors import SettingsError, ShapeError
from stylswap.networks import GrownNetwork, PyramidNetwork, ResidualNetwork, build_network, grow, grow_pyramid
from stylswap.networks.blocks import SwapNetwork
from stylswap.networks.grown import enlarging_kernel

WIDTHS = [4, 8, 8]


def images(side: int = 32, batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(side))


def residual() -> ResidualNetwork:
    network = build_network("residual", seed=3, widths=WIDTHS, blocks=1)
    assert isinstance(network, ResidualNetwork)
    return network


def trained_residual() -> ResidualNetwork:
    """A base that changes its input, as after training."""
    base = residual()
    with torch.no_grad():
        base.to_change.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
    return base


def trained_pyramid() -> PyramidNetwork:
    network = build_network("pyramid", seed=7, scales=3, channels=4)
    assert isinstance(network, PyramidNetwork)
    return network


def enlarged(crops: Tensor) -> Tensor:
    return F.pixel_shuffle(F.conv2d(F.pad(crops, (1, 1, 1, 1), mode="replicate"), enlarging_kernel(3).to(crops)), 2)


def detail(crops: Tensor) -> Tensor:
    return crops - enlarged(F.avg_pool2d(crops, 2))


def one_step(network: SwapNetwork, crops: Tensor) -> None:
    optimiser = torch.optim.Adam(network.trainable_parameters(), lr=1e-2)
    (network(crops) - 0.5).square().mean().backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def test_enlarging_keeps_means_and_parabolas() -> None:
    crops = images(8)
    assert (F.avg_pool2d(enlarged(crops), 2) - crops).abs().max() < 1e-6  # at the border, too
    fine = torch.arange(16.0).expand(3, 16, 16)[None]
    for picture in (fine, fine.square() / 20, fine.mT * fine / 20):
        assert detail(picture)[..., 2:-2, 2:-2].abs().max() < 1e-4


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_untrained_returns_its_input(layout: torch.memory_format) -> None:
    network = GrownNetwork()
    crops = images(256, batch=1).contiguous(memory_format=layout)
    with torch.no_grad():
        assert torch.equal(network(crops), crops)
        assert torch.equal(network.eval()(crops), crops)


def test_at_half_the_side_it_draws_its_base_for_ever() -> None:
    base, crops = trained_residual(), images(64)
    network = grow(base)
    with torch.no_grad():
        half = F.avg_pool2d(crops, 2)
        before, output = base(half), network(crops)
        assert (before - half).abs().mean() > 0.05
        assert (output - enlarged(before)).abs().mean() > 0.01  # with some of the input's detail
        assert (F.avg_pool2d(output, 2) - before).abs().max() < 2e-6
    network.freeze_base()
    for _ in range(3):
        one_step(network, crops)
    with torch.no_grad():
        trained = network(crops)
        assert (trained - output).abs().mean() > 1e-3
        assert (F.avg_pool2d(trained, 2) - before).abs().max() < 2e-6


def test_the_shipped_identity_grows() -> None:
    base = ResidualNetwork()
    base.load_state_dict(load_file(Path(__file__).parents[2] / "weights" / "ada.safetensors"))
    network = grow(base.eval())
    crops = F.interpolate(images(32, batch=1), size=256, mode="bicubic").clamp(0, 1)
    with torch.no_grad():
        torch.testing.assert_close(F.avg_pool2d(network.draw(crops), 2), base.draw(F.avg_pool2d(crops, 2)), rtol=0, atol=2e-6)
    assert not network.training


def test_detail_stays_where_nothing_changed_and_goes_where_the_base_drew_something_else() -> None:
    network = grow(residual())
    half = images(32, batch=1)
    other = images(36, batch=1)[..., :32, :32]
    with torch.no_grad():
        assert torch.equal(network._kept_by_base(half, torch.zeros_like(half)), torch.ones(1, 1, 32, 32))
        assert network._kept_by_base(half, other - half).mean() < 0.1
        faded = network._kept_by_base(half, -0.5 * half)  # half of the contrast is left: a quarter of the finest detail
        torch.testing.assert_close(faded, torch.full_like(faded, 0.25), rtol=0, atol=0.01)
        kept = network._kept_by_base(half, (other - half) * (torch.arange(32) >= 16))  # the left half stays as it was
        assert kept[..., :12].min() > 0.99
        assert kept[..., 20:].mean() < 0.1


def test_a_plain_change_keeps_all_detail() -> None:
    """Other light or skin, without an edge: nothing was drawn over."""
    network = grow(residual())
    half = images(32, batch=1)
    ramp = (torch.arange(32.0) / 32).expand_as(half)
    with torch.no_grad():
        kept = network._kept_by_base(half, 0.3 * ramp + 0.1)
    assert kept[..., 4:-4, 4:-4].min() > 0.999


def test_growing_leaves_the_base_alone() -> None:
    base = trained_residual()
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    one_step(grow(base), images())
    assert all(torch.equal(before[name], tensor) for name, tensor in base.state_dict().items())
    assert all(parameter.requires_grad for parameter in base.parameters())


def test_growing_depends_on_its_seed_and_nothing_else() -> None:
    base = trained_residual()
    before = torch.get_rng_state()
    first, second, other = (grow(base, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["branch.0.0.weight"], other["branch.0.0.weight"])


def test_growing_keeps_type_and_mode() -> None:
    base = trained_residual().double().eval()
    network = grow(base)
    assert not network.training
    assert network(images().double()).dtype == torch.float64
    pyramid = grow_pyramid(trained_pyramid().double().eval())
    assert not pyramid.training
    assert pyramid(images().double()).dtype == torch.float64


def test_frozen_only_the_branch_learns() -> None:
    network, crops = grow(trained_residual()), images()
    network.freeze_base()
    own = {name for name, parameter in network.named_parameters() if any(parameter is kept for kept in network.trainable_parameters())}
    assert own == {name for name, _ in network.named_parameters() if not name.startswith("base.")}
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for _ in range(2):  # behind zeros, the first step moves the last convolutions only
        one_step(network, crops)
    network(crops).square().sum().backward()
    for name, parameter in network.named_parameters():
        if name in own:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name
            assert not torch.equal(parameter, before[name]), name
        else:
            assert parameter.grad is None, name
            assert torch.equal(parameter, before[name]), name


def test_unfrozen_everything_learns() -> None:
    network = grow(trained_residual())
    assert len(network.trainable_parameters()) == len(list(network.parameters()))
    one_step(network, images())
    network(images()).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in network.parameters())
    network.freeze_base()
    network.base.requires_grad_(True)
    assert len(network.trainable_parameters()) == len(list(network.parameters()))


def test_the_branch_can_learn_detail_that_the_input_does_not_have() -> None:
    network = grow(residual())
    network.freeze_base()
    half = images(16)
    crops = enlarged(half)
    wanted = half.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)  # hard edges, where the input has soft ones
    assert detail(crops).abs().max() < 1e-5
    optimiser = torch.optim.Adam(network.trainable_parameters(), lr=3e-3)
    errors = []
    for _ in range(60):
        error = (network(crops) - wanted).square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert errors[-1] < 0.5 * errors[0]


def test_the_branch_starts_without_a_checkerboard() -> None:
    """The four pixels that a cell becomes are equal until training makes them differ."""
    network = grow(residual())
    with torch.no_grad():
        fine = F.pixel_unshuffle(network.to_fine(torch.rand(1, 32, 8, 8)), 2).unflatten(1, (8, 4))
    assert fine.std() > 0.1
    torch.testing.assert_close(fine, fine[:, :, :1].expand_as(fine))


def test_gradient_is_right() -> None:
    network = build_network("grown", seed=1, widths=[2, 3], blocks=1, branch_width=2, fine_width=1).double()
    assert isinstance(network, GrownNetwork)
    with torch.no_grad():
        for last in (network.base.to_change, network.to_kept, network.to_detail):
            last.weight.fill_(0.1)
    assert torch.autograd.gradcheck(network, images(8, batch=1).double().requires_grad_())


@pytest.mark.parametrize("make", [lambda: grow(trained_residual(), branch_width=6, fine_width=3), lambda: grow_pyramid(trained_pyramid())])
def test_round_trip_of_settings_and_weights(make: Callable[[], SwapNetwork]) -> None:
    network = make()
    again = build_network(network.name, seed=5, **json.loads(json.dumps(network.settings())))
    assert again.settings() == network.settings()
    again.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(again(images()), network(images()))


def test_the_state_holds_parameters_only() -> None:
    """What every grown network has alike, the kernel that enlarges, is in no identity file."""
    network = grow(residual())
    assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(SettingsError, match="grown: branch_width must be a whole number of at least 1, got 0"):
        grow(trained_residual(), branch_width=0)
    with pytest.raises(SettingsError, match=r"grown: fine_width must be .* got 2\.5"):
        build_network("grown", fine_width=2.5)
    with pytest.raises(SettingsError, match=r"residual: widths must be two or more"):
        build_network("grown", widths=[8])
    with pytest.raises(SettingsError, match=r"grown has no setting 'branch'\. Did you mean 'branch_width'\?"):
        build_network("grown", branch=8)
    with pytest.raises(ShapeError, match=r"grown: the side of images must be a multiple of 8, and at least 16, got 20 .* crop at 16"):
        grow(residual())(images(20))
    with pytest.raises(ShapeError, match="images must be"):
        grow(residual())(torch.rand(1, 3, 32, 64))


def test_a_grown_pyramid_draws_its_base_enlarged() -> None:
    base, crops = trained_pyramid(), images()
    network = grow_pyramid(base)
    assert network.settings() == {"scales": 4, "channels": 4}
    with torch.no_grad():
        expected = base(F.avg_pool2d(crops, 2)).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        assert expected.std() > 0.01
        torch.testing.assert_close(network(crops), expected, rtol=0, atol=1e-5)


def test_a_frozen_pyramid_keeps_its_coarser_scales() -> None:
    network, crops = grow_pyramid(trained_pyramid()), images()
    network.freeze_base()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for _ in range(2):
        one_step(network, crops)
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    new = {name for name in before if name.startswith(("branches.3.", "joins.2.", "to_rgb."))}
    assert moved == new
    network(crops).square().sum().backward()
    assert {name for name, parameter in network.named_parameters() if parameter.grad is not None} == new


def test_the_branch_cannot_draw_checkerboards() -> None:
    network = grow(residual())
    signs = 1.0 - 2.0 * (torch.arange(16) % 2)
    for pattern in (signs.expand(16, 16), signs[:, None].expand(16, 16), signs * signs[:, None]):
        drawn = network._without_boards(pattern.expand(1, 3, 16, 16))
        assert drawn[..., 1:-1, 1:-1].abs().max() == 0  # at the border the edge pixel goes on
    assert torch.equal(network._without_boards(torch.ones(1, 3, 16, 16)), torch.ones(1, 3, 16, 16))
    assert "smoothing" not in network.state_dict()
