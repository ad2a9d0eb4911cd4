"""HEIC through pillow-heif, the extra `stylswap[heic]`.

The library turns the picture upright and reduces 10 and 12 bits to 8; the file is written anew with the photo's metadata.
"""

from __future__ import annotations

import importlib
import importlib.util
from io import BytesIO
from typing import Any

import numpy as np

from stylswap.errors import PhotoError
from stylswap.photo import exif
from stylswap.photo.coding import HeifCoding, Metadata
from stylswap.photo.colour import u8_from_samples
from stylswap.photo.photo import Photo, make_photo
from stylswap.provenance import clean_xmp

_QUALITY = 95


def is_available() -> bool:
    """Whether pillow-heif is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


def _library() -> Any:
    if not is_available():
        raise PhotoError("HEIC needs an extra library: pip install 'stylswap[heic]'")
    return importlib.import_module("pillow_heif")


def picture_size(data: bytes) -> tuple[int, int]:
    """Height and width, upright, without decoding.

    Raises:
        PhotoError: If pillow-heif is not installed.
    """
    width, height = _library().open_heif(BytesIO(data)).size
    return height, width


def decode(data: bytes) -> Photo:
    """Read the primary picture.

    Raises:
        Exception: Whatever the decoder raises for damaged data.
    """
    file = _library().open_heif(BytesIO(data))
    picture = file.to_pillow()
    block = (file.info.get("exif") or b"").removeprefix(b"Exif\0\0")
    metadata = Metadata(
        exif=exif.turned_upright(exif.without_pictures(block)) if block else None,
        icc=file.info.get("icc_profile") or None,
        xmp=clean_xmp(file.info.get("xmp") or None, upright=True),
        dpi=exif.dpi(block),
    )
    samples = np.array(picture)
    if samples.dtype == np.uint16:  # grey of 10 and 12 bits comes as 16
        samples = u8_from_samples(samples)
    return make_photo(samples, HeifCoding(), metadata)


def encode(photo: Photo, xmp: bytes | None) -> bytes:
    """Write a photo of 8 bits."""
    modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
    height, width, channels = photo.samples.shape
    file = BytesIO()
    metadata = {"exif": photo.metadata.exif, "icc_profile": photo.metadata.icc, "xmp": xmp}
    given = {name: value for name, value in metadata.items() if value}
    _library().encode(modes[channels], (width, height), photo.samples.tobytes(), file, quality=_QUALITY, **given)
    return file.getvalue()
