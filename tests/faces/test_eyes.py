"""Where glasses sit: on the eyes, between them, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from stylswap.errors import ShapeError
from stylswap.faces.align import reference_shape
from stylswap.faces.eyes import around_eyes, between_eyes
from stylswap.faces.landmarks import EYES, LEFT_EYE, MOUTH, NOSE, RIGHT_EYE, mirror_landmarks

SIZE = 128
REFERENCE = reference_shape(SIZE)


def at(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    x, y = points.round().astype(int).T
    return mask[y, x]


def test_the_eyes_lie_in_their_ellipses_and_nose_and_mouth_do_not() -> None:
    windows = around_eyes(REFERENCE, SIZE)
    assert windows.shape == (SIZE, SIZE)
    assert at(windows, REFERENCE[EYES]).all()
    assert not at(windows, REFERENCE[np.concatenate([NOSE, MOUTH])]).any()


def test_the_ellipses_have_the_area_of_ellipses() -> None:
    widths = [np.linalg.norm(REFERENCE[eye[3]] - REFERENCE[eye[0]]) for eye in (LEFT_EYE, RIGHT_EYE)]
    assert around_eyes(REFERENCE, SIZE).sum() == pytest.approx(sum(np.pi * 0.75 * 0.5 * width**2 for width in widths), rel=0.03)


def test_the_bridge_lies_between_the_eyes_and_touches_no_eye() -> None:
    bridge = between_eyes(REFERENCE, SIZE)
    left, right = REFERENCE[LEFT_EYE].mean(axis=0), REFERENCE[RIGHT_EYE].mean(axis=0)
    distance = np.linalg.norm(right - left)
    assert at(bridge, ((left + right) / 2)[None]).all()
    assert not at(bridge, REFERENCE[EYES]).any()
    assert bridge.sum() == pytest.approx(0.4 * 0.28 * distance**2, rel=0.1)


def test_both_are_mirrored_with_the_face() -> None:
    lopsided = REFERENCE + np.random.default_rng(0).normal(0, 1.5, (68, 2))
    for area in (around_eyes, between_eyes):
        mirrored = area(mirror_landmarks(lopsided, SIZE), SIZE)[:, ::-1]
        assert (mirrored != area(lopsided, SIZE)).sum() <= 2, "but for ties of rounding"


def test_the_bridge_turns_with_the_eyes() -> None:
    angle = np.radians(90)
    centre = np.full(2, (SIZE - 1) / 2)
    turned = (REFERENCE - centre) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) + centre
    assert (between_eyes(turned, SIZE) != np.rot90(between_eyes(REFERENCE, SIZE), -1)).sum() <= 2


def test_points_that_coincide_do_no_harm() -> None:
    same = np.full((68, 2), 60.0)
    assert around_eyes(same, SIZE).sum() < 10
    assert not between_eyes(same, SIZE).any()


def test_other_shapes_are_refused() -> None:
    for area in (around_eyes, between_eyes):
        with pytest.raises(ShapeError):
            area(np.zeros((5, 2)), SIZE)
