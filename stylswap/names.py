"""Words that settings take, where the command line can offer them without importing what they stand for (torch alone takes seconds)."""

from __future__ import annotations

from typing import Final

AUTO: Final = "auto"
BLENDS: Final = ("poisson", "feather", "none")
JOIN_BLENDS: Final = (AUTO, *BLENDS)
JOIN_COLOURS: Final = (AUTO, "balance", "skin", "none")
DETAILS: Final = ("bands", "none")
MASKS: Final = (AUTO, "parsing", "landmarks")
GLASSES: Final = (AUTO, "keep", "rims", "swap")
FOREHEADS: Final = (AUTO, "whole")
BEYOND_POSE: Final = ("warn", "skip", "swap")
CONSENTS: Final = ("self", "written", "synthetic", "research")
