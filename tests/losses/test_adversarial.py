"""The adversarial terms: numbers by hand, gradients, masks, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stylswap.errors import ShapeError
from stylswap.losses.adversarial import discriminator_hinge, face_cells, generator_hinge


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def cells(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# ---- numbers


def test_the_discriminators_hinge_by_hand() -> None:
    real = torch.tensor([[[[2.0, 0.0], [0.5, -1.0]]]])  # costs 0, 1, 0.5, 2
    fake = torch.tensor([[[[-3.0, 0.0], [-0.5, 1.0]]]])  # costs 0, 1, 0.5, 2
    assert discriminator_hinge(real, fake).tolist() == [3.5 / 4 + 3.5 / 4]
    real_mask = torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]])
    fake_mask = torch.tensor([[[[0.0, 0.0], [1.0, 1.0]]]])
    masked = discriminator_hinge(real, fake, real_mask=real_mask, fake_mask=fake_mask)
    assert masked.tolist() == pytest.approx([0.5 / 1.5 + 2.5 / 2])


def test_the_opponents_hinge_by_hand() -> None:
    fake = torch.tensor([[[[-3.0, 0.0], [-0.5, 1.0]]]])
    assert generator_hinge(fake).tolist() == [2.5 / 4]
    assert generator_hinge(fake, mask=torch.tensor([[[[0.0, 0.0], [0.5, 1.0]]]])).tolist() == pytest.approx([-0.75 / 1.5])


def test_two_is_what_it_costs_to_say_nothing() -> None:
    assert discriminator_hinge(torch.zeros(3, 1, 4, 4), torch.zeros(3, 1, 4, 4)).tolist() == [2, 2, 2]


def test_beyond_its_margin_a_patch_teaches_nothing() -> None:
    real, fake = torch.full((1, 1, 2, 2), 1.5, requires_grad=True), torch.full((1, 1, 2, 2), -1.5, requires_grad=True)
    total = discriminator_hinge(real, fake)
    total.sum().backward()
    assert total.item() == real.grad.abs().max() == fake.grad.abs().max() == 0


def test_they_pull_in_opposite_directions() -> None:
    real, fake = torch.zeros(1, 1, 2, 2, requires_grad=True), torch.zeros(1, 1, 2, 2, requires_grad=True)
    discriminator_hinge(real, fake).sum().backward()
    assert real.grad.tolist() == [[[[-0.25, -0.25], [-0.25, -0.25]]]]
    assert fake.grad.tolist() == [[[[0.25, 0.25], [0.25, 0.25]]]]
    fake.grad = None
    generator_hinge(fake).sum().backward()
    assert fake.grad.tolist() == [[[[-0.25, -0.25], [-0.25, -0.25]]]]


@pytest.mark.parametrize("masked", [False, True])
def test_gradient(masked: bool) -> None:
    real, fake = (noise(2, 1, 3, 4, seed=seed, dtype=torch.float64).requires_grad_() for seed in (1, 2))
    one, two = (cells(2, 1, 3, 4, seed=seed, dtype=torch.float64) if masked else None for seed in (3, 4))
    assert torch.autograd.gradcheck(lambda r, f: discriminator_hinge(r, f, real_mask=one, fake_mask=two), (real, fake))
    assert torch.autograd.gradcheck(lambda f: generator_hinge(f, mask=two), fake)


# ---- masks and batches


def test_a_face_of_the_batch_does_not_see_the_others() -> None:
    real, fake, mask = noise(3, 1, 4, 4, seed=1), noise(3, 1, 4, 4, seed=2), cells(3, 1, 4, 4, seed=3)
    together = discriminator_hinge(real, fake, real_mask=mask, fake_mask=mask)
    alone = [discriminator_hinge(real[[b]], fake[[b]], real_mask=mask[[b]], fake_mask=mask[[b]]) for b in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))
    torch.testing.assert_close(generator_hinge(fake, mask=mask), torch.cat([generator_hinge(fake[[b]], mask=mask[[b]]) for b in range(3)]))
    assert len(set(together.tolist())) == 3


def test_cells_without_weight_have_no_influence() -> None:
    fake, mask = noise(1, 1, 4, 4).requires_grad_(), cells(1, 1, 4, 4)
    mask[..., 2:, :] = 0
    total = generator_hinge(fake, mask=mask)
    changed = fake.detach().clone()
    changed[..., 2:, :] = 9
    assert torch.equal(generator_hinge(changed, mask=mask), total.detach())
    (gradient,) = torch.autograd.grad(total.sum(), fake)
    assert gradient[..., 2:, :].abs().max() == 0 < gradient[..., :2, :].abs().min()


def test_an_empty_mask_adds_nothing() -> None:
    real, fake = noise(1, 1, 4, 4, seed=1), noise(1, 1, 4, 4, seed=2).requires_grad_()
    none = torch.zeros(1, 1, 4, 4)
    total = generator_hinge(fake, mask=none)
    (gradient,) = torch.autograd.grad(total.sum(), fake)
    assert total.item() == gradient.abs().max() == 0
    whole = discriminator_hinge(real, fake, real_mask=none) + discriminator_hinge(real, fake, fake_mask=none)
    torch.testing.assert_close(whole, discriminator_hinge(real, fake))


def test_the_weight_of_a_cell_is_the_share_of_the_face_in_it() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :3] = 1
    found = face_cells(mask, torch.zeros(1, 1, 2, 2))
    assert found.tolist() == [[[[0.75, 0.0], [0.75, 0.0]]]]
    assert torch.equal(face_cells(mask, torch.zeros(1, 1, 8, 8)), mask)


# ---- refusals


@pytest.mark.parametrize("shape", [(2, 1, 4, 8), (1, 1, 4, 4), (2, 2, 4, 4), (2, 4, 4)])
def test_logits_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="fake must be"):
        discriminator_hinge(torch.zeros(2, 1, 4, 4), torch.zeros(shape))


def test_masks_that_do_not_fit_are_refused() -> None:
    logits = torch.zeros(2, 1, 4, 4)
    for wrong in (torch.ones(2, 1, 32, 32), torch.ones(1, 1, 4, 4), torch.ones(2, 4, 4)):
        with pytest.raises(ShapeError, match="mask must be"):
            generator_hinge(logits, mask=wrong)
        with pytest.raises(ShapeError, match="mask must be"):
            discriminator_hinge(logits, logits, real_mask=wrong)
        with pytest.raises(ShapeError, match="mask must be"):
            discriminator_hinge(logits, logits, fake_mask=wrong)
    with pytest.raises(ShapeError, match="fake must be"):
        generator_hinge(torch.zeros(2, 3, 4, 4))


@pytest.mark.parametrize(
    ("mask_shape", "message"),
    [((2, 1, 30, 30), "multiple of 4"), ((2, 1, 2, 2), "multiple of 4"), ((1, 1, 32, 32), "must be"), ((2, 1, 32, 16), "must be")],
)
def test_masks_that_cannot_be_reduced_are_refused(mask_shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        face_cells(torch.ones(mask_shape), torch.zeros(2, 1, 4, 4))
