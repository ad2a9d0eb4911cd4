"""Faces in memory, and their mirror images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from stylswap.data.augment import with_light_fan, with_random_lights
from stylswap.data.faceset import FaceSet, RowBatch
from stylswap.errors import ShapeError
from stylswap.faces.landmarks import MIRROR, Pose

COUNT, SIZE = 4, 6


@pytest.fixture
def faces() -> FaceSet:
    generator = torch.Generator().manual_seed(0)
    return FaceSet(
        names=tuple(f"{number}.jpg" for number in range(COUNT)),
        hashes=tuple(f"{number:064x}" for number in range(COUNT)),
        images_u8=torch.randint(0, 256, (COUNT, 3, SIZE, SIZE), generator=generator, dtype=torch.uint8),
        masks_u8=torch.randint(0, 256, (COUNT, 1, SIZE, SIZE), generator=generator, dtype=torch.uint8),
        landmarks=torch.rand(COUNT, 68, 2, generator=generator) * SIZE,
        poses=tuple(Pose(float(number), 0.0, 0.0) for number in range(COUNT)),
    )


@pytest.fixture
def covered(faces: FaceSet) -> FaceSet:
    """The same faces, and something in front of them."""
    generator = torch.Generator().manual_seed(1)
    return dataclasses.replace(faces, kept_u8=torch.randint(0, 256, (COUNT, 1, SIZE, SIZE), generator=generator, dtype=torch.uint8))


def test_sizes(faces: FaceSet) -> None:
    assert (len(faces), faces.num_rows, faces.size) == (COUNT, 2 * COUNT, SIZE)
    assert faces.all_landmarks.shape == (2 * COUNT, 68, 2)


def test_a_row_is_its_photo_in_floats(faces: FaceSet) -> None:
    batch = faces.faces([2, 0])
    assert batch.images.dtype == torch.float32
    assert torch.equal(batch.images, faces.images_u8[[2, 0]].float() / 255)
    assert torch.equal(batch.masks, faces.masks_u8[[2, 0]].float() / 255)
    assert torch.equal(batch.landmarks, faces.landmarks[[2, 0]])
    assert batch.images.max() <= 1


def test_the_second_half_is_mirrored(faces: FaceSet) -> None:
    batch = faces.faces([1, COUNT + 1, COUNT + 3])
    assert torch.equal(batch.images[1], batch.images[0].flip(-1))
    assert torch.equal(batch.masks[1], batch.masks[0].flip(-1))
    assert torch.allclose(batch.landmarks[1, :, 0], SIZE - 1 - faces.landmarks[1, MIRROR, 0])
    assert torch.equal(batch.landmarks[1, :, 1], faces.landmarks[1, MIRROR, 1])
    assert torch.equal(batch.images[2], faces.images_u8[3].flip(-1).float() / 255)


def test_all_landmarks_are_those_of_the_rows(faces: FaceSet) -> None:
    for row in range(faces.num_rows):
        assert torch.equal(faces.all_landmarks[row], faces.faces([row]).landmarks[0])


def test_a_landmark_stays_on_its_pixel_in_the_mirror(faces: FaceSet) -> None:
    images = torch.zeros_like(faces.images_u8)
    landmarks = faces.landmarks.clone()
    landmarks[0, 36] = torch.tensor([1.0, 4.0])
    images[0, :, 4, 1] = 255
    marked = dataclasses.replace(faces, images_u8=images, landmarks=landmarks)
    mirrored = marked.faces([COUNT])
    x, y = mirrored.landmarks[0, 45].long().tolist()
    assert mirrored.images[0, :, y, x].tolist() == [1, 1, 1]


def test_asking_does_not_change_the_set(faces: FaceSet) -> None:
    before = faces.images_u8.clone(), faces.landmarks.clone()
    batch = faces.faces([0, COUNT])
    batch.images.zero_()
    batch.landmarks.zero_()
    assert torch.equal(faces.images_u8, before[0])
    assert torch.equal(faces.landmarks, before[1])


def test_a_batch_remembers_its_rows(faces: FaceSet) -> None:
    batch = faces.batch([5, 5, 0])
    assert batch.rows == (5, 5, 0)
    assert torch.equal(batch.faces.images, faces.faces([5, 5, 0]).images)


def test_what_covers_a_face_is_mirrored_with_it(covered: FaceSet) -> None:
    batch = covered.batch([2, COUNT + 2, 0])
    assert covered.kept_u8 is not None
    assert batch.kept.dtype == torch.float32
    assert torch.equal(batch.kept[[0, 2]], covered.kept_u8[[2, 0]].float() / 255)
    assert torch.equal(batch.kept[1], batch.kept[0].flip(-1))
    assert torch.equal(covered.kept([COUNT + 2]), batch.kept[1:2])
    # Where picture, mask and cover are one drawing, they stay one in the mirror.
    drawing = dataclasses.replace(covered, images_u8=covered.kept_u8.expand(-1, 3, -1, -1), masks_u8=covered.kept_u8)
    batch = drawing.batch(range(2 * COUNT))
    assert torch.equal(batch.kept, batch.faces.masks)
    assert torch.equal(batch.kept.expand(-1, 3, -1, -1), batch.faces.images)


def test_nothing_covers_faces_where_nobody_looked(faces: FaceSet) -> None:
    batch = faces.batch([1, COUNT])
    for kept in (batch.kept, RowBatch(batch.faces, batch.rows).kept):
        assert torch.equal(kept, torch.zeros(2, 1, SIZE, SIZE))
    assert torch.equal(RowBatch(batch.faces, batch.rows, torch.tensor(0.5)).kept, torch.full((2, 1, SIZE, SIZE), 0.5))
    assert faces.batch([]).kept.shape == (0, 1, SIZE, SIZE)


@pytest.mark.parametrize("shape", [(1, 1, SIZE, SIZE), (2, SIZE, SIZE), (2, 3, SIZE, SIZE)])
def test_a_cover_that_does_not_fit_the_batch_is_refused(faces: FaceSet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        RowBatch(faces.faces([0, 1]), (0, 1), torch.zeros(shape))


def test_a_subset_and_other_lights_keep_the_cover(covered: FaceSet, faces: FaceSet) -> None:
    assert covered.kept_u8 is not None
    some = covered.subset([3, 1]).kept_u8
    assert some is not None
    assert torch.equal(some, covered.kept_u8[[3, 1]])
    fan, copies = with_light_fan(covered)
    assert fan.kept_u8 is not None
    assert torch.equal(fan.kept_u8, covered.kept_u8.repeat(copies, 1, 1, 1))
    lit = with_random_lights(covered, 1.0, seed=0)
    assert lit.kept_u8 is not None
    assert torch.equal(lit.kept_u8, covered.kept_u8.repeat(2, 1, 1, 1))
    assert faces.subset([0]).kept_u8 is with_random_lights(faces, 1.0, seed=0).kept_u8 is None


def test_no_rows_give_an_empty_batch(faces: FaceSet) -> None:
    assert len(faces.faces([])) == 0


@pytest.mark.parametrize("rows", [[-1], [0, 2 * COUNT]])
def test_rows_that_do_not_exist_are_refused(faces: FaceSet, rows: list[int]) -> None:
    with pytest.raises(ShapeError, match=r"rows must be in 0\.\.7"):
        faces.faces(rows)


def test_a_subset_keeps_what_belongs_together(faces: FaceSet) -> None:
    some = faces.subset([3, 1])
    assert (some.names, some.hashes) == (("3.jpg", "1.jpg"), (faces.hashes[3], faces.hashes[1]))
    assert [pose.yaw_deg for pose in some.poses] == [3.0, 1.0]
    assert torch.equal(some.faces([0, 3]).images, faces.faces([3, COUNT + 1]).images)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("images_u8", torch.zeros(COUNT, 3, SIZE, SIZE + 1)),
        ("masks_u8", torch.zeros(COUNT - 1, 1, SIZE, SIZE)),
        ("kept_u8", torch.zeros(COUNT, 3, SIZE, SIZE)),
        ("kept_u8", torch.zeros(COUNT - 1, 1, SIZE, SIZE)),
        ("landmarks", torch.zeros(COUNT, 51, 2)),
        ("names", ("0.jpg",)),
        ("hashes", ()),
        ("poses", (Pose(0, 0, 0),)),
    ],
)
def test_what_does_not_fit_is_refused(faces: FaceSet, name: str, value: object) -> None:
    with pytest.raises(ShapeError):
        dataclasses.replace(faces, **{name: value})


def test_prepared_faces_are_a_set(identity_set: FaceSet) -> None:
    assert identity_set.images_u8.dtype == identity_set.masks_u8.dtype == torch.uint8
    assert identity_set.landmarks.dtype == torch.float32
    mirrored = identity_set.faces(range(len(identity_set), identity_set.num_rows))
    nose = mirrored.landmarks[:, 30].numpy()
    assert np.all((nose > 0) & (nose < identity_set.size))
