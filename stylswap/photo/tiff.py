"""TIFF: samples by tifffile, which knows 16 bits and every compression; the tags around them are copied here.

tifffile writes the samples; then the directory of tags is written once more behind them, with the photo's own tags, EXIF and GPS.
Palettes, CMYK and YCbCr become RGB, grey of less than 8 bits becomes grey of 8: samples that a patch can change.
"""

from __future__ import annotations

import math
from dataclasses import replace
from io import BytesIO

import numpy as np
import tifffile
from PIL import Image

from stylswap.photo import exif, tags
from stylswap.photo.coding import Metadata, TiffCoding
from stylswap.photo.colour import Samples, srgb_from_cmyk
from stylswap.photo.photo import Photo, make_photo
from stylswap.photo.resources import clean_resources, iptc_of
from stylswap.provenance import clean_xmp

_COMPRESSIONS = {1: None, 5: "lzw", 8: "adobe_deflate", 32946: "adobe_deflate", 32773: "packbits"}
_REDUCED_OR_MASK = 1 | 4
_DNG_VERSION, _SUBFILE, _OFFSETS = 50706, 254, ((273, 279), (324, 325))
_PHOTOMETRIC = tifffile.PHOTOMETRIC
_BITS: dict[
    int, tuple[int, ...]
] = {  # of a sample, by what the samples mean; YCbCr is only read as JPEG inside, whose decoder makes RGB of it
    _PHOTOMETRIC.MINISBLACK: (1, 2, 4, 8, 16),
    _PHOTOMETRIC.MINISWHITE: (1, 2, 4, 8, 16),
    _PHOTOMETRIC.PALETTE: (1, 2, 4, 8),
    _PHOTOMETRIC.RGB: (8, 16),
    _PHOTOMETRIC.SEPARATED: (8,),
    _PHOTOMETRIC.YCBCR: (8,),
}
_JPEGS = (6, 7)
_MAX_CHANNELS, _MAX_PAGES = 8, 64


def decode(data: bytes) -> Photo:
    """Read a TIFF of one page.

    Raises:
        ValueError: If it has several pages, is truncated, a camera's raw file or of a kind that is not supported.
        Exception: Whatever the decoder raises for damaged data.
    """
    structure = tags.read_structure(data)
    first = tags.read_directory(data, structure.first, structure)
    _refuse(data, first, structure)
    metadata = _metadata(data, first, structure)
    with tifffile.TiffFile(BytesIO(data)) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        samples, num_colours = _samples(page, metadata.icc)
    if page.photometric == _PHOTOMETRIC.SEPARATED:
        metadata = replace(metadata, icc=None)
    extra = tags.numbers(data, first.tags.get(338), structure) + (0,) * _MAX_CHANNELS
    coding = TiffCoding(*_compression(data, first, structure), extra[: samples.shape[2] - num_colours])
    turned = exif.orientation(metadata.exif)
    return make_photo(samples, coding, metadata, orientation=turned, num_colours=num_colours)


def encode(photo: Photo, xmp: bytes | None) -> bytes:
    """Write a photo with `TiffCoding`."""
    coding, file = photo.coding, BytesIO()
    assert isinstance(coding, TiffCoding)
    order, described = _described(photo.metadata.exif)
    tifffile.imwrite(
        file,
        photo.samples[..., 0] if photo.samples.shape[2] == 1 else photo.samples,
        byteorder=order,  # type: ignore[arg-type]  # "<" or ">"
        bigtiff=False,
        photometric="rgb" if photo.num_colours == 3 else "minisblack",
        planarconfig=None if photo.samples.shape[2] == 1 else "contig",
        compression=coding.compression,
        predictor=2 if coding.predictor and coding.compression else None,
        extrasamples=coding.extra_samples or None,
        metadata=None,
    )
    coded = bytearray(file.getvalue())
    structure = tags.read_structure(coded)
    directory = tags.copy_directory(bytes(coded), structure.first, structure)
    directory = {number: entry for number, entry in directory.items() if number not in tags.DESCRIPTIVE}
    directory |= described | _carried(photo.metadata, described, xmp, order)
    coded += b"\0" * (len(coded) % 2)
    coded[4:8] = len(coded).to_bytes(4, "little" if order == "<" else "big")
    return bytes(coded) + tags.pack_directory(directory, order, len(coded))


def _refuse(data: bytes, first: tags.Directory, structure: tags.Structure) -> None:
    """Raise ValueError for what cannot be read, or would not be written back whole."""
    if _DNG_VERSION in first.tags:
        raise ValueError("it is a camera's raw file; develop it to a photo first")
    for where, size in _OFFSETS:
        starts, sizes = (tags.numbers(data, first.tags.get(number), structure) for number in (where, size))
        if any(start + length > len(data) for start, length in zip(starts, sizes, strict=False)):
            raise ValueError("it ends before the end of its picture; the file is truncated")
    pages, directory = 1, first
    for _ in range(_MAX_PAGES):
        if not directory.next:
            break
        directory = tags.read_directory(data, directory.next, structure)
        kind = (tags.numbers(data, directory.tags.get(_SUBFILE), structure) or (0,))[0]
        pages += not kind & _REDUCED_OR_MASK
    if pages > 1:
        raise ValueError(f"it has {pages} pages; stylswap edits single photos, so save each page as a photo of its own")


