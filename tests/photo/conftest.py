"""Small pictures and metadata that the tests of `stylswap.photo` are made of. Nothing of stylswap is used to make them."""

from __future__ import annotations

import functools
import io
import struct

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms

from stylswap.provenance import Mark

HEIGHT, WIDTH = 40, 56


def picture(channels: int = 3, depth: int = 8, *, seed: int = 0) -> np.ndarray:
    """A gradient with noise, (40, 56) or (40, 56, channels): no two neighbours alike, no symmetry, every level range in use."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    smooth = np.stack([x / WIDTH, y / HEIGHT, (x + y) / (WIDTH + HEIGHT), 1 - x / WIDTH * 0.7], axis=-1)[..., :channels]
    noisy = np.clip(smooth + rng.normal(0, 0.05, smooth.shape), 0, 1)
    levels = np.rint(noisy * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)
    return levels[..., 0] if channels == 1 else levels


def saved(image: Image.Image | np.ndarray, kind: str, **settings: object) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **settings)
    return file.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def thumbnail() -> bytes:
    return saved(Image.new("RGB", (16, 12), (200, 30, 60)), "JPEG")


MAKER_NOTE = b"MAKER\0" + bytes(range(90)) + thumbnail() + b"end of the maker's note."


def _directory(entries: dict[int, tuple[int, int, bytes]], order: str, at: int, following: int = 0) -> bytes:
    table, values = struct.pack(order + "H", len(entries)), b""
    values_at = at + 2 + 12 * len(entries) + 4
    for number, (kind, count, value) in sorted(entries.items()):
        if len(value) > 4:
            place, values = struct.pack(order + "I", values_at + len(values)), values + value + b"\0" * (len(value) % 2)
        else:
            place = value.ljust(4, b"\0")
        table += struct.pack(order + "HHI", number, kind, count) + place
    return table + struct.pack(order + "I", following) + values


def exif_block(order: str = "<", orientation: int = 1, *, dpi: int = 300) -> bytes:
    """An EXIF block as cameras write it: names, dates, GPS, a maker's note with a preview in it, and a thumbnail behind all."""

    def short(value: int) -> tuple[int, int, bytes]:
        return 3, 1, struct.pack(order + "H", value)

    def long(value: int) -> tuple[int, int, bytes]:
        return 4, 1, struct.pack(order + "I", value)

    def text(value: str) -> tuple[int, int, bytes]:
        return 2, len(value) + 1, value.encode() + b"\0"

    def rationals(*values: int) -> tuple[int, int, bytes]:
        return 5, len(values), b"".join(struct.pack(order + "II", value, 1) for value in values)

    exif = {
        0x9003: text("2021:06:05 04:03:02"),
        0x927C: (7, len(MAKER_NOTE), MAKER_NOTE),
        0xA002: long(WIDTH),
        0xA003: long(HEIGHT),
    }
    exif[0x829A] = rationals(125)
    gps = {1: text("N"), 2: rationals(50, 5, 12), 3: text("E"), 4: rationals(14, 25, 7)}
    first = {
        0x10F: text("Maker"),
        0x110: text("Model Å"),
        0x112: short(orientation),
        0x13B: text("Artist"),
        0x8298: text("Copyright"),
    }
    first |= {0x11A: rationals(dpi), 0x11B: rationals(dpi), 0x128: short(2), 0x8769: long(0), 0x8825: long(0)}
    exif_at = 8 + len(_directory(first, order, 8))
    gps_at = exif_at + len(_directory(exif, order, exif_at))
    thumbnail_at = gps_at + len(_directory(gps, order, gps_at))
    first |= {0x8769: long(exif_at), 0x8825: long(gps_at)}
    second = {0x103: short(6), 0x201: long(0), 0x202: long(len(thumbnail()))}
    second[0x201] = long(thumbnail_at + len(_directory(second, order, thumbnail_at)))
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    body = _directory(first, order, 8, thumbnail_at) + _directory(exif, order, exif_at)
    return header + body + _directory(gps, order, gps_at) + _directory(second, order, thumbnail_at) + thumbnail()


@functools.cache  # a profile holds the second of its making
def icc_profile(name: str = "adobergb") -> bytes:
    """A profile whose colours are not sRGB's: Adobe RGB, P3 (with a plain gamma of 2.2), or grey with a gamma of 1.8."""
    if name == "p3":
        return imagecodecs.cms_profile(
            "rgb", whitepoint=[0.3127, 0.329, 1], primaries=[0.68, 0.32, 1, 0.265, 0.69, 1, 0.15, 0.06, 1], gamma=2.2
        )
    return imagecodecs.cms_profile("gray", whitepoint=[0.3127, 0.329, 1], gamma=1.8) if name == "gray" else imagecodecs.cms_profile(name)


@functools.cache
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmp:Rating="4" xmp:CreatorTool="A raw developer 7" tiff:Orientation="6">
<dc:creator><rdf:Seq><rdf:li>Zoë Photographer</rdf:li></rdf:Seq></dc:creator>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">On the beach</rdf:li></rdf:Alt></dc:title>
</rdf:Description></rdf:RDF></x:xmpmeta>
                    <?xpacket end="w"?>""".encode()

IPTC = b"\x1c\x02\x78\x00\x0bOn the beac" + b"\x1c\x02\x50\x00\x03Zoe"


def resources() -> bytes:
    """Photoshop image resources: a thumbnail, then IPTC."""
    parts = b""
    for number, content in ((0x040C, bytes(28) + thumbnail()), (0x0404, IPTC)):
        parts += b"8BIM" + struct.pack(">HHI", number, 0, len(content)) + content + b"\0" * (len(content) % 2)
    return parts


def with_segments(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
    """Put segments behind the first one of a JPEG."""
    end = 4 + int.from_bytes(jpeg[4:6], "big")
    added = b"".join(struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content for marker, content in segments)
    return jpeg[:end] + added + jpeg[end:]


def full_jpeg(orientation: int = 1, order: str = "<", **settings: object) -> bytes:
    """A JPEG with all the metadata that photos come with, and with more renderings of itself than one would think."""
    plain = saved(picture(), "JPEG", quality=83, dpi=(300, 300), icc_profile=icc_profile(), **settings)
    return with_segments(
        plain,
        (0xE1, b"Exif\0\0" + exif_block(order, orientation)),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + bytes(8) + b"GImage:Data of the photo before"),
        (0xEB, b"JP content credentials with a thumbnail"),
        (0xED, b"Photoshop 3.0\0" + resources()),
        (0xFE, "a comment, café".encode()),
    )


@pytest.fixture
def mark() -> Mark:
    return Mark("stylswap 0.1.0", "Žofie <synthetic> & Co", "0123456789abcdef" * 4)
