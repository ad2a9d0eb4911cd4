"""What is no photo, or not a whole one, or too large, is refused with a reason."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from stylswap.errors import PhotoError
from stylswap.photo import PHOTO_SUFFIXES, encode_photo, from_array, list_photos, read_photo
from stylswap.photo import read as reading
from tests.photo.conftest import full_jpeg, opened, picture, saved


def _refused(path: Path, content: bytes | None = None, **settings: float) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PhotoError) as caught:
        read_photo(path, **settings)
    assert str(path) in str(caught.value) and len(str(caught.value)) < 400
    return str(caught.value)


def test_no_photo_at_all(tmp_path: Path) -> None:
    assert "no file" in _refused(tmp_path / "missing.jpg")
    assert "is a folder" in _refused(tmp_path)
    assert "empty (0 bytes)" in _refused(tmp_path / "zero.jpg", b"")
    assert "not a photo" in _refused(tmp_path / "text.jpg", b"Dear reader, this is a letter.")
    assert "not a photo" in _refused(tmp_path / "short.png", b"\x89P")
    for head in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"II*\0", b"MM\0*\0\0\0\x08", b"GIF89a", b"BM"):
        _refused(tmp_path / "head", head)
        _refused(tmp_path / "head", head + bytes(100))
        _refused(tmp_path / "head", head + b"\xff" * 100)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG", "PNG", "WEBP", "lossless WEBP", "TIFF", "LZW TIFF", "BMP", "GIF"])
def test_truncated_photos(kind: str, share: float, tmp_path: Path) -> None:
    name = kind.rpartition(" ")[2]
    settings: dict[str, object] = {"progressive JPEG": {"progressive": True}, "lossless WEBP": {"lossless": True}}.get(kind, {})
    if kind == "LZW TIFF":
        settings = {"compression": "tiff_lzw"}
    content = saved(picture(), name, **settings)
    (tmp_path / "whole").write_bytes(content)
    read_photo(tmp_path / "whole")
    _refused(tmp_path / "cut", content[: int(len(content) * share)])


def test_a_large_jpeg_that_was_cut_anywhere(tmp_path: Path) -> None:
    large = np.tile(picture(), (8, 8, 1))
    content = saved(large, "JPEG", quality=90)
    for missing in (200, 2000, len(content) // 3):
        assert "truncated" in _refused(tmp_path / "cut.jpg", content[:-missing])


def test_damaged_pngs_and_tiffs(tmp_path: Path) -> None:
    content = bytearray(saved(picture(), "PNG"))
    content[content.index(b"IDAT") + 200] ^= 0xFF
    assert "checksum" in _refused(tmp_path / "a.png", bytes(content))
    file = io.BytesIO()
    tifffile.imwrite(file, picture(3, 16), photometric="rgb", compression="adobe_deflate", metadata=None)
    _refused(tmp_path / "a.tif", file.getvalue()[:-100])


def test_a_tiff_without_some_of_its_strips(tmp_path: Path) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, picture(), photometric="rgb", rowsperstrip=8, compression="lzw", metadata=None)
    content = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(content)) as whole:
        places = {tag.code: tag.offset for tag in whole.pages[0].tags}
    struct.pack_into("<I", content, places[273] + 4, 3)  # the number of strips
    assert "parts of its picture are missing" in _refused(tmp_path / "a.tif", bytes(content))


def _png_that_says(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rest = saved(picture(), "PNG")[33:]
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + rest


def _jpeg_that_says(width: int, height: int) -> bytes:
    content = bytearray(saved(picture(), "JPEG"))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def _webp_that_says(width: int, height: int) -> bytes:
    content = bytearray(saved(picture(4), "WEBP"))
    assert content[12:16] == b"VP8X"
    content[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(content)


def _tiff_that_says(width: int, height: int) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, shape=(2, 2, 3), dtype=np.uint8, photometric="rgb", metadata=None)
    content = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(content)) as opened_file:
        places = {tag.code: tag.valueoffset for tag in opened_file.pages[0].tags}
    struct.pack_into("<I", content, places[256], width)
    struct.pack_into("<I", content, places[257], height)
    return bytes(content)


def _bmp_that_says(width: int, height: int) -> bytes:
    content = bytearray(saved(picture(), "BMP"))
    struct.pack_into("<ii", content, 18, width, height)
    return bytes(content)


def _gif_that_says(width: int, height: int) -> bytes:
    content = bytearray(saved(Image.fromarray(picture(1)), "GIF"))
    at = content.index(b"\x2c\0\0\0\0")
    struct.pack_into("<HH", content, at + 5, width, height)  # the frame, beyond the canvas
    return bytes(content)


@pytest.mark.parametrize("make", [_png_that_says, _jpeg_that_says, _webp_that_says, _tiff_that_says, _bmp_that_says, _gif_that_says])
def test_bombs_are_refused_by_their_header(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    def must_not_decode(_: bytes) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(reading, "_DECODERS", dict.fromkeys(reading._DECODERS, must_not_decode))
    message = _refused(tmp_path / "bomb", make(29_000, 25_000))
    assert "29000 x 25000 px = 725.0 megapixels; the limit is 100" in message and "--size-limit 726" in message
    assert "30,000 px a side" in _refused(tmp_path / "bomb", make(30_001, 1))
    assert "megapixels; the limit is 0.5" in _refused(tmp_path / "bomb", make(1000, 501), size_limit_mp=0.5)


def test_pillows_own_limit_plays_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It warns of 90 megapixels and refuses 180, by a setting for the whole process; neither may show when our limit is higher."""
    contents = [saved(picture(), kind) for kind in ("JPEG", "PNG", "WEBP", "BMP")]
    contents += [saved(Image.fromarray(picture()).quantize(9), kind) for kind in ("GIF", "TIFF")]
    contents += [saved(Image.fromarray(picture()).convert("CMYK"), kind) for kind in ("JPEG", "TIFF")]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        opened(contents[0])
    for content in contents:
        (tmp_path / "large").write_bytes(content)
        photo = read_photo(tmp_path / "large")
        assert photo.height * photo.width > 2 * 100
        encode_photo(photo)


