"""A photo for a file of another format than its own."""

from __future__ import annotations

import dataclasses

import numpy as np

from stylswap.photo import exif, jpeg, png
from stylswap.photo.coding import Coding, HeifCoding, TiffCoding, WebpCoding
from stylswap.photo.colour import Samples, srgb_from_samples, u8_from_samples
from stylswap.photo.photo import Photo, make_photo, upright_photo
from stylswap.provenance import clean_xmp

_DEEP = {"PNG", "TIFF"}  # formats of up to 16 bits that know grey
_WHITE = 255


def converted(photo: Photo, name: str) -> Photo:
    """The photo as the named format can hold it; the photo itself where that is its format already.

    The samples are turned upright, because not every reader of every format heeds the orientation, and the metadata are told so.
    JPEG, WebP and HEIC take 8 bits. JPEG has no alpha: what is transparent becomes white. WebP and HEIC take RGB.

    Args:
        photo: The photo.
        name: JPEG, PNG, WEBP, TIFF or HEIF.
    """
    if photo.file_format == name:
        return photo
    old = photo.metadata
    metadata = dataclasses.replace(
        old,
        exif=exif.turned_upright(old.exif) if old.exif else None,
        xmp=clean_xmp(old.xmp, upright=True),
        dpi=old.dpi[::-1] if old.dpi and photo.orientation >= 5 else old.dpi,
    )
    colours, alpha = _channels(upright_photo(photo))
    if name not in _DEEP and photo.num_colours == 1 and name != "JPEG":
        if photo.profile is not None:
            colours = np.rint(srgb_from_samples(colours, photo.profile) * np.iinfo(colours.dtype).max).astype(colours.dtype)
        else:
            colours = np.repeat(colours, 3, axis=-1)
        metadata = dataclasses.replace(metadata, icc=None)
    if name not in _DEEP:
        colours, alpha = u8_from_samples(colours), None if alpha is None else u8_from_samples(alpha)
    if name == "JPEG" and alpha is not None:
        weight = alpha.astype(np.float32) / 255
        colours, alpha = np.rint(colours * weight + _WHITE * (1 - weight)).astype(np.uint8), None
    samples = colours if alpha is None else np.concatenate([colours, alpha], axis=-1)
    codings: dict[str, Coding] = {
        "JPEG": jpeg.default_coding(metadata),
        "PNG": png.default_coding(metadata),
        "WEBP": WebpCoding(),
        "TIFF": TiffCoding(extra_samples=() if alpha is None else (2,)),
        "HEIF": HeifCoding(),
    }
    return make_photo(samples, codings[name], metadata, num_colours=colours.shape[-1])


def _channels(photo: Photo) -> tuple[Samples, Samples | None]:
    """Colours (H, W, 1 or 3) and alpha (H, W, 1), which a TIFF's extra channel is only where it says so."""
    colours, rest = np.split(photo.samples, [photo.num_colours], axis=-1)
    extra = photo.coding.extra_samples if isinstance(photo.coding, TiffCoding) else (2,)
    return colours, rest[..., :1] if rest.shape[-1] and extra[0] in (1, 2) else None
