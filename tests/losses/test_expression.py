"""The expression term, and the distance that teaches its critic: numbers by hand, gradients, refusals."""

import math

import pytest
import torch
from torch import Tensor

from stylswap.errors import ShapeError
from stylswap.losses.expression import expression, point_distance

MOUTH, EYES, BROWS, NOSE, JAW = range(48, 68), range(36, 48), range(17, 27), range(27, 36), range(17)


def face(between: float = 10.0) -> Tensor:
    """Points whose eyes lie so far apart, (68, 2)."""
    points = torch.zeros(68, 2)
    points[36:42] = torch.tensor([20.0, 30.0])
    points[42:48] = torch.tensor([20.0 + between, 30.0])
    return points


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 20 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_by_hand() -> None:
    input_ = torch.stack([face(), face(), face(20.0)])
    output = input_.clone()
    output[1, 60] += torch.tensor([3.0, 4.0])
    output[2, 60] += torch.tensor([3.0, 4.0])
    assert expression(output, input_).tolist() == pytest.approx([0, 25 / 51 / 100, 25 / 51 / 400])


def test_the_unit_is_the_distance_between_the_eyes() -> None:
    input_ = noise(2, 68, 2)
    output = input_ + noise(2, 68, 2, seed=1)
    torch.testing.assert_close(expression(3 * output + 7, 3 * input_ + 7), expression(output, input_))
    moved = input_ + 0.03 * (input_[:, 42:48].mean(dim=1) - input_[:, 36:42].mean(dim=1))[:, None]
    assert expression(moved, input_).tolist() == pytest.approx([0.03**2] * 2)


@pytest.mark.parametrize(
    ("points", "name"), [(MOUTH, "mouth"), (EYES, "eyes"), (BROWS, "brows"), (NOSE, "nose")], ids=["mouth", "eyes", "brows", "nose"]
)
def test_each_part_has_its_weight(points: range, name: str) -> None:
    input_, count = face()[None], len(points)
    output = input_.clone()
    output[:, points.start : points.stop, 0] += 1
    weighed = expression(output, input_, **{name: 3.0}).item()
    assert weighed == pytest.approx(3 * count / (51 - count + 3 * count) / 100)
    assert expression(output, input_, **{name: 0.0}).item() == 0
    others = {part: 0.0 for part in ("mouth", "eyes", "brows", "nose") if part != name}
    assert expression(output, input_, **others).item() == pytest.approx(0.01)


def test_the_jaw_is_the_persons() -> None:
    input_ = face()[None]
    output = input_.clone().requires_grad_()
    moved = output + torch.nn.functional.one_hot(torch.tensor(JAW), 68).sum(dim=0)[None, :, None] * 5.0
    value = expression(moved, input_)
    assert value.item() == 0
    (gradient,) = torch.autograd.grad(expression(output + 1, input_).sum(), output)
    assert gradient[:, :17].abs().max() == 0 < gradient[:, 17:].abs().min()


def test_eyes_on_one_spot_give_finite_numbers() -> None:
    input_ = torch.zeros(1, 68, 2)
    assert expression(input_ + 1, input_).item() == pytest.approx(2.0)  # as if they were a pixel apart
    assert expression(input_ + 1, input_, mouth=0, eyes=0, brows=0, nose=0).item() == 0


def test_gradient() -> None:
    input_ = noise(2, 68, 2)
    output = noise(2, 68, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda points: expression(points, input_, mouth=2.0, brows=0.5), output)
    assert torch.autograd.gradcheck(lambda points: point_distance(points, input_), output)


@pytest.mark.parametrize("term", [expression, point_distance])
def test_a_face_of_the_batch_does_not_see_the_others(term: object) -> None:
    assert callable(term)
    output, input_ = noise(3, 68, 2), noise(3, 68, 2, seed=1)
    together = term(output, input_)
    assert together.shape == (3,)
    torch.testing.assert_close(together, torch.cat([term(output[b : b + 1], input_[b : b + 1]) for b in range(3)]))
    assert len(set(together.tolist())) == 3


def test_the_distance_by_hand() -> None:
    wanted = torch.zeros(2, 4, 2)
    found = wanted.clone()
    found[0, 0], found[0, 1] = torch.tensor([3.0, 4.0]), torch.tensor([0.0, 1.0])
    assert point_distance(found, wanted).tolist() == pytest.approx([(5 + 1) / 4, 0], abs=2e-5)


def test_points_that_are_right_have_a_finite_gradient() -> None:
    points = torch.zeros(1, 68, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(point_distance(points, torch.zeros(1, 68, 2)).sum(), points)
    assert gradient.abs().max() == 0
    assert math.isfinite(point_distance(points, points).item())


@pytest.mark.parametrize(("output", "input_"), [((2, 68, 2), (1, 68, 2)), ((2, 51, 2), (2, 51, 2)), ((2, 68, 3), (2, 68, 3))])
def test_what_does_not_fit_is_refused(output: tuple[int, ...], input_: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"output must be|input_ must be"):
        expression(torch.zeros(output), torch.zeros(input_))
    with pytest.raises(ShapeError, match="wanted must be"):
        point_distance(torch.zeros(1, 5, 2), torch.zeros(1, 6, 2))