def test_a_header_that_lies_is_found_out(tmp_path: Path) -> None:
    _refused(tmp_path / "a.png", _png_that_says(57, 41))
    _refused(tmp_path / "a.webp", _webp_that_says(57, 41))
    _refused(tmp_path / "a.tif", _tiff_that_says(200, 300))


def test_animations_and_pages_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(picture(seed=seed)) for seed in range(3)]
    for kind in ("GIF", "PNG", "WEBP"):
        content = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert opened(content).n_frames == 3
        assert "is an animation" in _refused(tmp_path / "a", content)
    assert "3 pages" in _refused(tmp_path / "a", saved(frames[0], "TIFF", save_all=True, append_images=frames[1:]))


def test_a_tiff_with_a_reduced_copy_is_one_photo(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(picture(), photometric="rgb", metadata=None)
        writer.write(picture()[::4, ::4], photometric="rgb", metadata=None, subfiletype=1)
    (tmp_path / "a.tif").write_bytes(file.getvalue())
    assert np.array_equal(read_photo(tmp_path / "a.tif").rgb_u8(), picture())


def test_kinds_of_tiff_that_are_no_photos(tmp_path: Path) -> None:
    for samples in (picture(1).astype(np.float32), picture(1).astype(np.uint32), picture(1).astype(np.int16)):
        file = io.BytesIO()
        tifffile.imwrite(file, samples, photometric="minisblack", metadata=None)
        assert "8 or 16 bits" in _refused(tmp_path / "a.tif", file.getvalue())
    file = io.BytesIO()
    tifffile.imwrite(file, picture(), photometric="rgb", metadata=None, extratags=[(50706, 1, 4, bytes([1, 4, 0, 0]), True)])
    assert "raw file" in _refused(tmp_path / "a.dng", file.getvalue())


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "really.jpg").write_bytes(saved(picture(), "PNG"))
    assert read_photo(tmp_path / "really.jpg").file_format == "PNG"


def test_heic_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylswap.photo.heif.is_available", lambda: False)
    assert "pip install 'stylswap[heic]'" in _refused(tmp_path / "a.heic", b"\0\0\0\x18ftypheic" + bytes(200))


