"""The slider: what it shows, that its pictures are there once, and what stands where there is none."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylswap.photo import from_array
from stylswap.report import Comparison, Comparisons, Gallery, Section, Thumbnail, Tile, make_thumbnail, write_report
from stylswap.report import gallery as gallery_module
from stylswap.report.gallery import MOST_BYTES, photo_thumbnail
from stylswap.report.swap_pictures import square_around
from stylswap.shapes import Rect
from tests.test_report import HOSTILE, Page, read


def thumbnail(level: float, height: int = 10, width: int = 20) -> Thumbnail:
    return make_thumbnail(torch.full((3, height, width), level))


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def page_with(folder: Path, *parts: Comparisons | Gallery) -> Page:
    write_report(folder / "report.html", title="t", sections=[Section("s", "", parts)])
    return read(folder / "report.html")


def test_a_pair_is_one_frame_with_a_range_over_it(tmp_path: Path) -> None:
    page = page_with(tmp_path, Comparisons((Comparison(thumbnail(0.0), thumbnail(1.0), "a.jpg", "seam 1", ("one", "two")),)))
    frame = next(attrs for _, attrs in page.tags if "slider" in (attrs.get("class") or "").split())
    before = re.search(r"--before:url\((data:image/jpeg;base64,[\w+/=]+)\)", frame["style"] or "")
    assert before is not None and (frame["style"] or "").startswith("--ratio:20/10;")
    assert decoded(before[1]).getpixel((5, 5)) == (0, 0, 0)
    assert decoded(page.attributes("src")[0]).getpixel((5, 5)) == (255, 255, 255)
    slider = next(attrs for tag, attrs in page.tags if tag == "input")
    assert (slider["type"], slider["min"], slider["max"], slider["value"]) == ("range", "0", "100", "50")
    assert page.attributes("alt") == ["a.jpg, after"] and "a.jpg, before" in page.attributes("aria-label")
    assert [text for text in page.text if text.strip()][-6:] == ["before", "after", "a.jpg", "seam 1", "one", "two"]


def test_a_browser_that_knows_none_of_it_shows_both_side_by_side(tmp_path: Path) -> None:
    page_with(tmp_path, Comparisons(()))
    style = (tmp_path / "report.html").read_text(encoding="utf-8").partition("<style>")[2]
    assert style.index(".slider input { display: none; }") < style.index("@supports (animation-timeline: --cut) or selector(")


def test_the_picture_before_ends_where_the_thumb_is(tmp_path: Path) -> None:
    """In a real browser: black before, white after, and the slider at three places."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    pairs = tuple(Comparison(thumbnail(0.0, 100, 100), thumbnail(1.0, 100, 100), "") for _ in range(3))
    page_with(tmp_path, Comparisons(pairs))
    path, shot = tmp_path / "report.html", tmp_path / "shot.png"
    values = iter((20, 50, 80))
    html = re.sub('value="50"', lambda _: f'value="{next(values)}"', path.read_text(encoding="utf-8"))
    # Frames of 200 px, one below the other, at the top left corner.
    places = (
        ".pairs { position: fixed; inset: 0; display: block; } .pair, .frame { width: 200px; } figcaption { display: none !important; }"
    )
    path.write_text(html.replace("</style>", f"{places} .pairs {{ z-index: 9 }}</style>"), encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync"
    command = [
        browser,
        *flags.split(),
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=700,700",
        f"--screenshot={shot}",
        path.as_uri(),
    ]
    subprocess.run(command, capture_output=True, timeout=100, check=False)
    if not shot.is_file():
        pytest.skip("Chromium makes no screenshots on this machine")
    picture = Image.open(shot).convert("L")
    for index, cut in enumerate((0.2, 0.5, 0.8)):
        row = 200 * index + 150  # below the knob
        for x in (*range(2, round(200 * cut) - 3, 5), *range(round(200 * cut) + 4, 198, 5)):
            level = picture.getpixel((x, row))
            assert isinstance(level, int) and (level < 40 if x < 200 * cut else level > 215), (cut, x, level)


@pytest.mark.parametrize("missing", ["before", "after", "both"])
def test_where_a_picture_is_missing_words_stand_and_no_slider(tmp_path: Path, missing: str) -> None:
    before = HOSTILE if missing != "after" else thumbnail(0.5)
    after = HOSTILE if missing != "before" else thumbnail(0.5)
    page = page_with(tmp_path, Comparisons((Comparison(before, after, "a.jpg"),)))
    assert page.text.count(HOSTILE.replace("\udce9", "?")) == (2 if missing == "both" else 1)
    assert not [tag for tag, _ in page.tags if tag == "input"] and page.attributes("style") == []
    assert len(page.attributes("src")) == (0 if missing == "both" else 1)


def test_names_in_pairs_and_galleries_are_escaped(tmp_path: Path) -> None:
    pair = Comparison(thumbnail(0.1), thumbnail(0.2), HOSTILE, HOSTILE, (HOSTILE,))
    page = page_with(tmp_path, Comparisons((pair,)), Gallery((Tile(thumbnail(0.3), HOSTILE), Tile(HOSTILE, HOSTILE))))
    shown = HOSTILE.replace("\udce9", "?")
    assert page.text.count(shown) == 3 + 3
    assert page.attributes("alt") == [f"{shown}, after", shown]
    assert page.attributes("aria-label") == [f"{shown}, before", f"{shown}: percent of the picture before"]


def test_thumbnails_are_small_in_pixels_and_in_bytes() -> None:
    wide = make_thumbnail(torch.rand(3, 500, 1000, generator=torch.Generator().manual_seed(0)))
    assert (wide.width, wide.height) == (320, 160) == decoded(wide.uri).size
    assert len(wide.jpeg) <= MOST_BYTES
    assert (thumbnail(0.5, 3, 5).width, thumbnail(0.5, 3, 5).height) == (5, 3)  # never larger than the picture
    assert make_thumbnail(torch.zeros(3, 1, 900)).height == 1


def test_a_thumbnail_is_the_picture() -> None:
    image = torch.zeros(3, 64, 640)
    image[0, :, 320:] = 1.0
    left, right = (decoded(make_thumbnail(image).uri).getpixel((x, 16)) for x in (80, 240))
    assert left == (0, 0, 0)
    assert isinstance(right, tuple) and right[0] > 250 and max(right[1:]) < 8


@pytest.mark.parametrize("rect", [None, Rect(3, 5, 301, 777)])
@pytest.mark.parametrize("size", [(320, 800), (797, 311)])
def test_a_photo_in_bands_is_the_photo_at_once(rect: Rect | None, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    rect = rect and rect.clipped(*size)
    waves = torch.linspace(0, 6, size[0])[:, None] + torch.linspace(0, 9, size[1])[None]
    rgb_u8 = ((0.5 + 0.5 * torch.stack([waves.sin(), waves.cos(), (2 * waves).sin()], dim=2)) * 255).to(torch.uint8).numpy()
    photo = from_array(rgb_u8)
    monkeypatch.setattr(gallery_module, "BAND_PIXELS", 5_000)
    small = decoded(photo_thumbnail(photo, rect, longest_px=100).uri)
    whole = decoded(make_thumbnail(photo.image(rect), longest_px=100).uri)
    assert small.size == whole.size
    difference = np.abs(np.asarray(small, dtype=np.float64) - np.asarray(whole, dtype=np.float64))
    assert difference.mean() < 4 and difference.max() < 40  # squares of pixels do not divide every size: up to half a pixel off


@pytest.mark.parametrize(
    ("box", "size", "expected"),
    [
        ((100, 100, 200, 200), (1000, 1000), Rect(60, 60, 180, 180)),  # 0.4 of 100 on every side
        ((100, 120, 200, 180), (1000, 1000), Rect(60, 60, 180, 180)),  # as high as wide
        ((0, 0, 100, 100), (1000, 1000), Rect(0, 0, 180, 180)),  # moved into the photo
        ((900, 950, 1000, 1050), (1000, 1000), Rect(820, 820, 180, 180)),
        ((100, 0, 200, 100), (120, 1000), Rect(0, 90, 120, 120)),  # a flat photo takes from the margin,
        ((100, 0, 300, 100), (120, 1000), Rect(0, 100, 120, 200)),  # and only then from the square
        ((-500, -500, -400, -400), (50, 60), Rect(0, 0, 50, 60)),
        ((10, 10, 11, 11), (1000, 1000), Rect(2, 2, 16, 16)),
    ],
)
def test_the_square_around_a_face_lies_in_the_photo(box: tuple[float, float, float, float], size: tuple[int, int], expected: Rect) -> None:
    assert square_around(box, *size) == expected
