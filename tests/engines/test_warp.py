"""The classical swap: which photo is taken, and where each of its pixels goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.data.faceset import FaceSet
from stylswap.engines.warp import WarpRenderer, image_from_output, warp_face
from stylswap.errors import SettingsError, ShapeError
from stylswap.faces.align import grid_from_pixels, reference_shape, transform_points, warp
from stylswap.faces.batch import FaceBatch
from stylswap.faces.landmarks import JAW, MOUTH, NUM_LANDMARKS
from stylswap.jobs.paste import PASTE_SEGMENTER

SIZE = 64


def set_of(landmarks: Tensor) -> FaceSet:
    """Faces without a picture."""
    count = len(landmarks)
    names = tuple(map(str, range(count)))
    grey = torch.full((count, 3, SIZE, SIZE), 128, dtype=torch.uint8)
    return FaceSet(names, names, grey, grey[:, :1], landmarks, ((0.0, 0.0, 0.0),) * count)


def test_onto_its_own_landmarks_a_face_is_itself(identity_set: FaceSet) -> None:
    faces = identity_set.faces([2, 5])
    images, masks = WarpRenderer(identity_set).render(faces)
    assert images.shape == (2, 3, SIZE, SIZE)
    assert images.dtype == torch.float32
    assert masks is None
    torch.testing.assert_close(images, faces.images, atol=1e-4, rtol=0)


def test_shifted_landmarks_shift_the_face(identity_set: FaceSet) -> None:
    face = identity_set.faces([1])
    moved = warp_face(face.images[0], face.landmarks[0], face.landmarks[0] + torch.tensor([5.0, -3.0]))
    torch.testing.assert_close(moved[:, : SIZE - 3, 5:], face.images[0, :, 3:, : SIZE - 5], atol=1e-4, rtol=0)


def test_turned_and_enlarged_landmarks_turn_and_enlarge_all_of_it(identity_set: FaceSet) -> None:
    face = identity_set.faces([3])
    angle, middle = np.radians(10), (SIZE - 1) / 2
    linear = 1.1 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    output_from_image = np.eye(3)
    output_from_image[:2, :2], output_from_image[:2, 2] = linear, middle - linear @ [middle, middle]
    wanted = torch.from_numpy(transform_points(output_from_image, face.landmarks[0].double().numpy())).float()
    expected = warp(face.images[0], output_from_image, (SIZE, SIZE), mode="bicubic").clamp(0, 1)
    torch.testing.assert_close(warp_face(face.images[0], face.landmarks[0], wanted), expected, atol=2e-3, rtol=0)


def test_each_landmark_lands_on_its_fellow(identity_set: FaceSet) -> None:
    own, other = identity_set.landmarks[0].double().numpy() * 4, identity_set.landmarks[4].double().numpy() * 4
    wanted = np.round(other)
    places, first = np.unique(wanted, axis=0, return_index=True)
    assert len(places) > 60
    x, y = places.astype(int).T
    inside = (x >= 0) & (x < 4 * SIZE) & (y >= 0) & (y < 4 * SIZE)
    points = image_from_output(own, wanted, 4 * SIZE)
    np.testing.assert_allclose(points[y[inside], x[inside]], own[first[inside]], atol=1e-6)


def test_every_pixel_comes_from_somewhere_and_the_forehead_from_the_forehead(identity_set: FaceSet, input_set: FaceSet) -> None:
    """Also above the brows, where there are no landmarks, what is pasted is face."""
    inputs = input_set.faces(range(input_set.num_rows))
    renderer = WarpRenderer(identity_set)
    photos = identity_set.faces(renderer.nearest_rows(inputs.landmarks))
    own_masks = PASTE_SEGMENTER.segment(photos.images, photos.landmarks)
    wanted_masks = PASTE_SEGMENTER.segment(inputs.images, inputs.landmarks)
    for own, wanted, mask, wanted_mask in zip(photos.landmarks, inputs.landmarks, own_masks, wanted_masks, strict=True):
        points = image_from_output(own.double().numpy(), wanted.double().numpy(), SIZE)
        assert np.isfinite(points).all()
        grid = grid_from_pixels(torch.from_numpy(points).float(), SIZE, SIZE)
        found = F.grid_sample(mask[None], grid[None], align_corners=False)[0]
        assert float((found[wanted_mask > 0.99] > 0.5).float().mean()) > 0.98


def test_the_photo_with_the_nearest_landmarks_is_taken_mirrored_where_that_is_nearer(identity_set: FaceSet) -> None:
    renderer = WarpRenderer(identity_set)
    shaken = identity_set.all_landmarks + 0.05 * torch.randn(identity_set.all_landmarks.shape, generator=torch.Generator().manual_seed(1))
    assert renderer.nearest_rows(shaken) == list(range(identity_set.num_rows))
    mirrored = identity_set.faces([len(identity_set) + 2])
    torch.testing.assert_close(renderer.render(mirrored).images[0], identity_set.faces([2]).images[0].flip(-1), atol=1e-4, rtol=0)


def test_the_mouth_counts_more_than_the_jaw() -> None:
    wanted = torch.from_numpy(reference_shape(SIZE)).float()
    other_jaw, other_mouth = wanted.clone(), wanted.clone()
    other_jaw[JAW] += torch.tensor([0.0, 3.0])  # 17 points, 9 each: 153; weighed by half: 76
    other_mouth[MOUTH] += torch.tensor([0.0, 2.0])  # 20 points, 4 each: 80; weighed by four: 320
    identity = set_of(torch.stack([other_jaw, other_mouth]))
    assert WarpRenderer(identity).nearest_rows(wanted[None])[0] % 2 == 0
    assert WarpRenderer(identity, point_weights=[1.0] * NUM_LANDMARKS).nearest_rows(wanted[None])[0] % 2 == 1


def test_a_face_does_not_depend_on_the_faces_beside_it(identity_set: FaceSet, input_set: FaceSet) -> None:
    renderer, inputs = WarpRenderer(identity_set), input_set.faces(range(3))
    together = renderer.render(inputs).images
    assert float(together.min()) >= 0
    assert float(together.max()) <= 1
    for row in range(3):
        assert torch.equal(renderer.render(inputs[row : row + 1]).images[0], together[row])


def test_a_mouth_whose_lips_meet_is_no_trouble(identity_set: FaceSet) -> None:
    face = identity_set.faces([0])
    shut = face.landmarks[0].clone()
    shut[[65, 66, 67]] = shut[[63, 62, 61]]
    assert torch.isfinite(warp_face(face.images[0], face.landmarks[0], shut)).all()
    assert torch.isfinite(warp_face(face.images[0], shut, face.landmarks[0])).all()


def test_what_cannot_be_is_refused(identity_set: FaceSet) -> None:
    large = FaceBatch(torch.zeros(1, 3, 96, 96), identity_set.landmarks[:1], torch.zeros(1, 1, 96, 96))
    with pytest.raises(SettingsError, match="64 px like the identity's photos, got 96 px"):
        WarpRenderer(identity_set).render(large)
    line = torch.linspace(5, 50, NUM_LANDMARKS)[:, None].expand(-1, 2)
    with pytest.raises(ShapeError, match="line"):
        warp_face(torch.zeros(3, SIZE, SIZE), identity_set.landmarks[0], line)
    with pytest.raises(ShapeError):
        warp_face(torch.zeros(3, SIZE, SIZE), identity_set.landmarks[0, :67], identity_set.landmarks[0])
