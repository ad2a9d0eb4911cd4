"""JPEG: decoded and coded by Pillow; its segments of metadata are read and written here.

Pillow is given the picture alone, so that damaged metadata cannot disturb it. The segments that are kept are named (JFIF, EXIF,
XMP, ICC, Photoshop resources, comments): others hold further renderings of the photo, such as gain maps, previews, the other
pictures of an MPO and content credentials with thumbnails, or speak about bytes that are no longer there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageFile, JpegImagePlugin

from stylswap.photo import exif
from stylswap.photo.coding import JpegCoding, Metadata
from stylswap.photo.colour import srgb_from_cmyk
from stylswap.photo.header import jpeg_segments
from stylswap.photo.photo import Photo, make_photo
from stylswap.photo.resources import clean_resources
from stylswap.provenance import clean_xmp

_APP0, _APP1, _APP2, _APP13, _APP14, _COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
_EXIF, _XMP, _ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_RESOURCES, _JFIF = b"Photoshop 3.0\0", b"JFIF\0"
_MAX_PAYLOAD = 65533
_MOST_BYTES_A_PIXEL = 6  # of a coded picture, with room
MAX_XMP_BYTES = _MAX_PAYLOAD - len(_XMP)


def decode(data: bytes) -> Photo:
    """Read a JPEG; CMYK becomes sRGB. Of an MPO, the first picture.

    Raises:
        Exception: Whatever the decoder raises for damaged data.
    """
    metadata, jfif = _metadata(data)
    with JpegImagePlugin.JpegImageFile(BytesIO(_picture_alone(data))) as picture:
        picture.load()
        coding = _coding(picture, jfif)
        if picture.mode == "CMYK":
            samples = np.asarray(srgb_from_cmyk(picture, metadata.icc))
            metadata = replace(metadata, icc=None)
        else:
            samples = np.asarray(picture)
    return make_photo(samples, coding, metadata, orientation=exif.orientation(metadata.exif))


def encode(photo: Photo, xmp: bytes | None) -> bytes:
    """Write a photo of 8-bit grey or RGB with `JpegCoding`."""
    coding = photo.coding
    assert isinstance(coding, JpegCoding)
    samples = photo.samples[..., 0] if photo.num_colours == 1 else photo.samples
    settings = {"quality": 95} if coding.tables is None else {"qtables": [list(table) for table in coding.tables]}
    choices = {"subsampling": coding.subsampling, "progressive": coding.progressive, "keep_rgb": coding.keep_rgb, **settings}
    coded = _saved(Image.fromarray(samples), choices)
    segments = b"".join(_segments(photo.metadata, coding.jfif, xmp))
    own_jfif = next((segment for segment in jpeg_segments(coded) if segment.marker == _APP0), None)
    rest = coded[own_jfif.end :] if own_jfif else coded[2:]
    return coded[:2] + segments + rest


def _saved(picture: Image.Image, choices: dict[str, Any]) -> bytes:
    file, usual = BytesIO(), ImageFile.MAXBLOCK
    try:
        picture.save(file, "JPEG", **choices)
    except OSError:
        # A progressive picture must fit into Pillow's buffer, and grain under fine tables does not.
        file = BytesIO()
        ImageFile.MAXBLOCK = max(usual, _MOST_BYTES_A_PIXEL * picture.width * picture.height)
        try:
            picture.save(file, "JPEG", **choices)
        finally:
            ImageFile.MAXBLOCK = usual
    return file.getvalue()


def default_coding(metadata: Metadata) -> JpegCoding:
    """Quality 95, 4:4:4, for a photo that comes from another format."""
    x, y = metadata.dpi or (72.0, 72.0)
    density = [min(max(round(value), 1), 65535) for value in (x, y)]
    return JpegCoding(jfif=_JFIF + struct.pack(">HBHHBB", 0x0101, 1, *density, 0, 0))


def _coding(picture: JpegImagePlugin.JpegImageFile, jfif: bytes | None) -> JpegCoding:
    """What is needed to code a picture in the same way; tables of CMYK cannot serve for RGB."""
    progressive = "progressive" in picture.info
    components = picture.layer  # (id, horizontal, vertical, table) of each
    if len(components) not in (1, 3):
        return JpegCoding(progressive=progressive, jfif=jfif)
    numbers = [component[3] for component in components]
    if numbers[1:] and numbers[1] == numbers[-1]:
        numbers.pop()
    try:
        tables = tuple(tuple(picture.quantization[number]) for number in numbers)
    except KeyError:
        return JpegCoding(progressive=progressive, jfif=jfif)
    # JFIF is always luma and chroma, whatever Adobe's segment or the components' names say.
    is_rgb = picture.info.get("adobe_transform") == 0 or [component[0] for component in components] == [82, 71, 66]
    keep_rgb = is_rgb and len(components) == 3 and jfif is None
    # Subsamplings that Pillow cannot write (-1), such as 4:4:0, become 4:4:4: nothing is lost.
    subsampling = max(JpegImagePlugin.get_sampling(picture), 0)
    return JpegCoding(tables, subsampling, progressive, keep_rgb, jfif)


def _picture_alone(data: bytes) -> bytes:
    """The JPEG without its metadata; JFIF and Adobe's segment stay, which say what the channels mean."""
    kept = [data[:2]]
    end = 2
    for segment in jpeg_segments(data):
        end = segment.end
        is_metadata = 0xE0 <= segment.marker <= 0xEF or segment.marker == _COMMENT
        if not is_metadata or segment.marker in (_APP0, _APP14):
            kept.append(data[segment.start - 4 : end])
    return b"".join([*kept, data[end:]])


