"""What a training step costs with other settings: two trainings in turn, step by step, so that a busy machine is busy for both."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import torch

from stylswap.config import Settings
from stylswap.data.faceset import FaceSet
from stylswap.jobs.benchmark import WARM_UP_STEPS, machine, peak_memory_gib
from stylswap.jobs.occluder_finder import OccluderFinder
from stylswap.jobs.prepare import prepare_identity, prepare_inputs
from stylswap.jobs.train_engine import batches_of, build_engine, build_loop, build_networks, training_inputs
from stylswap.training.loop import Loop


def benchmark_against(settings: Settings, other: Settings, identity: Path, faces: Path, *, steps: int) -> dict[str, Any]:
    """Seconds a step of two trainings, taken in turn, and their ratio; on the CPU.

    Ramps stand at their end: every term that the training ever has is there.

    Args:
        settings: The yardstick.
        other: What is compared with it.
        identity: Folder with the identity's photos.
        faces: Folder with faces.
        steps: Of each, the first ten of which do not count.

    Returns:
        Facts; ``ratio`` is the median of `other` over that of `settings`, ``ratio_of_pairs`` the median over pairs of steps.
    """
    trainings = [_Training(each, identity, faces) for each in (settings, other)]
    seconds = [[training.step(step) for training in trainings] for step in range(steps)][WARM_UP_STEPS:]
    medians = [statistics.median(times) for times in zip(*seconds, strict=True)]
    return {
        **machine(),
        "sizes": [settings.size, other.size],
        "batch_sizes": [settings.training.batch_size, other.training.batch_size],
        "steps": len(seconds),
        "median_seconds": [round(median, 3) for median in medians],
        "ratio": round(medians[1] / medians[0], 2),
        "ratio_of_pairs": round(statistics.median(after / before for before, after in seconds), 2),
        "peak_memory_gib": round(peak_memory_gib(), 2),
    }


class _Training:
    """A training that takes a step when asked."""

    def __init__(self, settings: Settings, identity: Path, faces: Path) -> None:
        device = torch.device("cpu")
        finder = OccluderFinder(device) if settings.prepare.mask == "parsing" else None
        photos, _ = prepare_identity(identity, settings, finder=finder)
        found, _ = prepare_inputs(faces, settings, finder=finder)
        inputs: FaceSet = training_inputs(found, settings)
        networks = build_networks(settings, device)
        self._loop: Loop = build_loop(build_engine(settings, networks, inputs, photos, device), settings)
        self._batch = batches_of(inputs, settings)
        self._rate = settings.training.learning_rate

    def step(self, number: int) -> float:
        """Take it; how long it took, in seconds."""
        return self._loop.step(self._batch(number), self._rate).seconds
