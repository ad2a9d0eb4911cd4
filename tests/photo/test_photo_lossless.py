"""Lossless formats: samples outside the patch are the same bits, those inside are what was asked for, read by other libraries."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from stylswap.photo import Photo, encode_photo, from_array, read_photo, write_photo
from stylswap.provenance import Mark, read_mark
from stylswap.shapes import Rect
from tests.photo.conftest import HEIGHT, WIDTH, opened, picture, saved

Reader = Callable[[bytes], np.ndarray]
RECT = Rect(7, 11, 20, 30)


def by_pillow(content: bytes) -> np.ndarray:
    return np.asarray(opened(content))


def by_pillow_as(mode: str) -> Reader:
    return lambda content: np.asarray(opened(content).convert(mode))


def by_opencv(content: bytes) -> np.ndarray:
    samples = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return samples if samples.ndim == 2 else samples[..., [2, 1, 0, 3][: samples.shape[2]]]


def by_tifffile(content: bytes) -> np.ndarray:
    return tifffile.imread(io.BytesIO(content))


def _tiff(samples: np.ndarray, **settings: object) -> bytes:
    file = io.BytesIO()
    alpha = ["unassalpha"] if samples.ndim == 3 and samples.shape[2] in (2, 4) else None
    kind = "rgb" if samples.ndim == 3 and samples.shape[2] >= 3 else "minisblack"
    layout = {} if samples.ndim == 2 else {"planarconfig": "contig"}
    tifffile.imwrite(file, samples, **({"photometric": kind, "extrasamples": alpha, "metadata": None} | layout | settings))
    return file.getvalue()


def _palette(colours: int = 32) -> Image.Image:
    return Image.fromarray(picture()).quantize(colours)


def _png_of_bits() -> bytes:
    return saved(Image.fromarray(picture(1)).convert("1"), "PNG")


PNG = {
    "1 bit": (_png_of_bits, by_pillow_as("L")),
    "L": (lambda: saved(picture(1), "PNG"), by_pillow),
    "L transparent": (lambda: saved(picture(1), "PNG", transparency=int(picture(1)[0, 0])), by_pillow_as("LA")),
    "LA": (lambda: saved(picture(2), "PNG"), by_pillow),
    "P": (lambda: saved(_palette(), "PNG"), by_pillow_as("RGB")),
    "P transparent": (lambda: saved(_palette(), "PNG", transparency=3), by_pillow_as("RGBA")),
    "RGB": (lambda: saved(picture(3), "PNG"), by_pillow),
    "RGB transparent": (lambda: saved(picture(3), "PNG", transparency=tuple(picture(3)[5, 5].tolist())), by_pillow_as("RGBA")),
    "RGBA": (lambda: saved(picture(4), "PNG"), by_pillow),
    "16-bit grey": (lambda: imagecodecs.png_encode(picture(1, 16)), by_opencv),
    "16-bit grey + alpha": (lambda: imagecodecs.png_encode(picture(2, 16)), imagecodecs.png_decode),
    "16-bit RGB": (lambda: imagecodecs.png_encode(picture(3, 16)), by_opencv),
    "16-bit RGBA": (lambda: imagecodecs.png_encode(picture(4, 16)), by_opencv),
}
TIFF = {
    f"{depth}-bit, {channels} channels, {settings or 'plain'}": (
        lambda channels=channels, depth=depth, settings=settings: _tiff(picture(channels, depth), **settings),
        by_tifffile,
    )
    for depth in (8, 16)
    for channels, settings in (
        (1, {}),
        (1, {"compression": "lzw", "predictor": True}),
        (2, {"compression": "packbits"}),
        (3, {"compression": "lzw", "byteorder": ">"}),
        (3, {"compression": "adobe_deflate", "predictor": True, "rowsperstrip": 7}),
        (3, {"compression": "zstd"}),
        (3, {"bigtiff": True}),
        (3, {"tile": (16, 16), "compression": "lzw"}),
        (4, {"byteorder": ">"}),
        (4, {"compression": "lzw", "predictor": True}),
    )
}
TIFF |= {
    "planes": (
        lambda: _tiff(np.ascontiguousarray(picture(3, 16).transpose(2, 0, 1)), planarconfig="separate", photometric="rgb"),
        lambda content: samples if (samples := by_tifffile(content)).shape[-1] == 3 else samples.transpose(1, 2, 0),
    ),
    "white is zero": (lambda: _tiff(picture(1), photometric="miniswhite"), by_pillow_as("L")),
    "P": (lambda: saved(_palette(), "TIFF"), by_pillow_as("RGB")),
    "1 bit": (lambda: saved(Image.fromarray(picture(1)).convert("1"), "TIFF", compression="packbits"), by_pillow_as("L")),
    "JPEG inside": (lambda: saved(picture(3), "TIFF", compression="jpeg"), by_pillow_as("RGB")),
    "alpha and two masks": (
        lambda: _tiff(np.concatenate([picture(4, 16), picture(2, 16)], -1), extrasamples=["unassalpha", "unspecified", "unspecified"]),
        by_tifffile,
    ),
}
WEBP = {
    "RGB": (lambda: saved(picture(3), "WEBP", lossless=True), by_pillow),
    "RGBA": (
        lambda: saved(np.where(picture(4) < 60, 0, picture(4)).astype(np.uint8), "WEBP", lossless=True, exact=True),
        by_pillow,
    ),
}
BMP_GIF = {
    "BMP": (lambda: saved(picture(3), "BMP"), by_pillow),
    "grey BMP": (lambda: saved(picture(1), "BMP"), by_pillow),
    "GIF": (lambda: saved(_palette(), "GIF"), by_pillow_as("RGB")),
}
CASES = [
    pytest.param(suffix, make, read, id=f"{suffix[1:]}, {name}")
    for suffix, cases in ((".png", PNG), (".tif", TIFF), (".webp", WEBP), (".bmp", BMP_GIF))
    for name, (make, read) in cases.items()
]


def _read(folder: Path, suffix: str, content: bytes) -> Photo:
    path = folder / f"Šárka на пляже 海{suffix}"
    path.write_bytes(content)
    return read_photo(path)


def _patch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(3, RECT.height, RECT.width, generator=generator)
    changed = torch.rand(1, RECT.height, RECT.width, generator=generator) < 0.5
    assert 0 < int(changed.sum()) < changed.numel()
    return image, changed


@pytest.mark.parametrize(("suffix", "make", "read"), CASES)
def test_a_patch_changes_its_pixels_and_no_other_bit(
    suffix: str, make: Callable[[], bytes], read: Reader, tmp_path: Path, mark: Mark
) -> None:
    content = make()
    before = read(content)
    photo = _read(tmp_path, suffix, content)
    assert (photo.height, photo.width) == before.shape[:2] == (HEIGHT, WIDTH)
    image, changed = _patch()

    written = tmp_path / f"out{'.png' if suffix == '.bmp' else suffix}"
    write_photo(photo.with_patch(RECT, image, changed), written, mark=mark)
    after = read(written.read_bytes())

    assert after.dtype == before.dtype and after.shape == before.shape
    touched = np.zeros((HEIGHT, WIDTH), bool)
    touched[RECT.top : RECT.bottom, RECT.left : RECT.right] = changed[0].numpy()
    assert np.array_equal(after[~touched], before[~touched])
    channels = before.shape[2] if before.ndim == 3 else 1
    colours = 3 if channels >= 3 else 1
    wanted = image[:, changed[0]].double()  # (3, n)
    if colours == 1:
        wanted = (torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64) @ wanted)[None]
    got = after.reshape(HEIGHT, WIDTH, channels)[touched]
    assert np.abs(got[:, :colours].T - wanted.numpy() * np.iinfo(before.dtype).max).max() < 0.51
    assert np.array_equal(got[:, colours:], before.reshape(HEIGHT, WIDTH, channels)[touched][:, colours:]), "alpha stays"
    assert read_mark(written) == mark


@pytest.mark.parametrize(("suffix", "make", "read"), CASES)
def test_a_photo_that_is_pasted_back_whole_is_the_same_photo(suffix: str, make: Callable[[], bytes], read: Reader, tmp_path: Path) -> None:
    content = make()
    photo = _read(tmp_path, suffix, content)
    everything = Rect(0, 0, photo.height, photo.width)
    again = photo.with_patch(everything, photo.image(), torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool))
    assert np.array_equal(again.samples, photo.samples)
    assert np.array_equal(read(encode_photo(again)), read(content))


@pytest.mark.parametrize(("suffix", "make", "read"), [CASES[6], CASES[9]])
def test_the_photo_itself_never_changes(suffix: str, make: Callable[[], bytes], read: Reader, tmp_path: Path) -> None:
    photo = _read(tmp_path, suffix, make())
    before = photo.samples.copy()
    image, changed = _patch()
    patched = photo.with_patch(RECT, image, changed)
    photo.rgb_u8()[:] = 0
    photo.image().zero_()
    assert np.array_equal(photo.samples, before)
    assert not np.array_equal(patched.samples, before)
    assert not np.shares_memory(patched.samples, photo.samples)
    with pytest.raises(ValueError, match="read-only"):
        patched.samples[0, 0] = 0


def test_compression_of_a_tiff_is_kept(tmp_path: Path) -> None:
    for compression, number in ((None, 1), ("lzw", 5), ("adobe_deflate", 8), ("packbits", 32773)):
        content = _tiff(picture(3, 16), compression=compression, predictor=True if compression in ("lzw", "adobe_deflate") else None)
        with tifffile.TiffFile(io.BytesIO(encode_photo(_read(tmp_path, ".tif", content)))) as file:
            assert file.pages[0].compression == number
            assert file.pages[0].predictor == (2 if compression in ("lzw", "adobe_deflate") else 1)


def test_a_lossy_webp_stays_lossy_and_a_lossless_one_lossless(tmp_path: Path) -> None:
    for lossless, chunk in ((True, b"VP8L"), (False, b"VP8 ")):
        content = saved(picture(), "WEBP", lossless=lossless)
        written = encode_photo(_read(tmp_path, ".webp", content))
        assert chunk in written[:4096]
        error = np.abs(by_pillow(written).astype(int) - by_pillow(content))
        assert (error.max() == 0) if lossless else (0 < error.mean() < 4)


def test_sixteen_bits_reach_the_image(tmp_path: Path) -> None:
    samples = picture(3, 16)
    image = _read(tmp_path, ".png", imagecodecs.png_encode(samples)).image(RECT)
    assert image.dtype == torch.float32 and image.shape == (3, RECT.height, RECT.width)
    expected = samples[RECT.top : RECT.bottom, RECT.left : RECT.right].transpose(2, 0, 1) / 65535
    assert np.abs(image.numpy() - expected).max() < 1e-7


def test_from_array() -> None:
    samples = picture()
    photo = from_array(samples)
    samples[:] = 0  # the photo has its own copy
    assert np.array_equal(photo.rgb_u8(), picture())
    assert repr(photo) == "<Photo PNG, 40 x 56 px (height x width), uint8>"
    content = encode_photo(photo)
    assert opened(content).format == "PNG" and np.array_equal(by_pillow(content), picture())
