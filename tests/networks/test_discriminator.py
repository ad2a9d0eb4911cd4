"""The discriminator: shapes, what a logit sees, bounds, frozen use, seeds, and that it hears the difference of sharp and blurred."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.errors import SettingsError, ShapeError
from stylswap.losses.adversarial import discriminator_hinge
from stylswap.networks.discriminator import PatchDiscriminator, build_discriminator

SMALL = (4, 6, 8)


def images(side: int, batch: int = 2, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(seed))


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("side", [8, 40, 128, 256])
def test_a_logit_for_every_square_of_eight_pixels(side: int) -> None:
    logits = build_discriminator(widths=SMALL)(images(side))
    assert logits.shape == (2, 1, side // 8, side // 8)
    assert logits.isfinite().all()


def test_it_is_small() -> None:
    assert sum(parameter.numel() for parameter in build_discriminator().parameters()) == 43_953


def test_every_convolution_is_bound() -> None:
    network = build_discriminator(widths=SMALL)
    for _ in range(50):
        network(images(16))
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 4
    for convolution in convolutions:
        assert torch.linalg.matrix_norm(convolution.weight.detach().flatten(1), 2).item() == pytest.approx(1.0, abs=1e-3)


def test_a_logit_sees_its_field_and_no_more() -> None:
    network = build_discriminator(widths=SMALL).eval()
    seen = torch.zeros(128, 128, dtype=torch.bool)
    for seed in range(4):  # a leaky ReLU lets everything through, but sums may cancel
        faces = images(128, batch=1, seed=seed).requires_grad_()
        (gradient,) = torch.autograd.grad(network(faces)[0, 0, 8, 8], faces)
        seen |= gradient[0].abs().sum(dim=0) > 0
    rows, columns = seen.any(dim=1).nonzero()[:, 0], seen.any(dim=0).nonzero()[:, 0]
    assert int(rows[-1] - rows[0]) + 1 == int(columns[-1] - columns[0]) + 1 == PatchDiscriminator.FIELD
    assert int(rows[0] + rows[-1]) == 2 * 64 + 7, "the middle of the field is that of the square of logit 8, rows 64 to 71"


def test_a_face_does_not_see_the_others_of_its_batch() -> None:
    network = build_discriminator(widths=SMALL).eval()
    faces = images(32, batch=3)
    alone = torch.cat([network(face[None]) for face in faces])
    torch.testing.assert_close(network(faces), alone, atol=1e-5, rtol=1e-5)


def test_flat_images_have_no_detail_even_at_the_border() -> None:
    flat = F.pad(torch.full((1, 3, 8, 8), 0.7), (1, 1, 1, 1), mode="replicate")
    high_pass = build_discriminator(widths=SMALL).high_pass
    assert F.conv2d(flat, high_pass).abs().max() < 1e-5
    board = ((torch.arange(8)[:, None] + torch.arange(8)) % 2).float().expand(1, 3, 8, 8)
    assert F.conv2d(board, high_pass).abs().mean().item() == pytest.approx(16 * 0.5)


def test_frozen_it_lets_the_gradient_through_and_stays_as_it_is() -> None:
    network = build_discriminator(widths=SMALL)
    network.body[1].bias.requires_grad_(False)  # comes back as it was, not simply on
    before = state(network)
    faces = images(32).requires_grad_()
    with network.frozen():
        logits = network(faces)
    logits.sum().backward()
    assert faces.grad is not None
    assert faces.grad.abs().amax(dim=(1, 2, 3)).min() > 0
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert network.training
    assert [name for name, parameter in network.named_parameters() if not parameter.requires_grad] == ["body.1.bias"]


def test_it_thaws_after_an_error() -> None:
    network = build_discriminator(widths=SMALL)
    with pytest.raises(ShapeError), network.frozen():
        network(images(12))
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_state_goes_on_with_the_same_numbers() -> None:
    def train(network: PatchDiscriminator, steps: range) -> list[float]:
        found = []
        for step in steps:
            network.zero_grad()
            total = network(images(16, seed=step)).square().mean()
            total.backward()
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.sub_(0.1 * parameter.grad)
            found.append(total.item())
        return found

    whole, first = build_discriminator(widths=SMALL), build_discriminator(widths=SMALL)
    expected = train(whole, range(6))
    train(first, range(3))
    second = build_discriminator(widths=SMALL, seed=9)
    second.load_state_dict(state(first))
    assert train(second, range(3, 6)) == expected[3:]
    assert all(torch.equal(a, b) for a, b in zip(second.state_dict().values(), whole.state_dict().values(), strict=True))


def test_it_soon_tells_sharp_from_blurred() -> None:
    network = build_discriminator(widths=SMALL)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01, betas=(0.5, 0.99))
    totals = []
    for step in range(40):
        # Noise on smooth ramps: what a low-pass leaves of the two is alike.
        ground = F.interpolate(images(4, batch=8, seed=step), size=32, mode="bilinear")
        sharp = (ground + 0.2 * (images(32, batch=8, seed=1000 + step) - 0.5)).clamp(0, 1)
        blurred = F.avg_pool2d(F.pad(sharp, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        logits = network(torch.cat([sharp[:4], blurred[4:]]))
        total = discriminator_hinge(logits[:4], logits[4:]).mean()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(total.item())
    assert totals[0] == pytest.approx(2.0, abs=0.2), "at first it cannot"
    assert sum(totals[-5:]) / 5 < 0.5


def test_settings_build_it_again_and_the_global_random_state_stays() -> None:
    first = build_discriminator(seed=3, widths=SMALL)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    again = build_discriminator(seed=3, **first.settings())
    assert torch.equal(torch.rand(1), expected)
    assert first.settings() == {"widths": [4, 6, 8]}
    assert first.state_dict().keys() == again.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    other = build_discriminator(seed=4, **first.settings())
    assert not torch.equal(first.body[1].weight, other.body[1].weight)


@pytest.mark.parametrize("widths", [(), (4, 8), (4, 8, 8, 8), (4, 0, 8), (4, 8.0, 8), (True, 8, 8)])
def test_widths_that_do_not_fit_are_refused(widths: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match="discriminator: widths"):
        build_discriminator(widths=widths)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 16, 16), "images must be"),
        ((1, 3, 16, 24), "images must be"),
        ((3, 16, 16), "images must be"),
        ((1, 3, 12, 12), "multiple of 8, got 12"),
        ((1, 3, 0, 0), "multiple of 8, got 0"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        build_discriminator(widths=SMALL)(torch.zeros(shape))
