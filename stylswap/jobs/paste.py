"""A rendered crop goes back into its photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stylswap.faces.align import inverse, rect_of_points, shifted, transform_points, warp
from stylswap.faces.batch import FaceBatch
from stylswap.faces.blend import blend
from stylswap.faces.colour import match_skin
from stylswap.faces.segment import LandmarkSegmenter
from stylswap.photo import Photo

FloatArray = npt.NDArray[np.float64]

# The area that the losses look at, with a soft edge inside it.
PASTE_SEGMENTER: Final = LandmarkSegmenter(softness=0.01)


@dataclass(frozen=True)
class PasteOptions:
    """How a crop joins the photo.

    Attributes:
        blend: ``"poisson"``, ``"feather"`` or ``"none"``.
        colour: ``"skin"`` takes the colour statistics of the photo's skin over, ``"none"`` does not.
        screening: See `poisson_clone`. 0 is the pure equation, which lets the hair and the light at the mask's edge recolour the whole
            face; with 8 the middle of the face keeps the colours that the network gave it.
    """

    blend: str = "poisson"
    colour: str = "none"
    screening: float = 8.0


def composite_crops(faces: FaceBatch, output: Tensor, options: PasteOptions | None = None) -> Tensor:
    """What the final photos will look like, seen in the crop.

    Args:
        faces: The inputs, (B, 3, S, S).
        output: The rendered crops, (B, 3, S, S) in [0, 1].
        options: How they join.

    Returns:
        (B, 3, S, S) in [0, 1].
    """
    options = options or PasteOptions()
    masks = PASTE_SEGMENTER.segment(faces.images, faces.landmarks)
    joined = [
        blend(image, crop, mask, method=options.blend, screening=options.screening)
        for image, crop, mask in zip(faces.images, output, masks, strict=True)
    ]
    return torch.stack(joined)


def paste_crop(photo: Photo, output: Tensor, mask: Tensor, crop_from_photo: FloatArray, options: PasteOptions) -> Photo:
    """The photo with one face replaced; every pixel outside the mask stays the photo's own.

    Args:
        photo: The photo.
        output: The rendered crop, (3, S, S) in [0, 1].
        mask: What of it to use, (1, S, S) in [0, 1].
        crop_from_photo: (3, 3).
        options: How.

    Returns:
        A new photo; the same one where the mask is empty or lies beyond the photo.
    """
    used = torch.nonzero(mask[0] > 0).flip(-1).double().numpy()  # (P, 2) as x, y
    if len(used) == 0:
        return photo
    photo_from_crop = inverse(crop_from_photo)
    bounds = np.array([used.min(axis=0) - 1.5, used.max(axis=0) + 1.5])
    corners = np.array([[x, y] for x in bounds[:, 0] for y in bounds[:, 1]])
    rect = rect_of_points(transform_points(photo_from_crop, corners), margin_px=1).clipped(photo.height, photo.width)
    if rect.is_empty:
        return photo
    region_from_crop = inverse(shifted(rect.top, rect.left)) @ photo_from_crop
    size = (rect.height, rect.width)
    region = photo.image(rect)
    patch = warp(output, region_from_crop, size, mode="bicubic").clamp(0, 1)
    region_mask = warp(mask, region_from_crop, size, padding="zeros")
    if options.colour == "skin":
        patch = match_skin(patch, region, region_mask)
    blended = blend(region, patch, region_mask, method=options.blend, screening=options.screening)
    return photo.with_patch(rect, blended, region_mask > 0)
