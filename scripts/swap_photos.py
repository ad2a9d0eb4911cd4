#!/usr/bin/env python3
"""Swap a trained identity into photos: the same as `stylswap swap`, for use from a checkout.

Example:
    scripts/swap_photos.py --identity ada examples/photos --out swapped/
"""

from __future__ import annotations

import sys

from stylswap.cli import main

if __name__ == "__main__":
    sys.exit(main(["swap", *sys.argv[1:]]))
