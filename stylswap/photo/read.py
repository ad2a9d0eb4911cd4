"""From a file to a photo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stylswap.errors import PhotoError
from stylswap.photo import heif, jpeg, png, still, tiff, webp
from stylswap.photo.header import file_format, picture_size
from stylswap.photo.photo import Photo

_DECODERS: dict[str, Callable[[bytes], Photo]] = {
    "JPEG": jpeg.decode,
    "PNG": png.decode,
    "WEBP": webp.decode,
    "TIFF": tiff.decode,
    "HEIF": heif.decode,
    "BMP": still.decode_bmp,
    "GIF": still.decode_gif,
}
_MAX_SIDE_PX = 30_000
_MAX_BYTES_PER_PIXEL, _BYTES_BESIDE_PIXELS = 16, 64 * 2**20
_ACCEPTED = "JPEG, PNG, WebP, TIFF, HEIC, BMP or GIF"

_HEIC_SUFFIXES = {".heic", ".heif", ".hif"}
PHOTO_SUFFIXES: frozenset[str] = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
    | (_HEIC_SUFFIXES if heif.is_available() else set())
)
"""Suffixes of photos, in lower case; HEIC's only where pillow-heif is installed."""


def read_photo(path: Path, *, size_limit_mp: float = 100.0) -> Photo:
    """Read a photo with all that it takes to write it back. What it is is decided by its content, not by its name.

    Args:
        path: JPEG (of an MPO, the first picture), PNG, WebP, TIFF, BMP, GIF, or HEIC with the extra `stylswap[heic]`.
        size_limit_mp: Megapixels; a larger photo, or one over 30,000 px a side, is refused by its header, before it is decoded.

    Raises:
        PhotoError: If there is no such file, or it is no photo, damaged, truncated, an animation, of several pages, or too large.
    """
    data, name = _read_file(path, size_limit_mp)
    try:
        height, width = heif.picture_size(data) if name == "HEIF" else picture_size(data, name)
    except PhotoError as error:
        raise PhotoError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # a decoder's answer to a stranger's file can be any exception
        raise PhotoError(f"{path} cannot be read as {name}: {_reason(error)}") from error
    _check_size(path, height, width, size_limit_mp)
    try:
        photo = _DECODERS[name](data)
    except Exception as error:  # as above
        raise PhotoError(f"{path} cannot be read as {name}: {_reason(error)}") from error
    if {photo.height, photo.width} != {height, width}:
        raise PhotoError(f"{path}: its header says {width} x {height} px, decoded are {photo.width} x {photo.height}; it is damaged")
    return photo


def list_photos(folder: Path) -> list[Path]:
    """The photos in a folder and the folders below it, by suffix, sorted; hidden files and folders are left out.

    Raises:
        PhotoError: If it is not a folder.
    """
    if not folder.is_dir():
        raise PhotoError(f"{folder} is not a folder" if folder.exists() else f"there is no folder {folder}")
    found = []
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in PHOTO_SUFFIXES and path.is_file():
            found.append(path)
    return sorted(found)


def _read_file(path: Path, size_limit_mp: float) -> tuple[bytes, str]:
    """The file's bytes and the name of its format."""
    if path.is_dir():
        raise PhotoError(f"{path} is a folder, not a photo")
    if not path.is_file():
        raise PhotoError(f"{path} is not a regular file" if path.exists() else f"there is no file {path}")
    try:
        with path.open("rb") as file:
            head = file.read(16)
            name = file_format(head)
            if name is None:
                raise PhotoError(_not_a_photo(path, head))
            size = path.stat().st_size
            if size > size_limit_mp * 1e6 * _MAX_BYTES_PER_PIXEL + _BYTES_BESIDE_PIXELS:
                raise PhotoError(
                    f"{path} has {size / 1e9:.1f} GB, too much for a photo of up to {size_limit_mp:g} megapixels; "
                    "if you trust the file, raise that with --size-limit"
                )
            return head + file.read(), name
    except OSError as error:
        raise PhotoError(f"{path} cannot be read: {error.strerror or error}") from error


def _not_a_photo(path: Path, head: bytes) -> str:
    if not head:
        return f"{path} is empty (0 bytes); expected {_ACCEPTED}"
    return f"{path} is not a photo: expected {_ACCEPTED}, but it begins with {head[:12]!r}"


def _check_size(path: Path, height: int, width: int, size_limit_mp: float) -> None:
    megapixels = height * width / 1e6
    if max(height, width) > _MAX_SIDE_PX:
        raise PhotoError(f"{path} is {width} x {height} px; the limit is {_MAX_SIDE_PX:,} px a side: make it smaller first")
    if megapixels > size_limit_mp:
        raise PhotoError(
            f"{path} is {width} x {height} px = {megapixels:.1f} megapixels; the limit is {size_limit_mp:g}: "
            f"if you trust the file, raise it with --size-limit {int(megapixels) + 1}"
        )


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
