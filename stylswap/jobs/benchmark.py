"""How fast, and how much memory: training steps and detection; swaps are in `stylswap.jobs.swap_benchmark`."""

from __future__ import annotations

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from stylswap.config import Settings
from stylswap.faces.detect import FaceDetector
from stylswap.identity_file import IdentityCard
from stylswap.jobs.run_folder import TrainRequest
from stylswap.jobs.train import TrainEvents, train
from stylswap.photo import list_photos, read_photo

WARM_UP_STEPS = 10
MIB = 2**20


def peak_memory_gib() -> float:
    """Most memory this process ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20  # macOS counts bytes, Linux KiB


def memory_mib() -> float:
    """Memory this process holds now (Linux only; elsewhere the peak)."""
    status = Path("/proc/self/statm")
    if not status.is_file():
        return peak_memory_gib() * 1024
    return int(status.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__}


def benchmark_training(settings: Settings, identity: Path, faces: Path, scratch: Path, *, steps: int) -> dict[str, Any]:
    """Seconds a step and peak memory of a real training.

    Every input's features are computed at its first use, so the early steps are the slow ones; a full pass shows both.

    Args:
        settings: What is trained.
        identity: Folder with the identity's photos.
        faces: Folder with faces.
        scratch: For the run folder and the identity file; must be empty.
        steps: Steps to take.
    """
    seconds: list[float] = []
    training = settings.training.model_copy(update={"steps": steps, "sheet_every": steps + 1, "checkpoint_every": steps + 1})
    request = TrainRequest(
        identity,
        faces,
        scratch / "benchmark.safetensors",
        IdentityCard("benchmark", "synthetic"),
        settings.model_copy(update={"training": training}),
        scratch / "benchmark.run",
    )
    train(request, TrainEvents(on_step=lambda standing: seconds.append(standing.tick.seconds)))
    warm = seconds[WARM_UP_STEPS:]
    return {
        **machine(),
        "size": settings.size,
        "batch_size": settings.training.batch_size,
        "steps": len(warm),
        "median_seconds": round(statistics.median(warm), 3),
        "mean_seconds": round(statistics.fmean(warm), 3),
        "peak_memory_gib": round(peak_memory_gib(), 2),
    }


def benchmark_detection(photos: Path, *, on_photo: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Recall and time of face detection on a folder where every photo shows a face."""
    detector = FaceDetector()
    counts: dict[str, int] = {"hog": 0, "cnn": 0, "none": 0}
    seconds = []
    detector.detect(read_photo(list_photos(photos)[0]).rgb_u8())  # loads the models
    for done, path in enumerate(list_photos(photos), start=1):
        rgb_u8 = read_photo(path).rgb_u8()
        began = time.perf_counter()
        found = detector.detect(rgb_u8)
        seconds.append(time.perf_counter() - began)
        counts[found[0].detector if found else "none"] += 1
        if on_photo is not None:
            on_photo(done)
    return {
        "photos": len(seconds),
        "recall": round(1 - counts["none"] / max(len(seconds), 1), 4),
        "found_by": counts,
        "median_milliseconds": round(1000 * statistics.median(seconds), 1),
        "slowest_milliseconds": round(1000 * max(seconds), 1),
    }
