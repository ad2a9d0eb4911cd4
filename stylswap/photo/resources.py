"""Photoshop image resources: the blocks in which JPEG and TIFF keep the IPTC fields."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_IPTC = 0x0404
_THUMBNAILS = {0x0409, 0x040C}
_COPIES = {0x0422, 0x0423, 0x0424}  # EXIF and XMP once more: they would contradict the ones that are written
_FIELD = b"\x1c"
_PREVIEW_FIELDS = {(2, 200), (2, 201), (2, 202)}  # IIM's object data preview: its format, the format's version, the picture


class _Block(NamedTuple):
    number: int
    header: bytes
    content: bytes


def _blocks(resources: bytes) -> Iterator[_Block]:
    """The blocks up to the first damaged one."""
    at = 0
    while resources[at : at + 4] == b"8BIM" and at + 12 <= len(resources):
        number = int.from_bytes(resources[at + 4 : at + 6], "big")
        name_size = resources[at + 6] + 1
        size_at = at + 6 + name_size + name_size % 2
        size = int.from_bytes(resources[size_at : size_at + 4], "big")
        start = size_at + 4
        if start + size > len(resources):
            return
        yield _Block(number, resources[at:start], resources[start : start + size])
        at = start + size + size % 2


def clean_resources(resources: bytes, *, iptc: bytes | None = None) -> bytes | None:
    """Image resources without thumbnails, the preview among the IPTC fields, and second copies of EXIF and XMP.

    Args:
        resources: The blocks, from the first "8BIM" on. What follows a damaged block is dropped.
        iptc: IPTC fields to add if the blocks have none.

    Returns:
        The blocks that stay, None when none does.
    """
    blocks = [block for block in _blocks(resources) if block.number not in _THUMBNAILS | _COPIES]
    if iptc and all(block.number != _IPTC for block in blocks):
        blocks.append(_Block(_IPTC, b"8BIM" + struct.pack(">HHI", _IPTC, 0, len(iptc)), iptc))
    kept = [_without_preview(block) if block.number == _IPTC else block for block in blocks]
    return b"".join(block.header + block.content + b"\0" * (len(block.content) % 2) for block in kept) or None


def _without_preview(block: _Block) -> _Block:
    fields = _fields_without_preview(block.content)
    return block if fields == block.content else _Block(block.number, block.header[:-4] + struct.pack(">I", len(fields)), fields)


def _fields_without_preview(fields: bytes) -> bytes:
    """IPTC fields without the preview that they may hold. What follows a damaged field is dropped."""
    kept, at = [], 0
    while fields[at : at + 1] == _FIELD and at + 5 <= len(fields):
        size = int.from_bytes(fields[at + 3 : at + 5], "big")
        start = at + 5
        if size & 0x8000:  # longer than 32767: so many bytes hold the size
            start += size & 0x7FFF
            size = int.from_bytes(fields[at + 5 : start], "big")
        if start + size > len(fields):
            break
        if (fields[at + 1], fields[at + 2]) not in _PREVIEW_FIELDS:
            kept.append(fields[at : start + size])
        at = start + size
    return b"".join(kept)


def iptc_of(resources: bytes) -> bytes | None:
    """The IPTC fields among image resources."""
    return next((block.content for block in _blocks(resources) if block.number == _IPTC), None)
