"""Rims and lenses in painted glasses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from stylswap.errors import ShapeError
from stylswap.features.rims import rims

SIZE = 256
SKIN, LENS, BLACK = (0.8, 0.6, 0.5), (0.75, 0.6, 0.55), (0.05, 0.05, 0.05)
BoolArray = npt.NDArray[np.bool_]


def square(reach: int) -> BoolArray:
    """A square around the middle."""
    area = np.zeros((SIZE, SIZE), dtype=bool)
    area[SIZE // 2 - reach : SIZE // 2 + reach, SIZE // 2 - reach : SIZE // 2 + reach] = True
    return area


def painted(*, rim_px: int, lens: tuple[float, float, float] = LENS) -> npt.NDArray[np.float64]:
    colour = np.empty((SIZE, SIZE, 3))
    colour[:] = SKIN
    colour[square(40)] = BLACK
    colour[square(40 - rim_px)] = lens
    return colour


# At 256 px a wire is given 2.8 pixels, and the thickest rim that is sought has 12.8.
@pytest.mark.parametrize(("rim_px", "kept_px"), [(1, 2), (4, 4), (6, 6), (8, 8), (12, 12)])
def test_rims_are_as_thick_as_they_are_from_a_wire_on(rim_px: int, kept_px: int) -> None:
    found = rims(painted(rim_px=rim_px), square(40), ~square(40))
    middle = found[SIZE // 2, SIZE // 2 - 40 : SIZE // 2]
    assert int(middle.sum()) == kept_px
    assert bool(middle[:kept_px].all())
    assert not bool((found & ~square(40)).any())


def test_brows_beside_thin_rims_are_not_taken_for_rims() -> None:
    colour = painted(rim_px=2)
    brow = slice(SIZE // 2 - 34, SIZE // 2 - 26), slice(SIZE // 2 - 30, SIZE // 2 + 30)  # darker than skin, lighter than the rim
    colour[brow] = (0.3, 0.2, 0.15)
    assert not rims(colour, square(40), ~square(40))[brow].any()


def test_lashes_as_dark_as_thin_rims_and_touching_them_are_not_taken_for_rims() -> None:
    colour = painted(rim_px=3)
    lashes = slice(SIZE // 2 - 37, SIZE // 2 - 28), slice(SIZE // 2 - 20, SIZE // 2 + 20)
    colour[lashes] = BLACK
    assert not rims(colour, square(40), ~square(40))[SIZE // 2 - 33 : SIZE // 2 - 28, lashes[1]].any()


def test_a_pupil_as_dark_as_the_rim_does_not_hang_together_with_it() -> None:
    colour = painted(rim_px=3)
    pupil = slice(SIZE // 2 - 31, SIZE // 2 - 28), slice(SIZE // 2 - 2, SIZE // 2 + 2)
    colour[pupil] = BLACK
    assert not rims(colour, square(40), ~square(40))[pupil].any()


def test_rims_of_no_other_colour_are_given_a_wire() -> None:
    found = rims(np.full((SIZE, SIZE, 3), 0.6), square(40), ~square(40))
    assert int(found[SIZE // 2, SIZE // 2 - 40 : SIZE // 2].sum()) == 2


def test_dark_glasses_stay_whole() -> None:
    assert np.array_equal(rims(painted(rim_px=3, lens=(0.2, 0.2, 0.2)), square(40), ~square(40)), square(40))


def test_without_glasses_there_are_no_rims() -> None:
    assert not rims(painted(rim_px=3), np.zeros((SIZE, SIZE), dtype=bool), ~square(40)).any()


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="glasses"):
        rims(painted(rim_px=3), square(40)[1:], ~square(40))
