"""The directories of tags that TIFF files and EXIF blocks are made of.

Only what a photo needs: find tags where they lie, copy a directory with its EXIF and GPS children, write it elsewhere.
"""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 274, 282, 283, 296
XMP, IPTC, RESOURCES, ICC = 700, 33723, 34377, 34675
EXIF, GPS, _INTEROPERABILITY = 34665, 34853, 40965

# Tags of the first directory that describe the photo; the others describe how its samples lie in the file.
DESCRIPTIVE = frozenset(
    {269, 270, 271, 272, ORIENTATION, X_RESOLUTION, Y_RESOLUTION, 285, RESOLUTION_UNIT, 305, 306, 315, 316, 18246, 18249, 33432}
    | {EXIF, GPS, 36867, 36868, 40091, 40092, 40093, 40094, 40095}
)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}


class Structure(NamedTuple):
    """How a block or file is laid out: byte order "<" or ">", BigTIFF or not, offset of the first directory."""

    order: str
    big: bool
    first: int


class Tag(NamedTuple):
    """Where a tag lies: offsets of its entry and of its value, in bytes."""

    kind: int
    num: int
    entry: int
    at: int
    size: int


class Directory(NamedTuple):
    """Tags by number, and where the offset of the next directory lies and what it is (0: there is none)."""

    tags: dict[int, Tag]
    next_at: int
    next: int


@dataclass(frozen=True)
class Entry:
    """A tag copied out of its file: its value in the file's byte order, or the child directory that it points to."""

    kind: int
    num: int
    value: bytes
    child: dict[int, Entry] | None = field(default=None)


def read_structure(block: bytes | bytearray) -> Structure:
    """Read the header.

    Raises:
        ValueError: If it is none.
    """
    order = {b"II": "<", b"MM": ">"}.get(bytes(block[:2]))
    if order is None or len(block) < 8:
        raise ValueError("not a TIFF structure")
    magic = struct.unpack_from(order + "H", block, 2)[0]
    if magic == 43 and len(block) >= 16:
        return Structure(order, True, struct.unpack_from(order + "Q", block, 8)[0])
    if magic == 42:
        return Structure(order, False, struct.unpack_from(order + "I", block, 4)[0])
    raise ValueError(f"not a TIFF structure: magic number {magic}")


def read_directory(block: bytes | bytearray, at: int, structure: Structure) -> Directory:
    """Find the tags of the directory at an offset. A tag whose value lies outside the block is left out.

    Raises:
        ValueError: If the directory itself lies outside the block.
    """
    order, big, _ = structure
    head, entry, inline, offset = ("Q", "HHQQ", 8, "Q") if big else ("H", "HHII", 4, "I")
    head_size, entry_size = struct.calcsize("<" + head), struct.calcsize("<" + entry)
    try:
        count = struct.unpack_from(order + head, block, at)[0]
        next_at = at + head_size + count * entry_size
        following = struct.unpack_from(order + offset, block, next_at)[0] if next_at + inline <= len(block) else 0
        tags = {}
        for entry_at in range(at + head_size, next_at, entry_size):
            number, kind, num, _ = struct.unpack_from(order + entry, block, entry_at)
            size = _SIZES.get(kind, 0) * num
            value_at = entry_at + entry_size - inline
            if size > inline:
                value_at = struct.unpack_from(order + offset, block, value_at)[0]
            if size and value_at + size <= len(block):
                tags[number] = Tag(kind, num, entry_at, value_at, size)
    except (struct.error, IndexError, OverflowError) as error:
        raise ValueError(f"damaged TIFF structure: {error}") from error
    return Directory(tags, next_at, following)


def numbers(block: bytes | bytearray, tag: Tag | None, structure: Structure) -> tuple[int, ...]:
    """The whole numbers in a tag; empty for no tag or another kind of value."""
    if tag is None or tag.kind not in _WHOLE_NUMBERS:
        return ()
    return struct.unpack_from(f"{structure.order}{tag.num}{_WHOLE_NUMBERS[tag.kind]}", block, tag.at)


def copy_directory(block: bytes, at: int, structure: Structure, *, depth: int = 0) -> dict[int, Entry]:
    """Copy the tags of a directory, and the directories of EXIF, GPS and interoperability below it.

    Raises:
        ValueError: If the directory lies outside the block.
    """
    copied = {}
    for number, tag in read_directory(block, at, structure).tags.items():
        if number in (EXIF, GPS, _INTEROPERABILITY):
            where = numbers(block, tag, structure) or numbers(block, tag._replace(kind=4), structure)
            with contextlib.suppress(ValueError):  # a damaged child is left out, its parent stays
                if where and depth < 2:
                    copied[number] = Entry(4, 1, b"", copy_directory(block, where[0], structure, depth=depth + 1))
        elif tag.kind <= 13:  # the kinds above are BigTIFF's; classic TIFF has no word for them
            copied[number] = Entry(tag.kind, tag.num, bytes(block[tag.at : tag.at + tag.size]))
    return copied


def pack_directory(directory: dict[int, Entry], order: str, at: int) -> bytes:
    """Write a directory, its values and its children, to lie at an (even) offset of a classic TIFF structure."""
    entries = bytearray(struct.pack(order + "H", len(directory)))
    behind = bytearray()
    behind_at = at + 2 + 12 * len(directory) + 4
    for number, entry in sorted(directory.items()):
        value = entry.value
        if entry.child is not None:
            value = struct.pack(order + "I", behind_at + len(behind))
            behind += pack_directory(entry.child, order, behind_at + len(behind))
        elif len(value) > 4:
            value = struct.pack(order + "I", behind_at + len(behind))
            behind += entry.value + b"\0" * (len(entry.value) % 2)
        entries += struct.pack(order + "HHI", number, entry.kind, entry.num) + value.ljust(4, b"\0")
    return bytes(entries + b"\0\0\0\0" + behind)


def pack_block(directory: dict[int, Entry], order: str) -> bytes:
    """A whole EXIF block: header and directory."""
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return header + pack_directory(directory, order, 8)


def short(value: int, order: str) -> Entry:
    """An entry of one 16-bit number."""
    return Entry(3, 1, struct.pack(order + "H", value))


def rational(value: float, order: str) -> Entry:
    """An entry of one fraction."""
    return Entry(5, 1, struct.pack(order + "II", round(value * 1000), 1000))
