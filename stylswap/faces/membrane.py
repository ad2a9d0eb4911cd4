"""The smoothest picture that takes a pasted patch to its photo where it is pulled to; see `stylswap.faces.blend`.

It is solved by multigrid and not by the sine transform of the rectangle, which is as fast. The transform knows no other
boundary than the rectangle's: it bends the photo outside the mask too, and cutting that off leaves the very seam that the method
is there to remove. A patch that is the photo plus a ramp of light shows it: here the ramp goes, there half of it stays.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

TOLERANCE = 5e-4  # largest change in the last cycle; a cycle leaves about a quarter, so 1/30 of a grey level of 8 bits is missing
MAX_CYCLES = 20  # one (soft masks) to three (masks of zeros and ones) are usual
COARSEST = 64  # pixels of the grid that is solved directly
# Steps that damp every error of a wavelength under 4 pixels (eigenvalues of the scaled Laplacian in [0.5, 2]) to 7 % in one round:
# the roots of the Chebyshev polynomial of degree 3 on that interval.
STEPS = tuple(1 / (1.25 + 0.75 * math.cos(math.pi * (2 * k + 1) / 6)) for k in range(3))


class _Level(NamedTuple):
    """The membrane's equation on one grid: ``diagonal * m - (sum of the up to four neighbours) = right``.

    Attributes:
        diagonal: Number of neighbours + pull + screening, (H, W).
        freedom: How far a pixel follows the coarser grid, (H, W) in (0, 1]; about 0 where it is as good as given.
        right: pull * (photo - patch), (C, H, W).
        rest: Room for the residual, (C, H, W): allotting it anew for every step takes as long as the step.
    """

    diagonal: Tensor
    freedom: Tensor
    right: Tensor
    rest: Tensor


def solve_membrane(difference: Tensor, pull: Tensor, screening: float) -> Tensor:
    """The smoothest picture that cancels the difference where it is pulled to; full multigrid, time linear in the pixels.

    Args:
        difference: patch - photo, (C, H, W).
        pull: How strongly each pixel is pulled to the photo, (H, W), somewhere above 0.
        screening: Weight of the membrane's own square, per pixel.

    Returns:
        (C, H, W), between the least and the greatest value that it is pulled to (and 0 when screened).
    """
    levels = _levels(-pull * difference, pull + screening)
    membrane = torch.empty_like(levels[-1].right)
    _cycle(membrane, levels[-1].right, levels[-1:])
    for place in range(len(levels) - 2, -1, -1):
        diagonal, freedom, right, _ = levels[place]
        membrane = torch.lerp(right / diagonal, _double(membrane, diagonal.shape), freedom)
        _cycle(membrane, right, levels[place:])
    before = torch.empty_like(membrane)
    for _ in range(MAX_CYCLES):
        before.copy_(membrane)
        _cycle(membrane, levels[0].right, levels)
        if float(before.sub_(membrane).abs_().max()) < TOLERANCE:
            break
    # The maximum principle: the exact answer keeps it, so it costs nothing and bounds what rounding can do to a faint pull.
    aims = -difference[:, pull > 0]  # (C, P)
    low, high = aims.amin(1)[:, None, None], aims.amax(1)[:, None, None]
    return membrane.clamp(low.clamp(max=0), high.clamp(min=0)) if screening else membrane.clamp(low, high)


def _levels(right: Tensor, weight: Tensor) -> list[_Level]:
    """The equation on finer to coarser grids, down to one pixel.

    Args:
        right: See `_Level`, (C, H, W).
        weight: pull + screening, (H, W).
    """
    levels = []
    while True:
        neighbours = torch.full_like(weight, 4.0)
        neighbours[0] -= 1
        neighbours[-1] -= 1
        neighbours[:, 0] -= 1
        neighbours[:, -1] -= 1
        # A given pixel holds its neighbours through its four edges only, however strong its own pull: unlimited, it would hold the
        # whole coarse cell, and the cycles would converge half as fast. 8, not 4: the coarse grid must not overshoot.
        freedom = 8 / (8 + weight)
        levels.append(_Level(neighbours + weight, freedom, right, torch.empty_like(right)))
        if weight.numel() <= COARSEST:
            return levels
        right, weight = _halve(freedom * right), _halve((freedom * weight)[None])[0]


def _cycle(membrane: Tensor, right: Tensor, levels: list[_Level]) -> None:
    """One V-cycle: smooth, correct from the coarser grid, smooth. Changes the membrane, (C, H, W), in place."""
    level = levels[0]
    if len(levels) == 1:
        membrane.copy_(_solve(right, level.diagonal))
        return
    for step in STEPS:
        membrane.addcdiv_(_residual(membrane, right, level), level.diagonal, value=step)
    coarse_right = _halve(_residual(membrane, right, level).mul_(level.freedom))
    correction = torch.zeros_like(coarse_right)
    _cycle(correction, coarse_right, levels[1:])
    membrane.addcmul_(_double(correction, level.freedom.shape), level.freedom)
    for step in reversed(STEPS):
        membrane.addcdiv_(_residual(membrane, right, level), level.diagonal, value=step)


def _solve(right: Tensor, diagonal: Tensor) -> Tensor:
    """The equation's solution on a grid of few pixels, (C, H, W), by elimination in float64: a faint pull is a small pivot."""
    num_pixels = diagonal.numel()
    units = torch.eye(num_pixels, dtype=torch.float64, device=diagonal.device).view(num_pixels, *diagonal.shape)
    level = _Level(diagonal.double(), diagonal, units, torch.empty_like(units))
    matrix = -_residual(units, torch.zeros_like(units), level).flatten(1)  # (H W, H W), symmetric
    solution: Tensor = torch.linalg.solve(matrix, right.double().flatten(1).mT)
    return solution.mT.reshape(right.shape).to(right.dtype)


def _residual(membrane: Tensor, right: Tensor, level: _Level) -> Tensor:
    """What is missing for the equation to hold, (C, H, W), in the level's own room."""
    rest = torch.addcmul(right, membrane, level.diagonal, value=-1, out=level.rest)
    rest[:, 1:] += membrane[:, :-1]
    rest[:, :-1] += membrane[:, 1:]
    rest[:, :, 1:] += membrane[:, :, :-1]
    rest[:, :, :-1] += membrane[:, :, 1:]
    return rest


def _halve(picture: Tensor) -> Tensor:
    """Sums over cells of 2 x 2 pixels, (C, H, W) to (C, ceil(H / 2), ceil(W / 2)); odd sizes end in half cells."""
    height, width = picture.shape[1:]
    padded = F.pad(picture, (0, width % 2, 0, height % 2))
    rows = padded[:, ::2] + padded[:, 1::2]
    return rows[:, :, ::2] + rows[:, :, 1::2]


def _double(picture: Tensor, size: torch.Size) -> Tensor:
    """Bilinear enlargement by two, (C, h, w) to (C, H, W), cut to the size (H, W)."""
    fine = F.interpolate(picture[None], scale_factor=2, mode="bilinear", align_corners=False)[0]
    return fine[:, : size[0], : size[1]]
