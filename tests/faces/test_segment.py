"""Face masks from landmarks: in the right place, of the right size, symmetric, and soft towards the inside only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from skimage.draw import polygon2mask
from torch import Tensor

from stylswap.data.faceset import FaceSet
from stylswap.errors import ShapeError
from stylswap.faces.align import reference_shape
from stylswap.faces.landmarks import BROWS, EYES, INNER, JAW, MOUTH, NOSE, head_pose, mirror_landmarks
from stylswap.faces.segment import FACE_OUTLINE, WIDE_OUTLINE, LandmarkSegmenter, _fill, face_outline, feature_areas

SIZE = 96
REFERENCE = reference_shape(SIZE)
TRUE_OUTLINE = LandmarkSegmenter(inset=0.0)


def mask_of(landmarks: npt.NDArray[np.float64], segmenter: LandmarkSegmenter | None = None, size: int = SIZE) -> Tensor:
    """(H, W)."""
    points = torch.from_numpy(landmarks)[None]
    return (segmenter or LandmarkSegmenter()).segment(torch.zeros(1, 3, size, size), points)[0, 0]


def area(outline: npt.NDArray[np.float64]) -> float:
    """Of a polygon, by the shoelace formula."""
    x, y = outline.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def turned_head(yaw_deg: float) -> npt.NDArray[np.float64]:
    """The reference shape on a cylinder that is turned about its axis: one cheek is pressed together, the other is stretched."""
    middle, radius = (SIZE - 1) / 2, 0.36 * SIZE
    angle = np.arcsin(np.clip((REFERENCE[:, 0] - middle) / radius, -1, 1))
    turned = REFERENCE.copy()
    turned[:, 0] = middle + radius * np.sin(angle + np.radians(yaw_deg))
    return turned


def test_the_area_is_that_of_the_outline() -> None:
    for landmarks in (REFERENCE, turned_head(35), REFERENCE * 0.7 + 12.3):
        mask = mask_of(landmarks, TRUE_OUTLINE)
        assert float(mask.sum()) == pytest.approx(area(face_outline(landmarks, TRUE_OUTLINE.forehead)), rel=0.01)


def test_a_face_fills_a_sane_part_of_the_crop() -> None:
    assert 0.30 < float(mask_of(REFERENCE).mean()) < 0.50


def test_the_inset_shrinks_by_its_square() -> None:
    whole = float(mask_of(REFERENCE, TRUE_OUTLINE).sum())
    assert float(mask_of(REFERENCE, LandmarkSegmenter(inset=0.1)).sum()) == pytest.approx(0.81 * whole, rel=0.01)


def test_the_outline_is_the_jaw_and_an_arc_above_the_brows() -> None:
    outline = face_outline(REFERENCE, forehead=0.62)
    assert np.array_equal(outline[:17], REFERENCE[:17])
    brows, nose = REFERENCE[17:27].mean(axis=0), REFERENCE[33]
    assert outline[:, 1].min() == pytest.approx(brows[1] - 0.62 * (nose - brows)[1], abs=0.5)
    assert outline[17:, 1].max() < REFERENCE[[0, 16], 1].max()
    heights = [face_outline(REFERENCE, share)[:, 1].min() for share in (0.3, 0.6, 1.0)]
    assert heights == sorted(heights, reverse=True), "a higher forehead reaches further up"


def test_it_holds_the_inner_points_and_not_the_corners() -> None:
    mask = mask_of(REFERENCE)
    for x, y in REFERENCE[INNER].round().astype(int):
        assert mask[y, x] == 1
    assert not mask[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert mask[int(REFERENCE[8, 1]) + 3 :].sum() == 0, "nothing below the chin"


def test_the_mirrored_face_has_the_mirrored_mask() -> None:
    lopsided = turned_head(25) + np.random.default_rng(0).normal(0, 0.5, (68, 2))
    for segmenter in (LandmarkSegmenter(), LandmarkSegmenter(softness=0.02)):
        mirrored = mask_of(mirror_landmarks(lopsided, SIZE), segmenter)
        # 1/16 is one of the 4 x 4 samples of an edge pixel: a tie may fall to either side.
        assert (mirrored.flip(-1) - mask_of(lopsided, segmenter)).abs().max() <= 1 / 16 + 1e-6


def test_the_mask_moves_with_the_face() -> None:
    moved = mask_of(REFERENCE + np.array([5, -3]))
    assert torch.equal(moved[:-3, 5:], mask_of(REFERENCE)[3:, :-5])


@pytest.mark.parametrize("size", [48, 192])
def test_the_mask_grows_with_the_crop(size: int) -> None:
    small, large = mask_of(REFERENCE), mask_of(reference_shape(size), size=size)
    assert float(large.mean()) == pytest.approx(float(small.mean()), rel=0.01)


@pytest.mark.parametrize("softness", [0.01, 0.03])
def test_a_soft_edge_stays_inside(softness: float) -> None:
    hard, soft = mask_of(REFERENCE), mask_of(REFERENCE, LandmarkSegmenter(softness=softness))
    assert (soft <= hard + 1e-6).all()
    assert soft.min() >= 0
    assert soft[int(REFERENCE[30, 1]), int(REFERENCE[30, 0])] == pytest.approx(1, abs=1e-6)
    steps = [mask.diff(dim=0).abs().max() for mask in (hard, soft)]
    assert steps[1] < 0.5 / (softness * SIZE) < steps[0] + 0.5, "no step steeper than the Gaussian's"
    assert ((soft > 0.05) & (soft < 0.95)).sum() > 2 * ((hard > 0.05) & (hard < 0.95)).sum()


@pytest.mark.parametrize("yaw_deg", [-40, -20, 20, 40])
def test_a_turned_head_keeps_its_features_and_leaves_the_background(yaw_deg: float) -> None:
    landmarks = turned_head(yaw_deg)
    assert head_pose(landmarks).yaw_deg * yaw_deg > 0, "this head is turned"
    mask = mask_of(landmarks)
    features = landmarks[np.concatenate([EYES, MOUTH])].round().astype(int)
    inside = np.mean([float(mask[y, x]) for x, y in features])
    assert inside > 0.9
    assert 0.15 < float(mask.mean()) < 0.5
    columns = torch.nonzero(mask.sum(dim=0)).flatten()
    assert columns.min() > landmarks[:, 0].min() - 4
    assert columns.max() < landmarks[:, 0].max() + 4


def test_a_tilted_head_has_a_tilted_forehead() -> None:
    angle = np.radians(30)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = REFERENCE.mean(axis=0)
    tilted = (REFERENCE - centre) @ turn.T + centre
    outline = (face_outline(REFERENCE, 0.62) - centre) @ turn.T + centre
    assert np.allclose(face_outline(tilted, 0.62), outline, atol=1e-9)


@pytest.mark.parametrize("yaw_deg", [-30, 0, 30])
def test_the_wide_outline_holds_the_narrow_one_and_the_hairline(yaw_deg: float) -> None:
    landmarks = turned_head(yaw_deg)
    narrow, wide = mask_of(landmarks, FACE_OUTLINE), mask_of(landmarks, WIDE_OUTLINE)
    assert (wide >= narrow).all()
    assert 1.15 * narrow.sum() < wide.sum() < 1.8 * narrow.sum()
    tops = [int(torch.nonzero(mask.sum(dim=1)).min()) for mask in (narrow, wide)]
    brows, nose = landmarks[17:27, 1].mean(), landmarks[33, 1]
    assert tops[0] - tops[1] > 0.35 * (nose - brows), "nearly half a nose further up, or to the edge of the crop"


# ---- mouth, eyes and brows


def test_areas_by_hand() -> None:
    points = torch.full((1, 68, 2), -1000.0)
    points[0, 50] = torch.tensor([17.5, 33.5])  # a point of the mouth, in the middle of cell (8, 4)
    areas = feature_areas(points, 64)
    assert areas.shape == (1, 1, 16, 16)
    cells = [(8, 4), (8, 5), (6, 4), (9, 7)]
    squares = [0.0, 4.0**2, 8.0**2, 4.0**2 + 12.0**2]
    assert [float(areas[0, 0, row, column]) for row, column in cells] == pytest.approx([np.exp(-square / 3.2**2) for square in squares])


def test_areas_are_at_the_nearest_of_mouth_eyes_and_brows() -> None:
    points = torch.from_numpy(REFERENCE).float()[None]
    areas = feature_areas(points, SIZE)[0, 0]
    assert areas.max() <= 1
    moving = np.concatenate([MOUTH, EYES, BROWS])
    for x, y in REFERENCE[moving]:
        assert areas[min(int(y // 4), 23), int(x // 4)] > 0.6
    for x, y in REFERENCE[[8, 3, 13, 30]]:  # chin, cheeks, tip of the nose
        assert areas[min(int(y // 4), 23), min(int(x // 4), 23)] < 0.35
    alone = torch.full_like(points, -1000.0)
    alone[:, JAW] = points[:, JAW]
    alone[:, NOSE] = points[:, NOSE]
    assert feature_areas(alone, SIZE).max() == 0


def test_areas_of_a_face_do_not_see_the_others_and_grow_with_the_crop() -> None:
    points = torch.from_numpy(np.stack([REFERENCE, turned_head(30)])).float()
    both = feature_areas(points, SIZE)
    assert torch.equal(both, torch.cat([feature_areas(one[None], SIZE) for one in points]))
    twice = feature_areas((points + 0.5) * 2 - 0.5, 2 * SIZE)
    assert float((twice.mean() - both.mean()).abs()) < 0.01
    with pytest.raises(ShapeError, match="68 expected, 5 came"):
        feature_areas(torch.zeros(1, 5, 2), SIZE)


def test_real_faces_have_sane_masks(identity_set: FaceSet, input_set: FaceSet) -> None:
    for faces in (identity_set, input_set):
        shares = (faces.masks_u8.float() / 255).mean(dim=(1, 2, 3))
        assert (shares > 0.2).all()
        assert (shares < 0.6).all()


def test_each_face_of_a_batch_has_its_own_mask() -> None:
    points = torch.from_numpy(np.stack([REFERENCE, REFERENCE * 0.5, REFERENCE + 500]))
    masks = LandmarkSegmenter().segment(torch.zeros(3, 3, SIZE, SIZE), points)
    assert masks.shape == (3, 1, SIZE, SIZE)
    assert masks.dtype == torch.float32
    assert torch.equal(masks[1, 0], mask_of(REFERENCE * 0.5))
    assert not masks[2].any(), "a face outside the crop leaves nothing in it"


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match="landmarks must be"):
        LandmarkSegmenter().segment(torch.zeros(2, 3, 8, 8), torch.zeros(1, 68, 2))
    with pytest.raises(ShapeError, match="images must be"):
        LandmarkSegmenter().segment(torch.zeros(1, 3, 8, 9), torch.zeros(1, 68, 2))


@pytest.mark.parametrize("size", [32, 128])
def test_filling_agrees_with_scikit_image(size: int) -> None:
    """Two ways to say which points lie inside may differ on the outline itself, where a point is on neither side."""
    rng = np.random.default_rng(size)
    for _ in range(5):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 23))
        radius = rng.uniform(0.2, 0.6, 23) * size  # a star that also leaves the picture
        outline = np.stack([size / 2 + radius * np.cos(angles), size / 2 + radius * np.sin(angles)], axis=1)
        x, y = ((outline[:, axis] + 0.5) * 4 - 0.5 for axis in (0, 1))
        expected = polygon2mask((4 * size, 4 * size), np.stack([y, x], axis=1)).reshape(size, 4, size, 4).mean(axis=(1, 3))
        assert np.abs(_fill(outline, size) - expected).max() <= 1 / 16 + 1e-6
        assert abs(_fill(outline, size).sum() - expected.sum()) < 0.5
