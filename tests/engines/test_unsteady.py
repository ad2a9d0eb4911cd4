"""Landmarks that are moved a little, by row and step."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from stylswap.engines.unsteady import moved_images, moved_points, sometimes_mirrored, unsteady_cut
from stylswap.errors import SettingsError, ShapeError
from stylswap.faces.landmarks import mirror_landmarks


def unsteady(landmarks: torch.Tensor, rows: Sequence[int], step: int, spread: float) -> torch.Tensor:
    """Landmarks as they lie in the step's cut."""
    return moved_points(landmarks, unsteady_cut(landmarks, rows, step, spread))


def _points(faces: int) -> torch.Tensor:
    return torch.rand(faces, 68, 2, generator=torch.Generator().manual_seed(0)) * 60 + 30


def test_zero_leaves_them() -> None:
    points = _points(2)
    cut = unsteady_cut(points, (0, 1), 3, 0.0)
    assert torch.allclose(cut, torch.eye(2, 3), atol=1e-5)
    assert torch.allclose(moved_points(points, cut), points, atol=1e-4)
    images = torch.rand(2, 3, 16, 16)
    assert torch.allclose(moved_images(images, torch.eye(2, 3).expand(2, 2, 3)), images, atol=1e-5)


def test_same_row_and_step_same_points() -> None:
    points = _points(2)
    assert torch.equal(unsteady(points, (4, 9), 3, 0.1), unsteady(points, (4, 9), 3, 0.1))


def test_other_step_or_row_other_points() -> None:
    points = _points(1)
    here = unsteady(points, (4,), 3, 0.1)
    assert not torch.allclose(here, unsteady(points, (4,), 4, 0.1))
    assert not torch.allclose(here, unsteady(points, (5,), 3, 0.1))


def test_one_similarity_for_all_points() -> None:
    # In the plane a similarity is w = a z + b with complex numbers: three points give a and b, and all others must follow.
    points = _points(1).double()
    before, after = (torch.view_as_complex(each[0].contiguous()) for each in (points, unsteady(points, (1,), 2, 0.1)))
    factor = (after[1] - after[0]) / (before[1] - before[0])
    assert torch.allclose(after, factor * (before - before[0]) + after[0], atol=1e-9)


@pytest.mark.parametrize("spread", [0.02, 0.1])
def test_stays_within_the_spread(spread: float) -> None:
    points = _points(1).double().expand(200, 68, 2)
    moved = unsteady(points, range(200), 0, spread)
    centre = points.mean(1)
    radius = (points - centre[:, None]).square().sum(2).mean(1).sqrt()
    shift = (moved.mean(1) - centre) / radius[:, None]
    assert shift.abs().max() <= spread
    assert shift.abs().max() > 0.9 * spread  # 400 even draws: all of the range is used
    growth = (moved - moved.mean(1, keepdim=True)).square().sum(2).mean(1).sqrt() / radius
    assert growth.log().abs().max() <= spread + 1e-9


def test_wrong_shape_refused() -> None:
    with pytest.raises(ShapeError, match="landmarks"):
        unsteady(torch.zeros(1, 5, 2), (0,), 0, 0.1)


@pytest.mark.parametrize("spread", [-0.1, float("nan"), float("inf")])
def test_wrong_spread_refused(spread: float) -> None:
    with pytest.raises(SettingsError, match="spread"):
        unsteady(torch.zeros(1, 68, 2), (0,), 0, spread)


def test_images_move_as_points_do() -> None:
    # A blot's centre of mass is where its point went.
    points, at = _points(1), torch.tensor([[[40.0, 52.0]]])
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    blot = torch.exp(-((columns - 40).square() + (rows - 52).square()) / 18)[None, None]
    cut = unsteady_cut(points, (7,), 1, 0.2)
    moved = moved_images(blot, cut)[0, 0]
    centre = torch.stack([(moved * columns).sum(), (moved * rows).sum()]) / moved.sum()
    assert torch.dist(centre, at[0, 0]) > 2, "else nothing was tested"
    assert torch.allclose(centre, moved_points(at, cut)[0, 0], atol=0.05)


def test_gradients_flow_through_moved_images() -> None:
    images = torch.rand(1, 1, 12, 12, dtype=torch.float64, requires_grad=True)
    cut = unsteady_cut(_points(1).double() / 8, (0,), 0, 0.1)
    assert torch.autograd.gradcheck(lambda crops: moved_images(crops, cut), (images,))


def test_moved_shapes_that_do_not_fit_are_refused() -> None:
    cut = torch.eye(2, 3)[None]
    with pytest.raises(ShapeError, match="points"):
        moved_points(torch.zeros(2, 68, 2), cut)
    with pytest.raises(ShapeError, match="images"):
        moved_images(torch.zeros(1, 3, 8, 9), cut)


# ---- mirrors


def _sometimes(steps: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """One face in many steps: image and points as they came, and what came out, by step."""
    image, points = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)), _points(1)
    out = [sometimes_mirrored(image, points, (5,), step) for step in range(steps)]
    return image, points, torch.cat([images for images, _ in out]), torch.cat([landmarks for _, landmarks in out])


def test_half_of_the_faces_are_mirrored_and_the_others_are_as_they_came() -> None:
    image, points, images, landmarks = _sometimes(200)
    mirrored = torch.from_numpy(mirror_landmarks(points.numpy(), 96))
    flipped = torch.tensor([bool(torch.equal(one, image[0].flip(2))) for one in images])
    assert 70 < int(flipped.sum()) < 130
    assert torch.equal(images[~flipped], image.expand(200, -1, -1, -1)[~flipped])
    assert torch.equal(landmarks, torch.where(flipped[:, None, None], mirrored, points))


def test_by_row_and_step_alone() -> None:
    images, points = torch.rand(8, 3, 96, 96), _points(8)
    whole = sometimes_mirrored(images, points, range(8), 3)[1]
    assert torch.equal(sometimes_mirrored(images[5:], points[5:], range(5, 8), 3)[1], whole[5:])
    assert not torch.equal(sometimes_mirrored(images, points, range(8), 4)[1], whole)


def test_gradients_find_their_pixels() -> None:
    images = torch.rand(4, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(4, 3, 8, 8, dtype=torch.float64)
    out, points = sometimes_mirrored(images, _points(4).double(), range(4), 0)
    (out * weights).sum().backward()
    flipped = (points != _points(4)).flatten(1).any(1)
    assert 0 < int(flipped.sum()) < 4
    assert images.grad is not None
    assert torch.equal(images.grad, torch.where(flipped[:, None, None, None], weights.flip(3), weights))
