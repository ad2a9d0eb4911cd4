"""The benchmarks run, and what they count is there."""

from __future__ import annotations

from pathlib import Path

from stylswap.config import Settings
from stylswap.jobs.benchmark import benchmark_detection, benchmark_swap, benchmark_training, make_photos
from stylswap.jobs.swapper import Swapper
from stylswap.photo import list_photos, read_photo
from tests.jobs.conftest import EXAMPLES


def test_training(folders: tuple[Path, Path], tmp_path: Path, tiny_settings: Settings) -> None:
    facts = benchmark_training(tiny_settings, *folders, tmp_path, steps=12)
    assert facts["steps"] == 2  # ten to warm up
    assert 0 < facts["median_seconds"] < 60
    assert 0.1 < facts["peak_memory_gib"] < 64


def test_swap_and_detection(tiny_identity: Path, tmp_path: Path) -> None:
    make_photos(list_photos(EXAMPLES / "photos")[:2], tmp_path / "photos", count=3, side_px=512)
    photos = list_photos(tmp_path / "photos")
    assert [(photo.height, photo.width) for photo in map(read_photo, photos)] == [(512, 512)] * 3
    facts = benchmark_swap(Swapper.load(tiny_identity, device="cpu"), tmp_path / "photos", tmp_path / "out")
    assert facts["photos"] == facts["swapped"] == 3
    assert facts["photos_per_second"] > 0
    assert benchmark_detection(tmp_path / "photos")["recall"] == 1.0