def _metadata(data: bytes) -> tuple[Metadata, bytes | None]:
    """The metadata, and the JFIF segment."""
    found: dict[bytes, list[bytes]] = {name: [] for name in (_EXIF, _XMP, _ICC, _RESOURCES, _JFIF)}
    comments = []
    for segment in jpeg_segments(data):
        content = data[segment.start : segment.end]
        if segment.marker == _COMMENT:
            comments.append(content)
        for marker, name in ((_APP1, _EXIF), (_APP1, _XMP), (_APP2, _ICC), (_APP13, _RESOURCES), (_APP0, _JFIF)):
            if segment.marker == marker and content.startswith(name):
                found[name].append(content[len(name) :])
    jfif = found[_JFIF][0] if found[_JFIF] and len(found[_JFIF][0]) >= 9 else None
    block = exif.without_pictures(found[_EXIF][0]) if found[_EXIF] else None
    metadata = Metadata(
        exif=block,
        icc=b"".join(part[2:] for part in sorted(found[_ICC])) or None,  # each part begins with its number
        xmp=clean_xmp(found[_XMP][0]) if found[_XMP] else None,
        resources=clean_resources(b"".join(found[_RESOURCES])),
        dpi=(_jfif_dpi(jfif) if jfif else None) or exif.dpi(block),
        comments=tuple(comments),
    )
    return metadata, _JFIF + jfif[:7] + b"\0\0" if jfif else None


def _jfif_dpi(jfif: bytes) -> tuple[float, float] | None:
    unit, x, y = struct.unpack_from(">BHH", jfif, 2)
    if unit not in (1, 2) or not x or not y:
        return None
    factor = 2.54 if unit == 2 else 1.0
    return x * factor, y * factor


def _segments(metadata: Metadata, jfif: bytes | None, xmp: bytes | None) -> Iterator[bytes]:
    if jfif:
        yield _segment(_APP0, jfif)
    if metadata.exif and len(metadata.exif) <= _MAX_PAYLOAD - len(_EXIF):  # more cannot come out of a JPEG
        yield _segment(_APP1, _EXIF + metadata.exif)
    if xmp:
        yield _segment(_APP1, _XMP + xmp)
    if metadata.icc:
        size = _MAX_PAYLOAD - len(_ICC) - 2
        parts = [metadata.icc[at : at + size] for at in range(0, len(metadata.icc), size)]
        for number, part in enumerate(parts[:255], 1):
            yield _segment(_APP2, _ICC + bytes([number, min(len(parts), 255)]) + part)
    if metadata.resources:
        size = _MAX_PAYLOAD - len(_RESOURCES)
        for at in range(0, len(metadata.resources), size):
            yield _segment(_APP13, _RESOURCES + metadata.resources[at : at + size])
    for comment in metadata.comments:
        yield _segment(_COMMENT, comment[:_MAX_PAYLOAD])


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
