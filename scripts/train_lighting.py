#!/usr/bin/env python3
"""Train the lighting network, or judge one.

Examples:
    scripts/train_lighting.py --source relit --faces faces/ --out lighting.safetensors --minutes 6
    scripts/train_lighting.py --evaluate yale_b_cropped.npz --json
    scripts/train_lighting.py --evaluate yale_b_cropped.npz --network lighting.safetensors --held-out --faces faces/
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from stylswap.errors import StylswapError
from stylswap.jobs.lighting import LightingRequest, train_lighting
from stylswap.jobs.lighting_report import as_markdown, evaluate_lighting, load_network


def main() -> int:
    """Parse, call the jobs, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yale", type=Path, metavar="FILE.npz", help="lit faces to train on (28 of 38 people)")
    parser.add_argument("--faces", type=Path, metavar="DIR", help="ordinary faces to relight (nine tenths train, one tenth tests)")
    parser.add_argument("--source", choices=("yale", "relit", "both"), default="relit", help="what to train on (default relit)")
    parser.add_argument("--out", type=Path, help="train, and write this file")
    parser.add_argument("--minutes", type=float, help="of training; else --steps decides")
    parser.add_argument("--steps", type=int, default=3000, help="of training (default 3000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted training")
    parser.add_argument("--evaluate", type=Path, metavar="FILE.npz", help="judge on these lit faces")
    parser.add_argument("--network", type=Path, metavar="FILE", help="what to judge: default --out if given, else the shipped one")
    parser.add_argument("--held-out", action="store_true", help="judge on the 10 test people only, not on all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.out and not options.evaluate:
        parser.error("nothing to do: give --out to train, or --evaluate to judge")
    try:
        if options.out:
            request = LightingRequest(
                options.out, options.source, options.yale, options.faces, options.minutes, options.steps, options.seed
            )
            trained = train_lighting(request, resume=options.resume)
            terms = "  ".join(f"{name.split('.')[1]} {value:.4f}" for name, value in trained.last.items())
            print(f"{options.out}: {trained.steps} steps in {trained.seconds:.0f} s  {terms}", file=sys.stderr)
        if options.evaluate:
            network = load_network(options.network or options.out)
            table = evaluate_lighting(network, options.evaluate, faces=options.faces, held_out=options.held_out)
            print(json.dumps(table, indent=1) if options.json else as_markdown(table))
    except StylswapError as error:
        print(f"train_lighting: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
