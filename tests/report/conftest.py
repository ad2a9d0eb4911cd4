"""Photos for reports, and what journals say of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from stylswap.photo import write_png
from stylswap.report import SwapRun

Record = dict[str, Any]


def face(seam: float | None = 0.1, **more: Any) -> Record:
    facts = {"box": [20, 20, 40, 40], "yaw_deg": 3.0, "pitch_deg": -2.0, "roll_deg": 1.0, "blend": "poisson", "colour": "none"}
    return {**facts, "seam": seam, "parsed": True, "occluded_share": 0.0, "glasses": False, "warning": "", **more}


def record(photo: Path | str, status: str = "swapped", *, faces: tuple[Record, ...] = (), **more: Any) -> Record:
    facts = {"photo": str(photo), "output": None, "status": status, "reason": "", "faces_found": len(faces), "faces_swapped": len(faces)}
    return {**facts, "faces": list(faces), "seconds": {"decode": 0.25, "render": 0.75}, "cached": False, **more}


def a_run(*records: Record, **more: Any) -> SwapRun:
    facts: dict[str, Any] = {"identity": "ada", "identity_sha256": "0123456789abcdef" * 4, "seconds": 4.0, "device": "cpu", "parsing": True}
    return SwapRun(records=records, **{**facts, **more})


Swapped = Callable[..., Record]


@pytest.fixture
def swapped(tmp_path: Path) -> Swapped:
    """Makes a grey photo of 60 x 80 px and its brighter output, and says what a journal says of them."""

    def make(name: str, *seams: float | None, **more: Any) -> Record:
        photo, output = tmp_path / "in" / name, tmp_path / "out" / name
        for path, level in ((photo, 0.25), (output, 0.75)):
            path.parent.mkdir(exist_ok=True)
            write_png(torch.full((3, 60, 80), level), path)
        return record(photo, faces=tuple(face(seam) for seam in seams), output=str(output), **more)

    return make
