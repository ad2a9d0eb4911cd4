"""A crop goes back into its photo, also where it reaches beyond it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stylswap.errors import SettingsError, ShapeError
from stylswap.faces.align import reference_shape, transform_points
from stylswap.faces.batch import FaceBatch
from stylswap.faces.seam import seam_figure
from stylswap.jobs.paste import PASTE_SEGMENTER, PasteOptions, composite_crops, paste_crop, paste_face, place_crop
from stylswap.photo import Photo, from_array

SIDE = 16


def grey_photo(height: int = 60, width: int = 80) -> Photo:
    return from_array(np.full((height, width, 3), 100, np.uint8))


def placed(left: float, top: float, scale: float = 1.0) -> np.ndarray:
    """crop_from_photo of a crop whose first pixel lies at (left, top) and whose pixels are `scale` photo pixels wide."""
    return np.linalg.inv(np.array([[scale, 0.0, left], [0.0, scale, top], [0.0, 0.0, 1.0]]))


@pytest.mark.parametrize("blend", ["auto", "poisson", "feather", "none"])
@pytest.mark.parametrize(("left", "top"), [(-8, 20), (72, 20), (30, -8), (30, 52), (-8, -8), (72, 52), (30, 20)])
def test_every_border_and_corner(blend: str, left: int, top: int) -> None:
    photo = grey_photo()
    options = PasteOptions(blend, "none")
    result = paste_crop(photo, torch.ones(3, SIDE, SIDE), torch.ones(1, SIDE, SIDE), placed(left, top), options).rgb_u8()
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
    result = paste_crop(grey_photo(), torch.ones(3, SIDE, SIDE), mask, matrix, PasteOptions("none", "none")).rgb_u8()
    x, y = np.round(transform_points(np.linalg.inv(matrix), np.array([[7.0, 5.0]]))[0]).astype(int)
    assert (x, y) == (27, 35)
    assert (result[y, x] == 255).all()
    assert ((result != 100).any(axis=-1)).sum() == 1


def test_enlarged_crop_lands_where_it_belongs() -> None:
    output = torch.zeros(3, SIDE, SIDE)
    output[:, :, SIDE // 2 :] = 1.0  # dark left half, bright right half
    matrix = placed(11.0, 5.0, scale=3.0)
    result = paste_crop(grey_photo(), output, torch.ones(1, SIDE, SIDE), matrix, PasteOptions("none", "none")).rgb_u8()
    # The edge lies between crop columns 7 and 8: photo x = 11 + 3 * 7.5 = 33.5.
    assert result[25, 30, 0] < 20
    assert result[25, 37, 0] > 235


@pytest.mark.parametrize("mask_side", [8, 16, 48])
def test_a_mask_of_another_side_covers_the_same_square(mask_side: int) -> None:
    mask = torch.zeros(1, mask_side, mask_side)
    mask[0, mask_side // 4 : mask_side // 2, mask_side // 2 :] = 1.0  # rows 4 to 7 and columns 8 to 15 of a crop of 16
    result = paste_crop(grey_photo(), torch.ones(3, SIDE, SIDE), mask, placed(10.0, 20.0), PasteOptions("none", "none")).rgb_u8()
    expected = np.full((60, 80, 3), 100, np.uint8)
    expected[24:28, 18:26] = 255
    np.testing.assert_array_equal(result, expected)


def test_a_crop_that_is_no_square_is_refused() -> None:
    with pytest.raises(ShapeError, match="mask must be"):
        paste_crop(grey_photo(), torch.ones(3, SIDE, SIDE), torch.ones(1, SIDE, 12), placed(10, 10), PasteOptions())


def textured_photo(height: int = 160, width: int = 160) -> Photo:
    generator = np.random.default_rng(0)
    return from_array((120 + generator.normal(0, 8, (height, width, 1)).round().repeat(3, axis=2)).astype(np.uint8))


def round_mask(side: int = 32) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (((x - side / 2 + 0.5) ** 2 + (y - side / 2 + 0.5) ** 2) < (0.4 * side) ** 2).float()[None]


def test_what_was_chosen_comes_back() -> None:
    photo, output, mask, matrix = textured_photo(), torch.full((3, 32, 32), 0.6), round_mask(), placed(20, 24, scale=3.0)
    pasted = paste_face(photo, output, mask, matrix, PasteOptions())
    assert pasted.blend in ("poisson", "feather")
    assert pasted.colour in ("balance", "none")
    place = place_crop(photo, output, mask, matrix)
    assert place is not None
    figure = seam_figure(place.region, pasted.photo.image(place.rect), place.mask)
    assert pasted.seam == pytest.approx(figure, rel=0.1)
    worse = paste_face(photo, output, mask, matrix, PasteOptions("none", "none"))
    assert (worse.blend, worse.colour) == ("none", "none")
    assert worse.seam > 2 * pasted.seam
    assert paste_face(photo, output, 0 * mask, matrix, PasteOptions()).seam == 0.0


def test_detail_of_the_photo_is_on_the_face() -> None:
    photo, output, mask, matrix = textured_photo(), torch.full((3, 32, 32), 0.45), round_mask(), placed(20, 24, scale=3.0)
    middle = (slice(60, 84), slice(56, 80))
    spread = {
        detail: paste_face(photo, output, mask, matrix, PasteOptions("feather", "none", detail=detail)).photo.rgb_u8()[middle].std()
        for detail in ("bands", "none")
    }
    assert spread["none"] < 0.5
    assert spread["bands"] > 0.7 * photo.rgb_u8()[middle].std()


def test_unknown_names_are_refused() -> None:
    for wrong in ({"blend": "poison"}, {"colour": "skni"}, {"detail": "band"}):
        with pytest.raises(SettingsError, match=f"unknown {next(iter(wrong))}"):
            PasteOptions(**wrong)


def test_the_rectangle_leaves_room_around_the_mask() -> None:
    place = place_crop(grey_photo(), torch.ones(3, SIDE, SIDE), round_mask(SIDE), placed(30, 20, scale=2.0))
    assert place is not None
    rows, columns = place.mask[0].any(dim=1).nonzero().flatten(), place.mask[0].any(dim=0).nonzero().flatten()
    height, width = place.mask.shape[1:]
    assert min(int(rows[0]), int(columns[0]), height - 1 - int(rows[-1]), width - 1 - int(columns[-1])) >= 4
    np.testing.assert_allclose(place.patch.numpy(), 1.0)
    np.testing.assert_allclose(place.region.numpy(), 100 / 255, atol=1e-6)


def test_composites_change_only_the_face() -> None:
    landmarks = torch.from_numpy(reference_shape(64)).float()[None]
    inputs = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    faces = FaceBatch(inputs, landmarks, torch.ones(1, 1, 64, 64))
    composite = composite_crops(faces, torch.full((1, 3, 64, 64), 0.5))
    inside = PASTE_SEGMENTER.segment(inputs, landmarks) > 0
    assert composite.shape == inputs.shape
    assert torch.equal(composite.masked_fill(inside, 0), inputs.masked_fill(inside, 0))
    assert float((composite - 0.5).abs()[:, :, 28:36, 28:36].max()) < 0.1


def test_composites_are_as_sharp_as_final_photos() -> None:
    landmarks = torch.from_numpy(reference_shape(64)).float()[None]
    inputs = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.4
    faces = FaceBatch(inputs, landmarks, torch.ones(1, 1, 64, 64))
    stripes = torch.full((1, 3, 64, 64), 0.45)
    stripes[..., ::4] = 0.55
    plain, sharp = (composite_crops(faces, stripes, PasteOptions("none", "none", detail=detail)) for detail in ("none", "bands"))
    middle = (0, 0, slice(28, 36), slice(24, 40))
    assert float(sharp[middle].std()) > 1.2 * float(plain[middle].std())
