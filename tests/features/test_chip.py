"""dlib's chip: the pixels that dlib itself cuts, from any landmarks."""

from __future__ import annotations

import dlib
import numpy as np
import numpy.typing as npt
import pytest

from stylswap.errors import ShapeError
from stylswap.faces.align import inverse, reference_shape, transform_points
from stylswap.features.chip import COUNTED, SIDE_PX, chip_from_image

FloatArray = npt.NDArray[np.float64]


def turned(landmarks: FloatArray, scale: float, angle_deg: float) -> FloatArray:
    """Scaled and turned around the middle of a picture of 900 px; whole numbers, as dlib's points are."""
    a, b = scale * np.cos(np.radians(angle_deg)), scale * np.sin(np.radians(angle_deg))
    return np.round((landmarks - landmarks.mean(axis=0)) @ np.array([[a, b], [-b, a]]) + 450.0)


def cut_by_dlib(picture: FloatArray, landmarks: FloatArray) -> FloatArray:
    points = [dlib.point(int(x), int(y)) for x, y in landmarks]
    shape = dlib.full_object_detection(dlib.rectangle(0, 0, 1, 1), points)
    return np.asarray(dlib.get_face_chip(picture, shape, SIDE_PX, 0.25))


# Beyond a scale of 2 dlib halves the picture first, and its places move by half a pixel.
@pytest.mark.parametrize(("size", "scale", "angle_deg"), [(160, 0.5, 0.0), (256, 1.0, 20.0), (256, 1.3, -100.0), (180, 1.9, 170.0)])
def test_each_pixel_is_where_dlib_takes_it_from(size: int, scale: float, angle_deg: float) -> None:
    generator = np.random.default_rng(3)
    landmarks = turned(reference_shape(size) + generator.normal(0, size / 50, (68, 2)), scale, angle_deg)  # no mean face
    rows, columns = np.mgrid[0:900, 0:900].astype(np.float64)
    dlibs = np.stack([cut_by_dlib(ramp, landmarks) for ramp in (columns, rows)], axis=-1)  # (150, 150, 2)
    down, right = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float64)
    ours = transform_points(inverse(chip_from_image(landmarks)), np.stack([right, down], axis=-1))
    np.testing.assert_allclose(ours, dlibs, atol=1e-4)


def test_jaw_brows_and_lower_lip_do_not_count() -> None:
    landmarks = reference_shape(256)
    moved = landmarks.copy()
    others = [point for point in range(68) if point not in COUNTED]
    moved[others] += 50.0
    np.testing.assert_array_equal(chip_from_image(moved), chip_from_image(landmarks))
    assert len(others) == 35


@pytest.mark.parametrize("landmarks", [np.full((68, 2), 3.0), np.full((68, 2), np.nan), reference_shape(2)], ids=["one", "nan", "tiny"])
def test_no_face_is_refused(landmarks: FloatArray) -> None:
    with pytest.raises(ShapeError, match="different, finite points"):
        chip_from_image(landmarks)


def test_five_points_are_refused() -> None:
    with pytest.raises(ShapeError, match="landmarks must be"):
        chip_from_image(np.zeros((5, 2)))


def test_a_larger_chip_shows_the_same_square() -> None:
    landmarks = np.random.default_rng(4).uniform(100, 300, (68, 2))
    small, large = chip_from_image(landmarks), chip_from_image(landmarks, side_px=160)
    edges = np.array([[-0.5, -0.5, 1.0], [149.5, -0.5, 1.0], [-0.5, 149.5, 1.0]]).T
    seen = (large @ np.linalg.inv(small) @ edges)[:2].T
    np.testing.assert_allclose(seen, [[-0.5, -0.5], [159.5, -0.5], [-0.5, 159.5]], atol=1e-9)
