#!/usr/bin/env python3
"""Swap held-out photos and print figures, beside the trivial row "return the input".

Example:
    scripts/evaluate.py --identity ada examples/photos --sheet sheet.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from stylswap.data.prepare import cut_crop
from stylswap.jobs.evaluate import as_markdown, evaluate
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapped import Swapped
from stylswap.jobs.swapper import Swapper
from stylswap.photo import list_photos, write_png
from stylswap.sheets import contact_sheet


def main() -> None:
    """Parse, call the job, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of held-out photos")
    parser.add_argument("--identity", required=True, help="identity file or shipped name")
    parser.add_argument("--first", type=int, help="only the first N photos in name order")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet: input, output, final photo of the first 24 faces")
    parser.add_argument("--blend", default=SwapOptions().blend)
    parser.add_argument("--colour", default=SwapOptions().colour)
    parser.add_argument("--detail", default=SwapOptions().detail)
    parser.add_argument("--mask", default=SwapOptions().mask)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    swapper = Swapper.load(options.identity, options=SwapOptions(options.blend, options.colour, options.detail, mask=options.mask))
    cells: list[tuple[Tensor, Tensor, Tensor]] = []

    def collect(swapped: Swapped, _: int) -> None:
        if swapped.faces and swapped.photo and swapped.original and len(cells) < 24:
            face, size = swapped.faces[0], swapper.identity.size
            crops = [cut_crop(photo, face.crop_from_photo, size) for photo in (swapped.original, swapped.photo)]
            cells.append((crops[0], face.output, crops[1]))

    evaluation = evaluate(swapper, list_photos(options.photos)[: options.first], on_photo=collect)
    if options.sheet:
        groups = [cells[start : start + 8] for start in range(0, len(cells) - len(cells) % 8 or 1, 8)]
        rows = [torch.stack(list(row)) for group in groups for row in zip(*group, strict=True)]
        write_png(contact_sheet(rows), options.sheet)
    table = evaluation.table()
    print(json.dumps(table, indent=1) if options.json else as_markdown(table))
    print(f"{len(evaluation.photos)} photos measured, {evaluation.num_skipped} skipped")


if __name__ == "__main__":
    main()
