"""How visible the edge of a pasted face is, as one number.

What a paste added to the photo is ``change = after - before``. A seam is a step of the change across the edge of the mask, where the
photo itself was smooth. Steps of all widths count: a hard cut shows at every scale, a halo only at the coarse ones.
"""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import ShapeError
from stylswap.shapes import check_shapes

# Standard deviations of the Gaussians through which the edge is looked at, over the square root of the mask's area (about the width of
# the face): from a pixel of a crop of 128 to an eighth of the face.
SCALES: Final = (1 / 64, 1 / 32, 1 / 16, 1 / 8)
# A step of the photo's own that hides half of the one that the paste added. About a twelfth of the way from dark hair to light skin.
MASKING: Final = 0.05
COARSEST_PX: Final = 2.0  # standard deviation above which the pictures are halved first: exact enough, and four times cheaper


@torch.no_grad()
def seam_figure(before: Tensor, after: Tensor, mask: Tensor) -> float:
    """The step that a paste left along the edge of its mask, in units of colour.

    With M the mask above half of its maximum as zeros and ones, ``*`` a Gaussian of one of `SCALES` and c each colour, the step along
    the mask's own edge is ``s_c = grad(M*) . grad((after - before)*_c)``; it is damped where the photo is not smooth by
    ``v = MASKING / (MASKING + contrast)``, contrast the length of ``grad(before*)`` over the greatest of ``grad(M*)``. The figure is the
    mean over the scales of ``sqrt(sum(v^2 mean_c(s_c^2)) / sum(|grad M*|^4))``, sums over the pixels.

    So: 0 where both pictures agree along the edge; exactly t where t was added to one smooth colour inside a mask of zeros and ones,
    whatever the mask's form; proportional to the change; the same for a face of twice the size; less where the step is
    spread over a ramp, and where the photo has an edge or a texture of its own.

    Args:
        before: The photo, (3, H, W) in [0, 1].
        after: The photo with the face pasted in, (3, H, W) in [0, 1].
        mask: What was pasted, (1, H, W) in [0, 1]. Where it touches the border there is no edge.

    Returns:
        0 or more; 0.01 is about what a step of 3 grey levels of 8 bits leaves on smooth skin. 0 if the mask has no edge.

    Raises:
        ShapeError: If sizes differ or are 0.
    """
    check_shapes(after=(after, "3 H W"))
    return float(seam_figures(before, after[None], mask)[0])


@torch.no_grad()
def seam_figures(before: Tensor, afters: Tensor, mask: Tensor) -> Tensor:
    """`seam_figure` of K pastes into one photo by one mask.

    Args:
        before: (3, H, W) in [0, 1].
        afters: (K, 3, H, W) in [0, 1].
        mask: (1, H, W) in [0, 1].

    Returns:
        (K,).

    Raises:
        ShapeError: If sizes differ or are 0.
    """
    sizes = check_shapes(before=(before, "3 H W"), afters=(afters, "K 3 H W"), mask=(mask, "1 H W"))
    if 0 in sizes.values():
        raise ShapeError(f"a seam needs at least one picture of one pixel; afters are {tuple(afters.shape)}")
    hard = (mask > 0.5 * mask.max()).to(before.dtype)
    face_px = math.sqrt(float(hard.sum()))
    pictures = torch.cat([hard, before, (afters - before).flatten(0, 1)])  # (4 + 3 K, H, W)
    total, reduction = before.new_zeros(sizes["K"]), 1
    for scale in SCALES:
        while scale * face_px / reduction > COARSEST_PX:
            pictures, reduction = _halved(pictures), 2 * reduction
        total += _steps(_smoothed(pictures, scale * face_px / reduction))
    return total / len(SCALES)


def _steps(smooth: Tensor) -> Tensor:
    """The figure at one scale, (K,), of mask, photo and changes seen through one Gaussian, (4 + 3 K, H, W)."""
    padded = F.pad(smooth[None], (1, 1, 1, 1), mode="replicate")[0]
    across = torch.stack([padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2], padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]], dim=1)
    edge, photo, changes = across[0], across[1:4], across[4:]  # (2, H, W), (3, 2, H, W), (3 K, 2, H, W)
    strength = edge.square().sum(dim=0)  # (H, W)
    if float(strength.max()) == 0:
        return smooth.new_zeros(len(changes) // 3)
    contrast = (photo.square().sum(dim=1).mean(dim=0) / strength.max()).sqrt()
    visible = MASKING / (MASKING + contrast)
    steps = (changes * edge).sum(dim=1).unflatten(0, (-1, 3)).square().mean(dim=1)  # (K, H, W)
    seen: Tensor = (steps * visible.square()).sum(dim=(1, 2))  # (K,)
    return (seen / strength.square().sum()).sqrt()


def _smoothed(pictures: Tensor, sigma_px: float) -> Tensor:
    """(C, H, W) through a Gaussian; the border's pixels go on beyond it."""
    radius = max(math.ceil(3 * sigma_px), 1)
    offsets = torch.arange(-radius, radius + 1, dtype=pictures.dtype, device=pictures.device)
    kernel = torch.exp(-0.5 * (offsets / max(sigma_px, 0.1)) ** 2)
    kernel = kernel / kernel.sum()
    single = pictures[:, None]
    rows = F.conv2d(F.pad(single, (0, 0, radius, radius), mode="replicate"), kernel.view(1, 1, -1, 1))
    smooth: Tensor = F.conv2d(F.pad(rows, (radius, radius, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))
    return smooth[:, 0]


def _halved(pictures: Tensor) -> Tensor:
    """Means of 2 x 2 pixels, (C, ceil(H / 2), ceil(W / 2)); an odd border's pixels are taken twice."""
    height, width = pictures.shape[1:]
    even = F.pad(pictures[None], (0, width % 2, 0, height % 2), mode="replicate")
    return F.avg_pool2d(even, 2)[0]
