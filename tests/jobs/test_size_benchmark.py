"""Two trainings are timed in turn."""

from __future__ import annotations

from pathlib import Path

from stylswap.config import load_settings
from stylswap.jobs.size_benchmark import benchmark_against
from tests.jobs.conftest import TINY


def test_two_sizes_in_turn(folders: tuple[Path, Path]) -> None:
    more = ["network.name=grown", "loss.critic_px=32", "loss.weights.detail=10"]
    small = load_settings(None, [*TINY, "size=32", "training.relit_inputs=0"])
    facts = benchmark_against(small, load_settings(None, [*TINY, "training.relit_inputs=0", *more]), *folders, steps=12)
    assert facts["sizes"] == [32, 64]
    assert facts["steps"] == 2  # ten to warm up
    assert all(0 < seconds < 60 for seconds in facts["median_seconds"])
    assert 0 < facts["ratio"] < 100
