#!/usr/bin/env python3
"""Make the pictures of README and docs from the example data; only people who do not exist are shown.

Examples:
    scripts/make_figures.py
    scripts/make_figures.py --identity fresh.safetensors --out pictures
    scripts/make_figures.py --page FACES        # docs/pictures/page.jpg: the first 40 photos of a folder, in name order
"""

from __future__ import annotations

import argparse
from pathlib import Path

from stylswap.jobs.figures import draw_examples, draw_page, draw_pipeline
from stylswap.jobs.swapper import Swapper
from stylswap.photo import list_photos

ROOT = Path(__file__).resolve().parents[1]
README = ("0258", "0860", "0086", "0430")
LIMITS = ("0172", "0516", "0688", "0344")  # glasses and a fringe, a hat, a beard and a turned head, glasses
PIPELINE = "0258"


def main() -> None:
    """Parse, call the job, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--identity", default="ada", help="identity file or shipped name (default ada)")
    parser.add_argument("--identity-photos", type=Path, default=ROOT / "examples" / "ada", help="default examples/ada")
    parser.add_argument("--photos", type=Path, default=ROOT / "examples" / "photos", help="default examples/photos")
    parser.add_argument("--readme", nargs="+", default=README, metavar="NAME", help=f"photos of readme.jpg ({' '.join(README)})")
    parser.add_argument("--limits", nargs="+", default=LIMITS, metavar="NAME", help=f"photos of limits.jpg ({' '.join(LIMITS)})")
    parser.add_argument("--pipeline", default=PIPELINE, metavar="NAME", help=f"photo of pipeline.jpg ({PIPELINE})")
    parser.add_argument("--page", type=Path, metavar="DIR", help="only page.jpg: this folder's first 40 photos in name order")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures", help="default docs/pictures")
    options = parser.parse_args()
    swapper = Swapper.load(options.identity, device="cpu")  # the same pictures wherever they are made
    if options.page is not None:
        draw_page(swapper, list_photos(options.page)[:40], options.out / "page.jpg")
        return
    photos = {photo.stem: photo for photo in list_photos(options.photos)}
    identity = list_photos(options.identity_photos)
    for name, shown in (("readme", options.readme), ("limits", options.limits)):
        draw_examples(swapper, [photos[stem] for stem in shown], identity, options.out / f"{name}.jpg")
    draw_pipeline(swapper, photos[options.pipeline], options.out / "pipeline.jpg")
    for name in ("readme", "limits", "pipeline"):
        path = options.out / f"{name}.jpg"
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