def _samples(page: tifffile.TiffPage, icc: bytes | None) -> tuple[Samples, int]:
    """(H, W, C) of 8 or 16 bits, and the number of colours, 1 or 3; CMYK and palettes become RGB of 8 bits."""
    kind, bits = page.photometric, page.bitspersample
    if page.samplesperpixel > _MAX_CHANNELS or page.imagedepth != 1:
        raise ValueError(f"it has {page.samplesperpixel} channels, {page.imagedepth} deep; photos have up to {_MAX_CHANNELS}, 1 deep")
    is_raw_ycbcr = kind == _PHOTOMETRIC.YCBCR and page.compression not in _JPEGS
    if page.sampleformat != tifffile.SAMPLEFORMAT.UINT or bits not in _BITS.get(kind, ()) or is_raw_ycbcr:
        raise ValueError("its samples are of a kind that stylswap does not read; save it as grey, RGB or CMYK of 8 or 16 bits")
    if len(page.dataoffsets) != math.prod(page.chunked) or not all(page.databytecounts):
        raise ValueError("parts of its picture are missing; the file is damaged")  # tifffile would leave them black
    samples = page.asarray(maxworkers=1)
    if page.axes.startswith("S"):  # one plane after the other
        samples = samples.transpose(1, 2, 0)
    samples = samples.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
    if kind == _PHOTOMETRIC.PALETTE:
        # (2 ** bits, 3); the upper byte is right for writers that multiply by 257 and for those that multiply by 256.
        colours = (np.asarray(page.colormap, np.uint16) >> 8).astype(np.uint8).T
        return colours[samples[..., 0]], 3
    if kind == _PHOTOMETRIC.SEPARATED:
        cmyk = Image.frombytes("CMYK", (page.imagewidth, page.imagelength), samples[..., :4].tobytes())
        return np.asarray(srgb_from_cmyk(cmyk, icc)), 3
    samples = samples.astype(np.uint8 if bits <= 8 else np.uint16, order="C", copy=True)
    if bits < 8:
        samples *= 255 // (2**bits - 1)
    if kind == _PHOTOMETRIC.MINISWHITE:
        samples[..., 0] = np.iinfo(samples.dtype).max - samples[..., 0]
    return samples, 1 if kind in (_PHOTOMETRIC.MINISWHITE, _PHOTOMETRIC.MINISBLACK) else 3


def _compression(data: bytes, first: tags.Directory, structure: tags.Structure) -> tuple[str | None, bool]:
    """Compression and predictor to write with; what is lossy or rare becomes deflate."""
    number = (tags.numbers(data, first.tags.get(259), structure) or (1,))[0]
    if number not in _COMPRESSIONS:
        return "adobe_deflate", True
    return _COMPRESSIONS[number], tags.numbers(data, first.tags.get(317), structure) == (2,)


def _metadata(data: bytes, first: tags.Directory, structure: tags.Structure) -> Metadata:
    def content(number: int) -> bytes | None:
        tag = first.tags.get(number)
        return data[tag.at : tag.at + tag.size] if tag else None

    described = _descriptive_only(tags.copy_directory(data, structure.first, structure))
    block = exif.without_pictures(tags.pack_block(described, structure.order)) if described else None
    return Metadata(
        exif=block,
        icc=content(tags.ICC),
        xmp=clean_xmp(content(tags.XMP)),
        resources=clean_resources(content(tags.RESOURCES) or b"", iptc=content(tags.IPTC)),
        dpi=exif.dpi(block),
    )


def _described(block: bytes | None) -> tuple[str, dict[int, tags.Entry]]:
    """Byte order and descriptive tags of an EXIF block; little-endian and none where it is missing or damaged."""
    try:
        structure = tags.read_structure(block or b"")
        return structure.order, _descriptive_only(tags.copy_directory(block or b"", structure.first, structure))
    except ValueError:
        return "<", {}


def _descriptive_only(directory: dict[int, tags.Entry]) -> dict[int, tags.Entry]:
    return {number: entry for number, entry in directory.items() if number in tags.DESCRIPTIVE}


def _carried(metadata: Metadata, described: dict[int, tags.Entry], xmp: bytes | None, order: str) -> dict[int, tags.Entry]:
    """The tags for what does not lie in the EXIF block."""
    carried = {}
    if metadata.dpi and tags.X_RESOLUTION not in described:
        carried[tags.X_RESOLUTION] = tags.rational(metadata.dpi[0], order)
        carried[tags.Y_RESOLUTION] = tags.rational(metadata.dpi[1], order)
        carried[tags.RESOLUTION_UNIT] = tags.short(2, order)
    blocks = {tags.XMP: xmp, tags.ICC: metadata.icc, tags.RESOURCES: metadata.resources}
    blocks[tags.IPTC] = iptc_of(metadata.resources) if metadata.resources else None
    return carried | {n: tags.Entry(7 if n == tags.ICC else 1, len(block), block) for n, block in blocks.items() if block}
