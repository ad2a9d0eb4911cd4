"""Photoshop image resources: the blocks in which JPEG and TIFF keep the IPTC fields."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_IPTC = 0x0404
_THUMBNAILS = {0x0409, 0x040C}
_COPIES = {0x0422, 0x0423, 0x0424}  # EXIF and XMP once more: they would contradict the ones that are written


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
    """Image resources without thumbnails and without second copies of EXIF and XMP.

    Args:
        resources: The blocks, from the first "8BIM" on. What follows a damaged block is dropped.
        iptc: IPTC fields to add if the blocks have none.

    Returns:
        The blocks that stay, None when none does.
    """
    kept = [block for block in _blocks(resources) if block.number not in _THUMBNAILS | _COPIES]
    if iptc and all(block.number != _IPTC for block in kept):
        kept.append(_Block(_IPTC, b"8BIM" + struct.pack(">HHI", _IPTC, 0, len(iptc)), iptc))
    return b"".join(block.header + block.content + b"\0" * (len(block.content) % 2) for block in kept) or None


def iptc_of(resources: bytes) -> bytes | None:
    """The IPTC fields among image resources."""
    return next((block.content for block in _blocks(resources) if block.number == _IPTC), None)
