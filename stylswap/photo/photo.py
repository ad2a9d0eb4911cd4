"""A photo in memory: its samples as they were stored, and everything that it takes to write them back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stylswap.errors import PhotoError, ShapeError
from stylswap.photo.coding import Coding, JpegCoding, Metadata, PngCoding, TiffCoding, WebpCoding
from stylswap.photo.colour import Samples, samples_from_srgb, srgb_from_samples, srgb_u8_from_samples, usable_profile
from stylswap.shapes import Rect, check_shapes

# Orientation of EXIF -> how the stored picture becomes upright: transpose, then flip up-down, then flip left-right.
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


@dataclass(frozen=True, eq=False, repr=False)
class Photo:
    """A photo. It never changes: `with_patch` makes a new one.

    Made by `read_photo` and `from_array`. All pictures and rectangles that go in or come out are upright and sRGB, whatever the
    samples are.

    Attributes:
        samples: (H, W, C) as stored, not turned upright: grey or RGB in the photo's own colour space and depth, then alpha and
            other channels. Read-only.
        num_colours: 1 for grey, 3 for RGB.
        orientation: EXIF's orientation of the samples, 1 to 8.
        metadata: What every format can carry.
        coding: How the file was coded, which says its format too.
        profile: The colour profile that conversions go through; None for sRGB.
    """

    samples: Samples
    num_colours: int
    orientation: int
    metadata: Metadata
    coding: Coding
    profile: bytes | None

    def __repr__(self) -> str:
        """Short: samples and metadata fill pages."""
        return f"<Photo {self.file_format}, {self.height} x {self.width} px (height x width), {self.samples.dtype}>"

    @property
    def file_format(self) -> str:
        """JPEG, PNG, WEBP, TIFF or HEIF: what `encode_photo` writes. BMP and GIF become PNG."""
        kinds = {JpegCoding: "JPEG", PngCoding: "PNG", WebpCoding: "WEBP", TiffCoding: "TIFF"}
        return kinds.get(type(self.coding), "HEIF")

    @property
    def height(self) -> int:
        """Rows of the upright picture."""
        return int(self.samples.shape[1 if _TURNS[self.orientation][0] else 0])

    @property
    def width(self) -> int:
        """Columns of the upright picture."""
        return int(self.samples.shape[0 if _TURNS[self.orientation][0] else 1])

    def rgb_u8(self) -> npt.NDArray[np.uint8]:
        """The whole photo for detectors: (H, W, 3), upright, sRGB, 8 bits. A new array at every call."""
        colours = _upright(self.samples, self.orientation)[..., : self.num_colours]
        return np.ascontiguousarray(srgb_u8_from_samples(colours, self.profile))

    def image(self, rect: Rect | None = None) -> Tensor:
        """The photo, or a rectangle of it, as an image.

        Args:
            rect: Where, in pixels of the upright photo; None for all of it.

        Returns:
            (3, h, w) float32 in [0, 1], sRGB, upright.

        Raises:
            ShapeError: If the rectangle is empty or reaches beyond the photo.
        """
        region = self._region(self.samples, rect or Rect(0, 0, self.height, self.width))
        values = srgb_from_samples(region[..., : self.num_colours], self.profile)  # (h, w, 3)
        return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))

    def with_patch(self, rect: Rect, image: Tensor, changed: Tensor) -> Photo:
        """A new photo in which some pixels of a rectangle are others.

        Samples of all other pixels, and alpha everywhere, stay the same bits.

        Args:
            rect: Where, in pixels of the upright photo.
            image: What comes there, (3, h, w) in [0, 1], sRGB; values beyond are clipped.
            changed: Which pixels, (1, h, w) bool.

        Raises:
            ShapeError: If the rectangle is empty or reaches beyond the photo, or the tensors differ from it in size.
            PhotoError: If a changed pixel is not a number.
        """
        check_shapes(image=(image, f"3 {rect.height} {rect.width}"), changed=(changed, f"1 {rect.height} {rect.width}"))
        where = changed[0].detach().cpu().numpy().astype(bool)  # (h, w)
        rgb = image.detach().permute(1, 2, 0).to("cpu", torch.float32).numpy()[where]  # (n, 3)
        if not np.isfinite(rgb).all():
            raise PhotoError(f"the patch at {rect} has values that are not numbers; nothing was pasted")
        samples = self.samples.copy()
        region = self._region(samples, rect)[..., : self.num_colours]
        if len(rgb):
            region[where] = samples_from_srgb(np.clip(rgb, 0.0, 1.0), self.profile, region)
        return dataclasses.replace(self, samples=_sealed(samples))

    def _region(self, samples: Samples, rect: Rect) -> Samples:
        """A rectangle of the upright picture, as a view of the stored samples."""
        upright = _upright(samples, self.orientation)
        if rect.is_empty or rect.clipped(*upright.shape[:2]) != rect:
            raise ShapeError(f"{rect} is empty or not inside the photo of (height, width) = {upright.shape[:2]}")
        return upright[rect.top : rect.bottom, rect.left : rect.right]


def make_photo(samples: Samples, coding: Coding, metadata: Metadata, *, orientation: int = 1, num_colours: int | None = None) -> Photo:
    """Put a photo together.

    Args:
        samples: (H, W) or (H, W, C), stored order. Kept and sealed, not copied, where it is contiguous.
        coding: How the file was coded.
        metadata: What else it carried.
        orientation: EXIF's orientation of the samples.
        num_colours: 1 or 3; None: 3 where there are three channels or more.
    """
    samples = samples if samples.ndim == 3 else samples[..., None]
    num_colours = num_colours or (3 if samples.shape[2] >= 3 else 1)
    profile = usable_profile(metadata.icc, num_colours)
    return Photo(_sealed(np.ascontiguousarray(samples)), num_colours, orientation, metadata, coding, profile)


def from_array(rgb_u8: npt.NDArray[np.uint8]) -> Photo:
    """A photo from an array, without metadata; it is written as PNG unless the path says otherwise.

    Args:
        rgb_u8: (H, W, 3) uint8, sRGB, upright. Copied.

    Raises:
        ShapeError: If it has another shape.
        PhotoError: If it is not uint8, or empty.
    """
    check_shapes(rgb_u8=(rgb_u8, "H W 3"))
    if rgb_u8.dtype != np.uint8 or rgb_u8.size == 0:
        raise PhotoError(f"from_array takes pixels of uint8, got {rgb_u8.shape} of {rgb_u8.dtype}")
    return make_photo(np.array(rgb_u8), PngCoding(), Metadata())


def upright_photo(photo: Photo) -> Photo:
    """The same photo with its samples turned upright; its metadata still speak of the old orientation."""
    samples = np.ascontiguousarray(_upright(photo.samples, photo.orientation))
    return dataclasses.replace(photo, samples=_sealed(samples), orientation=1)


def _upright(samples: Samples, orientation: int) -> Samples:
    """The upright picture as a view: what is written to it is written to the samples."""
    transpose, up_down, left_right = _TURNS[orientation]
    view = samples.transpose(1, 0, 2) if transpose else samples
    return view[:: -1 if up_down else 1, :: -1 if left_right else 1]


def _sealed(samples: Samples) -> Samples:
    samples.setflags(write=False)
    return samples