def test_list_photos(tmp_path: Path) -> None:
    wanted = ["B.JPG", "a.png", "sub/deeper/c.tiff", "sub/č.webp"]
    for name in [*wanted, "notes.txt", ".hidden.jpg", ".git/d.jpg", "sub/.cache/e.png", "no_suffix"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    assert [path.relative_to(tmp_path).as_posix() for path in list_photos(tmp_path)] == wanted
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"} <= PHOTO_SUFFIXES
    with pytest.raises(PhotoError, match="no folder"):
        list_photos(tmp_path / "missing")
    with pytest.raises(PhotoError, match="not a folder"):
        list_photos(tmp_path / "a.png")


def test_what_cannot_be_read_is_listed_and_says_what_to_do(tmp_path: Path) -> None:
    raw = [f"a{suffix}" for suffix in (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2")]
    names = sorted(["a.heic", "a.heif", "a.hif", "a.avif", "a.jxl", "a.jp2", *raw])
    thumbnail = saved(picture(), "TIFF")  # what raw files begin with
    for name in names:
        (tmp_path / name).write_bytes(thumbnail if name in raw else b"\0\0\0\x0cJXL \r\n\x87\n")
    assert [path.name for path in list_photos(tmp_path)] == names
    for name in raw:
        assert "raw file, which stylswap does not read; save it as JPEG" in _refused(tmp_path / name, thumbnail)
    assert "a JPEG XL picture, which" in _refused(tmp_path / "a.jxl", b"\xff\x0a" + bytes(20))
    avif = b"\0\0\0\x20ftypavif" + bytes(200)
    assert all("an AVIF picture, which" in _refused(tmp_path / name, avif) for name in ("a.avif", "b.jpg"))  # the web calls it .jpg
    (tmp_path / "really.dng").write_bytes(saved(picture(), "JPEG"))
    assert read_photo(tmp_path / "really.dng").file_format == "JPEG"


def test_links_that_lead_nowhere_are_listed_for_who_asks_and_refused(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "moved.jpg")
    (tmp_path / "itself.jpg").symlink_to(tmp_path / "itself.jpg")
    (tmp_path / "notes.txt").symlink_to(tmp_path / "moved.txt")
    assert list_photos(tmp_path) == []
    assert [path.name for path in list_photos(tmp_path, dangling=True)] == ["gone.jpg", "itself.jpg"]
    with pytest.raises(PhotoError, match=r"gone\.jpg is a link to .*moved\.jpg, which is not there; mend the link"):
        read_photo(tmp_path / "gone.jpg")


def test_linked_folders_are_followed_once_and_never_upwards(tmp_path: Path) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    for path in (top / "z" / "a.jpg", outside / "deep" / "b.jpg", outside / ".hidden" / "c.jpg", tmp_path / "beside.jpg"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for link, where in (("album", outside), ("again", outside / "deep"), ("inside", top / "z"), ("up", tmp_path), ("here", top)):
        (top / link).symlink_to(where, target_is_directory=True)
    (outside / "deep" / "back").symlink_to(outside, target_is_directory=True)
    (top / "photo.jpg").symlink_to(tmp_path / "beside.jpg")
    found = [path.relative_to(top).as_posix() for path in list_photos(top)]
    assert len(found) == 3
    assert {"photo.jpg", "z/a.jpg"} < set(found)
    assert any(name.endswith("/b.jpg") for name in found)


def test_from_array_takes_uint8_only() -> None:
    with pytest.raises(PhotoError, match="float32"):
        from_array(picture().astype(np.float32))  # type: ignore[arg-type]
    with pytest.raises(PhotoError, match="uint8"):
        from_array(np.zeros((0, 4, 3), np.uint8))


def test_a_photo_whose_metadata_hold_a_bomb_is_read_without_them(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(64 * 2**20))
    content = saved(picture(), "PNG")
    for kind, payload in (
        (b"iCCP", b"x\0\0" + bomb),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb),
        (b"zTXt", b"Raw profile type exif\0\0" + bomb),
    ):
        chunk = struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))
        (tmp_path / "a.png").write_bytes(content[:33] + chunk + content[33:])
        photo = read_photo(tmp_path / "a.png")
        assert (photo.metadata.icc, photo.metadata.xmp, photo.metadata.exif) == (None, None, None)
    assert len(full_jpeg()) < 2**17, "and the ordinary ones are small"
