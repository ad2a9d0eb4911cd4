"""Detail in bands: carried over where both pictures agree, and nowhere else."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from stylswap.errors import ShapeError
from stylswap.faces.align import FloatArray, inverse, resized, warp
from stylswap.faces.detail import COLOUR_PX, LUMA, SHARPEN, SHARPEN_PX, agreement, carry_detail, finished, sharpened

SIDE = 32
TIMES = 4
LARGE = SIDE * TIMES
CROP_FROM_REGION = resized(np.eye(3), LARGE, SIDE)  # the region is the crop's own square, 4 times enlarged


def edge(size: int, place: float, *, width: float = 0.02) -> Tensor:
    """(3, size, size): dark left of `place`, a share of the width, bright right of it."""
    x = (torch.arange(size) + 0.5) / size
    return (0.3 + 0.4 * torch.sigmoid((x - place) / width)).expand(3, size, size).clone()


def grain(size: int = LARGE) -> Tensor:
    return 0.03 * torch.randn(1, size, size, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1)


def enlarged(output: Tensor, crop_from_region: FloatArray = CROP_FROM_REGION, size: int = LARGE) -> Tensor:
    return warp(output, inverse(crop_from_region), (size, size), mode="bicubic").clamp(0, 1)


def fine(picture: Tensor) -> Tensor:
    """What a crop of `SIDE` cannot hold."""
    return picture - enlarged(warp(picture, CROP_FROM_REGION, (SIDE, SIDE)))


def test_grain_of_smooth_skin_is_carried_over_whole() -> None:
    output = torch.full((3, SIDE, SIDE), 0.5)
    region = 0.6 + grain()
    carried = carry_detail(enlarged(output), region, output, CROP_FROM_REGION)
    share = float((fine(carried) * fine(region)).sum() / fine(region).square().sum())
    assert share > 0.9
    assert float(carried.mean()) == pytest.approx(0.5, abs=0.002)  # the colour stays the output's


def test_the_input_itself_comes_back_whole() -> None:
    region = edge(LARGE, 0.4, width=0.004) + grain()
    held = warp(region, CROP_FROM_REGION, (SIDE, SIDE))
    back = carry_detail(enlarged(held), region, held, CROP_FROM_REGION)
    np.testing.assert_allclose(back, region, atol=1e-5)


def test_an_edge_at_the_same_place_gets_sharper() -> None:
    region, output = edge(LARGE, 0.5, width=0.002), edge(SIDE, 0.5)
    patch = enlarged(output)
    carried = carry_detail(patch, region, output, CROP_FROM_REGION)
    slope, before = (float(picture.diff(dim=2).abs().max()) for picture in (carried, patch))
    assert slope > 2 * before


def test_an_edge_elsewhere_leaves_no_ghost() -> None:
    """The input's edge at 0.3, the output's at 0.7: at 0.3 the output stays what it is."""
    region, output = edge(LARGE, 0.3, width=0.002), edge(SIDE, 0.7)
    patch = enlarged(output)
    ghost = (carry_detail(patch, region, output, CROP_FROM_REGION) - patch).abs().amax(dim=(0, 1))
    assert float(fine(region).abs().max()) > 0.1
    assert float(ghost.max()) < 0.02


def test_the_weight_by_hand() -> None:
    """Where the output has half of the input's structure the weight is a half, where it has the opposite it is 0, and never over 1."""
    checks = (torch.arange(SIDE) // 2 % 2).float() - 0.5
    structure = (0.4 * checks).expand(3, SIDE, SIDE)
    inside = (slice(None), slice(8, 24), slice(8, 24))
    for factor, expected in ((0.5, 0.5), (1.0, 1.0), (2.0, 1.0), (-1.0, 0.0), (0.0, 0.0)):
        weight = agreement(0.5 + structure, 0.5 + factor * structure)
        np.testing.assert_allclose(weight[inside], expected, atol=0.02)
    assert float(agreement(torch.full((3, SIDE, SIDE), 0.5), 0.5 + structure).min()) == 1.0


@pytest.mark.parametrize("times", [0.5, 1.0, 1.04])
def test_a_face_no_larger_than_the_crop_is_left_alone(times: float) -> None:
    patch = torch.rand(3, 20, 20)
    assert carry_detail(patch, torch.rand(3, 20, 20), torch.rand(3, SIDE, SIDE), np.diag([1 / times, 1 / times, 1.0])) is patch


def test_a_region_that_is_a_part_of_the_crop() -> None:
    """The same detail whether the rectangle holds the whole crop or a corner of it, but for the corner's own border."""
    output, region = edge(SIDE, 0.5), edge(LARGE, 0.5, width=0.002) + grain()
    whole = carry_detail(enlarged(output), region, output, CROP_FROM_REGION)
    shift = np.array([[1.0, 0.0, 24.0], [0.0, 1.0, 16.0], [0.0, 0.0, 1.0]])
    part_from_crop = CROP_FROM_REGION @ shift
    part = region[:, 16:112, 24:120]
    carried = carry_detail(enlarged(output, part_from_crop, 96), part, output, part_from_crop)
    difference: npt.NDArray[np.float32] = (carried - whole[:, 16:112, 24:120])[:, 24:-24, 24:-24].abs().numpy()
    assert float(difference.mean()) < 0.004


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="region must be"):
        carry_detail(torch.zeros(3, 8, 8), torch.zeros(3, 8, 9), torch.zeros(3, 4, 4), np.eye(3))
    with pytest.raises(ShapeError, match="output must be"):
        agreement(torch.zeros(3, 8, 8), torch.zeros(3, 8, 9))


