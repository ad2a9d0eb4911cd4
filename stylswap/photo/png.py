"""PNG: samples by libpng through imagecodecs, which knows 16-bit RGB; the chunks around them are read and written here.

Palettes and transparent colours are expanded to RGB(A) or grey + alpha, 1, 2 and 4 bits of grey to 8: the same picture in samples
that a patch can change. The chunks that are kept are named, for the reason given in `stylswap.photo.jpeg`.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

import imagecodecs

from stylswap.photo import exif
from stylswap.photo.coding import Metadata, PngCoding
from stylswap.photo.colour import Samples, packed
from stylswap.photo.photo import Photo, make_photo
from stylswap.photo.resources import clean_resources
from stylswap.provenance import clean_xmp

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PICTURE = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_COLOUR = {b"cHRM", b"gAMA", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"sBIT", b"bKGD"}
_KEPT = _COLOUR | {b"pHYs", b"tIME", b"tEXt", b"zTXt", b"iTXt"}
_XMP = b"XML:com.adobe.xmp\0"
_RAW_PROFILE = b"Raw profile type "
_MAX_UNPACKED = 16 * 2**20
_LEVEL = 3  # of zlib: within 5 % of the size that level 6 reaches, in half its time


def decode(data: bytes) -> Photo:
    """Read a PNG of 1 to 16 bits.

    Raises:
        ValueError: If it is an animation or truncated.
        Exception: Whatever the decoder raises for damaged data.
    """
    chunks = list(_chunks(data))
    for kind, content in chunks:
        if kind == b"acTL" and int.from_bytes(content[:4], "big") > 1:
            raise ValueError("it is an animation; stylswap edits still photos, so save the frame you want as a photo of its own")
    samples = imagecodecs.png_decode(_SIGNATURE + b"".join(_chunk(*chunk) for chunk in chunks if chunk[0] in _PICTURE))
    header = chunks[0][1]
    metadata, texts = _metadata(chunks)
    kept = [chunk for chunk in chunks if chunk[0] in _KEPT and chunk not in texts and _still_fits(*chunk, header, samples)]
    return make_photo(samples, PngCoding(tuple(kept)), metadata, orientation=exif.orientation(metadata.exif))


def encode(photo: Photo, xmp: bytes | None) -> bytes:
    """Write a photo of 8 or 16 bits, grey or RGB, with or without alpha, with `PngCoding`."""
    assert isinstance(photo.coding, PngCoding)
    metadata = photo.metadata
    between = [_chunk(*chunk) for chunk in photo.coding.chunks]
    if metadata.exif:
        between.append(_chunk(b"eXIf", metadata.exif))
    if xmp:
        between.append(_chunk(b"iTXt", _XMP + b"\0\0\0\0" + xmp))  # uncompressed: readers look for the packet in the bytes
    if metadata.resources:
        lines = metadata.resources.hex("\n", 36).encode()
        text = b"\niptc\n%8d\n%s\n" % (len(metadata.resources), lines)
        between.append(_chunk(b"zTXt", _RAW_PROFILE + b"iptc\0\0" + zlib.compress(text)))
    coded = encode_samples(photo.samples)
    header_end = len(_SIGNATURE) + 25
    return coded[:header_end] + b"".join(between) + coded[header_end:]


def encode_samples(samples: Samples) -> bytes:
    """A PNG without metadata from (H, W, C)."""
    coded = imagecodecs.png_encode(packed(samples[..., 0] if samples.shape[2] == 1 else samples), level=_LEVEL)
    return bytes(coded)


def default_coding(metadata: Metadata) -> PngCoding:
    """The chunks for a photo that comes from another format."""
    chunks = []
    if metadata.icc:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.dpi:
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in metadata.dpi), 1)))
    chunks += [(b"tEXt", b"Comment\0" + comment.replace(b"\0", b"")) for comment in metadata.comments]
    return PngCoding(tuple(chunks))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks up to IEND. Their checksums are left to the decoder, which sees those of the picture.

    Raises:
        ValueError: If the file ends before.
    """
    at, kind = len(_SIGNATURE), b""
    while kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", data, at) if at + 12 <= len(data) else (len(data), b"")
        if at + 12 + size > len(data):
            raise ValueError("it ends before the end of its picture; the file is truncated")
        content = data[at + 8 : at + 8 + size]
        if kind in _PICTURE and zlib.crc32(kind + content) != int.from_bytes(data[at + 8 + size : at + 12 + size], "big"):
            raise ValueError(f"its checksum of {kind.decode('ascii')} is wrong; the file is damaged")
        yield kind, content
        at += 12 + size


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _still_fits(kind: bytes, content: bytes, header: bytes, samples: Samples) -> bool:
    """Whether a chunk that depends on the kind of samples still says the right thing once they have been expanded."""
    depth, colour_type = header[8], header[9]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    if kind == b"sBIT":
        return len(content) == channels
    return kind != b"bKGD" or (depth >= 8 and colour_type != 3)


def _metadata(chunks: list[tuple[bytes, bytes]]) -> tuple[Metadata, list[tuple[bytes, bytes]]]:
    """The metadata, and the chunks of text that were read into it and are written anew."""
    read: list[tuple[bytes, bytes]] = []
    by_kind = dict(reversed(chunks))
    block, resources, xmp, comments = by_kind.get(b"eXIf"), None, None, []
    for kind, content in chunks:
        if kind == b"iTXt" and content.startswith(_XMP):
            xmp = _international_text(content)
        elif kind in (b"tEXt", b"zTXt", b"iTXt") and content.startswith(_RAW_PROFILE):
            name, profile = _raw_profile(kind, content)
            if name in (b"exif", b"APP1") and profile.startswith(b"Exif\0\0"):
                block = block or profile[6:]
            elif name in (b"iptc", b"8bim"):
                resources = clean_resources(profile)
        else:
            if kind == b"tEXt" and content.startswith(b"Comment\0"):
                comments.append(content[8:])
            continue
        read.append((kind, content))
    density = struct.unpack(">IIB", by_kind[b"pHYs"]) if len(by_kind.get(b"pHYs", b"")) == 9 else (0, 0, 0)
    metadata = Metadata(
        exif=exif.without_pictures(block) if block else None,
        icc=_unpacked(by_kind[b"iCCP"].partition(b"\0")[2][1:]) if b"iCCP" in by_kind else None,
        xmp=clean_xmp(xmp),
        resources=resources,
        dpi=(density[0] * 0.0254, density[1] * 0.0254) if density[2] == 1 and density[0] and density[1] else None,
        comments=tuple(comments),
    )
    return metadata, read


def _international_text(content: bytes) -> bytes | None:
    """The text of an iTXt chunk: keyword, compressed or not, method, language, translated keyword, text."""
    _, _, rest = content.partition(b"\0")
    text = rest[2:].split(b"\0", 2)[-1]
    return _unpacked(text) if rest[:1] == b"\1" else text


def _raw_profile(kind: bytes, content: bytes) -> tuple[bytes, bytes]:
    """Name and bytes of metadata that ImageMagick has written as hexadecimal text."""
    keyword, _, text = content.partition(b"\0")
    if kind == b"zTXt":
        text = _unpacked(text[1:]) or b""
    digits = re.sub(rb"\s", b"", text.strip().split(b"\n", 2)[-1])
    try:
        return keyword.removeprefix(_RAW_PROFILE), bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return b"", b""


def _unpacked(content: bytes) -> bytes | None:
    """Decompress; None if it is damaged or larger than any metadata, as a decompression bomb is."""
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(content, _MAX_UNPACKED)
    except zlib.error:
        return None
    return unpacked if unpacker.eof else None
