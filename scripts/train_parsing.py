#!/usr/bin/env python3
"""Tune the face parser on faces with drawn hands, glasses, text and more in front of them.

Examples:
    scripts/train_parsing.py --faces examples/faces --out parsing.safetensors
    scripts/train_parsing.py --faces examples/faces --out without.safetensors --minutes 10 --leave bar,text,microphone
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stylswap.errors import StylswapError
from stylswap.jobs.parsing import TuneRequest, tune_parser

REPORT_EVERY = 10


def main() -> int:
    """Parse, call the job, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, metavar="DIR", help="photos of many people's faces")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="weights file to write")
    parser.add_argument("--start", type=Path, metavar="FILE", help="weights to start from (default: those that ship)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="of training; else --steps decides")
    length.add_argument("--steps", type=int, default=650, help="of training (default 650)")
    parser.add_argument("--leave", default="", metavar="KIND,KIND", help="occluders to leave out of the training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted training")
    options = parser.parse_args()
    leave = tuple(kind for kind in options.leave.split(",") if kind)
    try:
        request = TuneRequest(options.out, options.faces, options.start, options.minutes, options.steps, leave, options.seed)
        tuned = tune_parser(request, resume=options.resume, on_step=lambda at: report(at.tick.step, at.terms, at.remaining_seconds))
    except StylswapError as error:
        print(f"train_parsing: {error}", file=sys.stderr)
        return 1
    told = "steps in" if tuned.out else "steps, to be gone on with by --resume, in"
    print(f"{options.out}: {tuned.steps} {told} {tuned.seconds:.0f} s  {described(tuned.last)}", file=sys.stderr)
    return 0


def report(step: int, terms: dict[str, float], remaining_seconds: float) -> None:
    """Print every tenth step."""
    if step % REPORT_EVERY == 0:
        print(f"{step}  {described(terms)}  {remaining_seconds:.0f} s left", file=sys.stderr, flush=True)


def described(terms: dict[str, float]) -> str:
    """Terms in one line."""
    return "  ".join(f"{name.split('.')[1]} {value:.4f}" for name, value in terms.items())


if __name__ == "__main__":
    sys.exit(main())
