"""What a photo carries besides its samples: metadata, and how its file was coded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metadata:
    """Metadata that every format can carry in its own way.

    Attributes:
        exif: An EXIF block from its byte order mark on, without embedded pictures.
        icc: The colour profile.
        xmp: The XMP packet, without embedded pictures.
        resources: Photoshop image resources, which hold the IPTC fields, without thumbnails.
        dpi: Pixels per inch, (x, y).
        comments: Free comments.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    resources: bytes | None = None
    dpi: tuple[float, float] | None = None
    comments: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class JpegCoding:
    """How a JPEG was coded.

    Attributes:
        tables: Quantisation table of each component, the last one serving the rest; None: quality 95.
        subsampling: 0: 4:4:4, 1: 4:2:2, 2: 4:2:0.
        progressive: Written in several scans.
        keep_rgb: Red, green and blue are coded as they are, not as luma and chroma.
        jfif: The JFIF segment, without a thumbnail.
    """

    tables: tuple[tuple[int, ...], ...] | None = None
    subsampling: int = 0
    progressive: bool = False
    keep_rgb: bool = False
    jfif: bytes | None = None


@dataclass(frozen=True)
class PngCoding:
    """The ancillary chunks of a PNG that are written back as they are: (type, payload)."""

    chunks: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True)
class WebpCoding:
    """How a WebP was coded."""

    lossless: bool = False


@dataclass(frozen=True)
class TiffCoding:
    """How a TIFF was coded.

    Attributes:
        compression: A name that tifffile knows, None for none.
        predictor: Differences of neighbouring samples are compressed.
        extra_samples: Meaning of each channel beyond the colours: 0 unknown, 1 premultiplied alpha, 2 alpha.
    """

    compression: str | None = "adobe_deflate"
    predictor: bool = True
    extra_samples: tuple[int, ...] = ()


@dataclass(frozen=True)
class HeifCoding:
    """A HEIC is written anew; nothing of its coding is kept."""


Coding = JpegCoding | PngCoding | WebpCoding | TiffCoding | HeifCoding
