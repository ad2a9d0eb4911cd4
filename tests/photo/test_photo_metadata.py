"""What a photo carries besides its samples stays, but for other renderings of it."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFile, IptcImagePlugin, JpegImagePlugin, PngImagePlugin

from stylswap.photo import Photo, encode_photo, read_photo, write_photo
from stylswap.photo.resources import clean_resources, iptc_of
from stylswap.provenance import DIGITAL_SOURCE_TYPE, Mark, read_mark
from tests.photo.conftest import (
    IPTC,
    MAKER_NOTE,
    XMP,
    exif_block,
    full_jpeg,
    icc_profile,
    opened,
    picture,
    resources,
    saved,
    srgb_profile,
    thumbnail,
    with_segments,
)

PREVIEW = thumbnail()[:60]
SUFFIXES = [".jpg", ".png", ".webp", ".tif"]


def _read(folder: Path, content: bytes) -> Photo:
    (folder / "photo").write_bytes(content)
    return read_photo(folder / "photo")


def _exif(image: Image.Image) -> dict[str, object]:
    """All tags of EXIF as Pillow reads them, but the maker's note and what depends on the turn."""
    exif = image.getexif()
    first = {number: value for number, value in exif.items() if number in (0x10F, 0x110, 0x13B, 0x8298, 0x11A, 0x11B)}
    below = {number: value for number, value in exif.get_ifd(0x8769).items() if number in (0x9003, 0x829A)}
    return {"first": first, "exif": below, "gps": dict(exif.get_ifd(0x8825))}


def _xmp(image: Image.Image) -> bytes:
    packet = image.info["xmp"]
    return packet if isinstance(packet, bytes) else packet.encode()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_jpeg_is_coded_as_it_was_and_keeps_what_it_carries(
    subsampling: int, progressive: bool, order: str, tmp_path: Path, mark: Mark
) -> None:
    content = full_jpeg(3, order, subsampling=subsampling, progressive=progressive)
    before, after = opened(content), opened(encode_photo(_read(tmp_path, content), mark=mark))
    assert after.quantization == before.quantization and len(before.quantization) == 2
    assert JpegImagePlugin.get_sampling(after) == JpegImagePlugin.get_sampling(before) == subsampling
    assert ("progressive" in after.info) is progressive
    assert _exif(after) == _exif(before) and _exif(after)["gps"]
    assert after.info["dpi"] == (300, 300)
    assert after.info["icc_profile"] == icc_profile()
    assert after.info["comment"] == "a comment, café".encode()
    assert IptcImagePlugin.getiptcinfo(after) == {(2, 0x78): b"On the beac", (2, 0x50): b"Zoe"}
    assert b"Zo\xc3\xab Photographer" in _xmp(after) and DIGITAL_SOURCE_TYPE.encode() in _xmp(after)
    assert np.abs(np.asarray(after).astype(int) - np.asarray(before)).mean() < 2


