#!/usr/bin/env python3
"""Swap held-out photos and measure, beside returning the input and pasting the nearest photo: `stylswap evaluate`, for a checkout.

Example:
    scripts/evaluate.py --identity ada --photos examples/photos --out evaluation
"""

import sys

from stylswap.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
