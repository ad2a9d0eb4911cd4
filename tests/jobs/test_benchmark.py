"""The benchmarks run, and what they count is there."""

from __future__ import annotations

from pathlib import Path

from stylswap.config import Settings
from stylswap.jobs.benchmark import benchmark_detection, benchmark_training
from stylswap.jobs.swap_benchmark import Scenario, make_photos
from stylswap.photo import list_photos
from tests.jobs.conftest import EXAMPLES


def test_training(folders: tuple[Path, Path], tmp_path: Path, tiny_settings: Settings) -> None:
    facts = benchmark_training(tiny_settings, *folders, tmp_path, steps=12)
    assert facts["steps"] == 2  # ten to warm up
    assert 0 < facts["median_seconds"] < 60
    assert 0.1 < facts["peak_memory_gib"] < 64


def test_detection(tmp_path: Path) -> None:
    make_photos(list_photos(EXAMPLES / "photos"), tmp_path / "photos", Scenario(0.3, 1, 2))
    assert benchmark_detection(tmp_path / "photos")["recall"] == 1.0