def test_sharpening_leaves_one_colour_and_keeps_the_mean() -> None:
    plain = torch.full((3, 16, 16), 0.4)
    assert torch.allclose(sharpened(plain), plain)
    textured = 0.4 + 0.05 * torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1)
    inner = (slice(None), slice(8, 24), slice(8, 24))
    assert float(sharpened(textured)[inner].var()) > float(textured[inner].var())
    assert float(sharpened(textured).mean()) == pytest.approx(float(textured.mean()), abs=1e-3)


def left_of_a_wave(cycles: float, radius_px: float) -> float:
    """Weights w_k at k pixels leave sum(w_k cos(2 pi f k)) of a wave of f cycles a pixel."""
    weights = {k: math.exp(-0.5 * (k / radius_px) ** 2) for k in range(-8, 9)}
    return sum(weight * math.cos(2 * math.pi * cycles * k) for k, weight in weights.items()) / sum(weights.values())


@pytest.mark.parametrize(("side", "wider"), [(64, 1.0), (128, 1.0), (256, math.sqrt(2))])
def test_sharpening_a_wave_by_hand(side: int, wider: float) -> None:
    """A grey wave gains what the unsharp mask adds; a wave of colour alone, whose luma is 0, keeps what the Gaussian leaves."""
    cycles, inner = 0.25, slice(8, side - 8)
    wave = 0.1 * torch.cos(2 * math.pi * cycles * torch.arange(side))
    grey = (0.5 + wave).expand(3, side, side)
    gain = 1 + SHARPEN * (1 - left_of_a_wave(cycles, SHARPEN_PX * wider))
    np.testing.assert_allclose(sharpened(grey)[0, 32, inner] - 0.5, gain * wave[inner], atol=1e-3)  # it ends at 3 of them
    red_or_green = torch.tensor([LUMA[1], -LUMA[0], 0.0])
    colour = 0.5 + red_or_green.view(3, 1, 1) * wave.expand(3, side, side)
    expected = left_of_a_wave(cycles, COLOUR_PX * max(side / 128, 1.0)) * red_or_green[:, None] * wave[inner]
    np.testing.assert_allclose(sharpened(colour)[:, 32, inner] - 0.5, expected, atol=2e-4)


@pytest.mark.parametrize("side", [128, 256])
def test_what_was_cut_from_photos_keeps_its_colours(side: int) -> None:
    cycles, inner = 0.25, slice(8, side - 8)
    wave = 0.1 * torch.cos(2 * math.pi * cycles * torch.arange(side))
    gain = 1 + SHARPEN * (1 - left_of_a_wave(cycles, SHARPEN_PX))  # whatever the side
    grey = sharpened((0.5 + wave).expand(3, side, side), drawn=False)
    np.testing.assert_allclose(grey[0, 32, inner] - 0.5, gain * wave[inner], atol=1e-3)
    colour = 0.5 + torch.tensor([LUMA[1], -LUMA[0], 0.0]).view(3, 1, 1) * wave.expand(3, side, side)
    np.testing.assert_allclose(sharpened(colour, drawn=False), colour, atol=1e-6)


def test_finishing_is_sharpening_of_many_with_a_gradient() -> None:
    """Every gradient of a linear filter whose weights sum to 1 sums to that of the filtered."""
    crops = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)).mul_(0.5).add_(0.25).double().requires_grad_()
    whole = finished(crops)
    for crop, one in zip(crops, whole, strict=True):
        assert torch.allclose(sharpened(crop), one.clamp(0, 1))
    weights = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((whole * weights).sum(), crops)
    step = 1e-3 * torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    moved = ((finished(crops + step) - whole) * weights).detach().sum()
    assert float(moved) == pytest.approx(float((gradient * step).sum()), rel=1e-9)
    assert float(gradient[0].sum()) == pytest.approx(float(weights[0].sum()))


def test_finishing_may_leave_the_range_and_refuses_other_shapes() -> None:
    edge = torch.zeros(1, 3, 16, 16)
    edge[..., 8:] = 1.0
    assert float(finished(edge).min()) < 0 and float(finished(edge).max()) > 1
    with pytest.raises(ShapeError, match="outputs"):
        finished(torch.zeros(1, 3, 8, 9))


def test_sharpening_stays_in_range_and_refuses_other_shapes() -> None:
    edge = torch.zeros(3, 16, 16)
    edge[..., 8:] = 1.0
    assert 0.0 <= float(sharpened(edge).min()) <= float(sharpened(edge).max()) <= 1.0
    with pytest.raises(ShapeError, match="output"):
        sharpened(torch.zeros(3, 8, 9))
