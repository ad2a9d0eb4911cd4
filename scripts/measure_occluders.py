#!/usr/bin/env python3
"""Draw hands, glasses, hair and more in front of faces, and measure what a swap leaves of them with and without the face parser.

The column network_alone says what the network leaves of them by itself, in its crop and without any mask.

Example:
    scripts/measure_occluders.py HELD_OUT_FACES ada --sheet occluders.png
    scripts/measure_occluders.py HELD_OUT_FACES ada --glasses rims --kinds glasses
"""

from __future__ import annotations

import argparse
from pathlib import Path

from stylswap.jobs.occluder_report import ALL_KINDS, report_occluders
from stylswap.jobs.tables import as_markdown
from stylswap.photo import write_png


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, help="folder of photos with one face each that no training saw")
    parser.add_argument("identity", help="identity file, or the name of one that ships")
    parser.add_argument("--seed", type=int, default=0, help="of the drawings (default: 0)")
    parser.add_argument("--weights", default="parsing-occluders", help="the parser; `parsing`, to be fetched, is what it was tuned from")
    parser.add_argument("--glasses", choices=("keep", "rims", "swap"), default="keep", help="see stylswap swap --help (default: keep)")
    parser.add_argument("--kinds", nargs="+", choices=ALL_KINDS, default=ALL_KINDS, help="what is drawn (default: all)")
    parser.add_argument("--sheet", type=Path, help="contact sheet: occluded, swapped with the landmarks' mask, swapped with the parser's")
    options = parser.parse_args()
    report = report_occluders(
        options.faces, options.identity, weights=options.weights, glasses=options.glasses, kinds=options.kinds, seed=options.seed
    )
    print(f"{report.num_faces} faces. Share of occluder pixels that a swap left unchanged:\n\n{as_markdown(report.unchanged)}")
    print(f"\nShare of the face beside the occluder that was swapped with the parser's mask:\n\n{as_markdown(report.face)}")
    print(f"\nMilliseconds for one face, medians:\n\n{as_markdown(report.milliseconds)}")
    if options.sheet:
        write_png(report.sheet, options.sheet)


if __name__ == "__main__":
    main()