def test_metadata_of_a_jpeg_keep_their_bits_but_for_pictures(tmp_path: Path) -> None:
    content = with_segments(full_jpeg(), (0xE2, b"MPF\0 pictures behind this one"))
    assert content.count(PREVIEW) == 3, "EXIF thumbnail, maker's preview, Photoshop thumbnail"
    written = encode_photo(_read(tmp_path, content))
    assert PREVIEW not in written
    for gone in (b"MPF", b"GImage:Data", b"content credentials"):
        assert gone in content and gone not in written
    assert XMP in written
    blanked = MAKER_NOTE.replace(thumbnail(), bytes(len(thumbnail())))
    assert blanked != MAKER_NOTE and blanked in written
    exif = opened(written).getexif()
    assert not exif.get_ifd(0x0201) and 0x0201 not in exif.get_ifd(1)
    unchanged = exif_block()[: exif_block().index(MAKER_NOTE)]
    at = written.index(b"Exif\0\0") + 6
    differing = [i for i in range(len(unchanged)) if written[at + i] != unchanged[i]]
    assert 0 < len(differing) <= 4, "only the link to the thumbnail's directory"


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_of_odd_kind_is_written_as_the_same_kind(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(picture()).convert(mode)
    content = saved(image, "JPEG", quality=90, keep_rgb=True) if mode == "RGB" else saved(image, "JPEG", quality=70)
    after, before = opened(encode_photo(_read(tmp_path, content))), opened(content)
    assert after.mode == mode
    tables = [[image.quantization[component[3]] for component in image.layer] for image in (after, before)]
    assert tables[0] == tables[1] and len(tables[0]) == len(mode)
    assert after.info.get("adobe_transform") == before.info.get("adobe_transform") == (0 if mode == "RGB" else None)
    assert np.abs(np.asarray(after).astype(int) - np.asarray(before)).mean() < 2


def test_the_first_picture_of_an_mpo_is_written_as_jpeg(tmp_path: Path) -> None:
    content = saved(picture(), "MPO", save_all=True, append_images=[Image.fromarray(picture(seed=1))])
    assert opened(content).format == "MPO"
    written = encode_photo(_read(tmp_path, content))
    assert opened(written).format == "JPEG"
    assert np.abs(np.asarray(opened(written)).astype(int) - np.asarray(opened(content))).mean() < 2


def test_damaged_metadata_do_not_stop_a_photo(tmp_path: Path, mark: Mark) -> None:
    for exif in (b"", b"II*\0", exif_block()[:60], b"MM\0*\xff\xff\xff\xff" + bytes(80), b"nonsense" * 9):
        content = with_segments(saved(picture(), "JPEG"), (0xE1, b"Exif\0\0" + exif), (0xED, b"Photoshop 3.0\0" + resources()[:-9]))
        photo = _read(tmp_path, content)
        assert photo.orientation == 1
        for suffix in SUFFIXES:
            write_photo(photo, tmp_path / f"a{suffix}", mark=mark)
            assert read_mark(tmp_path / f"a{suffix}") == mark


@pytest.mark.parametrize("start, length", [(None, 10**6), (0, 10**6), (0, 300), (10, 2**32 - 1)])
def test_a_thumbnail_that_lies_about_its_place_takes_nothing_along(start: int | None, length: int, tmp_path: Path) -> None:
    block = bytearray(exif_block(orientation=6))
    at = block.rindex(struct.pack("<HHII", 0x202, 4, 1, len(thumbnail())))
    block[at + 8 : at + 12] = struct.pack("<I", length)
    if start is not None:
        block[at - 4 : at] = struct.pack("<I", start)
    content = with_segments(saved(picture(), "JPEG"), (0xE1, b"Exif\0\0" + bytes(block)))
    photo = _read(tmp_path, content)
    assert photo.orientation == 6
    written = encode_photo(photo)
    assert PREVIEW not in written and PREVIEW in content
    assert _exif(opened(written)) == _exif(opened(with_segments(saved(picture(), "JPEG"), (0xE1, b"Exif\0\0" + exif_block()))))


def test_exif_that_was_cut_anywhere_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    block, plain = exif_block(orientation=6), saved(picture(), "JPEG")
    for size in range(4, len(block), 11):
        photo = _read(tmp_path, with_segments(plain, (0xE1, b"Exif\0\0" + block[:size])))
        assert photo.orientation in (1, 6) and (size < 200 or photo.orientation == 6)
        write_photo(photo, tmp_path / "a.tif", mark=None)
        assert np.array_equal(read_photo(tmp_path / "a.tif").rgb_u8(), photo.rgb_u8())


def test_chunks_that_no_longer_fit_the_samples_are_dropped(tmp_path: Path) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"sBIT", b"\x05\x05\x05")
    chunks.add(b"bKGD", b"\0")
    palette = Image.fromarray(picture()).quantize(16)
    for settings, kept in (({}, True), ({"transparency": 2}, False)):  # RGB has three channels, RGBA four
        written = encode_photo(_read(tmp_path, saved(palette, "PNG", pnginfo=chunks, **settings)))
        assert (b"sBIT" in written) is kept and b"bKGD" not in written
        opened(written)
    whole = PngImagePlugin.PngInfo()
    whole.add(b"bKGD", bytes(6))
    assert b"bKGD" in encode_photo(_read(tmp_path, saved(picture(), "PNG", pnginfo=whole)))


