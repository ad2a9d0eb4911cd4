"""The journal: whole lines, whatever was in them and whatever happened before."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from stylswap.training.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def test_entries_come_back_in_order(journal: Journal) -> None:
    entries = [{"step": step, "terms": {"content": 0.1 * step}, "skipped": False, "note": None} for step in range(3)]
    for entry in entries:
        journal.write(entry)
    assert journal.read() == entries
    assert journal.path.read_text(encoding="utf-8").count("\n") == 3


def test_there_is_nothing_before_the_first_entry(journal: Journal) -> None:
    assert journal.read() == []
    assert not journal.path.exists()


def test_another_sitting_goes_on(journal: Journal) -> None:
    journal.write({"step": 1})
    Journal(journal.path).write({"step": 2})
    assert journal.read() == [{"step": 1}, {"step": 2}]


def test_numbers_that_are_not_finite_become_null(journal: Journal) -> None:
    journal.write({"total": math.nan, "norm": math.inf, "terms": {"a": -math.inf, "b": [1.0, math.nan]}, "fine": 1e300})

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    (line,) = journal.path.read_text(encoding="utf-8").splitlines()
    wanted = {"total": None, "norm": None, "terms": {"a": None, "b": [1.0, None]}, "fine": 1e300}
    assert json.loads(line, parse_constant=refuse) == wanted


@pytest.mark.parametrize("torn", [b'{"step": 3, "total', b'{"name": "Zo\xc3', b"{", b"\0\0\0"])
def test_a_torn_last_line_is_passed_over_and_costs_nothing_else(journal: Journal, torn: bytes) -> None:
    journal.write({"step": 1})
    journal.write({"step": 2})
    with journal.path.open("ab") as file:
        file.write(torn)
    assert journal.read() == [{"step": 1}, {"step": 2}]
    journal.write({"step": 3})
    journal.write({"step": 4})
    assert [entry["step"] for entry in journal.read()] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["Zoë 写真.jpg", "line\u2028separator\x85.jpg", "two\nlines.jpg", '"quoted\\".jpg', b"latin-\xe9.jpg"])
def test_any_file_name_comes_back(journal: Journal, name: str | bytes) -> None:
    text = name if isinstance(name, str) else name.decode("utf-8", errors="surrogateescape")  # what a Path holds
    journal.write({"photo": text})
    journal.write({"photo": "next"})
    assert [entry["photo"] for entry in journal.read()] == [text, "next"]
    assert journal.path.read_bytes().decode("utf-8").isprintable() is False  # valid UTF-8, with its line ends


def test_names_stay_readable_in_the_file(journal: Journal) -> None:
    journal.write({"photo": "Zoë"})
    assert "Zoë" in journal.path.read_text(encoding="utf-8")
