"""Alignment against independent least squares, analytic pictures, and scikit-image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import scipy.optimize
import skimage.transform
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError, ShapeError
from stylswap.faces.align import (
    MODELS,
    crop_from_photo,
    grid_from_pixels,
    rect_of_crop,
    rect_of_points,
    reference_shape,
    resized,
    scale_of,
    shifted,
    transform_points,
    warp,
)
from stylswap.faces.batch import Face
from stylswap.faces.landmarks import JAW, POINT_SETS, mirror_landmarks
from stylswap.shapes import Rect

FloatArray = npt.NDArray[np.float64]
REFERENCE = reference_shape(128)


def similarity(scale: float, turn_deg: float, shift: tuple[float, float]) -> FloatArray:
    a, b = scale * np.cos(np.radians(turn_deg)), scale * np.sin(np.radians(turn_deg))
    return np.array([[a, -b, shift[0]], [b, a, shift[1]], [0, 0, 1]])


def face_like(seed: int = 0, noise: float = 4.0) -> FloatArray:
    """Landmarks in a photo: the reference shape, turned, enlarged and bent."""
    bent = REFERENCE + np.random.default_rng(seed).normal(0, noise, (68, 2))
    return transform_points(similarity(2.3, 17, (310, 90)), bent)


def ramp(height: int, width: int) -> Tensor:
    """(1, H, W): 0.002 x + 0.003 y + 0.1."""
    y, x = torch.meshgrid(torch.arange(height, dtype=torch.float64), torch.arange(width, dtype=torch.float64), indexing="ij")
    return (0.002 * x + 0.003 * y + 0.1).float()[None]


def ramp_at(points: FloatArray) -> FloatArray:
    return 0.002 * points[..., 0] + 0.003 * points[..., 1] + 0.1


def pixels(height: int, width: int) -> FloatArray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x, y], axis=-1).astype(np.float64)


# ---- the fit


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("points", POINT_SETS)
def test_points_come_back(model: str, points: str) -> None:
    landmarks = face_like()
    matrix = crop_from_photo(landmarks, REFERENCE, model=model, points=points)
    back = transform_points(np.linalg.inv(matrix), transform_points(matrix, landmarks))
    assert matrix.shape == (3, 3)
    assert matrix[2].tolist() == [0, 0, 1]
    assert np.abs(back - landmarks).max() < 1e-9


@pytest.mark.parametrize("points", POINT_SETS)
def test_affine_is_the_least_squares_solution(points: str) -> None:
    landmarks, chosen = face_like(1), POINT_SETS[points]
    design = np.column_stack([landmarks[chosen], np.ones(len(chosen))])
    normal = np.linalg.solve(design.T @ design, design.T @ REFERENCE[chosen]).T  # the normal equations
    matrix = crop_from_photo(landmarks, REFERENCE, model="affine", points=points)
    assert np.allclose(matrix[:2], normal, rtol=1e-8, atol=1e-8)


def test_affine_agrees_with_scikit_image_where_a_transform_is_exact() -> None:
    true = np.array([[1.3, 0.4, -20], [-0.2, 0.8, 45], [0, 0, 1]])
    landmarks = transform_points(np.linalg.inv(true), REFERENCE)
    other = skimage.transform.estimate_transform("affine", landmarks, REFERENCE)
    for points in POINT_SETS:
        matrix = crop_from_photo(landmarks, REFERENCE, model="affine", points=points)
        assert np.allclose(matrix, true, atol=1e-9)
        assert np.allclose(matrix, other.params, atol=1e-9)


@pytest.mark.parametrize("points", POINT_SETS)
@pytest.mark.parametrize("seed", [0, 1])
def test_similarity_agrees_with_scikit_image(points: str, seed: int) -> None:
    landmarks, chosen = face_like(seed, noise=8), POINT_SETS[points]
    other = skimage.transform.estimate_transform("similarity", landmarks[chosen], REFERENCE[chosen])
    assert np.allclose(crop_from_photo(landmarks, REFERENCE, points=points), other.params, atol=1e-8)


def test_similarity_agrees_with_a_search() -> None:
    landmarks = face_like(2, noise=8)

    def residual(p: FloatArray) -> FloatArray:
        return (transform_points(np.array([[p[0], -p[1], p[2]], [p[1], p[0], p[3]], [0, 0, 1]]), landmarks) - REFERENCE).ravel()

    found = scipy.optimize.least_squares(residual, [1.0, 0, 0, 0], xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    matrix = crop_from_photo(landmarks, REFERENCE, model="similarity", points="all")
    assert np.allclose([matrix[0, 0], matrix[1, 0], matrix[0, 2], matrix[1, 2]], found, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_similarity_never_mirrors(seed: int) -> None:
    # Points whose best fit over all orthogonal matrices is a mirror image.
    landmarks = REFERENCE * (-1, 1) + np.random.default_rng(seed).normal(0, 3, (68, 2))
    matrix = crop_from_photo(landmarks, REFERENCE, points="all")
    assert np.linalg.det(matrix[:2, :2]) > 0
    assert matrix[0, 0] == pytest.approx(matrix[1, 1])
    assert matrix[0, 1] == pytest.approx(-matrix[1, 0])
    assert np.linalg.det(crop_from_photo(landmarks, REFERENCE, model="affine", points="all")[:2, :2]) < 0


def test_the_inner_points_do_not_see_the_jaw() -> None:
    landmarks = face_like()
    moved = landmarks.copy()
    moved[JAW] += 50
    for model in MODELS:
        inner = [crop_from_photo(some, REFERENCE, model=model, points="inner") for some in (landmarks, moved)]
        whole = [crop_from_photo(some, REFERENCE, model=model, points="all") for some in (landmarks, moved)]
        assert np.array_equal(*inner)
        assert np.abs(whole[0] - whole[1]).max() > 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "afine"}, "unknown alignment model 'afine'. Did you mean 'affine'?"),
        ({"model": "thin plate"}, "unknown alignment model 'thin plate'. Known: affine, similarity."),
        ({"points": "iner"}, "unknown point set 'iner'. Did you mean 'inner'?"),
    ],
)
def test_names_that_do_not_exist_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        crop_from_photo(REFERENCE, REFERENCE, **settings)
    assert str(caught.value) == message


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("value", "message"), [(7.0, "they coincide"), (np.nan, "not finite"), (np.inf, "not finite")])
def test_points_without_a_transform_are_refused(model: str, value: float, message: str) -> None:
    landmarks = np.full((68, 2), 7.0)
    landmarks[20] = value
    with pytest.raises(ShapeError, match=message):
        crop_from_photo(landmarks, REFERENCE, model=model)


def test_points_on_a_line_have_no_affine_transform() -> None:
    line = np.column_stack([np.arange(68.0), 3 * np.arange(68.0)])
    with pytest.raises(ShapeError, match="one line"):
        crop_from_photo(line, REFERENCE, model="affine")
    assert np.isfinite(crop_from_photo(line, REFERENCE, model="similarity")).all()


def test_the_wrong_number_of_points_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"landmarks must be \(68, 2\)"):
        crop_from_photo(REFERENCE[:51], REFERENCE)
    with pytest.raises(ShapeError, match=r"reference must be \(68, 2\)"):
        crop_from_photo(REFERENCE, REFERENCE[None])


# ---- points and rectangles


def test_points_through_a_matrix_by_hand() -> None:
    matrix = np.array([[2.0, 1, 10], [0, 3, 20], [0, 0, 1]])
    assert transform_points(matrix, np.array([[0.0, 0], [1, 2]])).tolist() == [[10, 20], [14, 26]]
    stacked = np.arange(12.0).reshape(2, 3, 2)
    assert np.allclose(transform_points(matrix, stacked)[1], transform_points(matrix, stacked[1]))
    with pytest.raises(ShapeError):
        transform_points(matrix[:2], stacked)


def test_scale_is_the_growth_of_lengths() -> None:
    assert scale_of(similarity(2.5, 33, (4, 5))) == pytest.approx(2.5)
    assert scale_of(np.diag([4.0, 9.0, 1.0])) == pytest.approx(6.0)
    assert scale_of(np.diag([-2.0, 2.0, 1.0])) == pytest.approx(2.0)


def test_a_crop_of_another_size_spans_the_same_square() -> None:
    matrix = similarity(0.4, 20, (-30, 12))
    other = resized(matrix, 128, 320)
    photo_points = transform_points(np.linalg.inv(matrix), np.array([[-0.5, -0.5], [127.5, -0.5], [127.5, 127.5], [63.5, 63.5]]))
    expected = np.array([[-0.5, -0.5], [319.5, -0.5], [319.5, 319.5], [159.5, 159.5]])
    np.testing.assert_allclose(transform_points(other, photo_points), expected, atol=1e-9)
    np.testing.assert_allclose(resized(other, 320, 128), matrix, atol=1e-12)


def test_a_crop_without_a_pixel_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least 1 pixel"):
        resized(np.eye(3), 128, 0)


def test_a_region_starts_where_it_was_cut() -> None:
    photo = ramp(40, 50)
    region = photo[:, 7:30, 11:44]
    point = transform_points(shifted(7, 11), np.array([[2.0, 3.0]]))[0]
    assert point.tolist() == [13, 10]
    assert region[0, 3, 2] == photo[0, 10, 13]


def test_a_rectangle_holds_its_points() -> None:
    assert rect_of_points(np.array([[1.2, 3.9], [4.0, 5.1]])) == Rect(top=3, left=1, height=4, width=4)  # rows 3..6, columns 1..4
    assert rect_of_points(np.array([[2.0, 2.0]]), margin_px=2) == Rect(0, 0, 5, 5)
    assert rect_of_points(np.array([[-1.5, -0.5]])) == Rect(-1, -2, 2, 2)


def test_the_rectangle_of_a_crop_reaches_its_outer_edges() -> None:
    # A crop that is the photo: its pixel edges are half a pixel beyond the outer centres.
    assert rect_of_crop(np.eye(3), 10, margin_px=0) == Rect(-1, -1, 12, 12)
    assert rect_of_crop(similarity(2, 0, (5, 7)), 10, margin_px=0) == Rect(6, 4, 21, 21)


# ---- pixels


def test_grid_coordinates_hit_known_pixels() -> None:
    image = torch.arange(15.0).view(1, 1, 3, 5)
    points = torch.tensor([[0.0, 0], [4, 0], [0, 2], [4, 2], [2, 1], [1.5, 1], [1, 0.5]])
    grid = grid_from_pixels(points, height=3, width=5)
    found = F.grid_sample(image, grid.view(1, 1, -1, 2), align_corners=False).flatten()
    assert found.tolist() == pytest.approx([0, 4, 10, 14, 7, 6.5, 3.5], abs=1e-5)
    # -1 and 1 are the outer edges of the outer pixels.
    assert grid_from_pixels(torch.tensor([[-0.5, -0.5], [4.5, 2.5]]), 3, 5).tolist() == [[-1, -1], [1, 1]]


def test_nothing_moves_under_the_identity() -> None:
    image = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(warp(image, np.eye(3), (20, 30)), image, atol=1e-5)


def test_a_shift_by_whole_pixels_is_exact() -> None:
    image = torch.rand(2, 20, 30, generator=torch.Generator().manual_seed(0))
    moved = warp(image, similarity(1, 0, (4, -3)), (20, 30), padding="zeros")
    assert torch.allclose(moved[:, :17, 4:], image[:, 3:, :26], atol=1e-5)
    assert moved[:, 17:].abs().max() < 1e-5
    assert moved[:, :, :4].abs().max() < 1e-5


def test_a_quarter_turn_is_exact() -> None:
    image = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    clockwise = np.array([[0.0, -1, 15], [1, 0, 0], [0, 0, 1]])  # the top row becomes the last column
    assert torch.allclose(warp(image, clockwise, (16, 16)), torch.rot90(image, -1, (1, 2)), atol=1e-5)


@pytest.mark.parametrize(
    ("scale", "turn_deg", "mode", "most_px"),
    [
        (1.0, 0, "bilinear", 1e-4),
        (1.9, 20, "bilinear", 1e-4),
        (3.3, -50, "bilinear", 1e-4),
        (0.5, 0, "bilinear", 1e-4),
        # Filters of a fractional width ripple, by a twentieth of a pixel; they do not shift.
        (0.77, 12, "bilinear", 0.06),
        (0.3, -20, "bilinear", 0.06),
        (0.11, 5, "bilinear", 0.06),
        (1.9, 20, "bicubic", 0.1),
        (0.3, -20, "bicubic", 0.1),
    ],
)
def test_every_pixel_comes_from_where_the_matrix_says(scale: float, turn_deg: float, mode: str, most_px: float) -> None:
    # The warped picture is a picture of coordinates: half a pixel off, anywhere on the way, would show.
    height, width, size = 300, 330, 48
    matrix = similarity(1, 0, (size / 2, size / 2)) @ similarity(scale, turn_deg, (0, 0)) @ similarity(1, 0, (-170.3, -140.8))
    coordinates = torch.from_numpy(pixels(height, width)).permute(2, 0, 1)
    found = warp(coordinates, matrix, (size, size), mode=mode).permute(1, 2, 0).numpy()
    origins = transform_points(np.linalg.inv(matrix), pixels(size, size))
    margin = 4 + 3 / scale
    inside = ((origins > margin) & (origins < np.array([width, height]) - 1 - margin)).all(axis=-1)
    off_px = (found - origins)[inside] * scale
    assert inside.mean() > 0.3
    assert np.abs(off_px).max() < most_px
    assert np.abs(off_px.mean(axis=0)).max() < most_px / 10


def test_an_affine_warp_is_exact_too() -> None:
    matrix = np.array([[1.6, 0.5, -150], [-0.3, 1.2, -60], [0, 0, 1]])
    warped = warp(ramp(200, 250), matrix, (60, 70))
    origins = transform_points(np.linalg.inv(matrix), pixels(60, 70))
    assert np.abs(warped[0].numpy() - ramp_at(origins)).max() < 3e-4


@pytest.mark.parametrize("scale", [0.5, 0.37, 0.23, 0.1])
def test_a_fine_checkerboard_becomes_grey(scale: float) -> None:
    image = torch.from_numpy(np.indices((256, 256)).sum(axis=0) % 2).float()[None]
    small = warp(image, similarity(scale, 0, (0, 0)), (round(256 * scale), round(256 * scale)))
    assert (small[:, 2:-2, 2:-2] - 0.5).abs().max() < 0.02
    plain = F.interpolate(image[None], scale_factor=scale, mode="bilinear", align_corners=False, recompute_scale_factor=False)[0]
    if scale in (0.37, 0.23):
        assert (plain - 0.5).abs().max() > 0.2, "without a filter there would be a pattern"


def test_shrinking_agrees_with_scikit_image(photo_u8: npt.NDArray[np.uint8]) -> None:
    photo = torch.from_numpy(photo_u8 / 255.0).float().permute(2, 0, 1)
    small = warp(photo, np.array([[0.25, 0, -0.375], [0, 0.25, -0.375], [0, 0, 1]]), (64, 64)).permute(1, 2, 0).numpy()
    other = skimage.transform.rescale(photo_u8 / 255.0, 0.25, anti_aliasing=True, channel_axis=-1)
    averaged = photo_u8.reshape(64, 4, 64, 4, 3).mean(axis=(1, 3)) / 255
    assert np.abs(small - other)[2:-2, 2:-2].mean() < 0.01
    assert np.abs(small - averaged)[2:-2, 2:-2].mean() < 0.01
    half_a_pixel_off = np.abs(np.roll(small, 1, axis=1) - averaged)[2:-2, 2:-2].mean()
    assert half_a_pixel_off > 0.01, "the picture is too flat for this test"


def test_bicubic_is_sharper_when_enlarging(photo_u8: npt.NDArray[np.uint8]) -> None:
    photo = torch.from_numpy(photo_u8[::4, ::4] / 255.0).float().permute(2, 0, 1)
    enlarged = [warp(photo, similarity(4, 0, (1.5, 1.5)), (256, 256), mode=mode) for mode in ("bilinear", "bicubic")]
    truth = photo_u8[::4, ::4].astype(float) / 255
    steps = [picture.diff(dim=-1).abs().mean() for picture in enlarged]
    assert steps[1] > steps[0]
    assert np.abs(enlarged[1][:, 1::4, 1::4].permute(1, 2, 0).numpy() - truth).mean() < 0.02


def test_a_gradient_flows_through_the_warp() -> None:
    image = torch.rand(1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda moved: warp(moved, similarity(1.3, 20, (0.5, 1)), (5, 7)), image)
    assert warp(image, np.eye(3), (6, 6)).dtype == torch.float64


@pytest.mark.parametrize("matrix", [np.diag([0.0, 1.0, 1.0]), np.full((3, 3), np.nan), np.diag([1e-12, 1e-12, 1.0])])
def test_a_matrix_without_an_inverse_is_refused(matrix: FloatArray) -> None:
    with pytest.raises(ShapeError, match="must be invertible"):
        warp(torch.zeros(1, 4, 4), matrix, (4, 4))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"image must be \(C, H, W\)"):
        warp(torch.zeros(1, 3, 4, 4), np.eye(3), (4, 4))
    with pytest.raises(ShapeError, match=r"to_from_image must be \(3, 3\)"):
        warp(torch.zeros(3, 4, 4), np.eye(3)[:2], (4, 4))


# ---- faces


@pytest.mark.parametrize("model", MODELS)
def test_a_mirrored_photo_gives_the_mirrored_crop(photo_u8: npt.NDArray[np.uint8], face: Face, model: str) -> None:
    photo = torch.from_numpy(photo_u8 / 255.0).float().permute(2, 0, 1)
    width, size = photo.shape[2], 96
    reference = reference_shape(size)
    here = crop_from_photo(face.landmarks, reference, model=model)
    mirrored = mirror_landmarks(face.landmarks, width)
    there = crop_from_photo(mirrored, reference, model=model)
    assert np.abs(transform_points(there, mirrored) - mirror_landmarks(transform_points(here, face.landmarks), size)).max() < 1e-3
    crop, other = warp(photo, here, (size, size)), warp(photo.flip(-1), there, (size, size))
    assert (other.flip(-1) - crop).abs().max() < 2e-3


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("points", POINT_SETS)
def test_an_aligned_face_lies_on_the_reference(face: Face, model: str, points: str) -> None:
    matrix = crop_from_photo(face.landmarks, REFERENCE, model=model, points=points)
    apart = np.linalg.norm(transform_points(matrix, face.landmarks) - REFERENCE, axis=1)[POINT_SETS[points]]
    assert apart.mean() < 4  # pixels of 128


def test_a_feature_of_the_photo_is_where_its_landmark_goes() -> None:
    landmarks = face_like(noise=1)
    matrix = crop_from_photo(landmarks, REFERENCE)
    y, x = np.mgrid[0:500, 0:700]
    spots = np.exp(-((x - landmarks[:, None, None, 0][30]) ** 2 + (y - landmarks[:, None, None, 1][30]) ** 2) / (2 * 6.0**2))
    crop = warp(torch.from_numpy(spots).float()[None], matrix, (128, 128))[0].numpy()
    rows, columns = np.mgrid[0:128, 0:128]
    centre = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum()
    assert np.abs(centre - transform_points(matrix, landmarks[30:31])[0]).max() < 0.02


@pytest.mark.parametrize("scale", [2.0, 0.4])
def test_a_mask_goes_out_and_comes_back(scale: float) -> None:
    y, x = np.mgrid[0:128, 0:128]
    mask = torch.from_numpy(((x - 60) / 40) ** 2 + ((y - 70) / 50) ** 2 < 1).float()[None]
    photo_from_crop = similarity(1 / scale, 25, (200, 150))
    size = (700, 800)
    in_photo = warp(mask, photo_from_crop, size, padding="zeros")
    assert in_photo.sum() == pytest.approx(float(mask.sum()) / scale**2, rel=0.01), "areas shrink with the square"
    corners = transform_points(photo_from_crop, np.array([[-3.0, -3], [131, -3], [-3, 131], [131, 131]]))
    for column, row in corners.round().astype(int):
        if 0 <= row < size[0] and 0 <= column < size[1]:
            assert in_photo[0, row, column] == 0
    back = warp(in_photo, np.linalg.inv(photo_from_crop), (128, 128), padding="zeros") > 0.5
    common, either = (back & (mask > 0.5)).sum(), (back | (mask > 0.5)).sum()
    assert common / either > 0.985


@pytest.mark.parametrize(("padding", "mode"), [("border", "edge"), ("zeros", "constant")])
def test_beyond_the_photo_its_edge_goes_on_or_nothing_is(padding: str, mode: str) -> None:
    photo = np.random.default_rng(0).uniform(0, 1, (60, 80)).astype(np.float32)
    room = 40
    padded = torch.from_numpy(np.pad(photo, room, mode=mode))[None]
    matrix = similarity(1.7, 10, (15, 12))  # the left and upper parts of the crop lie outside
    crop = warp(torch.from_numpy(photo)[None], matrix, (40, 40), padding=padding)
    wanted = warp(padded, matrix @ shifted(-room, -room), (40, 40))
    assert (crop - wanted).abs().max() < 1e-4


def test_a_small_crop_of_a_face_at_the_edge_has_no_dark_border() -> None:
    photo = torch.full((3, 200, 200), 0.7)
    crop = warp(photo, similarity(0.3, 10, (30, 25)), (64, 64))
    assert (crop - 0.7).abs().max() < 1e-4
