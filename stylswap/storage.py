"""Files that are whole or absent, and the folders that stylswap keeps for itself."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from platformdirs import user_cache_path, user_data_path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at every moment either the old or the new content is there, whole.

    Args:
        path: Its folder must exist.
        content: All of it.

    Raises:
        OSError: If it cannot be written; the old file is untouched and nothing is left over.
    """
    part = path.with_name(f".stylswap.{uuid.uuid4().hex[:8]}.part")  # short: the path's own name may be as long as the disk takes
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def ignores_case(folder: Path) -> bool:
    """Whether two names that differ in case alone are one file there, as on macOS, Windows and many memory cards.

    Nothing is written: the folder's own name is tried in the other case, or that of the nearest folder above it that exists and has one.

    Args:
        folder: It need not exist.
    """
    for known in (folder.absolute(), *folder.absolute().parents):
        other = known.with_name(known.name.swapcase()) if known.name else known
        if known.exists() and other != known:
            try:
                return other.samefile(known)
            except OSError:
                return False
    return False


def data_folder() -> Path:
    """What is worth keeping, such as fetched weights: ``$STYLSWAP_HOME``, else the platform's folder for a user's data."""
    home = os.environ.get("STYLSWAP_HOME")
    return Path(home).expanduser() if home else user_data_path("stylswap", appauthor=False)


def cache_folder() -> Path:
    """Where prepared faces are kept: ``$STYLSWAP_HOME/cache``, else the platform's cache folder. It may be deleted at any time."""
    home = os.environ.get("STYLSWAP_HOME")
    return Path(home).expanduser() / "cache" if home else user_cache_path("stylswap", appauthor=False)


def faces_folder() -> Path:
    """Where prepared faces are kept, and what was found in front of them."""
    return cache_folder() / "faces"
