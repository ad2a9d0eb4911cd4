"""Figures of the picture on pictures whose figure is known: waves, noise, edges, blurs, single changed pixels."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import scipy.ndimage
import torch
from skimage import data
from torch import Tensor

from stylswap.errors import SettingsError, ShapeError
from stylswap.metrics.picture import HIGH_BAND, LOW_BAND, sharpness, sharpness_ratio, untouched

SIDE = 128


def disc(side: int = SIDE, radius: float = 0.4) -> Tensor:
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    middle = (side - 1) / 2
    return (((x - middle) ** 2 + (y - middle) ** 2) <= (radius * side) ** 2).float()[None]


def wave(frequency: float, angle_deg: float = 0.0, side: int = SIDE) -> Tensor:
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angle = math.radians(angle_deg)
    phase = 2 * math.pi * frequency * (x * math.cos(angle) + y * math.sin(angle))
    return (0.5 + 0.3 * torch.sin(phase)).expand(3, -1, -1)


def noise(side: int = SIDE, seed: int = 0) -> Tensor:
    return torch.rand(1, side, side, generator=torch.Generator().manual_seed(seed)).expand(3, -1, -1)


def blurred(image: Tensor, sigma_px: float) -> Tensor:
    return torch.from_numpy(scipy.ndimage.gaussian_filter(image.numpy(), (0, sigma_px, sigma_px)))


@pytest.fixture(scope="module")
def portrait() -> Tensor:
    """(3, 128, 128)."""
    face = torch.from_numpy(data.astronaut()[20:220, 130:330]).permute(2, 0, 1)[None].float() / 255
    return torch.nn.functional.interpolate(face, size=(SIDE, SIDE), mode="bilinear", antialias=True)[0]


# ---- untouched -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def photo_u8() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def test_an_equal_photo_is_untouched(photo_u8: npt.NDArray[np.uint8]) -> None:
    assert untouched(photo_u8, photo_u8.copy(), np.zeros((12, 16), bool)) == 0


@pytest.mark.parametrize("kind", [bool, np.float32])
def test_one_changed_sample_is_found_outside_the_mask_and_not_inside(photo_u8: npt.NDArray[np.uint8], kind: type) -> None:
    mask = np.zeros((12, 16), kind)
    mask[3:6, 4:9] = 1
    after = photo_u8.copy()
    after[3:6, 4:9] = 255 - after[3:6, 4:9]
    assert untouched(photo_u8, after, mask) == 0
    before = photo_u8.copy()
    before[6, 4, 2], after[6, 4, 2] = 200, 207  # one row below the mask
    before[0, 0, 1], after[0, 0, 1] = 3, 1
    assert untouched(before, after, mask) == 7
    assert untouched(after, before, mask) == 7


def test_the_whole_range_does_not_wrap_around() -> None:
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert untouched(black, white, np.zeros((2, 2))) == untouched(white, black, np.zeros((2, 2))) == 255


def test_any_weight_above_zero_is_pasted(photo_u8: npt.NDArray[np.uint8]) -> None:
    after = photo_u8 ^ 1
    assert untouched(photo_u8, after, np.full((12, 16), 1e-6)) == 0
    assert untouched(photo_u8, after, np.zeros((12, 16))) == 1


def test_untouched_refuses_what_does_not_fit(photo_u8: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(ShapeError, match="W = 16 in before_u8"):
        untouched(photo_u8, photo_u8[:, :9], np.zeros((12, 16)))
    with pytest.raises(ShapeError, match="mask must be"):
        untouched(photo_u8, photo_u8, np.zeros((12, 16, 1)))
    with pytest.raises(SettingsError, match="after_u8 must be uint8, got float64"):
        untouched(photo_u8, photo_u8 / 255, np.zeros((12, 16)))  # type: ignore[arg-type]


# ---- sharpness -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle_deg", [0, 37, 90])
@pytest.mark.parametrize(("frequency", "expected"), [(0.08, 0.0), (0.11, 0.0), (0.19, 1.0), (0.25, 1.0), (0.31, 1.0)])
def test_a_wave_falls_into_its_band(frequency: float, angle_deg: float, expected: float) -> None:
    assert sharpness(wave(frequency, angle_deg), disc()) == pytest.approx(expected, abs=2e-3)


def test_two_waves_share_by_the_squares_of_their_heights() -> None:
    mixed = 0.5 + 3 * (wave(0.09) - 0.5) + (wave(0.24, 60) - 0.5)
    assert sharpness(mixed, disc()) == pytest.approx(1 / 10, rel=0.02)


@pytest.mark.parametrize("side", [128, 256])
def test_white_noise_has_the_share_of_the_rings_area(side: int) -> None:
    expected = (HIGH_BAND[1] ** 2 - HIGH_BAND[0] ** 2) / (HIGH_BAND[1] ** 2 - LOW_BAND[0] ** 2)
    found = [sharpness(noise(side, seed), disc(side)) for seed in range(4)]
    assert np.mean(found) == pytest.approx(expected, rel=0.02)
    assert expected == pytest.approx(0.83, abs=0.005), "as the docstring says"


def test_a_straight_edge_has_the_share_of_its_spectrum() -> None:
    """Its energy falls with the square of the frequency, along one line of the plane."""
    edge = (torch.arange(512) >= 256).double().expand(3, 512, -1)
    low, high = (1 / start - 1 / end for start, end in (LOW_BAND, HIGH_BAND))
    found = sharpness(edge, disc(512))
    assert found == pytest.approx(high / (low + high), rel=0.15)  # the sampled step has a little more at high frequencies
    assert found == pytest.approx(0.17, abs=0.03), "as the docstring says"


def test_it_falls_with_every_blur(portrait: Tensor) -> None:
    for image in (portrait, noise()):
        figures = [sharpness(blurred(image, sigma) if sigma else image, disc()) for sigma in (0, 0.4, 0.7, 1, 1.5, 2, 3)]
        assert figures == sorted(figures, reverse=True)
        assert figures[-1] < figures[0] / 100
    assert sharpness(blurred(portrait, 6), disc()) < 1e-5, "the window leaks nothing"


@pytest.mark.parametrize("sigma_px", [0.5, 1.0])
def test_blurred_noise_has_the_share_of_the_blurs_spectrum(sigma_px: float) -> None:
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(512), np.fft.fftfreq(512)))
    power = np.exp(-((2 * np.pi * sigma_px * radius) ** 2))
    low, high = (power[(radius >= start) & (radius < end)].sum() for start, end in (LOW_BAND, HIGH_BAND))
    filtered = np.fft.ifft2(np.fft.fft2(noise(512)[0].numpy()) * np.sqrt(power)).real
    image = torch.from_numpy(filtered).expand(3, -1, -1)
    assert sharpness(image, disc(512)) == pytest.approx(high / (low + high), rel=0.04)


def test_contrast_brightness_and_colour_do_not_matter(portrait: Tensor) -> None:
    expected = sharpness(portrait, disc())
    assert sharpness(0.3 * portrait + 0.2, disc()) == pytest.approx(expected, rel=1e-5)
    grey = (portrait * torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)).sum(dim=0, keepdim=True).expand(3, -1, -1)
    assert sharpness(grey, disc()) == pytest.approx(expected, rel=1e-5)
    coloured = torch.stack([0.0722 * noise()[0], torch.zeros(SIDE, SIDE), -0.2126 * noise()[0]])  # a pattern without luminance
    assert sharpness(portrait + coloured, disc()) == pytest.approx(expected, rel=1e-5)


def test_light_from_one_side_hardly_matters(portrait: Tensor) -> None:
    lit = portrait * 0.6 + 0.4 * torch.linspace(0, 1, SIDE)
    assert sharpness(lit, disc()) == pytest.approx(sharpness(portrait, disc()), rel=0.02)


def test_what_lies_outside_the_mask_and_its_edge_do_not_matter(portrait: Tensor) -> None:
    expected = sharpness(portrait, disc())
    assert sharpness(torch.where(disc() > 0, portrait, noise()), disc()) == expected
    soft = blurred(disc(), 2.0)
    assert sharpness(portrait, soft) == pytest.approx(expected, rel=0.05), "a soft mask counts from its half on"
    assert sharpness(0.5 + 0 * portrait, disc()) == 0.0, "and has no detail of its own"


def test_neither_size_nor_form_of_the_mask_matter_on_one_texture() -> None:
    texture = blurred(noise(256, seed=3), 1.0)
    expected = sharpness(texture, torch.ones(1, 256, 256))
    stripe = torch.zeros(1, 256, 256)
    stripe[..., 60:170] = 1
    ring = disc(256, 0.48) - disc(256, 0.08)
    for mask in (disc(256, 0.3), disc(256, 0.45), stripe, ring):
        assert sharpness(texture, mask) == pytest.approx(expected, rel=0.08)


def test_too_little_face_is_no_figure(portrait: Tensor) -> None:
    assert sharpness(portrait, torch.zeros(1, SIDE, SIDE)) is None
    assert sharpness(portrait, disc(radius=0.1)) is None
    assert sharpness(portrait, torch.ones(1, SIDE, SIDE)) is not None


def test_sharpness_refuses_what_does_not_fit() -> None:
    for image, mask in (((3, 8, 9), (1, 8, 9)), ((1, 8, 8), (1, 8, 8)), ((3, 8, 8), (8, 8)), ((3, 8, 8), (1, 9, 9))):
        with pytest.raises(ShapeError):
            sharpness(torch.zeros(image), torch.zeros(mask))


def test_the_ratio_is_over_the_median_of_the_photos(portrait: Tensor) -> None:
    assert sharpness_ratio(0.06, [0.1, 0.2, 0.9]) == pytest.approx(0.3)
    assert sharpness_ratio(0.06, [None, 0.1, 0.2]) == pytest.approx(0.4)
    assert sharpness_ratio(None, [0.1]) is None
    assert sharpness_ratio(0.1, []) is None
    assert sharpness_ratio(0.1, [None, 0.0]) is None
    own = sharpness(portrait, disc())
    assert sharpness_ratio(own, [own]) == 1.0
