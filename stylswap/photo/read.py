"""From a file to a photo."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
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

PHOTO_SUFFIXES: frozenset[str] = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif", ".hif"}
)
"""Suffixes of photos, in lower case; HEIC's also where pillow-heif is not installed, which says so when such a photo is read."""

_AVIF = "an AVIF picture"
# Whoever has such files in a folder means them, too: they are listed, so that each is told of instead of left out in silence.
_UNREADABLE = {".avif": _AVIF, ".jxl": "a JPEG XL picture", ".jp2": "a JPEG 2000 picture"} | dict.fromkeys(
    (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"), "a camera's raw file"
)


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


def list_photos(folder: Path, *, dangling: bool = False) -> list[Path]:
    """The photos in a folder and the folders below it, by suffix, sorted; hidden files and folders are left out.

    Pictures that cannot be read (AVIF, raw files, HEIC without its library) are among them: `read_photo` says why. Linked folders are
    followed, each folder once; a link to a folder that this one lies in is not.

    Args:
        folder: Where to look.
        dangling: Also links that are named like photos and lead nowhere, for callers who tell what became of every photo.

    Raises:
        PhotoError: If it is not a folder.
    """
    if not folder.is_dir():
        raise PhotoError(f"{folder} is not a folder" if folder.exists() else f"there is no folder {folder}")
    named = (path for path in _files_below(folder) if path.suffix.lower() in PHOTO_SUFFIXES or path.suffix.lower() in _UNREADABLE)
    return sorted(path for path in named if _can(path.is_file) or (dangling and _leads_nowhere(path)))


def _files_below(top: Path) -> Iterator[Path]:
    """All that is no folder, at any depth. Linked folders come last, so that a folder is entered by its own path where it has one here."""
    seen = set(top.resolve().parents)  # links may lead in circles
    ahead, linked = [top], deque[Path]()
    while ahead or linked:
        folder = ahead.pop() if ahead else linked.popleft()
        if folder.resolve() in seen:
            continue
        seen.add(folder.resolve())
        for path in _entries(folder):
            if not _can(path.is_dir):
                yield path
            elif path.is_symlink():
                linked.append(path)
            else:
                ahead.append(path)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except PermissionError:  # such as lost+found, at the root of a disk of photos
        return []


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not _can(path.exists)


def _can(ask: Callable[[], bool]) -> bool:
    """What is asked of a path; no where it is a link into a folder that may not be read, which is an error to pathlib."""
    try:
        return ask()
    except PermissionError:
        return False


def _read_file(path: Path, size_limit_mp: float) -> tuple[bytes, str]:
    """The file's bytes and the name of its format."""
    if path.is_dir():
        raise PhotoError(f"{path} is a folder, not a photo")
    if _leads_nowhere(path):
        raise PhotoError(f"{path} is a link to {path.readlink()}, which is not there; mend the link or take it away")
    if not path.is_file():
        raise PhotoError(f"{path} is not a regular file" if path.exists() else f"there is no file {path}")
    try:
        with path.open("rb") as file:
            head = file.read(16)
            name = file_format(head)
            # Raw files are TIFFs outside, whose first picture is a thumbnail: nobody wants that one swapped.
            if name is None or (name in ("TIFF", "HEIF") and path.suffix.lower() in _UNREADABLE):
                raise PhotoError(_not_a_photo(path, head))
            size = path.stat().st_size
            if size > size_limit_mp * 1e6 * _MAX_BYTES_PER_PIXEL + _BYTES_BESIDE_PIXELS:
                raise PhotoError(
                    f"{path} has {size / 1e9:.1f} GB, too much for a photo of up to {size_limit_mp:g} megapixels; "
                    "make it smaller, or, to swap in it, and if you trust the file, raise that with --size-limit"
                )
            return head + file.read(), name
    except OSError as error:
        raise PhotoError(f"{path} cannot be read: {error.strerror or error}") from error


def _not_a_photo(path: Path, head: bytes) -> str:
    if not head:
        return f"{path} is empty (0 bytes); expected {_ACCEPTED}"
    kind = _AVIF if head[4:12] in (b"ftypavif", b"ftypavis") else _UNREADABLE.get(path.suffix.lower())
    if kind is not None:
        return f"{path} is {kind}, which stylswap does not read; save it as JPEG, PNG or TIFF first"
    return f"{path} is not a photo: expected {_ACCEPTED}, but it begins with {head[:12]!r}"


def _check_size(path: Path, height: int, width: int, size_limit_mp: float) -> None:
    megapixels = height * width / 1e6
    if max(height, width) > _MAX_SIDE_PX:
        raise PhotoError(f"{path} is {width} x {height} px; the limit is {_MAX_SIDE_PX:,} px a side: make it smaller first")
    if megapixels > size_limit_mp:
        raise PhotoError(
            f"{path} is {width} x {height} px = {megapixels:.1f} megapixels; the limit is {size_limit_mp:g}: "
            f"make it smaller, or, to swap in it, and if you trust the file, raise it with --size-limit {int(megapixels) + 1}"
        )


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
