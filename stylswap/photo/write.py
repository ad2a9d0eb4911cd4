"""From a photo to a file: whole or not at all, and never without the mark that it was given."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from stylswap.errors import PhotoError
from stylswap.photo import heif, jpeg, png, tiff, webp
from stylswap.photo.convert import converted
from stylswap.photo.photo import Photo
from stylswap.provenance import Mark, without_bulk, xmp_with_mark
from stylswap.shapes import check_shapes
from stylswap.storage import write_atomically

_ENCODERS: dict[str, Callable[[Photo, bytes | None], bytes]] = {
    "JPEG": jpeg.encode,
    "PNG": png.encode,
    "WEBP": webp.encode,
    "TIFF": tiff.encode,
    "HEIF": heif.encode,
}
_FORMATS = dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), "JPEG") | dict.fromkeys((".heic", ".heif", ".hif"), "HEIF")
_FORMATS |= {".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}


def encode_photo(photo: Photo, *, mark: Mark | None = None) -> bytes:
    """The bytes of the photo's file, in its own format (see `Photo.file_format`).

    Args:
        photo: The photo.
        mark: What the file shall say of itself; None only for a photo that nothing was swapped in.

    Raises:
        PhotoError: If the format cannot hold it.
    """
    return _encode(photo, photo.file_format, mark)


def write_photo(photo: Photo, path: Path, *, mark: Mark | None) -> None:
    """Write a photo under a temporary name in the same folder, sync it, and give it its name.

    Args:
        photo: The photo.
        path: Where to; see `photo_bytes`.
        mark: What the file shall say of itself; None only for a photo that nothing was swapped in.

    Raises:
        PhotoError: If it cannot be written, for instance because the disk is full. A file that was there before is untouched.
    """
    write_photo_bytes(photo_bytes(photo, path, mark=mark), path)


def photo_bytes(photo: Photo, path: Path, *, mark: Mark | None) -> bytes:
    """The content of the file that `write_photo` writes.

    Args:
        photo: The photo.
        path: Its suffix decides the format; one that is not the photo's own is converted to, metadata included. BMP and GIF cannot
            carry the mark and are refused, see `output_name`.
        mark: What the file shall say of itself; None only for a photo that nothing was swapped in.

    Raises:
        PhotoError: If the format cannot hold it.
    """
    name = _FORMATS.get(path.suffix.lower())
    if name is None:
        raise PhotoError(
            f"{path}: a photo cannot be written as {path.suffix or 'a file without suffix'}; "
            f"take one of {', '.join(sorted(_FORMATS))}, for instance {output_name(path).name}"
        )
    try:
        return _encode(photo, name, mark)
    except PhotoError as error:
        raise PhotoError(f"{path} cannot be written: {error}") from error


def write_photo_bytes(content: bytes, path: Path) -> None:
    """Write a photo's content, perhaps signed meanwhile, whole or not at all.

    Raises:
        PhotoError: If it cannot be written; a file that was there before is untouched.
    """
    _write_whole(path, content)


def output_name(path: Path) -> Path:
    """The path itself where photos can be written with its suffix, or else with `.png` behind it: beach.bmp -> beach.bmp.png."""
    return path if path.suffix.lower() in _FORMATS else path.with_name(path.name + ".png")


def write_png(image: Tensor, path: Path) -> None:
    """Write an image of our own, such as a contact sheet, as PNG; whole or not at all.

    Args:
        image: (3, H, W) in [0, 1]; values beyond are clipped, what is not a number becomes black.
        path: Where to.

    Raises:
        ShapeError: If it has another shape.
        PhotoError: If it cannot be written.
    """
    _write_whole(path, png_bytes(image))


def png_bytes(image: Tensor) -> bytes:
    """An image (3, H, W) in [0, 1] as PNG; see `write_png`."""
    return png.encode_samples(_u8(image))


def jpeg_bytes(image: Tensor, quality: int = 90) -> bytes:
    """An image (3, H, W) in [0, 1] as JPEG of a quality from 1 to 95; see `write_png`."""
    file = BytesIO()
    Image.fromarray(_u8(image)).save(file, "JPEG", quality=quality)
    return file.getvalue()


def _u8(image: Tensor) -> npt.NDArray[np.uint8]:
    check_shapes(image=(image, "3 H W"))
    levels = torch.nan_to_num(image.detach().to("cpu", torch.float32)).clamp(0, 1).mul(255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).numpy())


def _encode(photo: Photo, name: str, mark: Mark | None) -> bytes:
    try:
        fitting = converted(photo, name)
        xmp = fitting.metadata.xmp
        if mark is not None:
            xmp = xmp_with_mark(xmp, mark)
        if name == "JPEG" and xmp is not None and len(xmp) > jpeg.MAX_XMP_BYTES:
            # One segment holds 64 KiB, and the mark takes some; of another format's packet there may be more. Bulk goes first.
            xmp = without_bulk(xmp)
            if len(xmp) > jpeg.MAX_XMP_BYTES:
                xmp = xmp_with_mark(None, mark) if mark is not None else None
        return _ENCODERS[name](fitting, xmp)
    except PhotoError:
        raise
    except Exception as error:  # an encoder's refusal can be any exception
        reason = str(error) or type(error).__name__
        raise PhotoError(f"{photo.width} x {photo.height} px cannot be coded as {name}: {reason}") from error


def _write_whole(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise PhotoError(f"{path} cannot be written: {error.strerror or error}; what was there before is untouched") from error
