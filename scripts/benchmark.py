#!/usr/bin/env python3
"""Measure speed and memory; prints JSON.

Examples:
    scripts/benchmark.py train --identity examples/ada --faces examples/faces --steps 200
    scripts/benchmark.py swap --identity ada --photos 500
    scripts/benchmark.py detect PHOTOS_DIR
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from stylswap.config import load_settings
from stylswap.jobs.benchmark import benchmark_detection, benchmark_swap, benchmark_training, make_photos
from stylswap.jobs.swapper import Swapper
from stylswap.photo import list_photos

EXAMPLES = Path(__file__).parents[1] / "examples"


def main() -> None:
    """Parse, call one job, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    training = kinds.add_parser("train")
    training.add_argument("--identity", type=Path, default=EXAMPLES / "ada")
    training.add_argument("--faces", type=Path, default=EXAMPLES / "faces")
    training.add_argument("--steps", type=int, default=200)
    training.add_argument("--set", action="append", default=[])
    swapping = kinds.add_parser("swap")
    swapping.add_argument("--identity", default="ada")
    swapping.add_argument("--photos", type=int, default=100)
    detecting = kinds.add_parser("detect")
    detecting.add_argument("folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if options.kind == "train":
            facts = benchmark_training(
                load_settings(None, options.set), options.identity, options.faces, scratch, steps=options.steps
            )
        elif options.kind == "swap":
            make_photos(list_photos(EXAMPLES / "photos"), scratch / "photos", count=options.photos)
            facts = benchmark_swap(Swapper.load(options.identity), scratch / "photos", scratch / "out")
        else:
            facts = benchmark_detection(options.folder)
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
