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
"""

from __future__ import annotations

import math

import scipy.ndimage
import torch
from torch import Tensor

from stylswap.errors import SettingsError, ShapeError, did_you_mean
from stylswap.faces.membrane import solve_membrane
from stylswap.names import BLENDS
from stylswap.shapes import check_shapes

# Strength of the pull towards the photo along a soft edge. A ramp r pixels wide averages the patch's difference from the photo over
# about r / sqrt(PULL) pixels: some of the ramp's width, so hair and pores crossing the edge do not become stripes of colour.
PULL = 4.0
FIXED = 1e6  # from this pull on a pixel is given, not solved for
# Width of the ramp over the square root of the mask's area. What lies under the ramp is half the input's person: final photos lose .05 of
# the identity's likeness from .06 to .12 and .02 from .03 to .06, and gain nothing below: docs/decisions/0024.
FEATHER = 0.03


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
        membrane = solve_membrane(difference, pull, screening * math.pi / float(mask.sum()))
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
