"""The benchmark of swaps makes the photos it says, and counts what it swaps."""

from __future__ import annotations

from pathlib import Path

import pytest

from stylswap.jobs.swap_benchmark import Scenario, as_markdown, benchmark_scenarios, make_photos, memory_with_children_mib
from stylswap.photo import list_photos, read_photo
from tests.jobs.conftest import EXAMPLES


@pytest.mark.parametrize(("faces", "count"), [(1, 3), (5, 1)])
def test_photos_are_of_the_size_and_number_asked_for(faces: int, count: int, tmp_path: Path) -> None:
    make_photos(list_photos(EXAMPLES / "photos"), tmp_path, Scenario(0.5, faces, count))
    photos = list_photos(tmp_path)
    assert len(photos) == count
    photo = read_photo(photos[0])
    assert photo.height * photo.width / 1e6 == pytest.approx(0.5, rel=0.02)


def test_scenarios_are_swapped_and_tabled(tiny_identity: Path, tmp_path: Path) -> None:
    facts = benchmark_scenarios(tiny_identity, "landmarks", [Scenario(0.2, 1, 3), Scenario(0.5, 2, 1)], EXAMPLES / "photos", tmp_path)
    rows = facts["scenarios"]
    assert [(row["photos"], row["faces_swapped"]) for row in rows.values()] == [(3, 3), (1, 2)]
    assert all(row["photos_per_second"] > 0 for row in rows.values())
    assert all(row["median_milliseconds"]["detect"] > 0 for row in rows.values())
    table = as_markdown(facts).splitlines()
    assert len(table) == 4
    assert table[2].startswith("| 0.2 MP, 1 face |")
    assert len({line.count("|") for line in table}) == 1


def test_memory_counts_this_process() -> None:
    assert 50 < memory_with_children_mib() < 64_000
