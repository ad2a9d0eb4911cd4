"""The seam figure on pictures whose seam is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import ShapeError
from stylswap.faces.seam import MASKING, SCALES, _smoothed, _steps, seam_figure, seam_figures

GREY = 0.4


def flat(size: int = 96, colour: float = GREY) -> Tensor:
    return torch.full((3, size, size), colour)


def disc(size: int = 96, radius: float = 30.0) -> Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    middle = (size - 1) / 2
    return (((x - middle) ** 2 + (y - middle) ** 2) <= radius**2).float()[None]


def noise(size: int = 96, seed: int = 0) -> Tensor:
    return torch.rand(3, size, size, generator=torch.Generator().manual_seed(seed))


def test_identical_pictures_have_no_seam() -> None:
    assert seam_figure(noise(), noise(), disc()) == 0.0


@pytest.mark.parametrize("radius", [8.0, 30.0, 44.0])
@pytest.mark.parametrize("step", [0.01, 0.1, -0.3])
def test_a_step_on_a_flat_photo_is_its_own_figure(radius: float, step: float) -> None:
    mask = disc(radius=radius)
    assert seam_figure(flat(), flat() + step * mask, mask) == pytest.approx(abs(step), rel=1e-4)


def test_a_step_of_one_colour_counts_as_its_root_mean_square() -> None:
    after = flat()
    after[0] += 0.3 * disc()[0]
    assert seam_figure(flat(), after, disc()) == pytest.approx(0.3 / math.sqrt(3), rel=1e-4)


def test_a_seam_along_half_of_the_edge_counts_by_the_sum_of_squares() -> None:
    fading = disc() * (torch.arange(96) < 48)  # a cut through the middle of the disc, where the mask has no edge
    assert seam_figure(flat(), flat() + 0.1 * fading, disc()) == pytest.approx(0.1 / math.sqrt(2), rel=0.06)


def test_it_grows_with_the_step_whatever_the_photo() -> None:
    photo = scipy.ndimage.gaussian_filter(noise().numpy(), (0, 2, 2))
    before = torch.from_numpy(photo)
    figures = [seam_figure(before, before + step * disc(), disc()) for step in (0.02, 0.05, 0.1, 0.2)]
    assert figures == sorted(figures)
    assert figures[-1] == pytest.approx(10 * figures[0], rel=1e-3)  # proportional: the photo's masking does not depend on the step


def test_a_ramp_is_less_than_a_cut_and_a_wider_one_still_less() -> None:
    depth = torch.from_numpy(scipy.ndimage.distance_transform_edt(disc()[0].numpy())).float()[None]
    figures = [seam_figure(flat(), flat() + 0.1 * (depth / width).clamp(max=1), disc()) for width in (1, 4, 8, 16)]
    assert figures[0] == pytest.approx(0.1, rel=0.02)
    assert figures == sorted(figures, reverse=True)
    assert figures[-1] < 0.06


def test_a_wide_halo_is_seen() -> None:
    """A ramp over 10 px at a face of 53: smooth for the finest scale, a step for the coarsest."""
    depth = torch.from_numpy(scipy.ndimage.distance_transform_edt(disc()[0].numpy())).float()[None]
    halo = 0.1 * (depth / 10).clamp(max=1)
    assert 0.02 < seam_figure(flat(), flat() + halo, disc()) < 0.08


def test_a_change_deep_inside_is_no_seam() -> None:
    inside = disc(radius=8.0)
    assert seam_figure(flat(), flat() + 0.3 * inside, disc(radius=44.0)) < 0.003  # a hundredth of the step


@pytest.mark.parametrize("times", [2, 4, 5])
def test_the_size_of_the_face_does_not_matter(times: int) -> None:
    before = torch.from_numpy(scipy.ndimage.gaussian_filter(noise().numpy(), (0, 3, 3)))
    after = before + 0.1 * disc() * torch.linspace(0, 1, 96)
    large = [F.interpolate(picture[None], scale_factor=times, mode="bicubic")[0] for picture in (before, after)]
    mask = F.interpolate(disc()[None], scale_factor=times, mode="nearest")[0]
    assert seam_figure(*large, mask) == pytest.approx(seam_figure(before, after, disc()), rel=0.06)


def test_an_edge_of_the_photo_hides_a_step() -> None:
    """Where the photo's own step along the edge is `MASKING`, the figure is half."""
    before = flat() + MASKING * disc()
    assert seam_figure(before, before + 0.1 * disc(), disc()) == pytest.approx(0.05, rel=0.15)
    assert seam_figure(before, before + 0.1 * disc(), disc()) < seam_figure(flat(), flat() + 0.1 * disc(), disc())


