#!/usr/bin/env python3
"""Train one identity: the same as `stylswap train`, for use from a checkout.

Example:
    scripts/train_identity.py --identity examples/ada --faces examples/faces --out ada.safetensors --minutes 10
"""

from __future__ import annotations

import sys

from stylswap.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
