#!/usr/bin/env python3
"""Teach the landmark network, which the expression term looks through, what dlib's predictor says.

Example:
    scripts/train_landmarks.py --faces faces/ --faces ada/ --out landmarks.safetensors --steps 4000
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from stylswap.errors import StylswapError
from stylswap.jobs.landmarks import LandmarkRequest, train_landmarks


def main() -> int:
    """Parse, call the job, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, action="append", required=True, metavar="DIR", help="faces to learn from; may be repeated")
    parser.add_argument("--out", type=Path, required=True, help="the weights file to write")
    parser.add_argument("--minutes", type=float, help="of training; else --steps decides")
    parser.add_argument("--steps", type=int, default=4000, help="of training (default 4000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted training")
    options = parser.parse_args()
    try:
        request = LandmarkRequest(options.out, options.faces, options.minutes, options.steps, options.seed)
        trained = train_landmarks(request, resume=options.resume)
    except StylswapError as error:
        print(f"train_landmarks: {error}", file=sys.stderr)
        return 1
    print(f"{options.out}: {trained.steps} steps in {trained.seconds:.0f} s", file=sys.stderr)
    print(json.dumps(trained.figures._asdict(), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
