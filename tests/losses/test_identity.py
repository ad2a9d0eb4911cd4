"""The identity and residual terms: numbers by hand, gradients, refusals."""

import pytest
import torch
import torch.nn.functional as F

from stylswap.errors import ShapeError
from stylswap.losses.identity import identity, residual


def test_by_hand() -> None:
    outputs = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.6, 0.8]])
    assert identity(outputs, torch.tensor([1.0, 0.0])).tolist() == pytest.approx([0, 2, 0.4])


def test_gradient_leads_towards_the_identity() -> None:
    drawn = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    wanted = F.normalize(torch.arange(5.0, dtype=torch.float64), dim=0)
    assert torch.autograd.gradcheck(lambda features: identity(F.normalize(features, dim=1), wanted), drawn)
    before = identity(F.normalize(drawn, dim=1), wanted).sum()
    (gradient,) = torch.autograd.grad(before, drawn)
    assert float(identity(F.normalize((drawn - 0.1 * gradient).detach(), dim=1), wanted).sum()) < float(before.detach())


def test_another_number_of_features_is_refused() -> None:
    with pytest.raises(ShapeError, match="D"):
        identity(torch.zeros(2, 4), torch.zeros(5))


def test_residual_by_hand() -> None:
    # The identity lies along x. The first input is at right angles to it, the second shares 0.6 with it.
    wanted = torch.tensor([1.0, 0.0])
    inputs = torch.tensor([[0.0, 1.0], [0.6, 0.8]])
    assert residual(inputs, inputs, wanted).tolist() == pytest.approx([1, 0.4]), "an input that stayed"
    assert residual(wanted.expand(2, 2), inputs, wanted).tolist() == pytest.approx([0, 0]), "one that became the identity"
    assert residual(torch.tensor([[0.6, 0.8], [0.8, 0.6]]), inputs, wanted).tolist() == pytest.approx([0.8, 0.96 - 0.6])
    against = torch.tensor([[-1.0, 0.0]])
    assert residual(-against, against, -against[0]).item() == 0
    assert residual(against, against, -against[0]).item() == pytest.approx(2)


def test_nobody_is_asked_to_be_less_alike_than_the_two_people_are() -> None:
    wanted, inputs = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([[0.6, 0.8, 0.0]])
    far = torch.tensor([[0.5, 0.0, 0.75**0.5]]).requires_grad_()  # shares 0.3 with the input: below 0.6
    near = torch.tensor([[0.8, 0.6, 0.0]]).requires_grad_()
    assert residual(far, inputs, wanted).item() == 0
    (gradient,) = torch.autograd.grad(residual(far, inputs, wanted).sum(), far)
    assert gradient.abs().max() == 0
    (gradient,) = torch.autograd.grad(residual(near, inputs, wanted).sum(), near)
    torch.testing.assert_close(gradient, inputs)


def test_the_residual_of_a_face_is_its_own() -> None:
    drawn = [F.normalize(torch.randn(4, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1) for seed in (0, 1)]
    wanted = F.normalize(torch.ones(6, dtype=torch.float64), dim=0)
    together = residual(*drawn, wanted)
    torch.testing.assert_close(together, torch.cat([residual(drawn[0][b : b + 1], drawn[1][b : b + 1], wanted) for b in range(4)]))
    outputs = (2 * drawn[1] + 0.5 * drawn[0]).requires_grad_()
    assert (residual(outputs.detach(), drawn[1], wanted) > 0.1).all(), "on the slope of the hinge"
    assert torch.autograd.gradcheck(lambda features: residual(features, drawn[1], wanted), outputs)


@pytest.mark.parametrize("shapes", [((2, 4), (3, 4), (4,)), ((2, 4), (2, 5), (4,)), ((2, 4), (2, 4), (5,))])
def test_residuals_of_what_does_not_fit_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ShapeError, match="features must be"):
        residual(*(torch.zeros(shape) for shape in shapes))
