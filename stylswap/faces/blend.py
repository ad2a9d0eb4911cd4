"""Put a generated face into a photo: Poisson cloning, feathering, or a plain cut.

Everything happens in one rectangle of the photo. No function reads the patch where the mask is 0 or changes the photo there, so
the patch may hold anything outside the face. Where the mask touches the rectangle's border the photo is taken to end there; a
caller whose photo goes on keeps at least one pixel of mask 0 around the face.

Poisson cloning is written as a correction: the result is ``photo + mask * (patch + membrane - photo)``, and the membrane is the
smoothest picture that takes the patch to the photo where the mask changes: it minimises ``|grad membrane|^2 + pull * (patch +
membrane - photo)^2`` over the mask's bounding box.

- A mask of zeros and ones: its outermost pixels are given (they keep the photo), and the rest is Perez' own equation.
- A soft edge: the photo is met on average over the ramp instead of pixel by pixel, and mixing by the mask hides the rest.
- The border of the rectangle: nothing is given there (natural, Neumann). There is no photo beyond it to agree with.
- A mask that is everywhere the same has no edge to learn a colour from, and the patch keeps its own.

The equation is solved by multigrid and not by the sine transform of the rectangle, which is as fast. The transform knows no other
boundary than the rectangle's: it bends the photo outside the mask too, and cutting that off leaves the very seam that the method
is there to remove. A patch that is the photo plus a ramp of light shows it: here the ramp goes, there half of it stays.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import scipy.ndimage
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError, ShapeError, did_you_mean
from stylswap.names import BLENDS
from stylswap.shapes import check_shapes

# Strength of the pull towards the photo along a soft edge. A ramp r pixels wide averages the patch's difference from the photo over
# about r / sqrt(PULL) pixels: some of the ramp's width, so hair and pores crossing the edge do not become stripes of colour.
PULL = 4.0
FIXED = 1e6  # from this pull on a pixel is given, not solved for
TOLERANCE = 5e-4  # largest change in the last cycle; a cycle leaves about a quarter, so 1/30 of a grey level of 8 bits is missing
MAX_CYCLES = 20  # one (soft masks) to three (masks of zeros and ones) are usual
# Width of the ramp over the square root of the mask's area. What lies under the ramp is half the input's person: at .12 final photos
# have .05 less of the identity's likeness than at .06, and narrower ones gain little for a plainer edge.
FEATHER = 0.06
COARSEST = 64  # pixels of the grid that is solved directly
# Steps that damp every error of a wavelength under 4 pixels (eigenvalues of the scaled Laplacian in [0.5, 2]) to 7 % in one round:
# the roots of the Chebyshev polynomial of degree 3 on that interval.
STEPS = tuple(1 / (1.25 + 0.75 * math.cos(math.pi * (2 * k + 1) / 6)) for k in range(3))


def blend(photo: Tensor, patch: Tensor, mask: Tensor, *, method: str, screening: float = 0.0) -> Tensor:
    """Put the patch into the photo where the mask says so.

    Args:
        photo: The photo's region, (3, H, W) in [0, 1], float32 or float64.
        patch: The generated face, warped to that region, (3, H, W) in [0, 1], same type. Not read where the mask is 0.
        mask: 1 = face, soft edges allowed, may touch the border, (1, H, W) in [0, 1], same type.
        method: One of `BLENDS`.
        screening: For ``"poisson"`` only, see `poisson_clone`.

    Returns:
        (3, H, W) in [0, 1]; bit-identical to the photo where the mask is 0.

    Raises:
        ShapeError: If sizes differ or the tensors are not of one floating type.
        SettingsError: If the method is unknown or the screening is negative.
    """
    if method not in BLENDS:
        raise SettingsError(f"method must be a way to blend, got '{method}'.{did_you_mean(method, BLENDS)}")
    if method == "poisson":
        return poisson_clone(photo, patch, mask, screening=screening)
    if method == "feather":
        return feather(photo, patch, mask)
    _check(photo, patch, mask)
    return torch.where(mask >= 0.5, patch.clamp(0, 1), photo)


@torch.no_grad()
def poisson_clone(photo: Tensor, patch: Tensor, mask: Tensor, *, screening: float = 0.0) -> Tensor:
    """Clone the patch's gradients, so that its colours join the photo's along the edge of the mask (see the module).

    Args:
        photo: The photo's region, (3, H, W) in [0, 1].
        patch: The generated face, (3, H, W) in [0, 1]. Not read where the mask is 0.
        mask: 1 = face, (1, H, W) in [0, 1].
        screening: 0 is Perez: the colours along the edge decide those of the whole face, dark hair at the edge included. With s > 0
            the edge's influence falls to 1/e about R / sqrt(s) inside it, R the radius of a disc with the mask's area, and the
            middle keeps the patch's own colours; 4 to 16 are useful, after `stylswap.faces.colour.match_skin`.

    Returns:
        (3, H, W) in [0, 1]; bit-identical to the photo where the mask is 0.

    Raises:
        ShapeError: If sizes differ or the tensors are not of one floating type.
        SettingsError: If the screening is negative or not a number.

    Reference:
        perez2003, equation 4 (importing gradients).

    Differs from the paper:
        Soft masks and screening.
    """
    _check(photo, patch, mask)
    if not 0 <= screening < math.inf:
        raise SettingsError(f"screening must be 0 or more, got {screening}")
    inside = mask[0] > 0
    if not bool(inside.any()):
        return photo.clone()
    rows, columns = _span(inside.any(1)), _span(inside.any(0))  # the solver needs no more than the face's own box
    pull = _pull(mask[0])[rows, columns]
    difference = torch.where(inside, patch - photo, 0.0)[:, rows, columns]
    membrane = torch.zeros_like(difference)
    if bool(pull.any()):
        membrane = _membrane(difference, pull, screening * math.pi / float(mask.sum()))
    result = photo.clone()
    inner = result[:, rows, columns]  # a view: the line below writes the result
    inner += mask[:, rows, columns] * (difference + membrane)
    return torch.where(inside, result.clamp(0, 1), photo)


@torch.no_grad()
def feather(photo: Tensor, patch: Tensor, mask: Tensor, *, softness: float = FEATHER) -> Tensor:
    """Mix patch and photo, with an edge whose softness grows with the face.

    The ramp lies inside the mask, and a mask that is softer already stays as it is. There is no ramp along the rectangle's border.

    Args:
        photo: The photo's region, (3, H, W) in [0, 1].
        patch: The generated face, (3, H, W) in [0, 1]. Not read where the mask is 0.
        mask: 1 = face, (1, H, W) in [0, 1].
        softness: Width of the ramp over the square root of the mask's area; 0 mixes by the mask itself.

    Returns:
        (3, H, W) in [0, 1]; bit-identical to the photo where the mask is 0.

    Raises:
        ShapeError: If sizes differ or the tensors are not of one floating type.
        SettingsError: If the softness is negative or not a number.
    """
    _check(photo, patch, mask)
    if not 0 <= softness < math.inf:
        raise SettingsError(f"softness must be 0 or more, got {softness}")
    alpha, inside = mask, mask > 0
    width_px = softness * math.sqrt(float(mask.sum()))
    if width_px > 1 and not bool(inside.all()):
        depth_px = scipy.ndimage.distance_transform_edt(inside[0].cpu().numpy())
        ramp = torch.as_tensor(depth_px, device=mask.device).to(mask.dtype).div_(width_px).clamp_(max=1)
        alpha = torch.minimum(mask, ramp * ramp * (3 - 2 * ramp))
    return torch.where(inside, (photo + alpha * (patch - photo)).clamp(0, 1), photo)


def _check(photo: Tensor, patch: Tensor, mask: Tensor) -> None:
    """Raise ShapeError unless the three fit together."""
    check_shapes(photo=(photo, "3 H W"), patch=(patch, "3 H W"), mask=(mask, "1 H W"))
    types = {photo.dtype, patch.dtype, mask.dtype}
    if len(types) > 1 or photo.dtype not in {torch.float32, torch.float64}:
        raise ShapeError(
            f"photo, patch and mask must all be float32 or all float64 in [0, 1], got {photo.dtype}, {patch.dtype}, {mask.dtype}"
        )


def _span(used: Tensor) -> slice:
    """From the first to the last true element of (N,)."""
    places = used.nonzero()
    return slice(int(places[0]), int(places[-1]) + 1)


def _pull(mask: Tensor) -> Tensor:
    """How strongly each pixel's colour is pulled to the photo's, (H, W) in [0, FIXED].

    A mask that changes by g between two pixels draws an edge of g times what patch and photo differ by, so the pull is its square,
    and it becomes a condition where the mask jumps from nothing to all (g = 1). Far ends of a ramp hardly count.
    """
    shape = mask / mask.max()  # how opaque the whole face is does not matter
    change = torch.zeros_like(mask)
    for axis in (0, 1):
        jump = shape.diff(dim=axis).abs()
        size = jump.shape[axis]
        for start in (0, 1):
            side = change.narrow(axis, start, size)
            torch.maximum(side, jump, out=side)
    change = torch.where(mask > 0, change, 0.0)
    return (PULL * change**2 / (1 - change).clamp(min=PULL / FIXED)).clamp(max=FIXED)


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


def _membrane(difference: Tensor, pull: Tensor, screening: float) -> Tensor:
    """The smoothest picture that cancels the difference where it is pulled to; full multigrid, time linear in the pixels.

    Args:
        difference: patch - photo, (C, H, W).
        pull: See `_pull`, (H, W), somewhere above 0.
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
