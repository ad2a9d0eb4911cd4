"""The shipped shape that every face is aligned to."""

from __future__ import annotations

import numpy as np
import pytest

from stylswap.faces.align import reference_shape
from stylswap.faces.landmarks import BROWS, EYES, INNER_LIPS, JAW, MOUTH, NOSE, mirror_landmarks

SHAPE = reference_shape(1) + 0.5  # in the unit square


def test_the_shipped_numbers() -> None:
    assert SHAPE.shape == (68, 2)
    # Identity files carry the shape that they were trained with: another shape would be another training.
    assert SHAPE.sum(axis=0) == pytest.approx([34.0, 38.200704], abs=1e-5)
    assert SHAPE[[0, 8, 30, 36, 48]].tolist() == pytest.approx(
        np.array([[0.196411, 0.412612], [0.5, 0.9], [0.5, 0.542331], [0.312784, 0.399221], [0.372774, 0.676939]]), abs=2e-6
    )


@pytest.mark.parametrize("size", [1, 64, 128, 255])
def test_it_is_symmetric(size: int) -> None:
    shape = reference_shape(size)
    assert np.abs(mirror_landmarks(shape, size) - shape).max() < 2e-6 * size  # six digits are shipped


def test_brows_to_chin_fill_sixty_percent() -> None:
    assert SHAPE[8, 1] - SHAPE[BROWS, 1].min() == pytest.approx(0.60, abs=2e-6)
    assert SHAPE[JAW, 1].max() == SHAPE[8, 1]


def test_it_lies_inside_with_room_for_the_forehead() -> None:
    assert SHAPE.min() > 0.05
    assert SHAPE.max() < 0.95
    assert SHAPE[:, 1].min() == SHAPE[BROWS, 1].min() > 0.2


def test_it_is_a_face() -> None:
    brows, eyes, nose, mouth, chin = (SHAPE[part, 1].mean() for part in (BROWS, EYES, NOSE, MOUTH, [8]))
    assert brows < eyes < nose < mouth < chin
    assert np.ptp(SHAPE[INNER_LIPS, 1]) < np.ptp(SHAPE[MOUTH, 1])


@pytest.mark.parametrize("size", [64, 256])
def test_it_grows_from_pixel_edge_to_pixel_edge(size: int) -> None:
    # The edges of the crop, -0.5 and size - 0.5, are the edges of the unit square.
    assert np.allclose((reference_shape(size) + 0.5) / size, SHAPE, atol=1e-12)


def test_nobody_can_change_it_for_all_others() -> None:
    first = reference_shape(64)
    first += 1
    assert np.array_equal(reference_shape(64) + 1, first)
