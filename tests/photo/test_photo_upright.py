"""Orientation: pictures and rectangles are upright, the stored samples stay where they are."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageOps

from stylswap.errors import ShapeError
from stylswap.photo import encode_photo, from_array, read_photo, write_photo
from stylswap.shapes import Rect
from tests.photo.conftest import HEIGHT, WIDTH, exif_block, full_jpeg, opened, picture, saved

RECT = Rect(4, 9, 13, 8)  # fits in both 40 x 56 and 56 x 40


def _upright(content: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(opened(content)))


def _tiff_16(orientation: int) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, picture(3, 16), photometric="rgb", metadata=None, extratags=[(274, 3, 1, orientation, True)])
    return file.getvalue()


def _content(kind: str, orientation: int) -> bytes:
    settings: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    if kind == "TIFF":
        settings = {"tiffinfo": {274: orientation}}
    else:
        settings["exif"] = b"Exif\0\0" + exif_block("<>"[orientation % 2], orientation)
    return saved(picture(), kind, **settings)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_a_patch_lands_at_its_upright_place(kind: str, orientation: int, tmp_path: Path) -> None:
    content = _content(kind, orientation)
    path = tmp_path / "photo"
    path.write_bytes(content)
    photo = read_photo(path)
    upright = _upright(content)
    assert (photo.height, photo.width) == upright.shape[:2] == ((WIDTH, HEIGHT) if orientation >= 5 else (HEIGHT, WIDTH))
    assert np.array_equal(photo.rgb_u8(), upright)
    where = upright[RECT.top : RECT.bottom, RECT.left : RECT.right]
    assert np.allclose(photo.image(RECT).numpy().transpose(1, 2, 0) * 255, where, atol=1e-4)

    red_corner = torch.zeros(3, RECT.height, RECT.width)
    red_corner[0, 0, 0] = 1.0  # tells all eight turns apart
    written = encode_photo(photo.with_patch(RECT, red_corner, torch.ones(1, RECT.height, RECT.width, dtype=torch.bool)))

    expected = upright.copy()
    expected[RECT.top : RECT.bottom, RECT.left : RECT.right] = 0
    expected[RECT.top, RECT.left] = 255, 0, 0
    assert np.array_equal(_upright(written), expected)
    if kind != "TIFF":  # Pillow turns a TIFF while it reads it
        assert opened(written).size == opened(content).size, "stored as it was"
        assert opened(written).getexif()[274] == orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_of_16_bits_keeps_its_orientation_and_its_samples(orientation: int, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(_tiff_16(orientation))
    photo = read_photo(tmp_path / "a.tif")
    assert photo.orientation == orientation
    patched = photo.with_patch(RECT, torch.zeros(3, RECT.height, RECT.width), torch.ones(1, RECT.height, RECT.width, dtype=torch.bool))
    with tifffile.TiffFile(io.BytesIO(encode_photo(patched))) as file:
        assert file.pages[0].tags[274].value == orientation
        stored = file.pages[0].asarray()
    assert (stored != picture(3, 16)).any(-1).sum() == RECT.height * RECT.width
    assert np.array_equal(patched.image(RECT), torch.zeros(3, RECT.height, RECT.width))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg"])
def test_another_format_gets_upright_samples_and_metadata_that_say_so(orientation: int, suffix: str, tmp_path: Path) -> None:
    source = tmp_path / ("in.png" if suffix == ".jpg" else "in.jpg")
    source.write_bytes(_content("PNG", orientation) if suffix == ".jpg" else full_jpeg(orientation))
    photo = read_photo(source)
    write_photo(photo, tmp_path / f"out{suffix}", mark=None)
    with Image.open(tmp_path / f"out{suffix}") as image:
        assert image.size == (photo.width, photo.height)
        exif = image.getexif()
        assert exif[274] == 1
        sizes = (exif.get_ifd(0x8769)[0xA002], exif.get_ifd(0x8769)[0xA003])
        assert sizes == (photo.width, photo.height)
        xmp = image.info.get("xmp", b"")
        assert b"tiff:Orientation" not in (xmp if isinstance(xmp, bytes) else xmp.encode())
        if suffix != ".jpg":
            assert b"Photographer" in (xmp if isinstance(xmp, bytes) else xmp.encode())
    again = read_photo(tmp_path / f"out{suffix}")
    error = np.abs(again.rgb_u8().astype(int) - photo.rgb_u8())
    assert error.mean() < (4 if suffix in (".webp", ".jpg") else 0.6)  # the latter: Adobe RGB in 8 bits, read twice


def test_a_jpeg_keeps_its_stored_order(tmp_path: Path) -> None:
    for orientation in range(1, 9):
        (tmp_path / "a.jpg").write_bytes(full_jpeg(orientation, "<>"[orientation % 2]))
        photo = read_photo(tmp_path / "a.jpg")
        written = opened(encode_photo(photo))
        assert written.size == (WIDTH, HEIGHT) and written.getexif()[274] == orientation
        assert photo.width == (HEIGHT if orientation >= 5 else WIDTH)


@pytest.mark.parametrize("rect", [Rect(-1, 0, 5, 5), Rect(0, 0, HEIGHT + 1, 5), Rect(0, WIDTH - 4, 5, 5), Rect(3, 3, 0, 5)])
def test_a_rectangle_must_be_inside(rect: Rect) -> None:
    photo = from_array(picture())
    with pytest.raises(ShapeError, match="not inside the photo"):
        photo.image(rect)
    with pytest.raises(ShapeError, match="not inside the photo"):
        photo.with_patch(rect, torch.zeros(3, rect.height, rect.width), torch.ones(1, rect.height, rect.width, dtype=torch.bool))
    with pytest.raises(ShapeError, match="image must be"):
        photo.with_patch(RECT, torch.zeros(3, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool))