def test_chunks_of_a_png_are_kept(tmp_path: Path, mark: Mark) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "Zoe")
    texts.add_itxt("Titel", "Am Štrand", "de", "Title")
    texts.add_text("Comment", "long " * 400, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    texts.add(b"gAMA", (45455).to_bytes(4, "big"))
    texts.add(b"prVt", b"a private chunk with a preview")
    texts.add(b"tIME", bytes([7, 229, 1, 2, 3, 4, 5]), after_idat=True)
    content = saved(picture(4), "PNG", pnginfo=texts, dpi=(200, 200), exif=b"Exif\0\0" + exif_block(), icc_profile=icc_profile("p3"))
    assert b"prVt" in content
    written = encode_photo(_read(tmp_path, content), mark=mark)
    before, after = opened(content), opened(written)
    assert {name: after.text[name] for name in ("Author", "Titel", "Comment")} == {
        "Author": "Zoe",
        "Titel": "Am Štrand",
        "Comment": "long " * 400,
    }
    assert after.info["dpi"] == before.info["dpi"] and after.info["icc_profile"] == icc_profile("p3")
    assert after.info["gamma"] == 0.45455 and b"tIME\x07\xe5\x01\x02\x03\x04\x05" in written
    assert _exif(after) == _exif(before) and _exif(after)["gps"]
    assert b"Photographer" in _xmp(after) and written.count(b"XML:com.adobe.xmp") == 1
    assert PREVIEW in content and PREVIEW not in written and b"prVt" not in written


def test_exif_that_imagemagick_wrote_as_text_becomes_a_chunk(tmp_path: Path) -> None:
    block = b"Exif\0\0" + exif_block(orientation=6)
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Raw profile type exif", f"\nexif\n{len(block):8d}\n{block.hex(chr(10), 36)}\n", zip=True)
    texts.add_text("Raw profile type iptc", f"\niptc\n{len(resources()):8d}\n{resources().hex()}\n")
    photo = _read(tmp_path, saved(picture(), "PNG", pnginfo=texts))
    assert photo.orientation == 6
    after = opened(encode_photo(photo))
    assert after.getexif()[274] == 6 and "Raw profile type exif" not in after.info
    write_photo(photo, tmp_path / "a.jpg", mark=None)
    with Image.open(tmp_path / "a.jpg") as image:
        assert (IptcImagePlugin.getiptcinfo(image) or {})[2, 0x50] == b"Zoe"


def test_tags_of_a_tiff_are_kept(tmp_path: Path, mark: Mark) -> None:
    for order in "<>":
        file = io.BytesIO()
        tags = [
            (700, 1, len(XMP), XMP, True),
            (34675, 7, len(icc_profile()), icc_profile(), True),
            (33723, 7, len(IPTC), IPTC, True),
        ]
        tags += [(315, 2, 4, "Zoe", True), (306, 2, 20, "2021:06:05 04:03:02", True), (37724, 7, 9, b"my layers", True)]
        tags += [(34377, 1, len(resources()), resources(), True)]
        settings = {"photometric": "rgb", "description": "Beach", "software": "Scanner", "metadata": None}
        tifffile.imwrite(file, picture(3, 16), byteorder=order, resolution=(240, 241), resolutionunit=2, extratags=tags, **settings)
        with tifffile.TiffFile(io.BytesIO(encode_photo(_read(tmp_path, file.getvalue()), mark=mark))) as written:
            page = written.pages[0]
            assert written.byteorder == order and np.array_equal(page.asarray(), picture(3, 16))
            found = {tag.code: tag.value for tag in page.tags}
        assert (found[270], found[305], found[315], found[306]) == ("Beach", "Scanner", "Zoe", "2021:06:05 04:03:02")
        assert (found[282], found[283], found[296]) == ((240, 1), (241, 1), 2)
        assert found[34675] == icc_profile() and bytes(found[33723]) == IPTC
        assert 37724 not in found, "Photoshop's layers show the photo as it was"
        assert b"Photographer" in bytes(found[700]) and IPTC in bytes(found[34377]) and PREVIEW not in bytes(found[34377])


@pytest.mark.parametrize("source", SUFFIXES)
@pytest.mark.parametrize("target", SUFFIXES)
def test_metadata_go_with_a_photo_into_every_format(source: str, target: str, tmp_path: Path, mark: Mark) -> None:
    """JPEG -> source -> target, EXIF, GPS, ICC and XMP are there at the end; IPTC and resolution where the formats know them."""
    (tmp_path / "first.jpg").write_bytes(full_jpeg())
    write_photo(read_photo(tmp_path / "first.jpg"), tmp_path / f"second{source}", mark=None)
    write_photo(read_photo(tmp_path / f"second{source}"), tmp_path / f"third{target}", mark=mark)
    assert read_mark(tmp_path / f"third{target}") == mark
    content = (tmp_path / f"third{target}").read_bytes()
    assert PREVIEW not in content
    with Image.open(tmp_path / f"third{target}") as image, Image.open(tmp_path / "first.jpg") as first:
        assert image.format == {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF"}[target]
        assert _exif(image) == _exif(first)
        assert image.info["icc_profile"] == icc_profile()
        assert b"Zo\xc3\xab Photographer" in _xmp(image) and b"A raw developer 7" in _xmp(image)
        if target != ".webp":
            assert tuple(round(float(value)) for value in image.info["dpi"]) == (300, 300)
        if ".webp" not in (source, target):
            assert IPTC in content or target == ".png"
    if target in (".png", ".tif") and source == target:
        assert np.array_equal(read_photo(tmp_path / f"third{target}").samples, read_photo(tmp_path / f"second{source}").samples)


def test_a_packet_too_large_for_a_jpeg_gives_way_to_the_mark(tmp_path: Path, mark: Mark) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", XMP.decode().replace("On the beach", "On the beach " * 9000))
    photo = _read(tmp_path, saved(picture(), "PNG", pnginfo=texts))
    write_photo(photo, tmp_path / "a.png", mark=mark)
    assert (tmp_path / "a.png").read_bytes().count(b"On the beach") == 9000
    write_photo(photo, tmp_path / "a.jpg", mark=mark)
    assert read_mark(tmp_path / "a.jpg") == read_mark(tmp_path / "a.png") == mark


def test_alpha_becomes_white_in_a_jpeg(tmp_path: Path) -> None:
    samples = np.zeros((16, 16, 4), np.uint8)
    samples[:8, :, 3] = 255
    write_photo(_read(tmp_path, saved(samples, "PNG")), tmp_path / "a.jpg", mark=None)
    with Image.open(tmp_path / "a.jpg") as image:
        levels = np.asarray(image)
    assert levels[:8].max() < 8 and levels[8:].min() > 247


def test_sixteen_bits_are_rounded_for_formats_of_eight(tmp_path: Path) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, picture(3, 16), photometric="rgb", metadata=None)
    photo = _read(tmp_path, file.getvalue())
    write_photo(photo, tmp_path / "a.png", mark=None)
    assert np.array_equal(read_photo(tmp_path / "a.png").samples, picture(3, 16))
    assert np.abs(photo.rgb_u8() - picture(3, 16) / 257).max() <= 0.5
    write_photo(photo, tmp_path / "a.webp", mark=None)
    assert np.abs(read_photo(tmp_path / "a.webp").rgb_u8().astype(float) - picture(3, 16) / 257).mean() < 12


def test_an_srgb_profile_stays_in_the_file(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        assert (
            opened(encode_photo(_read(tmp_path, saved(picture(), kind, icc_profile=srgb_profile())))).info["icc_profile"] == srgb_profile()
        )


def test_the_preview_among_iptc_fields_goes(tmp_path: Path) -> None:
    picture_of_before = PREVIEW * 5000  # longer than 32767 bytes: the size takes bytes of its own
    fields = b"\x1c\x02\x05\x00\x05title" + b"\x1c\x02\xc8\x00\x02\x00\x0b"
    fields += b"\x1c\x02\xca\x80\x04" + struct.pack(">I", len(picture_of_before)) + picture_of_before + b"\x1c\x02\x50\x00\x03Zoe"
    block = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(fields)) + fields + b"\0" * (len(fields) % 2)
    after = b"8BIM" + struct.pack(">HHI", 0x0425, 0, 2) + b"ok"
    kept = clean_resources(block + after)
    assert kept is not None and PREVIEW not in kept
    assert kept.endswith(after)
    left = b"\x1c\x02\x05\x00\x05title" + b"\x1c\x02\x50\x00\x03Zoe"
    assert iptc_of(kept) == left
    assert iptc_of(clean_resources(b"", iptc=fields) or b"") == left
    assert clean_resources(kept) == kept
    assert clean_resources(b"", iptc=b"") is None
    assert iptc_of(clean_resources(b"", iptc=left + b"\x1c\x02\xca\x00\x09" + PREVIEW[:4]) or b"") == left, "cut off"


def test_grain_under_fine_tables_is_written_progressively(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    with monkeypatch.context() as patch:
        patch.setattr(ImageFile, "MAXBLOCK", 2**22)
        content = saved(noise, "JPEG", subsampling=0, progressive=True, qtables=[[1] * 64, [1] * 64])
    written = opened(encode_photo(_read(tmp_path, content)))
    assert "progressive" in written.info
    assert written.quantization == {0: [1] * 64, 1: [1] * 64}
    assert np.abs(np.asarray(written).astype(int) - noise).max() <= 8


def test_a_packet_that_just_fits_a_jpeg_loses_its_bulk_first(tmp_path: Path, mark: Mark) -> None:
    history = b"<x:History xmlns:x='http://ns.adobe.com/xap/1.0/mm/'>" + b"saved " * ((65300 - len(XMP)) // 6) + b"</x:History>"
    packet = XMP.replace(b"</rdf:Description>", history + b"</rdf:Description>", 1)
    assert packet != XMP and 65200 < len(packet) < 65504
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", packet.decode())
    write_photo(_read(tmp_path, saved(picture(), "PNG", pnginfo=texts)), tmp_path / "a.jpg", mark=mark)
    written = (tmp_path / "a.jpg").read_bytes()
    assert read_mark(tmp_path / "a.jpg") == mark
    assert b"On the beach" in written and b"saved saved" not in written
