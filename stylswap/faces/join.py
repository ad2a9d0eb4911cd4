"""How a patch joins the photo: colour, blend, and the choice among them: a feather while its seam is accepted, else the least seam.

Candidates are tried on reduced pictures, on which the seam is judged too, so that the choice costs the same for a face of any size.
A Poisson blend is solved there as well: what it adds to mixing by the mask is smooth, and is enlarged to the photo's own pixels.

No candidate may change the middle of the face much: the Poisson equation is screened, and colour is one limited gain for each channel.
The pure equation can leave the smoothest edge of all, around a face in the colours of the hair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError, did_you_mean
from stylswap.faces.blend import blend
from stylswap.faces.colour import match_skin
from stylswap.faces.seam import seam_figures
from stylswap.names import AUTO, JOIN_BLENDS, JOIN_COLOURS
from stylswap.shapes import check_shapes

TRIED_BLENDS: Final = ("feather", "poisson")
TRIED_COLOURS: Final = ("none", "balance")
# Seam figure up to which the first of `TRIED_BLENDS` is good enough. The Poisson equation hides an edge better, by taking the colours
# around the face into it, and costs .06 of the identity's likeness; see docs/decisions/0023.
ACCEPTED_SEAM: Final = 0.02

# Square root of the mask's area in the reduced pictures: about a crop of 128 pixels, which is not reduced itself. A Poisson blend solved
# there differs from one at full size by under half a grey level of 8 bits (root mean square over the face).
TRIED_PX: Final = 64.0
LEAST_REDUCTION: Final = 0.8  # more would be work for little
LARGEST_GAIN: Final = 1.25  # of a colour, either way: more means that mask or photo hold something else than skin
DARKEST: Final = 0.02  # added before a ratio is taken, so that black says little


@dataclass(frozen=True)
class JoinOptions:
    """How a patch joins the photo.

    Attributes:
        blend: One of `JOIN_BLENDS`; ``"auto"`` takes the first of `TRIED_BLENDS` if it leaves a seam of `ACCEPTED_SEAM` at most, else the
            one of `TRIED_BLENDS` with the least.
        colour: ``"balance"`` see `colour_gains`, ``"skin"`` see `match_skin`, ``"none"``; ``"auto"`` tries `TRIED_COLOURS`.
        screening: See `poisson_clone`. 0 is the pure equation, which lets the hair and the light at the mask's edge recolour the whole
            face; with 8 the middle of the face keeps the colours that the network gave it.
    """

    blend: str = AUTO
    colour: str = AUTO
    screening: float = 8.0

    def __post_init__(self) -> None:
        for name, value, known in (("blend", self.blend, JOIN_BLENDS), ("colour", self.colour, JOIN_COLOURS)):
            if value not in known:
                raise SettingsError(f"unknown {name} '{value}'.{did_you_mean(value, known)}")

    def candidates(self) -> list[tuple[str, str]]:
        """What is to be tried, as (blend, colour)."""
        blends = TRIED_BLENDS if self.blend == AUTO else (self.blend,)
        colours = TRIED_COLOURS if self.colour == AUTO else (self.colour,)
        return [(one_blend, one_colour) for one_blend in blends for one_colour in colours]


@dataclass(frozen=True, eq=False)
class Joined:
    """A region of a photo with a patch in it.

    Attributes:
        image: (3, H, W) in [0, 1]; bit-identical to the photo's region where the mask is 0.
        blend: How, one of `BLENDS`.
        colour: How, one of `JOIN_COLOURS` but ``"auto"``.
        seam: See `seam_figure`. Measured on the reduced pictures: within some percent of the one of `image`, and up to a sixth above it
            where a large face is feathered, whose ramp has few steps there.
    """

    image: Tensor
    blend: str
    colour: str
    seam: float


@torch.no_grad()
def join_patch(region: Tensor, patch: Tensor, mask: Tensor, options: JoinOptions) -> Joined:
    """Put a patch into the photo.

    Args:
        region: The photo there, (3, H, W) in [0, 1].
        patch: The generated face, (3, H, W) in [0, 1].
        mask: 1 = face, (1, H, W) in [0, 1].
        options: How.

    Returns:
        The candidate with the least seam figure; the first of equals. Where the blend is to be chosen too, the best candidate of the first
        blend stays unless its seam is above `ACCEPTED_SEAM` and another blend's is less.

    Raises:
        ShapeError: If H or W differ.
        SettingsError: If the screening is negative.
    """
    check_shapes(region=(region, "3 H W"), patch=(patch, "3 H W"), mask=(mask, "1 H W"))
    small_region, small_patch, small_mask = _reduced(torch.cat([region, patch, mask]), float(mask.sum())).split([3, 3, 1])
    candidates = options.candidates()
    gains = colour_gains(small_patch, small_region, small_mask)
    patches = {
        colour: _coloured(small_patch, small_region, small_mask, colour, gains) for colour in dict.fromkeys(name[1] for name in candidates)
    }
    images = torch.stack(
        [blend(small_region, patches[colour], small_mask, method=method, screening=options.screening) for method, colour in candidates]
    )
    figures = seam_figures(small_region, images, small_mask)
    best = _chosen(candidates, figures)
    method, colour = candidates[best]
    image, seam = images[best], float(figures[best])
    if small_mask.shape != mask.shape:
        patch = _coloured(patch, region, mask, colour, gains)
        if method == "poisson":
            correction = image - torch.lerp(small_region, patches[colour], small_mask)
            image = _with_correction(region, patch, mask, correction, small_mask)
        else:
            image = blend(region, patch, mask, method=method)
    return Joined(image, method, colour, seam)


def colour_gains(patch: Tensor, photo: Tensor, mask: Tensor) -> Tensor:
    """The gain of each colour that brings the patch to the photo's skin: the geometric mean of their ratios inside the mask.

    A balance of brightness and colour of light, without a change of contrast: the hair and the glasses that a mask holds move a mean
    little, and make most of a spread.

    Args:
        patch: (3, H, W) in [0, 1].
        photo: (3, H, W) in [0, 1].
        mask: Weight of each pixel, (1, H, W) in [0, 1].

    Returns:
        (3, 1, 1), between 1 / `LARGEST_GAIN` and `LARGEST_GAIN`; 1 if the mask is empty.
    """
    check_shapes(patch=(patch, "3 H W"), photo=(photo, "3 H W"), mask=(mask, "1 H W"))
    ratios = ((photo + DARKEST) / (patch + DARKEST)).log()
    mean = (ratios * mask).sum(dim=(1, 2), keepdim=True) / mask.sum().clamp_min(1e-6)
    return mean.exp().clamp(1 / LARGEST_GAIN, LARGEST_GAIN)


def _chosen(candidates: list[tuple[str, str]], figures: Tensor) -> int:
    """Which candidate, by their seam figures, see `join_patch`."""
    of_first = [place for place, (method, _) in enumerate(candidates) if method == candidates[0][0]]  # all of them but for "auto"
    preferred = min(of_first, key=lambda place: float(figures[place]))
    return preferred if float(figures[preferred]) <= ACCEPTED_SEAM else int(figures.argmin())


def _coloured(patch: Tensor, photo: Tensor, mask: Tensor, colour: str, gains: Tensor) -> Tensor:
    if colour == "skin":
        return match_skin(patch, photo, mask)
    return (patch * gains).clamp_(0, 1) if colour == "balance" else patch


def _reduced(pictures: Tensor, area_px: float) -> Tensor:
    """(C, H, W), so small that a mask of that area is `TRIED_PX` wide; the same where it is about as small already."""
    scale = TRIED_PX / math.sqrt(max(area_px, 1.0))
    if scale > LEAST_REDUCTION:
        return pictures
    height, width = (max(round(side * scale), 1) for side in pictures.shape[1:])
    return F.interpolate(pictures[None], size=(height, width), mode="area")[0]


def _with_correction(region: Tensor, patch: Tensor, mask: Tensor, correction: Tensor, small_mask: Tensor) -> Tensor:
    """Mix by the mask, and add what the blend of the reduced pictures added to mixing by theirs, (3, H, W).

    That is the mask times a smooth membrane. The membrane is divided out before it meets the photo's own mask, which is sharper.
    """
    enlarged = F.interpolate(torch.cat([correction, small_mask])[None], size=region.shape[1:], mode="bilinear", align_corners=False)[0]
    membrane = enlarged[:3] / enlarged[3:].clamp_min(1e-3)
    return torch.where(mask > 0, torch.lerp(region, patch + membrane, mask).clamp_(0, 1), region)
