"""Colour profiles: images are sRGB, the file keeps its own colours. Pillow's Little CMS is the yardstick."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from stylswap.errors import PhotoError
from stylswap.photo import Photo, encode_photo, read_photo, write_photo
from stylswap.shapes import Rect
from tests.photo.conftest import HEIGHT, WIDTH, icc_profile, opened, picture, saved, srgb_profile

RECT = Rect(3, 5, 24, 32)
ALL = torch.ones(1, RECT.height, RECT.width, dtype=torch.bool)


def _photo(folder: Path, content: bytes) -> Photo:
    (folder / "photo").write_bytes(content)
    return read_photo(folder / "photo")


def _by_pillow(samples: np.ndarray, icc: bytes) -> np.ndarray:
    converted = ImageCms.profileToProfile(
        Image.fromarray(samples), ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB"), 1, "RGB"
    )
    return np.asarray(converted)


def _deep_png(samples: np.ndarray, icc: bytes) -> bytes:
    """A 16-bit PNG with a profile: the chunk is taken from one that Pillow wrote."""
    small = saved(np.zeros((1, 1, 3), np.uint8), "PNG", icc_profile=icc)
    at = small.index(b"iCCP") - 4
    chunk = small[at : at + 12 + int.from_bytes(small[at : at + 4], "big")]
    plain = bytes(imagecodecs.png_encode(samples))
    return plain[:33] + chunk + plain[33:]


@pytest.mark.parametrize("name", ["adobergb", "p3", "gray"])
def test_image_and_rgb_are_srgb(name: str, tmp_path: Path) -> None:
    samples = picture(1 if name == "gray" else 3)
    photo = _photo(tmp_path, saved(samples, "PNG", icc_profile=icc_profile(name)))
    expected = _by_pillow(samples, icc_profile(name))
    naive = samples if samples.ndim == 3 else samples[..., None]
    assert np.abs(expected.astype(int) - naive).max() > 5, "the profile matters"
    assert np.abs(photo.rgb_u8().astype(int) - expected).max() <= 1
    image = photo.image().numpy().transpose(1, 2, 0)
    assert image.dtype == np.float32 and image.min() >= 0 and image.max() <= 1
    assert np.abs(image * 255 - expected).max() < 1.6


@pytest.mark.parametrize("name", ["adobergb", "p3", "gray"])
def test_a_patch_comes_back_as_it_went_in_and_the_rest_keeps_its_bits(name: str, tmp_path: Path) -> None:
    samples = picture(1 if name == "gray" else 3)
    photo = _photo(tmp_path, saved(samples, "PNG", icc_profile=icc_profile(name)))
    y, x = torch.meshgrid(torch.linspace(0.2, 0.8, RECT.height), torch.linspace(0.2, 0.8, RECT.width), indexing="ij")
    image = torch.stack([y, y, y] if name == "gray" else [y, x, (y + x) / 2])
    patched = photo.with_patch(RECT, image, ALL)
    error = (patched.image(RECT) - image).abs() * 255  # a level of Adobe RGB is up to five of sRGB's, near its cyan
    assert error.mean() < 0.6 and error.max() < 3

    written = opened(encode_photo(patched))
    assert written.info["icc_profile"] == icc_profile(name)
    stored = np.asarray(written)
    touched = np.zeros((HEIGHT, WIDTH), bool)
    touched[RECT.top : RECT.bottom, RECT.left : RECT.right] = True
    assert np.array_equal(stored[~touched], samples[~touched])
    shown = _by_pillow(stored, icc_profile(name))[RECT.top : RECT.bottom, RECT.left : RECT.right]
    assert np.abs(shown / 255 - image.numpy().transpose(1, 2, 0)).max() < 4 / 255


def test_sixteen_bits_do_not_pass_through_eight(tmp_path: Path) -> None:
    samples = picture(3, 16)
    photo = _photo(tmp_path, _deep_png(samples, icc_profile("adobergb")))
    assert photo.profile == icc_profile("adobergb")
    smooth = torch.linspace(0.4, 0.41, RECT.height * RECT.width).reshape(1, RECT.height, RECT.width).expand(3, -1, -1)
    patched = photo.with_patch(RECT, smooth, ALL)
    assert (patched.image(RECT) - smooth).abs().max() < 2e-4
    assert len(np.unique(patched.samples[RECT.top : RECT.bottom, RECT.left : RECT.right, 1])) > 300
    untouched = np.ones((HEIGHT, WIDTH), bool)
    untouched[RECT.top : RECT.bottom, RECT.left : RECT.right] = False
    assert np.array_equal(patched.samples[untouched], samples[untouched])


@pytest.mark.parametrize(
    "icc", [srgb_profile(), b"junk" * 50, icc_profile("gray"), icc_profile("adobergb")[:200]], ids=["sRGB", "junk", "grey", "cut"]
)
def test_srgb_and_useless_profiles_change_nothing_and_are_kept(icc: bytes, tmp_path: Path) -> None:
    photo = _photo(tmp_path, saved(picture(), "TIFF", icc_profile=icc))
    assert photo.profile is None
    assert np.array_equal(photo.rgb_u8(), picture())
    assert np.array_equal(photo.with_patch(RECT, photo.image(RECT), ALL).samples, picture())
    assert opened(encode_photo(photo)).info["icc_profile"] == icc


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_srgb(kind: str, tmp_path: Path) -> None:
    cmyk = Image.fromarray(picture()).convert("CMYK")
    photo = _photo(tmp_path, saved(cmyk, kind, quality=95) if kind == "JPEG" else saved(cmyk, kind))
    assert photo.samples.shape == (HEIGHT, WIDTH, 3)
    difference = np.abs(photo.rgb_u8().astype(int) - picture())
    assert difference.mean() < 8
    written = opened(encode_photo(photo))
    assert (written.format, written.mode) == (kind, "RGB")
    assert "icc_profile" not in written.info


def test_a_grey_profile_goes_into_the_colours_of_a_format_without_grey(tmp_path: Path) -> None:
    photo = _photo(tmp_path, saved(picture(1), "PNG", icc_profile=icc_profile("gray")))
    write_photo(photo, tmp_path / "a.webp", mark=None)
    with Image.open(tmp_path / "a.webp") as image:
        assert "icc_profile" not in image.info
        assert np.abs(np.asarray(image).astype(int) - photo.rgb_u8()).mean() < 4


def test_values_beyond_the_range_are_clipped_and_nonsense_is_refused(tmp_path: Path) -> None:
    photo = _photo(tmp_path, saved(picture(), "PNG"))
    wild = torch.full((3, RECT.height, RECT.width), 2.0)
    wild[1] = -1.0
    corner = photo.with_patch(RECT, wild, ALL).samples[RECT.top, RECT.left]
    assert corner.tolist() == [255, 0, 255]
    wild[0, 0, 0] = torch.nan
    with pytest.raises(PhotoError, match="not numbers"):
        photo.with_patch(RECT, wild, ALL)
    but_one = ALL.clone()
    but_one[0, 0, 0] = False  # a pixel that is not pasted may hold anything
    photo.with_patch(RECT, wild, but_one)


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    photos = [
        _photo(tmp_path, saved(picture(seed=seed), "PNG", icc_profile=icc_profile(name)))
        for seed, name in enumerate(["adobergb", "p3", "adobergb", "p3"])
    ]
    expected = [photo.image() for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for image, wanted in zip(pool.map(Photo.image, photos), expected, strict=True):
                assert torch.equal(image, wanted)
