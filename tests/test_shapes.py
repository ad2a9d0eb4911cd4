"""`check_shapes` binds letters across tensors, and its message says what was bound where; rectangles are half open."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stylswap.errors import ShapeError
from stylswap.shapes import Rect, check_shapes


def test_letters_are_bound_across_arrays_and_tensors() -> None:
    sizes = check_shapes(a=(np.zeros((2, 3, 5)), "B C H"), b=(torch.zeros(5, 2), "H B"), c=(np.zeros((7, 3)), "_ C"))
    assert sizes == {"B": 2, "C": 3, "H": 5}


def test_a_letter_may_repeat_within_one_tensor() -> None:
    assert check_shapes(images=(np.zeros((1, 3, 8, 8)), "B 3 S S"))["S"] == 8
    with pytest.raises(ShapeError, match=r"images must be \(B, 3, S, S\), got \(1, 3, 8, 9\): S = 8 in images, 9 here"):
        check_shapes(images=(np.zeros((1, 3, 8, 9)), "B 3 S S"))


def test_an_empty_batch_binds_zero_and_is_held_to_it() -> None:
    assert check_shapes(a=(np.zeros((0, 4)), "B C")) == {"B": 0, "C": 4}
    with pytest.raises(ShapeError, match="B = 0 in a, 1 here"):
        check_shapes(a=(np.zeros((0, 4)), "B C"), b=(np.zeros((1,)), "B"))


@pytest.mark.parametrize(
    ("shape", "pattern", "message"),
    [
        ((2, 3), "B C H", r"output must be \(B, C, H\), got \(2, 3\): 3 axes expected, 2 came"),
        ((2, 4, 5), "B 3 H", r"output must be \(B, 3, H\), got \(2, 4, 5\): 3 expected, 4 came"),
        ((), "B", r"got \(\): 1 axes expected, 0 came"),
    ],
)
def test_the_message_shows_pattern_and_shape(shape: tuple[int, ...], pattern: str, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        check_shapes(output=(np.zeros(shape), pattern))


def test_the_message_names_where_the_letter_was_bound() -> None:
    with pytest.raises(ShapeError, match=r"mask must be \(B, 1\), got \(3, 1\): B = 2 in images, 3 here"):
        check_shapes(images=(np.zeros((2, 9)), "B N"), other=(np.zeros((2,)), "B"), mask=(np.zeros((3, 1)), "B 1"))


def test_a_rectangle_ends_before_bottom_and_right() -> None:
    rect = Rect(top=2, left=3, height=4, width=5)
    picture = np.zeros((10, 10))
    picture[rect.top : rect.bottom, rect.left : rect.right] = 1
    assert (rect.bottom, rect.right) == (6, 8)
    assert picture.sum() == 4 * 5


@pytest.mark.parametrize(
    ("rect", "clipped"),
    [
        (Rect(1, 2, 3, 4), Rect(1, 2, 3, 4)),
        (Rect(-2, -3, 5, 6), Rect(0, 0, 3, 3)),
        (Rect(8, 7, 5, 6), Rect(8, 7, 2, 3)),
        (Rect(-5, -5, 100, 100), Rect(0, 0, 10, 10)),
    ],
)
def test_clipping_keeps_the_part_inside(rect: Rect, clipped: Rect) -> None:
    assert rect.clipped(10, 10) == clipped
    assert not clipped.is_empty


@pytest.mark.parametrize("rect", [Rect(10, 0, 3, 3), Rect(0, -3, 3, 3), Rect(-9, 2, 4, 4), Rect(2, 40, 4, 4)])
def test_a_rectangle_outside_is_empty(rect: Rect) -> None:
    outside = rect.clipped(10, 10)
    assert outside.is_empty
    assert outside.height >= 0
    assert outside.width >= 0
