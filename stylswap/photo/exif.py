"""Edits of an EXIF block in place.

Makers' notes hold offsets that nobody but their maker understands, and break when a block is written anew; so the few bytes that
must change are changed where they lie, and every other byte stays.
"""

from __future__ import annotations

import contextlib
import re
import struct

from stylswap.photo import tags
from stylswap.photo.header import jpeg_segments

_IMAGE_DATA = ((513, 514), (273, 279), (324, 325))
_WIDTH, _HEIGHT = 40962, 40963
_JPEG_START = re.compile(rb"\xff\xd8\xff[\xdb\xc0-\xc4\xe0-\xef\xfe]")


def without_pictures(exif: bytes) -> bytes:
    """Blank the thumbnail and every other embedded picture: they would still show the face that was there before.

    Args:
        exif: The block, from its byte order mark on. A damaged one is treated as far as it can be read.

    Returns:
        The block with the thumbnail's directory unlinked and the pictures zeroed, or cut off where they come last.
    """
    block = bytearray(exif)
    try:
        structure = tags.read_structure(exif)
        first = tags.read_directory(exif, structure.first, structure)
        if first.next:
            block[first.next_at : first.next_at + (8 if structure.big else 4)] = bytes(8 if structure.big else 4)
            thumbnail = tags.read_directory(exif, first.next, structure).tags
            for where, size in _IMAGE_DATA:
                starts = tags.numbers(exif, thumbnail.get(where), structure)
                for start, length in zip(starts, tags.numbers(exif, thumbnail.get(size), structure), strict=False):
                    if first.next_at < start and start + length <= len(block):  # a lying one must not take the rest along
                        _blank(block, start, start + length)
    except ValueError:
        pass  # a damaged block; pictures in it are found below all the same
    while found := _JPEG_START.search(block):
        _blank(block, found.start(), _jpeg_end(block, found.start()))
    return bytes(block)


def _blank(block: bytearray, start: int, end: int) -> None:
    if end >= len(block):
        del block[start:]
    else:
        block[start:end] = bytes(max(end - start, 0))


def _jpeg_end(block: bytearray, start: int) -> int:
    """End of the JPEG that starts there; it may hold a thumbnail with an end of its own, so its segments are walked first."""
    at = start + 2
    try:
        for segment in jpeg_segments(block, start):
            at = segment.end
    except ValueError:
        pass
    end = block.find(b"\xff\xd9", at)
    return len(block) if end < 0 else end + 2


def orientation(exif: bytes | None) -> int:
    """The orientation, 1 to 8; 1 where there is none or it makes no sense."""
    try:
        structure = tags.read_structure(exif or b"")
        found = tags.numbers(exif or b"", _first_tags(exif or b"", structure).get(tags.ORIENTATION), structure)
    except ValueError:
        return 1
    return found[0] if found and 1 <= found[0] <= 8 else 1


def turned_upright(exif: bytes) -> bytes:
    """The block for a photo whose samples have been turned upright: orientation 1, width and height exchanged where needed."""
    turned = orientation(exif)
    if turned == 1:
        return exif
    block = bytearray(exif)
    structure = tags.read_structure(exif)
    first = _first_tags(exif, structure)
    struct.pack_into(structure.order + {1: "B", 3: "H", 4: "I"}[first[tags.ORIENTATION].kind], block, first[tags.ORIENTATION].at, 1)
    below = tags.numbers(exif, first.get(tags.EXIF), structure)
    with contextlib.suppress(ValueError):  # a damaged directory stays as it is
        sizes = tags.read_directory(exif, below[0], structure).tags if turned >= 5 and below else {}
        if _WIDTH in sizes and _HEIGHT in sizes:
            width, height = sizes[_WIDTH].entry + 2, sizes[_HEIGHT].entry + 2  # all of an entry but its number
            block[width : width + 10], block[height : height + 10] = exif[height : height + 10], exif[width : width + 10]
    return bytes(block)


def dpi(exif: bytes | None) -> tuple[float, float] | None:
    """Pixels per inch, (x, y)."""
    try:
        structure = tags.read_structure(exif or b"")
        first = _first_tags(exif or b"", structure)
    except ValueError:
        return None
    unit = (tags.numbers(exif or b"", first.get(tags.RESOLUTION_UNIT), structure) or (2,))[0]
    values = []
    for number in (tags.X_RESOLUTION, tags.Y_RESOLUTION):
        tag = first.get(number)
        if exif is None or tag is None or tag.kind != 5 or unit not in (2, 3):
            return None
        above, below = struct.unpack_from(structure.order + "II", exif, tag.at)
        if not above or not below:
            return None
        values.append(above / below * (2.54 if unit == 3 else 1.0))
    return values[0], values[1]


def _first_tags(exif: bytes, structure: tags.Structure) -> dict[int, tags.Tag]:
    return tags.read_directory(exif, structure.first, structure).tags
