"""The lighting term and the terms that train its network: numbers by hand, gradients, refusals."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError, ShapeError
from stylswap.losses.lighting import classification, contrastive, lighting


def features(*shape: int, seed: int = 0) -> Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(drawn, dim=1)


def test_lighting_by_hand() -> None:
    output = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    input_ = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    assert lighting(output, input_).tolist() == pytest.approx([0, 4, 0.16 + 0.64])


def test_gradients() -> None:
    first, second = features(3, 5, seed=1).requires_grad_(), features(3, 5, seed=2)
    same = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: lighting(f, second), first)
    assert torch.autograd.gradcheck(lambda f: contrastive(f, second, same, margin=1.7), first)
    assert torch.autograd.gradcheck(lambda f: classification(f[:, 0], same), first)


def test_contrastive_by_hand() -> None:
    first = torch.zeros(4, 2)
    second = torch.tensor([[0.3, 0.4], [0.3, 0.4], [1.2, 1.6], [0.0, 0.0]])
    same = torch.tensor([1.0, 0.0, 0.0, 0.0])
    assert contrastive(first, second, same).tolist() == pytest.approx([0.25, 0.25, 0, 1], abs=1e-3)
    assert contrastive(first, second, same, margin=0.5)[1].item() == pytest.approx(0, abs=1e-6)


def test_equal_features_of_different_lights_have_a_finite_gradient() -> None:
    first = torch.zeros(2, 3, requires_grad=True)
    contrastive(first, torch.zeros(2, 3), torch.tensor([0.0, 1.0])).sum().backward()
    assert first.grad is not None
    assert first.grad.isfinite().all()


def test_classification_by_hand() -> None:
    values = classification(torch.tensor([0.0, 30.0, -30.0]), torch.tensor([1.0, 1.0, 1.0]))
    assert values.tolist() == pytest.approx([0.6931, 0, 30], abs=1e-3)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError):
        lighting(torch.ones(2, 3), torch.ones(2, 4))
    with pytest.raises(ShapeError):
        contrastive(torch.ones(2, 3), torch.ones(2, 3), torch.ones(3))
    with pytest.raises(ShapeError):
        classification(torch.ones(2), torch.ones(3))
    with pytest.raises(SettingsError, match="margin"):
        contrastive(torch.ones(2, 3), torch.ones(2, 3), torch.ones(2), margin=0)
