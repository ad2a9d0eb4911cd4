"""How fast photos are swapped, stage by stage, and how much memory that takes."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.jobs.benchmark import MIB, machine, memory_mib
from stylswap.jobs.choose import FaceChoice
from stylswap.jobs.photo_worker import PhotoResult
from stylswap.jobs.swap import SwapRequest, swap_photos
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapper import Swapper
from stylswap.photo import jpeg_bytes, list_photos, read_photo
from stylswap.storage import write_atomically

QUALITY: Final = 92
# Different photos of a scenario; more would only fill the disk.
MOST_DIFFERENT: Final = 12
# Asking for it takes tens of milliseconds, in the process that all photos pass.
MEMORY_EVERY_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Scenario:
    """Photos of one kind.

    Attributes:
        megapixels: Of each photo.
        faces: In each photo, all of them swapped.
        count: How many photos.
    """

    megapixels: float
    faces: int
    count: int

    @property
    def name(self) -> str:
        """As in the table."""
        return f"{self.megapixels:g} MP, {self.faces} face{'' if self.faces == 1 else 's'}"


def make_photos(pictures: Sequence[Path], folder: Path, scenario: Scenario) -> None:
    """Photos of a scenario, made of smaller photos with one face each: side by side in the middle, the border repeated around them.

    Args:
        pictures: Photos with one face.
        folder: Where to.
        scenario: What to make.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = []
    for number in range(min(scenario.count, MOST_DIFFERENT)):
        chosen = [pictures[(number + place) % len(pictures)] for place in range(scenario.faces)]
        contents.append(jpeg_bytes(_laid_out([read_photo(path).image() for path in chosen], scenario), quality=QUALITY))
    for number in range(scenario.count):
        write_atomically(folder / f"{number:05d}.jpg", contents[number % len(contents)])


def _laid_out(images: Sequence[Tensor], scenario: Scenario) -> Tensor:
    height = round(math.sqrt(scenario.megapixels * 1e6 * 3 / 4) / 2) * 2
    width = round(height * 4 / 3 / 2) * 2
    # One face fills two thirds of the height; several share nine tenths of the width.
    side = min(round(height * 2 / 3), round(width * 0.9 / len(images)))
    tiles = [F.interpolate(image[None], size=(side, side), mode="bicubic", antialias=True, align_corners=False)[0] for image in images]
    row = torch.cat(tiles, dim=2).clamp(0, 1)
    top, left = (height - side) // 2, (width - row.shape[2]) // 2
    padded = F.pad(row[None], (left, width - left - row.shape[2], top, height - top - side), mode="replicate")
    return padded[0]


def benchmark_swap(swapper: Swapper, photos: Path, out: Path, *, workers: int | None = None) -> dict[str, Any]:
    """Photos a second with start-up apart, seconds by stage, and memory along the way.

    Args:
        swapper: Loaded.
        photos: Folder of photos.
        out: Where the results go.
        workers: As in `SwapRequest`.
    """
    finished: list[float] = []
    memory: list[float] = []
    measured: list[float] = []

    def on_photo(_result: PhotoResult, _done: int, _total: int) -> None:
        finished.append(time.perf_counter())
        if not memory or finished[-1] - measured[-1] > MEMORY_EVERY_SECONDS:
            memory.append(memory_with_children_mib())
            measured.append(time.perf_counter())

    began = time.perf_counter()
    summary = swap_photos(swapper, SwapRequest([photos], out, force=True, workers=workers, report=False), on_photo=on_photo)
    # The first photos wait for processes that start and models that load.
    warm = max(len(finished) // 5, min(4, len(finished) - 1))
    rate = (len(finished) - warm) / (finished[-1] - finished[warm - 1]) if warm else len(finished) / (finished[-1] - began)
    quarter = max(len(memory) // 4, 1)
    stages: dict[str, list[float]] = {}
    for result in summary.results[warm:]:
        for stage, seconds in result.seconds.items():
            stages.setdefault(stage, []).append(seconds)
    return {
        "photos": len(summary.results),
        "faces_swapped": sum(len(result.faces) for result in summary.results),
        "photos_per_second": round(rate, 2),
        "first_photo_after_seconds": round(finished[0] - began, 2),
        "median_milliseconds": {stage: round(1000 * statistics.median(seconds), 1) for stage, seconds in stages.items()},
        "memory_mib_second_quarter": round(statistics.fmean(memory[quarter : 2 * quarter] or memory)),
        "memory_mib_last_quarter": round(statistics.fmean(memory[-quarter:])),
        "memory_mib_most": round(max(memory)),
    }


def benchmark_scenarios(identity: str | Path, mask: str, scenarios: Sequence[Scenario], pictures: Path, scratch: Path) -> dict[str, Any]:
    """Measure several scenarios, one after another.

    Args:
        identity: As in `Swapper.load`.
        mask: As in `SwapOptions`.
        scenarios: What to measure. Of several faces all are asked for, which makes the detector look for small ones, too.
        pictures: Folder of photos with one face each.
        scratch: An empty folder.
    """
    found: dict[str, Any] = {}
    for number, scenario in enumerate(scenarios):
        photos = scratch / f"photos-{number}"
        make_photos(list_photos(pictures), photos, scenario)
        choice = FaceChoice("largest" if scenario.faces == 1 else "all")
        swapper = Swapper.load(identity, options=SwapOptions(choice=choice, mask=mask))
        found[scenario.name] = benchmark_swap(swapper, photos, scratch / f"out-{number}")
    return {**machine(), "mask": mask, "scenarios": found}


def memory_with_children_mib() -> float:
    """Memory that this process and its children hold, shared pages counted once (Linux; elsewhere this process alone)."""
    family = Path(f"/proc/self/task/{os.getpid()}/children")
    if not family.is_file():
        return memory_mib()
    total_kib = 0
    for process in ["self", *family.read_text(encoding="ascii").split()]:
        try:
            rows = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:
            continue  # it has just ended
        total_kib += sum(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
    return total_kib * 1024 / MIB


def as_markdown(facts: Mapping[str, Any]) -> str:
    """The scenarios as a table."""
    rows: Mapping[str, Mapping[str, Any]] = facts["scenarios"]
    stages = list(dict.fromkeys(stage for row in rows.values() for stage in row["median_milliseconds"]))
    head = ["", "photos a second", "first after, s", "memory, MiB", *(f"{stage}, ms" for stage in stages)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, row in rows.items():
        times = [f"{row['median_milliseconds'].get(stage, 0.0):.0f}" for stage in stages]
        values = [f"{row['photos_per_second']:.1f}", f"{row['first_photo_after_seconds']:.1f}", str(row["memory_mib_most"]), *times]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines)
