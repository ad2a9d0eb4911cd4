"""A rendered crop goes back into its photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stylswap.errors import SettingsError, did_you_mean
from stylswap.faces.align import inverse, rect_of_points, resized, shifted, transform_points, warp
from stylswap.faces.batch import FaceBatch
from stylswap.faces.detail import carry_detail, sharpened
from stylswap.faces.join import JoinOptions, join_patch
from stylswap.faces.segment import LandmarkSegmenter
from stylswap.names import DETAILS
from stylswap.photo import Photo
from stylswap.shapes import Rect, check_shapes

FloatArray = npt.NDArray[np.float64]

# What is pasted where nobody parses the face: jaw to forehead, with a soft edge inside it.
PASTE_SEGMENTER: Final = LandmarkSegmenter(softness=0.01)
# Photo around the mask, in pixels of the crop: the blend and the seam figure want to see both sides of the edge.
AROUND_PX: Final = 3.0


@dataclass(frozen=True)
class PasteOptions(JoinOptions):
    """How a crop goes into the photo.

    Attributes:
        detail: ``"bands"`` sharpens the crop, see `sharpened`, and carries the photo's own fine detail over to faces that are
            larger than the crop, see `carry_detail`; ``"none"`` only enlarges.
        drawn: The crop is a network's; False: it was cut from a photo, see `stylswap.faces.detail.finished`.
        sharpen: False leaves the sharpening out of ``"bands"``, to see what the carried detail does alone.
    """

    detail: str = "bands"
    drawn: bool = True
    sharpen: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.detail not in DETAILS:
            raise SettingsError(f"unknown detail '{self.detail}'.{did_you_mean(self.detail, DETAILS)}")


@dataclass(frozen=True, eq=False)
class Pasted:
    """A photo with a face in it.

    Attributes:
        photo: A new photo; the same one where there was nothing to paste.
        blend: How it joins: ``"poisson"``, ``"feather"`` or ``"none"``.
        colour: ``"balance"``, ``"skin"`` or ``"none"``.
        seam: How visible the edge is, see `seam_figure`; 0 where there was nothing to paste.
    """

    photo: Photo
    blend: str
    colour: str
    seam: float


@dataclass(frozen=True, eq=False)
class Place:
    """Where in a photo a crop goes, and what meets there.

    Attributes:
        rect: A rectangle of the photo that holds the mask and a little around it.
        region: The photo there, (3, h, w) in [0, 1].
        patch: The output, warped to the rectangle, (3, h, w) in [0, 1].
        mask: The mask, warped to the rectangle, (1, h, w) in [0, 1].
        crop_from_region: From pixels of the rectangle to pixels of the output, (3, 3).
    """

    rect: Rect
    region: Tensor
    patch: Tensor
    mask: Tensor
    crop_from_region: FloatArray


def composite_crops(faces: FaceBatch, output: Tensor, options: PasteOptions | None = None, *, masks: Tensor | None = None) -> Tensor:
    """What the final photos will look like, seen in the crop.

    Args:
        faces: The inputs, (B, 3, S, S).
        output: The rendered crops, (B, 3, S, S) in [0, 1].
        options: How they join. There is no detail to be carried over: the inputs are crops too, and have no more of it.
        masks: What of the output to use, (B, 1, S, S) in [0, 1]; None: from the landmarks.

    Returns:
        (B, 3, S, S) in [0, 1].
    """
    options = options or PasteOptions()
    masks = PASTE_SEGMENTER.segment(faces.images, faces.landmarks) if masks is None else masks
    if options.detail == "bands" and options.sharpen:
        output = torch.stack([sharpened(crop, drawn=options.drawn) for crop in output])
    joined = [join_patch(image, crop, mask, options).image for image, crop, mask in zip(faces.images, output, masks, strict=True)]
    return torch.stack(joined)


def paste_crop(photo: Photo, output: Tensor, mask: Tensor, crop_from_photo: FloatArray, options: PasteOptions) -> Photo:
    """The photo of `paste_face`, without how it was pasted."""
    return paste_face(photo, output, mask, crop_from_photo, options).photo


def paste_face(photo: Photo, output: Tensor, mask: Tensor, crop_from_photo: FloatArray, options: PasteOptions) -> Pasted:
    """Replace one face; every pixel outside the mask stays the photo's own.

    Args:
        photo: The photo.
        output: The rendered crop, (3, S, S) in [0, 1].
        mask: What of it to use, (1, M, M) in [0, 1]. It spans the same square of the photo as the output; M may differ from S.
        crop_from_photo: (3, 3), of the output's side S.
        options: How.

    Returns:
        The photo, and what was chosen. Nothing is pasted where the mask is empty or lies beyond the photo.

    Raises:
        ShapeError: If output or mask is not a square.
    """
    if options.detail == "bands" and options.sharpen:
        output = sharpened(output, drawn=options.drawn)
    place = place_crop(photo, output, mask, crop_from_photo)
    if place is None:
        return Pasted(photo, "none", "none", 0.0)
    patch = place.patch
    if options.detail == "bands":
        patch = carry_detail(patch, place.region, output, place.crop_from_region)
    joined = join_patch(place.region, patch, place.mask, options)
    return Pasted(photo.with_patch(place.rect, joined.image, place.mask > 0), joined.blend, joined.colour, joined.seam)


def place_crop(photo: Photo, output: Tensor, mask: Tensor, crop_from_photo: FloatArray) -> Place | None:
    """Bring output and mask to the photo's own pixels.

    Args:
        photo: The photo.
        output: (3, S, S) in [0, 1].
        mask: (1, M, M) in [0, 1], over the same square as the output.
        crop_from_photo: (3, 3), of the output's side S.

    Returns:
        The place; None where the mask is empty or lies beyond the photo.

    Raises:
        ShapeError: If output or mask is not a square.
    """
    sides = check_shapes(output=(output, "3 S S"), mask=(mask, "1 M M"))
    used = torch.nonzero(mask[0] > 0).flip(-1).double().numpy()  # (P, 2) as x, y
    if len(used) == 0:
        return None
    photo_from_mask = inverse(resized(crop_from_photo, sides["S"], sides["M"]))
    around_px = max(AROUND_PX * sides["M"] / sides["S"], 1.5)  # bilinear warping takes the mask's edge a pixel further
    bounds = np.array([used.min(axis=0) - around_px, used.max(axis=0) + around_px])
    corners = np.array([[x, y] for x in bounds[:, 0] for y in bounds[:, 1]])
    rect = rect_of_points(transform_points(photo_from_mask, corners), margin_px=1).clipped(photo.height, photo.width)
    if rect.is_empty:
        return None
    photo_from_region = shifted(rect.top, rect.left)
    crop_from_region = crop_from_photo @ photo_from_region
    region_from_mask = inverse(photo_from_region) @ photo_from_mask
    size = (rect.height, rect.width)
    patch = warp(output, inverse(crop_from_region), size, mode="bicubic").clamp(0, 1)
    region_mask = warp(mask, region_from_mask, size, padding="zeros")
    return Place(rect, photo.image(rect), patch, region_mask, crop_from_region)
