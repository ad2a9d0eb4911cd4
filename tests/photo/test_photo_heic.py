"""HEIC, where the extra is installed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylswap.errors import PhotoError
from stylswap.photo import PHOTO_SUFFIXES, read_photo, write_photo
from stylswap.provenance import Mark, read_mark
from stylswap.shapes import Rect
from tests.photo.conftest import XMP, exif_block, icc_profile, picture, saved

pillow_heif = pytest.importorskip("pillow_heif")


def _heic(**settings: object) -> bytes:
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(picture())).save(file, quality=90, icc_profile=icc_profile("p3"), **settings)
    return file.getvalue()


def test_heic_is_read_upright_and_written_with_everything(tmp_path: Path, mark: Mark) -> None:
    assert {".heic", ".heif"} <= PHOTO_SUFFIXES
    (tmp_path / "a.heic").write_bytes(_heic(exif=exif_block(orientation=6), xmp=XMP))
    photo = read_photo(tmp_path / "a.heic")
    assert (photo.height, photo.width) == (56, 40)
    assert photo.profile == icc_profile("p3")
    rect = Rect(8, 8, 24, 24)
    patched = photo.with_patch(rect, torch.full((3, 24, 24), 0.5), torch.ones(1, 24, 24, dtype=torch.bool))
    for suffix in (".heic", ".jpg", ".png"):
        path = tmp_path / f"out{suffix}"
        write_photo(patched, path, mark=mark)
        assert read_mark(path) == mark
        again = read_photo(path)
        assert (again.height, again.width, again.orientation) == (56, 40, 1)
        assert again.metadata.icc == icc_profile("p3")
        assert b"2021:06:05" in (again.metadata.exif or b"") and b"Photographer" in (again.metadata.xmp or b"")
        assert (again.image(Rect(14, 14, 12, 12)) - 0.5).abs().max() < 0.06
        assert np.abs(again.rgb_u8().astype(int) - patched.rgb_u8()).mean() < 6


def test_other_formats_become_heic(tmp_path: Path, mark: Mark) -> None:
    for channels in (1, 2, 3, 4):
        (tmp_path / "a.png").write_bytes(saved(picture(channels), "PNG"))
        write_photo(read_photo(tmp_path / "a.png"), tmp_path / "a.heic", mark=mark)
        assert read_mark(tmp_path / "a.heic") == mark
        assert read_photo(tmp_path / "a.heic").samples.shape[2] == (4 if channels in (2, 4) else 3)


def test_size_and_damage(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(_heic())
    with pytest.raises(PhotoError, match=r"the limit is 0\.001"):
        read_photo(tmp_path / "a.heic", size_limit_mp=0.001)
    (tmp_path / "a.heic").write_bytes(_heic()[:-200])
    with pytest.raises(PhotoError, match="cannot be read as HEIF"):
        read_photo(tmp_path / "a.heic")


@pytest.mark.parametrize("mode", ["I;16", "RGB;16"])
def test_ten_bits_are_reduced_to_eight(mode: str, tmp_path: Path, mark: Mark) -> None:
    grey = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    samples = grey if mode == "I;16" else np.stack([grey] * 3, axis=-1)
    file = io.BytesIO()
    pillow_heif.encode(mode, (64, 64), samples.tobytes(), file, quality=100, save_to_12bit=False)
    (tmp_path / "a.heic").write_bytes(file.getvalue())
    photo = read_photo(tmp_path / "a.heic")
    assert photo.samples.dtype == np.uint8
    expected = np.rint(grey / 257)
    assert np.abs(photo.rgb_u8()[..., 0] - expected).max() < 4
    write_photo(photo, tmp_path / "b.heic", mark=mark)
    assert np.abs(read_photo(tmp_path / "b.heic").rgb_u8()[..., 0] - expected).max() < 6
