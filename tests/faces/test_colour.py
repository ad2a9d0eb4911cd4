"""Colour matching: numbers that can be worked out by hand, and the cases where it must hold back."""

import numpy as np
import pytest
import torch
from skimage.color import lab2rgb, rgb2lab

from stylswap.errors import ShapeError
from stylswap.faces.colour import MIN_PIXELS, match_skin

H, W = 16, 12


def from_lab(lightness, a, b):
    """Lab values, broadcast to (H, W), as an RGB picture (3, H, W)."""
    lab = np.stack([np.broadcast_to(np.asarray(v, np.float64), (H, W)) for v in (lightness, a, b)], axis=-1)
    rgb = lab2rgb(lab)
    assert rgb.min() > 0.001 and rgb.max() < 0.999, "the test's colours must lie inside sRGB"
    return torch.from_numpy(rgb).float().permute(2, 0, 1)


def to_lab(picture):
    return rgb2lab(picture.permute(1, 2, 0).numpy())


def checks(low, high):
    """A board of two values in equal parts: mean (low + high) / 2, standard deviation (high - low) / 2."""
    rows, columns = np.indices((H, W))
    return np.where((rows + columns) % 2 == 0, low, high)


FULL = torch.ones(1, H, W)


def test_mean_and_spread_by_hand():
    patch = from_lab(checks(40, 60), checks(8, 12), checks(0, 10))
    photo = from_lab(checks(45, 75), checks(17, 20), checks(18, 22))
    # L: 50 +- 10 -> 60 +- 15; a: 10 +- 2 -> 18.5 +- 1.5; b: 5 +- 5 -> 20 +- 2, but the spread is at least halved to 2.5.
    expected = from_lab(checks(45, 75), checks(17, 20), checks(17.5, 22.5))
    result = match_skin(patch, photo, FULL)
    assert result.shape == (3, H, W) and result.dtype == torch.float32
    np.testing.assert_allclose(to_lab(result), to_lab(expected), atol=0.02)


def test_stretch_is_at_most_two():
    patch, photo = from_lab(checks(49, 51), 10, 10), from_lab(checks(40, 60), 10, 10)
    lightness = to_lab(match_skin(patch, photo, FULL))[..., 0]
    assert lightness.min() == pytest.approx(48, abs=0.05) and lightness.max() == pytest.approx(52, abs=0.05)


def test_flat_patch_moves_and_stays_flat():
    result = to_lab(match_skin(from_lab(50, 10, 10), from_lab(checks(60, 80), 14, 18), FULL))
    np.testing.assert_allclose(result, np.broadcast_to([70.0, 14.0, 18.0], (H, W, 3)), atol=0.05)


def test_statistics_are_weighted_by_the_mask_and_applied_everywhere():
    columns = np.indices((H, W))[1]
    patch = from_lab(50, 10, 10)
    photo = from_lab(np.where(columns < 4, 20, np.where(columns < 8, 60, 80)), 10, 10)
    mask = torch.zeros(1, H, W)
    mask[:, :, 4:8], mask[:, :, 8:] = 1.0, 0.5  # mean (60 * 1 + 80 * 0.5) / 1.5 = 66.67; the first columns do not count
    result = to_lab(match_skin(patch, photo, mask))
    np.testing.assert_allclose(result[..., 0], 200 / 3, atol=0.05)


def test_patch_outside_the_mask_has_no_say():
    photo = from_lab(checks(60, 80), 14, 18)
    patch = from_lab(checks(40, 50), 10, 10)
    mask = torch.zeros(1, H, W)
    mask[:, :8] = 1
    other = patch.clone()
    other[:, 8:] = 0
    assert not torch.allclose(match_skin(patch, photo, FULL), patch, atol=0.05)
    torch.testing.assert_close(match_skin(other, photo, mask)[:, :8], match_skin(patch, photo, mask)[:, :8])


def test_same_colours_stay():
    photo = torch.rand(3, H, W, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(match_skin(photo, photo, FULL), photo, atol=1e-4, rtol=0)


def test_too_few_pixels_change_nothing():
    patch, photo, mask = from_lab(50, 10, 10), from_lab(70, 14, 18), torch.zeros(1, H, W)
    mask.view(-1)[: int(MIN_PIXELS) - 1] = 1
    for few in (mask, torch.zeros(1, H, W), 0.3 * FULL):
        result = match_skin(patch, photo, few)
        assert torch.equal(result, patch)
        assert result.data_ptr() != patch.data_ptr()
    mask.view(-1)[int(MIN_PIXELS) - 1] = 1
    assert not torch.allclose(match_skin(patch, photo, mask), patch, atol=0.05)


def test_colours_beyond_srgb_are_clipped_without_a_word():
    """Warnings are errors in the tests; noise towards saturated yellow leaves the gamut on every side."""
    generator = torch.Generator().manual_seed(2)
    patch = torch.rand(3, H, W, generator=generator).round()
    photo = torch.tensor([1.0, 0.9, 0.0])[:, None, None] * torch.rand(1, H, W, generator=generator).round()
    inputs = patch.clone(), photo.clone()
    for first, second in ((patch, photo), (photo, patch)):
        result = match_skin(first, second, FULL)
        assert torch.isfinite(result).all() and result.min() >= 0 and result.max() <= 1
        assert not torch.allclose(result, first, atol=0.05)
    assert torch.equal(patch, inputs[0]) and torch.equal(photo, inputs[1])


def test_wrong_shapes():
    patch, photo = from_lab(50, 10, 10), from_lab(70, 14, 18)
    for wrong in ((patch[:, 1:], photo, FULL), (patch, photo[:1], FULL), (patch, photo, FULL[0])):
        with pytest.raises(ShapeError, match="must be"):
            match_skin(*wrong)


def test_type_of_the_patch_stays():
    patch, photo = from_lab(50, 10, 10).double(), from_lab(70, 14, 18)
    assert match_skin(patch, photo, FULL).dtype == torch.float64
