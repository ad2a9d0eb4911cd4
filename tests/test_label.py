"""The label is there, can be read, and touches nothing else. Photos are made here, the arithmetic is done by hand."""

from __future__ import annotations

import dataclasses
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from stylswap.errors import PhotoError, UsageError
from stylswap.label import DEFAULT_LABEL, check_label, draw_label
from stylswap.photo import Photo, from_array, write_photo
from stylswap.photo.coding import JpegCoding, Metadata, PngCoding, TiffCoding
from stylswap.photo.photo import make_photo, upright_photo
from tests.photo.conftest import icc_profile

HEIGHT, WIDTH = 200, 320


def _samples(channels: int, depth: int = 8, *, alpha: float | None = None, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Noise, the last channel all alike where `alpha` says so."""
    most = 2**depth - 1
    samples = np.random.default_rng(0).integers(0, most + 1, (height, width, channels)).astype(np.uint8 if depth == 8 else np.uint16)
    if alpha is not None:
        samples[..., -1] = round(alpha * most)
    return samples


def _flat(level: float, height: int = HEIGHT, width: int = WIDTH) -> Photo:
    return from_array(np.full((height, width, 3), round(level * 255), np.uint8))


def _changed(before: Photo, after: Photo) -> np.ndarray:
    """Where upright pixels differ, (H, W)."""
    return (upright_photo(before).samples != upright_photo(after).samples).any(axis=-1)


def _box(where: np.ndarray) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of what is true."""
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


PHOTOS = {
    "rgb": make_photo(_samples(3), JpegCoding(), Metadata()),
    "grey": make_photo(_samples(1), JpegCoding(), Metadata()),
    "rgb 16": make_photo(_samples(3, 16), PngCoding(), Metadata()),
    "grey 16": make_photo(_samples(1, 16), TiffCoding(), Metadata()),
    "profile": make_photo(_samples(3, 16), TiffCoding(), Metadata(icc=icc_profile())),
    "opaque": make_photo(_samples(4, alpha=1), PngCoding(), Metadata()),
    "alpha": make_photo(_samples(4), PngCoding(), Metadata()),
    "alpha 16": make_photo(_samples(4, 16), PngCoding(), Metadata()),
    "grey alpha": make_photo(_samples(2), PngCoding(), Metadata(), num_colours=1),
    "premultiplied": make_photo(_samples(4, 16, alpha=0.5), TiffCoding(extra_samples=(1,)), Metadata()),
    "another channel": make_photo(_samples(5), TiffCoding(extra_samples=(0, 2)), Metadata()),
}


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_the_plate_lies_in_the_lower_left_and_nothing_else_changes(name: str, orientation: int) -> None:
    photo = dataclasses.replace(PHOTOS[name], orientation=orientation)
    labelled = draw_label(photo)
    assert (labelled.coding, labelled.metadata, labelled.orientation) == (photo.coding, photo.metadata, orientation)
    assert labelled.samples.dtype == photo.samples.dtype and labelled.samples.shape == photo.samples.shape
    assert not labelled.samples.flags.writeable
    changed = _changed(photo, labelled)
    top, bottom, left, right = _box(changed)
    assert photo.height * 0.6 < top < bottom < photo.height
    assert 0 < left < right < photo.width * 0.95
    # Noise of 8 bits hides no more than some pixels of the plate; so the box is the plate, and all of it is used.
    assert changed[top:bottom, left:right].mean() > 0.95
    if name in ("opaque", "another channel"):
        np.testing.assert_array_equal(labelled.samples[..., 3:], photo.samples[..., 3:])


@pytest.mark.parametrize("level", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_it_can_be_read_on_any_ground(level: float) -> None:
    image = draw_label(_flat(level, 800, 1200)).image()[0].numpy()
    changed = np.abs(image - image[0, 0]) > 1e-3
    top, bottom, left, right = _box(changed)
    plate = image[top:bottom, left:right]
    letters, ground = plate.max(), np.median(plate)
    assert letters == 1.0 and (plate > 0.99).mean() > 0.03

    def luminance(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)

    assert (luminance(letters) + 0.05) / (luminance(float(ground)) + 0.05) > 4.5


def test_the_numbers_of_an_opaque_photo() -> None:
    labelled = draw_label(_flat(0.8, 800, 1200))
    top, _, left, right = _box(_changed(_flat(0.8, 800, 1200), labelled))
    edge = labelled.samples[top + 2, (left + right) // 2]  # above the letters
    assert edge.tolist() == [round(204 * 0.35)] * 3


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_the_numbers_of_a_transparent_photo(depth: int, alpha: float) -> None:
    most = 2**depth - 1
    samples = np.full((400, 600, 4), round(0.8 * most), np.uint8 if depth == 8 else np.uint16)
    samples[..., 3] = round(alpha * most)
    photo = make_photo(samples, PngCoding(), Metadata(), orientation=8)
    labelled = draw_label(photo)
    top, bottom, left, right = _box(_changed(photo, labelled))
    upright = upright_photo(labelled).samples / most
    edge = upright[top + 2, (left + right) // 2]
    opacity = 1 - (1 - alpha) * (1 - 0.65)
    assert edge == pytest.approx([0.8 * alpha * 0.35 / opacity] * 3 + [opacity], abs=1 / most)
    letters = upright[top:bottom, left:right][(upright[top:bottom, left:right, :3] > 0.995).all(axis=-1)]
    assert len(letters) > 20 and (letters[:, 3] > 0.98).all(), "white letters hide what is below them"
    outside = ~_changed(photo, labelled)
    assert (upright[outside][:, 3] == round(alpha * most) / most).all()


def test_premultiplied_colours_stay_premultiplied() -> None:
    samples = np.full((400, 600, 4), 40000, np.uint16)
    samples[..., :3] = 16000
    photo = make_photo(samples, TiffCoding(extra_samples=(1,)), Metadata())
    labelled = draw_label(photo)
    top, _, left, right = _box(_changed(photo, labelled))
    edge = labelled.samples[top + 2, (left + right) // 2]
    assert edge[0] == pytest.approx(16000 * 0.35, abs=2)
    assert edge[3] == pytest.approx(65535 * (1 - (1 - 40000 / 65535) * 0.35), abs=2)
    assert (labelled.samples[..., :3] <= labelled.samples[..., 3:]).all()


def test_it_grows_with_the_photo() -> None:
    heights, widths = [], []
    for scale in (1, 2, 4):
        photo = _flat(0.7, 600 * scale, 900 * scale)
        top, bottom, left, right = _box(_changed(photo, draw_label(photo)))
        heights.append((bottom - top) / scale)
        widths.append((right - left) / scale)
    assert max(heights) / min(heights) < 1.1 and max(widths) / min(widths) < 1.1
    assert 0.2 < widths[0] / 900 < 0.35


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 70), (2000, 60), (70, 3000)])
def test_small_and_odd_photos(height: int, width: int) -> None:
    photo = _flat(0.7, height, width)
    top, bottom, left, right = _box(_changed(photo, draw_label(photo)))
    assert 0 <= left < right <= width and height / 2 <= top + height * 0.1 and bottom <= height


@pytest.mark.parametrize(("height", "width", "text"), [(24, 24, DEFAULT_LABEL), (1, 1, "AI"), (300, 300, "AI " * 600), (64, 64, "A" * 40)])
def test_a_photo_that_is_too_small_is_refused(height: int, width: int, text: str) -> None:
    with pytest.raises(PhotoError, match=f"{width} x {height} px is too small for the label"):
        draw_label(_flat(0.5, height, width), text)


def test_lines_are_broken_at_spaces() -> None:
    photo = _flat(0.5, 400, 100)
    top, bottom, _, right = _box(_changed(photo, draw_label(photo, "one two")))
    taller = _box(_changed(photo, draw_label(photo, "one two three four\nfive six")))
    assert taller[1] - taller[0] > 1.5 * (bottom - top) and taller[3] <= 100 and right <= 100


def test_other_words_are_other_pixels() -> None:
    photo = _flat(0.5)
    drawn = [draw_label(photo, text).samples.tobytes() for text in ("swapped", "Swapped", "swapped by  us", "swapped\nby us")]
    assert len(set(drawn)) == 3 and drawn[2] == drawn[3]


# ---- what cannot be drawn -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Gesicht verändert", r"'ä' \(U\+00E4\)"),
        ("лицо", r"'л' \(U\+043B\), 'и' \(U\+0438\), 'ц' \(U\+0446\), 'о' \(U\+043E\)"),
        ("AI 顔", r"'顔' \(U\+9854\)"),
        ("ok \U0001f600", r"'.' \(U\+1F600\)"),
        ("a\u200bb\x07", r"U\+200B, U\+0007"),
        ("cafe\u0301", r"'é' \(U\+00E9\)"),
    ],
)
def test_characters_that_would_be_boxes_are_refused_by_name(text: str, named: str) -> None:
    for call in (lambda: check_label(text), lambda: draw_label(_flat(0.5), text)):
        with pytest.raises(UsageError, match=f"the built-in font cannot draw: {named}; write it without them$"):
            call()


