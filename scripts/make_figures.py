#!/usr/bin/env python3
"""Make the pictures of README and docs from the example data; only people who do not exist are shown.

Examples:
    scripts/make_figures.py
    scripts/make_figures.py --identity fresh.safetensors --out /tmp/pictures
"""

from __future__ import annotations

import argparse
from pathlib import Path

from stylswap.jobs.figures import draw_examples, draw_pipeline
from stylswap.jobs.swapper import Swapper
from stylswap.photo import list_photos

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("0258", "0516", "0688", "0172")
PIPELINE = "0602"


def main() -> None:
    """Parse, call the job, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--identity", default="ada", help="identity file or shipped name (default ada)")
    parser.add_argument("--identity-photos", type=Path, default=ROOT / "examples" / "ada", help="default examples/ada")
    parser.add_argument("--photos", type=Path, default=ROOT / "examples" / "photos", help="default examples/photos")
    parser.add_argument("--shown", nargs="+", default=SHOWN, metavar="NAME", help=f"photos of readme.jpg (default {' '.join(SHOWN)})")
    parser.add_argument("--pipeline", default=PIPELINE, metavar="NAME", help=f"photo of pipeline.jpg (default {PIPELINE})")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures", help="default docs/pictures")
    options = parser.parse_args()
    swapper = Swapper.load(options.identity, device="cpu")  # equal pictures wherever they are made
    photos = {photo.stem: photo for photo in list_photos(options.photos)}
    readme, pipeline = options.out / "readme.jpg", options.out / "pipeline.jpg"
    draw_examples(swapper, [photos[name] for name in options.shown], list_photos(options.identity_photos), readme)
    draw_pipeline(swapper, photos[options.pipeline], pipeline)
    for path in (readme, pipeline):
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
