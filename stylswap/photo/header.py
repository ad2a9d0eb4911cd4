"""What a file is, and how large the picture in it, read from the first bytes: before anything is decoded."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from stylswap.photo import tags

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_STARTS = dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF") | {b"GIF87a": "GIF", b"GIF89a": "GIF"}
_STARTS |= {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"BM": "BMP"}
_FRAME_HEADERS = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_SCAN = 0xDA


class Segment(NamedTuple):
    """A segment of a JPEG before its first scan: its marker, and where its payload lies, in bytes."""

    marker: int
    start: int
    end: int


def file_format(head: bytes) -> str | None:
    """Name of the format by its first 16 bytes, None when it is none of ours. The file's suffix plays no part."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "HEIF"
    return next((name for start, name in _STARTS.items() if head.startswith(start)), None)


def jpeg_segments(data: bytes | bytearray, at: int = 0) -> Iterator[Segment]:
    """The segments of the JPEG that starts at an offset, the first scan's header being the last.

    Raises:
        ValueError: If the data end before the first scan.
    """
    at += 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data):
            raise ValueError("it ends before its picture begins; the file is truncated")
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD9:  # no payload
            at += 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data):
            raise ValueError("it ends before its picture begins; the file is truncated")
        yield Segment(marker, at + 4, end)
        if marker == _SCAN:
            return
        at = end


def picture_size(data: bytes, name: str) -> tuple[int, int]:
    """Height and width in pixels by the file's own header, as stored (not turned upright).

    Args:
        data: The file.
        name: Its format, one of `file_format` but HEIF, whose library tells the size itself before it decodes.

    Raises:
        ValueError: If the header is damaged.
    """
    try:
        height, width = _SIZES[name](data)
    except (struct.error, IndexError) as error:
        raise ValueError(f"its header is damaged or the file is truncated ({error})") from error
    if height <= 0 or width <= 0:
        raise ValueError(f"its header says {width} x {height} px")
    return height, width


def _jpeg_size(data: bytes) -> tuple[int, int]:
    for segment in jpeg_segments(data):
        if segment.marker in _FRAME_HEADERS:
            return struct.unpack_from(">HH", data, segment.start + 1)
    raise ValueError("it has no frame header")


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return height & 0x3FFF, width & 0x3FFF


def _tiff_size(data: bytes) -> tuple[int, int]:
    structure = tags.read_structure(data)
    first = tags.read_directory(data, structure.first, structure).tags
    height, width = (tags.numbers(data, first.get(number), structure) for number in (257, 256))
    return height[0], width[0]


def _bmp_size(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return height, width
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(height), width


def _gif_size(data: bytes) -> tuple[int, int]:
    """The canvas, or the first frame where that reaches beyond it: decoders enlarge the canvas for it."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while data[at] == 0x21:  # extensions before the first frame
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    left, top, frame_width, frame_height = struct.unpack_from("<HHHH", data, at + 1)
    return max(height, top + frame_height), max(width, left + frame_width)


_SIZES: dict[str, Callable[[bytes], tuple[int, int]]] = {
    "JPEG": _jpeg_size,
    "PNG": _png_size,
    "WEBP": _webp_size,
    "TIFF": _tiff_size,
    "BMP": _bmp_size,
    "GIF": _gif_size,
}
