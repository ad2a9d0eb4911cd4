#!/usr/bin/env python3
"""Compare trainings with and without the lighting term on faces under strong side light.

Example:
    scripts/measure_lighting.py HELD_OUT_FACES without.safetensors with.safetensors --sheet lighting.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from stylswap.jobs.lighting_effect import compare_lighting
from stylswap.jobs.tables import as_markdown
from stylswap.photo import write_png


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, help="folder of faces that no training saw")
    parser.add_argument("identities", type=Path, nargs="+", help="identity files of one crop size")
    parser.add_argument("--sheet", type=Path, help="contact sheet: inputs lit from the left, outputs of each file, then from the right")
    options = parser.parse_args()
    table, sheet = compare_lighting(options.faces, options.identities)
    print(as_markdown(table))
    if options.sheet:
        write_png(sheet, options.sheet)


if __name__ == "__main__":
    main()
