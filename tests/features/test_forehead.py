"""Hairlines that are painted, and read back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from stylswap.errors import ShapeError
from stylswap.faces.align import reference_shape
from stylswap.faces.forehead import HeadFrame
from stylswap.features.forehead import forehead_height, shows_more
from stylswap.features.parsing import CLASSES

SIZE = 128
LANDMARKS = reference_shape(SIZE)
FRAME = HeadFrame.of(LANDMARKS)


class Painted:
    """Takes what is red for skin and all else for hair."""

    def __init__(self) -> None:
        self.sides: list[int] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.sides.append(images.shape[-1])
        skin = images[:, 0] > 0.5
        answers = torch.zeros(len(images), len(CLASSES), *images.shape[2:])
        answers[:, CLASSES.index("skin")] = skin.float()
        answers[:, CLASSES.index("hair")] = (~skin).float()
        return answers


def face(height: float, fall: float = 0.35, *, strands: bool = False) -> npt.NDArray[np.float32]:
    """A crop that is skin up to a hairline, (3, S, S)."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    unit = float(np.linalg.norm(FRAME.up))
    above, across = (FRAME.brows[1] - rows) / unit, (columns - FRAME.brows[0]) / unit
    skin = above < height - fall * across**2
    if strands:
        skin &= ~((np.abs(across - 0.3) < 0.03) & (above > 0.3))
    image = np.zeros((3, SIZE, SIZE), np.float32)
    image[0] = skin
    return image


def measured(*faces: npt.NDArray[np.float32]) -> float | None:
    landmarks = torch.from_numpy(LANDMARKS).float().expand(len(faces), -1, -1)
    return forehead_height(Painted(), torch.from_numpy(np.stack(faces)), landmarks)  # type: ignore[arg-type]


@pytest.mark.parametrize("height", [0.5, 0.7, 0.9])
def test_a_painted_hairline_is_read_back(height: float) -> None:
    assert measured(face(height)) == pytest.approx(height, abs=0.04)


def test_a_single_strand_is_no_hairline() -> None:
    assert measured(face(0.9, strands=True)) == pytest.approx(0.9, abs=0.04)


def test_one_photo_with_a_fringe_among_eight_does_not_count_and_three_do() -> None:
    high, low = face(0.9), face(0.5)
    assert measured(*[high] * 7, low) == pytest.approx(0.9, abs=0.04)
    assert measured(*[high] * 5, *[low] * 3) == pytest.approx(0.5, abs=0.04)


def test_a_forehead_that_reaches_out_of_the_crop_has_no_limit() -> None:
    assert measured(face(9.0)) is None


@pytest.mark.parametrize(("own", "more"), [(0.5, False), (0.6, False), (0.75, True), (9.0, True)])
def test_a_forehead_shows_more_where_it_is_plainly_higher(own: float, more: bool) -> None:
    image, landmarks = torch.from_numpy(face(own)), torch.from_numpy(LANDMARKS).float()
    assert shows_more(Painted(), image, landmarks, image[:1], 0.6) == more  # type: ignore[arg-type]


def test_nobody_looks_again_at_a_forehead_that_ends_inside_the_mask() -> None:
    parser, landmarks = Painted(), torch.from_numpy(LANDMARKS).float()
    assert not shows_more(parser, torch.ones(3, SIZE, SIZE), landmarks, torch.from_numpy(face(0.58))[:1], 0.6)  # type: ignore[arg-type]
    assert parser.sides == []
    assert shows_more(parser, torch.ones(3, SIZE, SIZE), landmarks, torch.ones(1, SIZE, SIZE), 0.6)  # type: ignore[arg-type]
    assert len(parser.sides) == 1


def test_the_whole_crop_is_looked_at() -> None:
    # The parser leaves out a twelfth on each side of what it sees: what it is shown must be larger than the crop by that.
    parser = Painted()
    forehead_height(parser, torch.zeros(1, 3, SIZE, SIZE), torch.from_numpy(LANDMARKS).float()[None])  # type: ignore[arg-type]
    (side,) = parser.sides
    assert (side - SIZE) / 2 >= side / 12


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="landmarks"):
        forehead_height(Painted(), torch.zeros(2, 3, SIZE, SIZE), torch.zeros(1, 68, 2))  # type: ignore[arg-type]
