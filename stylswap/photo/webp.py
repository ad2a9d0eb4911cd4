"""WebP: decoded by imagecodecs, which keeps colours under transparent pixels; coded by Pillow, which writes the metadata too."""

from __future__ import annotations

from io import BytesIO

import imagecodecs
import numpy as np
from PIL import Image

from stylswap.photo import exif
from stylswap.photo.coding import Metadata, WebpCoding
from stylswap.photo.photo import Photo, make_photo
from stylswap.provenance import clean_xmp

_QUALITY = 95  # the file does not say how it was coded


def decode(data: bytes) -> Photo:
    """Read a WebP.

    Raises:
        ValueError: If it is an animation or truncated.
        Exception: Whatever the decoder raises for damaged data.
    """
    chunks = _chunks(data)
    if b"ANIM" in chunks:
        raise ValueError("it is an animation; stylswap edits still photos, so save the frame you want as a photo of its own")
    block = chunks.get(b"EXIF")
    block = exif.without_pictures(block.removeprefix(b"Exif\0\0")) if block else None
    metadata = Metadata(exif=block, icc=chunks.get(b"ICCP"), xmp=clean_xmp(chunks.get(b"XMP ")), dpi=exif.dpi(block))
    samples = np.asarray(imagecodecs.webp_decode(data))
    return make_photo(samples, WebpCoding(lossless=b"VP8L" in chunks), metadata, orientation=exif.orientation(block))


def encode(photo: Photo, xmp: bytes | None) -> bytes:
    """Write a photo of 8-bit RGB, with or without alpha, with `WebpCoding`."""
    assert isinstance(photo.coding, WebpCoding)
    file = BytesIO()
    Image.fromarray(photo.samples).save(
        file,
        "WEBP",
        lossless=photo.coding.lossless,
        quality=75 if photo.coding.lossless else _QUALITY,  # lossless: how hard to try
        exact=True,
        icc_profile=photo.metadata.icc,
        exif=b"Exif\0\0" + photo.metadata.exif if photo.metadata.exif else b"",
        xmp=xmp or b"",
    )
    return file.getvalue()


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """The chunks by name."""
    at = 12
    chunks: dict[bytes, bytes] = {}
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            raise ValueError("it ends before the end of its picture; the file is truncated")
        chunks.setdefault(data[at : at + 4], data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return chunks
