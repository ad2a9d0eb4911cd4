"""A file is written whole or not at all, and never without its mark."""

from __future__ import annotations

import errno
import io
import os
import stat
import time
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import torch
from PIL import Image

from stylswap.errors import PhotoError, ShapeError
from stylswap.photo import encode_photo, from_array, jpeg_bytes, output_name, png_bytes, read_photo, write_photo, write_png
from stylswap.provenance import Mark, read_mark
from tests.photo.conftest import full_jpeg, opened, picture, saved

WRITABLE = [".jpg", ".JPEG", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff"]


@pytest.mark.parametrize("suffix", WRITABLE)
@pytest.mark.parametrize("channels, depth", [(1, 8), (3, 8), (4, 8), (3, 16)])
def test_every_output_carries_the_mark(suffix: str, channels: int, depth: int, tmp_path: Path, mark: Mark) -> None:
    (tmp_path / "in.png").write_bytes(imagecodecs.png_encode(picture(channels, depth)))
    path = tmp_path / f"výstup 出力{suffix}"
    write_photo(read_photo(tmp_path / "in.png"), path, mark=mark)
    assert read_mark(path) == mark
    with Image.open(path) as image:
        packet = image.info["xmp"]  # where readers of XMP look for it
        assert mark.identity_sha256.encode() in (packet if isinstance(packet, bytes) else packet.encode())


def test_without_a_mark_there_is_none(tmp_path: Path) -> None:
    for suffix in WRITABLE:
        write_photo(from_array(picture()), tmp_path / f"a{suffix}", mark=None)
        assert read_mark(tmp_path / f"a{suffix}") is None


def test_what_is_encoded_is_what_is_written(tmp_path: Path, mark: Mark) -> None:
    (tmp_path / "in.jpg").write_bytes(full_jpeg(6))
    photo = read_photo(tmp_path / "in.jpg")
    write_photo(photo, tmp_path / "out.jpg", mark=mark)
    assert (tmp_path / "out.jpg").read_bytes() == encode_photo(photo, mark=mark)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jpg", "out.jpg"]


@pytest.mark.parametrize("suffix", [".bmp", ".gif", ".txt", ""])
def test_formats_that_cannot_carry_the_mark_are_refused(suffix: str, tmp_path: Path, mark: Mark) -> None:
    path = tmp_path / f"beach{suffix}"
    with pytest.raises(PhotoError, match=f"beach{suffix}.png"):
        write_photo(from_array(picture()), path, mark=mark)
    assert not list(tmp_path.iterdir())
    assert output_name(path) == tmp_path / f"beach{suffix}.png"
    write_photo(from_array(picture()), output_name(path), mark=mark)
    assert read_mark(output_name(path)) == mark
    assert output_name(tmp_path / "a.JPG") == tmp_path / "a.JPG"


@pytest.mark.parametrize("failing", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("existing", [True, False])
def test_a_full_disk_leaves_everything_as_it_was(
    failing: str, existing: bool, tmp_path: Path, mark: Mark, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.png"
    if existing:
        path.write_bytes(b"the file that was there")
    calls = []

    def full(*_: object, **__: object) -> None:
        calls.append(failing)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class FullFile(io.FileIO):
        write = full  # type: ignore[assignment]

    if failing in ("fsync", "replace"):
        monkeypatch.setattr(os, failing, full)
    else:
        monkeypatch.setattr(Path, "open", full if failing == "open" else lambda self, mode: FullFile(self, mode.replace("b", "")))
    for write in (lambda: write_photo(from_array(picture()), path, mark=mark), lambda: write_png(torch.zeros(3, 4, 4), path)):
        with pytest.raises(PhotoError, match=r"out\.png cannot be written: No space left on device"):
            write()
    monkeypatch.undo()
    assert calls == [failing, failing]
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == (
        [("out.png", b"the file that was there")] if existing else []
    )


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_png(torch.zeros(3, 4, 4), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_folders_in_the_way_and_folders_that_are_missing(tmp_path: Path, mark: Mark) -> None:
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "folder.png", tmp_path / "missing" / "a.png"):
        with pytest.raises(PhotoError, match="cannot be written"):
            write_photo(from_array(picture()), path, mark=mark)
    assert list(tmp_path.rglob("*")) == [tmp_path / "folder.png"]


def test_a_picture_too_large_for_a_format(tmp_path: Path, mark: Mark) -> None:
    with pytest.raises(PhotoError, match="cannot be coded as WEBP"):
        write_photo(from_array(np.zeros((2, 16_400, 3), np.uint8)), tmp_path / "a.webp", mark=mark)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_others_may_read_an_output_as_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").write_bytes(b"")
    write_photo(from_array(picture()), tmp_path / "a.png", mark=None)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


def test_images_of_our_own(tmp_path: Path) -> None:
    image = torch.from_numpy(picture().transpose(2, 0, 1).copy()).float() / 255
    assert np.array_equal(np.asarray(opened(png_bytes(image))), picture())
    write_png(image, tmp_path / "blatt ü.png")
    assert (tmp_path / "blatt ü.png").read_bytes() == png_bytes(image)
    coded = opened(jpeg_bytes(image))
    assert coded.format == "JPEG" and np.abs(np.asarray(coded).astype(int) - picture()).mean() < 12
    assert len(jpeg_bytes(image, 30)) < len(jpeg_bytes(image, 95))
    wild = torch.tensor([2.0, -1.0, torch.nan]).reshape(3, 1, 1)
    assert np.asarray(opened(png_bytes(wild))).tolist() == [[[255, 0, 0]]]
    with pytest.raises(ShapeError):
        png_bytes(image[:1])


def test_a_jpeg_of_one_megapixel_is_read_and_written_fast(tmp_path: Path, mark: Mark) -> None:
    (tmp_path / "a.jpg").write_bytes(saved(np.tile(picture(), (25, 18, 1)), "JPEG", quality=90))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        photo = read_photo(tmp_path / "a.jpg")
        encode_photo(photo, mark=mark)
        seconds.append(time.perf_counter() - start)
    assert photo.height * photo.width > 1e6
    assert min(seconds) < 0.3, "about 0.03 on a laptop; the limit allows for a busy machine"
