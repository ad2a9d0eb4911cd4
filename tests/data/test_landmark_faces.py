"""Faces for the landmark network: moved pictures whose points moved along."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stylswap.data import landmark_faces
from stylswap.data.batches import batch_rows
from stylswap.data.faceset import FaceSet
from stylswap.data.landmark_faces import LandmarkBatches, _moved, _recoloured

SIZE = 64


@pytest.fixture(scope="module")
def dotted(input_set: FaceSet) -> FaceSet:
    """Faces that are black but for a white dot, whose middle is where all their points are."""
    points = torch.tensor([[20.0, 24.0], [40.0, 30.0], [33.0, 44.0], [26.0, 38.0], [31.0, 31.0], [44.0, 41.0]])
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    squares = (x - points[:, 0, None, None]) ** 2 + (y - points[:, 1, None, None]) ** 2
    images = (255 * (-squares / 8).exp()).round().byte()[:, None].expand(-1, 3, -1, -1).contiguous()
    return replace(input_set, images_u8=images, landmarks=points[:, None].expand(-1, 68, -1).contiguous())


def test_points_follow_the_picture(dotted: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmark_faces, "_recoloured", lambda image, random: image)
    batches = LandmarkBatches(dotted, 6, seed=3)
    for step in range(4):
        faces = batches(step)
        weights = faces.images[:, 0] / faces.images[:, 0].sum(dim=(1, 2), keepdim=True)
        centres = (torch.arange(SIZE) + 0.5) / SIZE
        seen = torch.stack([weights.sum(dim=1) @ centres, weights.sum(dim=2) @ centres], dim=1)
        assert (faces.landmarks[:, 0] - seen).abs().max() < 0.1 / SIZE, "a tenth of a pixel"
        still = dotted.faces(batch_rows(dotted.num_rows, 6, seed=3, step=step)).landmarks[:, 0]
        assert ((faces.landmarks[:, 0] * SIZE - 0.5 - still).norm(dim=1) > 0.5).any(), "and it did move"


def test_a_step_follows_from_seed_and_number(input_set: FaceSet) -> None:
    first, again = (LandmarkBatches(input_set, 4, seed=1)(5) for _ in range(2))
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.landmarks, again.landmarks)
    for other in (LandmarkBatches(input_set, 4, seed=1)(6), LandmarkBatches(input_set, 4, seed=2)(5)):
        assert not torch.equal(first.images, other.images)


def test_a_batch_is_pictures_and_shares_of_the_crop(input_set: FaceSet) -> None:
    faces = LandmarkBatches(input_set, 5)(0)
    assert faces.images.shape == (5, 3, SIZE, SIZE)
    assert faces.landmarks.shape == (5, 68, 2)
    assert faces.images.dtype == faces.landmarks.dtype == torch.float32
    assert faces.images.min() >= 0
    assert faces.images.max() <= 1
    assert 0.3 < float(faces.landmarks.mean()) < 0.7
    rows = batch_rows(input_set.num_rows, 5, seed=0, step=0)
    still = (input_set.faces(rows).landmarks + 0.5) / SIZE
    assert (faces.landmarks - still).norm(dim=2).max() < 0.25, "moved, not lost"


def test_moves_keep_to_their_limits() -> None:
    random = np.random.default_rng(0)
    drawn = np.stack([_moved(SIZE, random) for _ in range(300)])
    middle = np.array([(SIZE - 1) / 2, (SIZE - 1) / 2, 1.0])
    shifts = (drawn @ middle - middle)[:, :2]
    assert np.abs(shifts).max() <= landmark_faces.MOST_SHIFT * SIZE
    assert np.abs(shifts).max() > 0.8 * landmark_faces.MOST_SHIFT * SIZE
    areas = np.linalg.det(drawn)
    assert (1 - landmark_faces.MOST_SCALE) ** 2 <= areas.min() < 0.9
    assert 1.1 < areas.max() <= (1 + landmark_faces.MOST_SCALE) ** 2
    turns = np.degrees(np.arctan2(drawn[:, 1, 0], drawn[:, 0, 0]))
    assert 0.8 * landmark_faces.MOST_TURN_DEG < np.abs(turns).max() <= landmark_faces.MOST_TURN_DEG


def test_new_colours_keep_the_picture_where_it_was(input_set: FaceSet) -> None:
    image = input_set.faces([0]).images[0]
    drawn = [_recoloured(image, np.random.default_rng(seed)) for seed in range(8)]
    for one in drawn:
        assert one.shape == image.shape
        assert one.min() >= 0
        assert one.max() <= 1
        assert torch.corrcoef(torch.stack([image.mean(dim=0).flatten(), one.mean(dim=0).flatten()]))[0, 1] > 0.85
    means = torch.stack([one.mean(dim=(1, 2)) for one in drawn])
    assert means.mean(dim=1).std() > 0.03, "other exposures"
    assert (means[:, 0] / means[:, 2]).std() > 0.03, "other colours"
