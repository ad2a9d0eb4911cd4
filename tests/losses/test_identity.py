"""The identity term: numbers by hand, gradients, refusals."""

import pytest
import torch
import torch.nn.functional as F

from stylswap.errors import ShapeError
from stylswap.losses.identity import identity


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
