#!/usr/bin/env python3
"""Make examples/: one generated identity, faces to train on, photos to swap into; all of people who do not exist.

Example:
    scripts/make_examples.py DATA_FOLDER
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F

from stylswap.photo import jpeg_bytes, list_photos, read_photo
from stylswap.storage import write_atomically

IDENTITY_PX, IDENTITY_QUALITY = 320, 88
NUM_IDENTITY, NUM_FACES, NUM_PHOTOS = 60, 400, 12


def spread(paths: list[Path], count: int, offset: int = 0) -> list[Path]:
    """`count` of the paths, evenly spread."""
    return [paths[(index * len(paths)) // count + offset] for index in range(count)]


def main() -> None:
    """Copy and scale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with identities/ada and faces")
    parser.add_argument("--out", type=Path, default=Path("examples"))
    options = parser.parse_args()
    for name in ("ada", "faces", "photos"):
        (options.out / name).mkdir(parents=True, exist_ok=True)
    for path in spread(list_photos(options.source / "identities" / "ada"), NUM_IDENTITY):
        image: torch.Tensor = read_photo(path).image()[None]
        small = F.interpolate(image, size=(IDENTITY_PX, IDENTITY_PX), mode="bilinear", antialias=True, align_corners=False)[0]
        write_atomically(options.out / "ada" / path.name, jpeg_bytes(small, quality=IDENTITY_QUALITY))
    faces = list_photos(options.source / "faces")
    photos = spread(faces, NUM_PHOTOS, offset=1)
    others = [path for path in faces if path not in photos]
    for path in photos:
        shutil.copyfile(path, options.out / "photos" / path.name)
    for path in spread(others, NUM_FACES):
        shutil.copyfile(path, options.out / "faces" / path.name)
    total = sum(path.stat().st_size for path in options.out.rglob("*.jpg"))
    print(f"{options.out}: {NUM_IDENTITY} + {NUM_FACES} + {NUM_PHOTOS} photos, {total / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