def test_what_the_built_in_font_has() -> None:
    check_label("".join(chr(code) for code in range(32, 127)) + "\n\t©…“”’")


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_label_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="the label is empty"):
        draw_label(_flat(0.5), text)


def test_a_font_of_ones_own(tmp_path: Path) -> None:
    built_in = ImageFont.load_default(12)
    assert isinstance(built_in, ImageFont.FreeTypeFont) and isinstance(built_in.path, BytesIO)
    (tmp_path / "own.ttf").write_bytes(built_in.path.getvalue())
    photo = _flat(0.5)
    own, usual = (_changed(photo, draw_label(photo, font=font)) for font in (tmp_path / "own.ttf", None))
    assert _box(own) == pytest.approx(_box(usual), abs=8), "the same letters, but for kerning"
    with pytest.raises(UsageError, match=r"own\.ttf cannot draw: 'ä'"):
        check_label("ä", font=tmp_path / "own.ttf")
    (tmp_path / "junk.ttf").write_bytes(b"hello")
    for name in ("junk.ttf", "nothing.ttf"):
        with pytest.raises(UsageError, match=rf"the font .*{name} cannot be read"):
            check_label("a", font=tmp_path / name)


def test_a_labelled_photo_is_written(tmp_path: Path) -> None:
    write_photo(draw_label(PHOTOS["grey alpha"]), tmp_path / "a.jpg", mark=None)
    assert (tmp_path / "a.jpg").stat().st_size > 1000
