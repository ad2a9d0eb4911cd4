#!/usr/bin/env python3
"""Measure how outputs join their photos: blends and colours by their seam, ways to more detail by what they gain and cost.

Examples:
    scripts/measure_paste.py joins PHOTOS --sheet joins.jpg
    scripts/measure_paste.py details PHOTOS --least-px 300 --sheet details.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

from stylswap.jobs.paste_report import compare_details, compare_joins, find_cases, write_sheet
from stylswap.jobs.swapper import Swapper
from stylswap.jobs.tables import as_markdown
from stylswap.photo import list_photos


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("joins", "details"))
    parser.add_argument("photos", type=Path, help="folder of photos that no training saw")
    parser.add_argument("--identity", default="ada", help="identity file or shipped name (default ada)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth photo only")
    parser.add_argument("--least-px", type=float, default=0.0, metavar="PX", help="only faces whose crop is so wide in the photo")
    parser.add_argument("--sheet", type=Path, help="JPEG to write: contact sheet of the first faces")
    parser.add_argument("--faces", type=int, default=8, metavar="N", help="faces on the sheet (default 8)")
    options = parser.parse_args()
    swapper = Swapper.load(options.identity, device="cpu")
    cases = find_cases(swapper, list_photos(options.photos)[:: options.every], least_px=options.least_px)
    if options.what == "joins":
        table, lines = compare_joins(swapper, cases)
        shown = lines[: options.faces]
    else:
        table, lines = compare_details(swapper, cases)
        shown = [line[: options.faces] for line in lines]
    print(f"{len(cases)} faces\n\n{as_markdown(table)}")
    if options.sheet:
        write_sheet(shown, options.sheet, swapper)


if __name__ == "__main__":
    main()