def test_the_formula_of_the_docstring_in_numpy() -> None:
    """The finest scale by scipy, on a mask so small that nothing is halved."""
    size, radius = 64, 20.0
    mask = disc(size, radius)
    before, after = noise(size, 1).double(), noise(size, 2).double()
    after = torch.where(mask > 0, after, before)
    face_px = math.sqrt(float(mask.sum()))
    assert SCALES[2] * face_px > 2.0 > SCALES[1] * face_px  # the first two scales are on the grid itself

    def gradient(picture: np.ndarray, scale: float) -> np.ndarray:
        sigma_px = scale * face_px
        smooth = scipy.ndimage.gaussian_filter(picture, sigma_px, mode="nearest", truncate=math.ceil(3 * sigma_px) / sigma_px)
        padded = np.pad(smooth, 1, mode="edge")
        return np.stack([padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]])

    expected = []
    for scale in SCALES[:2]:
        edge = gradient(mask[0].double().numpy(), scale)
        steps = np.mean([(edge * gradient((after - before)[c].numpy(), scale)).sum(axis=0) ** 2 for c in range(3)], axis=0)
        contrast = np.sqrt(np.mean([(gradient(before[c].numpy(), scale) ** 2).sum(axis=0) for c in range(3)], axis=0))
        visible = MASKING / (MASKING + contrast / np.sqrt((edge**2).sum(axis=0).max()))
        expected.append(np.sqrt((steps * visible**2).sum() / ((edge**2).sum(axis=0) ** 2).sum()))
    pictures = torch.cat([mask.double(), before, after - before])
    found = [float(_steps(_smoothed(pictures, scale * face_px))[0]) for scale in SCALES[:2]]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_where_the_mask_ends_at_the_border_there_is_no_edge() -> None:
    left = torch.zeros(1, 64, 64)
    left[..., :32] = 1.0
    after = flat(64) + 0.1 * left
    after[:, :, 0] = 1.0  # the photo's border, far from the mask's edge
    assert seam_figure(flat(64), flat(64) + 0.1 * left, left) == pytest.approx(0.1, rel=1e-4)
    assert seam_figure(flat(64), after, left) == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_mask_without_an_edge_has_no_seam(value: float) -> None:
    assert seam_figure(flat(), noise(), torch.full((1, 96, 96), value)) == 0.0


def test_a_soft_mask_is_cut_at_half_of_its_maximum() -> None:
    after = flat() + 0.1 * disc()
    assert seam_figure(flat(), after, 0.5 * disc()) == pytest.approx(0.1, rel=1e-4)


def test_several_pastes_at_once_are_the_single_ones() -> None:
    afters = torch.stack([noise(seed=seed) for seed in range(3)])
    single = [seam_figure(noise(seed=7), after, disc()) for after in afters]
    np.testing.assert_allclose(seam_figures(noise(seed=7), afters, disc()).numpy(), single, rtol=1e-5)


@pytest.mark.parametrize(
    ("before", "after", "mask", "message"),
    [
        ((3, 8, 8), (3, 8, 9), (1, 8, 8), "W = 8"),
        ((3, 8, 8), (3, 8, 8), (3, 8, 8), "mask must be"),
        ((1, 8, 8), (1, 8, 8), (1, 8, 8), "must be"),
        ((3, 0, 8), (3, 0, 8), (1, 0, 8), "at least one picture"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(before: tuple[int, ...], after: tuple[int, ...], mask: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        seam_figure(torch.zeros(before), torch.zeros(after), torch.zeros(mask))
