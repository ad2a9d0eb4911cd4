#!/usr/bin/env python3
"""Measure speed and memory; prints JSON.

Examples:
    scripts/benchmark.py train --identity examples/ada --faces examples/faces --steps 200
    scripts/benchmark.py train --against size=256 --against network.name=grown
    scripts/benchmark.py swap --identity ada
    scripts/benchmark.py swap --identity ada --scenario 1,1,2000 --json
    scripts/benchmark.py detect PHOTOS_DIR
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from stylswap.config import load_settings
from stylswap.jobs.benchmark import benchmark_detection, benchmark_training
from stylswap.jobs.size_benchmark import benchmark_against
from stylswap.jobs.swap_benchmark import Scenario, as_markdown, benchmark_scenarios
from stylswap.names import MASKS

EXAMPLES = Path(__file__).parents[1] / "examples"
DEFAULT_SCENARIOS = (Scenario(1, 1, 120), Scenario(1, 5, 40), Scenario(12, 1, 40), Scenario(12, 5, 24))


def main() -> None:
    """Parse, call one job, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    training = kinds.add_parser("train")
    training.add_argument("--identity", type=Path, default=EXAMPLES / "ada")
    training.add_argument("--faces", type=Path, default=EXAMPLES / "faces")
    training.add_argument("--steps", type=int, default=200)
    training.add_argument("--set", action="append", default=[])
    training.add_argument("--against", action="append", default=[], help="settings to compare with --set alone, step by step in turn")
    swapping = kinds.add_parser("swap")
    swapping.add_argument("--identity", default="ada")
    swapping.add_argument("--mask", choices=MASKS, default="auto")
    swapping.add_argument("--scenario", type=_scenario, action="append", metavar="MP,FACES,PHOTOS", help="may be repeated")
    swapping.add_argument("--json", action="store_true", help="instead of a table")
    detecting = kinds.add_parser("detect")
    detecting.add_argument("folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if options.kind == "train" and options.against:
            pair = load_settings(None, options.set), load_settings(None, [*options.set, *options.against])
            facts = benchmark_against(*pair, options.identity, options.faces, steps=options.steps)
        elif options.kind == "train":
            facts = benchmark_training(
                load_settings(None, options.set), options.identity, options.faces, scratch, steps=options.steps
            )
        elif options.kind == "swap":
            scenarios = options.scenario or DEFAULT_SCENARIOS
            facts = benchmark_scenarios(options.identity, options.mask, scenarios, EXAMPLES / "photos", scratch)
        else:
            facts = benchmark_detection(options.folder)
    print(as_markdown(facts) if options.kind == "swap" and not options.json else json.dumps(facts, indent=1))


def _scenario(text: str) -> Scenario:
    megapixels, faces, count = text.split(",")
    return Scenario(float(megapixels), int(faces), int(count))


if __name__ == "__main__":
    main()
