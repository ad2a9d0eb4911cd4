"""A crop goes back into its photo, also where it reaches beyond it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stylswap.faces.align import transform_points
from stylswap.jobs.paste import PasteOptions, paste_crop
from stylswap.photo import Photo, from_array

SIDE = 16


def grey_photo(height: int = 60, width: int = 80) -> Photo:
    return from_array(np.full((height, width, 3), 100, np.uint8))


def placed(left: float, top: float, scale: float = 1.0) -> np.ndarray:
    """crop_from_photo of a crop whose first pixel lies at (left, top) and whose pixels are `scale` photo pixels wide."""
    return np.linalg.inv(np.array([[scale, 0.0, left], [0.0, scale, top], [0.0, 0.0, 1.0]]))


@pytest.mark.parametrize("blend", ["poisson", "feather", "none"])
@pytest.mark.parametrize(("left", "top"), [(-8, 20), (72, 20), (30, -8), (30, 52), (-8, -8), (72, 52), (30, 20)])
def test_every_border_and_corner(blend: str, left: int, top: int) -> None:
    photo = grey_photo()
    result = paste_crop(photo, torch.ones(3, SIDE, SIDE), torch.ones(1, SIDE, SIDE), placed(left, top), PasteOptions(blend)).rgb_u8()
    inside = np.zeros((60, 80), bool)
    inside[max(top, 0) : top + SIDE, max(left, 0) : left + SIDE] = True
    grown = np.zeros_like(inside)  # zero padding lets the bilinear edge of the mask reach one pixel further
    grown[max(top - 1, 0) : top + SIDE + 1, max(left - 1, 0) : left + SIDE + 1] = True
    changed = (result != 100).any(axis=-1)
    assert not changed[~grown].any()
    if blend == "none":
        assert (result[inside] == 255).all()


def test_beyond_the_photo_and_empty_masks_change_nothing() -> None:
    photo = grey_photo()
    white = torch.ones(3, SIDE, SIDE)
    assert paste_crop(photo, white, torch.ones(1, SIDE, SIDE), placed(500, 500), PasteOptions()) is photo
    assert paste_crop(photo, white, torch.zeros(1, SIDE, SIDE), placed(10, 10), PasteOptions()) is photo


def test_mask_of_one_pixel() -> None:
    mask = torch.zeros(1, SIDE, SIDE)
    mask[0, 5, 7] = 1
    matrix = placed(20, 30)
    result = paste_crop(grey_photo(), torch.ones(3, SIDE, SIDE), mask, matrix, PasteOptions("none")).rgb_u8()
    x, y = np.round(transform_points(np.linalg.inv(matrix), np.array([[7.0, 5.0]]))[0]).astype(int)
    assert (x, y) == (27, 35)
    assert (result[y, x] == 255).all()
    assert ((result != 100).any(axis=-1)).sum() == 1


def test_enlarged_crop_lands_where_it_belongs() -> None:
    output = torch.zeros(3, SIDE, SIDE)
    output[:, :, SIDE // 2 :] = 1.0  # dark left half, bright right half
    result = paste_crop(grey_photo(), output, torch.ones(1, SIDE, SIDE), placed(11.0, 5.0, scale=3.0), PasteOptions("none")).rgb_u8()
    # The edge lies between crop columns 7 and 8: photo x = 11 + 3 * 7.5 = 33.5.
    assert result[25, 30, 0] < 20
    assert result[25, 37, 0] > 235
