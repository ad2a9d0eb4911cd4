"""From a photo's own colours to sRGB and back.

Conversions go through Little CMS with floating point on the sRGB side: a 16-bit photo loses nothing to 8 bits on the way. Intent:
relative colorimetric. Colours outside sRGB are clipped where they are read, so only changed pixels can lose them.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

Samples = npt.NDArray[np.uint8 | np.uint16]
Floats = npt.NDArray[np.float32]

_RELATIVE_COLORIMETRIC = 1
_LUMA = np.array([0.299, 0.587, 0.114])
_SAME_COLOUR = 0.6 / 255
_SPACES = {b"RGB ": 3, b"GRAY": 1}


def usable_profile(icc: bytes | None, num_colours: int) -> bytes | None:
    """The profile to convert through; None where the samples can be taken as sRGB.

    That is the case without a profile, with a profile for other channels than these or one that is damaged (it is kept in the file
    all the same), and with one that moves no colour by more than about half a level of 8 bits: the many spellings of sRGB.

    Args:
        icc: The embedded profile.
        num_colours: 1 for grey, 3 for RGB.
    """
    if icc is None or _SPACES.get(icc[16:20]) != num_colours:
        return None
    levels = np.linspace(0, 255, 6 if num_colours == 3 else 64).astype(np.uint8)
    lattice = np.stack(np.meshgrid(*[levels] * num_colours), axis=-1).reshape(-1, num_colours)
    try:
        moved = np.abs(srgb_from_samples(lattice, icc) - srgb_from_samples(lattice, None)).max()
        samples_from_srgb(np.full((1, 3), 0.5, np.float32), icc, lattice)  # some profiles only lead one way
    except (RuntimeError, ValueError):  # what Little CMS raises for a profile that it cannot use
        return None
    return icc if moved > _SAME_COLOUR else None


def srgb_from_samples(samples: Samples, profile: bytes | None) -> Floats:
    """Convert colour samples to sRGB.

    Args:
        samples: (..., 1) grey or (..., 3) RGB, without alpha.
        profile: From `usable_profile`, None for sRGB.

    Returns:
        sRGB, (..., 3) in [0, 1].
    """
    if profile is None:
        values: Floats = samples.astype(np.float32) / np.float32(np.iinfo(samples.dtype).max)
        return np.repeat(values, 3, axis=-1) if samples.shape[-1] == 1 else values
    converted: Floats = _transform(samples, profile, _srgb(), 3, np.float32)
    return converted.clip(0.0, 1.0)


def srgb_u8_from_samples(samples: Samples, profile: bytes | None) -> npt.NDArray[np.uint8]:
    """`srgb_from_samples` in 8 bits: (..., 1) or (..., 3) to (..., 3), a new array."""
    if profile is None:
        levels = u8_from_samples(samples)
        return np.repeat(levels, 3, axis=-1) if samples.shape[-1] == 1 else levels.copy()
    return u8_from_samples(_transform(samples, profile, _srgb(), 3, samples.dtype))


def samples_from_srgb(rgb: Floats, profile: bytes | None, like: Samples) -> Samples:
    """Convert sRGB to a photo's own colours.

    Args:
        rgb: (N, 3) in [0, 1].
        profile: From `usable_profile`, None for sRGB. Grey without a profile is the luma of ITU-R 601.
        like: Samples of the kind that is wanted, (..., 1) or (..., 3); only depth and channels are looked at.

    Returns:
        (N, 1) or (N, 3), rounded to the nearest level.
    """
    num_colours = like.shape[-1]
    if profile is not None:
        return _transform(rgb.astype(np.float32), _srgb(), profile, num_colours, like.dtype)
    values = rgb if num_colours == 3 else (rgb.astype(np.float64) @ _LUMA)[..., None]
    return np.rint(values * np.iinfo(like.dtype).max).astype(like.dtype)


def u8_from_samples(samples: Samples) -> npt.NDArray[np.uint8]:
    """The nearest of 256 levels; 8-bit samples are returned as they are."""
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False)
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def packed(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array in C order; where a side is 1, NumPy calls any strides contiguous, which imagecodecs does not."""
    return np.ascontiguousarray(samples).ravel().reshape(samples.shape)


def srgb_from_cmyk(picture: Image.Image, icc: bytes | None) -> Image.Image:
    """A CMYK picture as sRGB, through its profile where it has one that works."""
    if icc is not None and icc[16:20] == b"CMYK":
        try:
            converted = ImageCms.profileToProfile(picture, BytesIO(icc), ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
        except ImageCms.PyCMSError:
            pass
    return picture.convert("RGB")


@cache
def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _transform(values: npt.NDArray[Any], given: bytes, wanted: bytes, num_out: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Run Little CMS from one profile to another over (..., 1 or 3) values; out comes (..., num_out)."""
    spaces, num_in = {1: "gray", 3: "rgb"}, values.shape[-1]
    flat = packed(values.reshape(1, -1, num_in))
    converted = imagecodecs.cms_transform(
        flat[..., 0] if num_in == 1 else flat,
        given,
        wanted,
        colorspace=spaces[num_in],
        outcolorspace=spaces[num_out],
        outdtype=np.dtype(dtype),
        intent=_RELATIVE_COLORIMETRIC,
    )
    return np.asarray(converted).reshape(*values.shape[:-1], num_out)
