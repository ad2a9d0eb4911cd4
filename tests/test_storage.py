"""A file is whole or absent."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stylswap.storage import cache_folder, ignores_case, write_atomically


def test_new_content_replaces_old(tmp_path: Path) -> None:
    path = tmp_path / "é.bin"
    for content in (b"first, and longer", b"second", b""):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    path = tmp_path / "kept"
    write_atomically(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync", fail) if broken == "fsync" else (Path, "replace", fail)))
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, order = tmp_path / "file", []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (order.append("sync"), fsync(number)))
    monkeypatch.setattr(Path, "replace", lambda part, to: (order.append("rename"), replace(part, to))[1])
    write_atomically(path, b"content")
    assert order == ["sync", "rename"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "file", b"")


def test_writers_at_the_same_time_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([number]) * 50_000 for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda content: write_atomically(path, content), contents))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLSWAP_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("STYLSWAP_HOME")
    assert cache_folder().is_absolute()
    assert "stylswap" in cache_folder().parts


@pytest.mark.parametrize("name", ["é" * 125 + ".jpg", "x" * 255, "a\nb", "caf\udce9"])
def test_whatever_name_the_disk_takes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"the disk takes it")
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]


def test_one_file_under_two_spellings_is_one(tmp_path: Path) -> None:
    folder = tmp_path / "Photos"
    folder.mkdir()
    assert not ignores_case(folder)
    (tmp_path / "pHOTOS").mkdir()
    assert not ignores_case(folder), "two folders"
    (tmp_path / "pHOTOS").rmdir()
    (tmp_path / "pHOTOS").symlink_to(folder)
    assert ignores_case(folder), "one, as where case is ignored"
    assert ignores_case(folder / "not yet" / "there")
