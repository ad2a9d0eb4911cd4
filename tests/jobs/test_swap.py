"""Swapping as a job: photos in, photos out, one status each."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylswap.errors import PhotoError, SettingsError
from stylswap.jobs.choose import FaceChoice
from stylswap.jobs.render_faces import FaceRenderer
from stylswap.jobs.swap import SwapRequest, SwapSummary, swap_photos
from stylswap.jobs.swap_journal import JOURNAL_FILE
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapper import Swapper
from stylswap.photo import from_array, read_photo
from stylswap.provenance import read_mark
from tests.jobs.conftest import EXAMPLES

PHOTOS = sorted((EXAMPLES / "photos").glob("*.jpg"))


def swap(swapper: Swapper, photos: list[Path], out: Path, on_photo=None, **request) -> SwapSummary:
    """In this process, where a test can reach into it."""
    return swap_photos(swapper, SwapRequest(photos, out, workers=0, report=False, **request), on_photo=on_photo)


@pytest.fixture(scope="module")
def swapper(tiny_identity: Path) -> Swapper:
    return Swapper.load(tiny_identity, device="cpu", options=SwapOptions("poisson", "none", "none", mask="landmarks"))


@pytest.fixture
def strong(tiny_identity: Path) -> Swapper:
    """A swapper whose output differs from the input everywhere: two steps of training change next to nothing."""
    options = SwapOptions("none", "none", "none", choice=FaceChoice("all"), mask="landmarks")
    strong = Swapper.load(tiny_identity, device="cpu", options=options)

    class Inverted:
        def render(self, faces):
            from stylswap.engines.rendering import Rendered

            return Rendered(1 - faces.images)

    strong.renderer = FaceRenderer(Inverted(), None, strong.device)
    return strong


def png_of(path: Path, out: Path) -> Path:
    Image.open(path).convert("RGB").save(out)
    return out


def test_one_photo(swapper: Swapper) -> None:
    swapped = swapper.swap(PHOTOS[0])
    assert swapped.status == "swapped"
    assert swapped.num_found == 1
    assert swapped.photo is not None
    before, after = read_photo(PHOTOS[0]), swapped.photo
    assert (after.height, after.width) == (before.height, before.width)
    assert swapped.faces[0].output.shape == (3, 64, 64)
    assert abs(swapped.faces[0].pose.roll_deg) < 45


def test_path_photo_and_array_give_the_same(swapper: Swapper) -> None:
    photo = read_photo(PHOTOS[1])
    results = [swapper.swap(given).photo for given in (PHOTOS[1], str(PHOTOS[1]), photo, photo.rgb_u8().copy())]
    first = results[0].rgb_u8()
    assert all(np.array_equal(first, result.rgb_u8()) for result in results)


def test_pixels_outside_the_mask_stay_bit_for_bit(strong: Swapper, tmp_path: Path) -> None:
    path = png_of(PHOTOS[0], tmp_path / "photo.png")
    summary = swap(strong, [path], tmp_path / "out")
    before, after = read_photo(path).rgb_u8(), read_photo(summary.results[0].output).rgb_u8()
    changed = (before != after).any(axis=-1)
    left, top, right, bottom = (round(side) for side in summary.results[0].faces[0]["box"])
    margin = (right - left) // 3
    outside = np.ones_like(changed)
    outside[max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin] = False
    assert changed[(top + bottom) // 2, (left + right) // 2]
    assert 0.05 < changed.mean() < 0.6
    assert outside.mean() > 0.1
    assert not changed[outside].any()


@pytest.mark.parametrize("blend", ["auto", "poisson", "feather", "none"])
@pytest.mark.parametrize("colour", ["none", "skin"])
def test_every_way_to_join(tiny_identity: Path, blend: str, colour: str) -> None:
    swapped = Swapper.load(tiny_identity, device="cpu", options=SwapOptions(blend, colour, mask="landmarks")).swap(PHOTOS[2])
    image = swapped.photo.image()
    assert swapped.status == "swapped"
    assert torch.isfinite(image).all()
    assert 0 <= float(image.min()) <= float(image.max()) <= 1


def test_five_faces(tiny_identity: Path, strong: Swapper) -> None:
    tiles = np.concatenate([np.asarray(Image.open(path).convert("RGB")) for path in PHOTOS[:5]], axis=1)
    every = strong.swap(tiles)
    assert every.num_found == 5
    assert len(every.faces) == 5
    assert every.faces[0].face.area_px == max(face.face.area_px for face in every.faces)
    changed = (every.photo.rgb_u8() != tiles).any(axis=-1)
    assert all(changed[:, start : start + 256].mean() > 0.05 for start in range(0, 5 * 256, 256))
    largest = Swapper.load(tiny_identity, device="cpu").swap(tiles)
    assert len(largest.faces) == 1


def test_face_at_the_border(strong: Swapper) -> None:
    picture = np.asarray(Image.open(PHOTOS[4]).convert("RGB"))
    face = strong.swap(picture).faces[0].face
    cut = np.ascontiguousarray(picture[:, int(face.landmarks[30, 0] - 0.22 * (face.box[2] - face.box[0])) :])
    swapped = strong.swap(cut)
    assert swapped.status == "swapped"
    changed = (swapped.photo.rgb_u8() != cut).any(axis=-1)
    assert changed[:, :20].any()
    assert swapped.photo.rgb_u8().shape == cut.shape


def test_several_photos_together_equal_each_alone(swapper: Swapper) -> None:
    together = swapper.swap_many(PHOTOS[:4])
    for path, result in zip(PHOTOS[:4], together, strict=True):
        alone = swapper.swap(path).photo.rgb_u8().astype(int)
        assert np.abs(alone - result.photo.rgb_u8()).max() <= 1  # another batch size may round differently


def test_batch_with_bad_files(swapper: Swapper, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    (folder / "sub" / "größe").mkdir(parents=True)
    shutil.copyfile(PHOTOS[0], folder / "a.jpg")
    shutil.copyfile(PHOTOS[1], folder / "sub" / "größe" / "ü b.jpg")
    (folder / "truncated.jpg").write_bytes(PHOTOS[2].read_bytes()[:9000])
    (folder / "text.jpg").write_text("not a picture")
    (folder / "zero.jpg").touch()
    Image.new("L", (30_001, 2)).save(folder / "wide.png")
    Image.fromarray(np.full((200, 300, 3), 90, np.uint8)).save(folder / "wall.png")
    seen: list[tuple[int, int]] = []
    summary = swap(swapper, [folder], tmp_path / "out", on_photo=lambda _, done, total: seen.append((done, total)))
    status = {result.photo.name: (result.status, result.reason) for result in summary.results}
    assert {name: value[0] for name, value in status.items()} == {
        "a.jpg": "swapped",
        "ü b.jpg": "swapped",
        "truncated.jpg": "failed",
        "text.jpg": "failed",
        "zero.jpg": "failed",
        "wide.png": "failed",
        "wall.png": "no_face",
    }
    assert all(reason for name, (state, reason) in status.items() if state != "swapped")
    assert "30001" in status["wide.png"][1].replace(",", "").replace("_", "")
    assert (tmp_path / "out" / "a.jpg").is_file()
    assert (tmp_path / "out" / "sub" / "größe" / "ü b.jpg").is_file()
    assert not (tmp_path / "out" / "wall.png").exists()
    lines = [json.loads(line) for line in (tmp_path / "out" / JOURNAL_FILE).read_text(encoding="utf-8").splitlines()]
    assert sorted(line["status"] for line in lines) == sorted(state for state, _ in status.values())
    assert seen[-1] == (7, 7)
    assert not summary.complete


def test_nothing_of_a_folder_is_left_out_in_silence(swapper: Swapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylswap.photo.heif.is_available", lambda: False)
    folder, album = tmp_path / "in", tmp_path / "album"
    folder.mkdir()
    album.mkdir()
    (folder / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    (folder / "b.avif").write_bytes(b"\0\0\0\x20ftypavif" + bytes(200))
    (folder / "c.nef").write_bytes(b"MM\0*" + bytes(200))
    (folder / "d.jpg").symlink_to(tmp_path / "moved.jpg")
    shutil.copyfile(PHOTOS[0], album / "e.jpg")
    (folder / "linked").symlink_to(album, target_is_directory=True)
    summary = swap(swapper, [folder], tmp_path / "out")
    assert summary.counts == {"failed": 4, "swapped": 1} and not summary.complete
    wanted = ("stylswap[heic]", "an AVIF picture", "a camera's raw file", "which is not there")
    assert all(words in result.reason for words, result in zip(wanted, summary.results, strict=False))
    assert summary.results[-1].output == tmp_path / "out" / "linked" / "e.jpg"


def test_output_keeps_format_and_carries_the_mark(swapper: Swapper, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera maker"
    picture = Image.open(PHOTOS[0])
    picture.save(tmp_path / "photo.jpg", exif=exif, quality=77, dpi=(240, 240))
    summary = swap(swapper, [tmp_path / "photo.jpg"], tmp_path / "out")
    output = summary.results[0].output
    with Image.open(tmp_path / "photo.jpg") as before, Image.open(output) as after:
        assert after.format == "JPEG"
        assert after.getexif()[0x010F] == "Camera maker"
        assert after.quantization == before.quantization
    mark = read_mark(output)
    assert mark is not None
    assert mark.identity_name == "tiny"
    assert mark.identity_sha256 == swapper.identity.sha256
    assert b"compositeWithTrainedAlgorithmicMedia" in output.read_bytes()


def test_disk_full_fails_one_photo_and_goes_on(
    swapper: Swapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(100))
    sync = os.fsync

    def full_once(descriptor: int) -> None:
        if next(calls) == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full_once)
    summary = swap(swapper, PHOTOS[:3], tmp_path / "out")
    assert summary.counts == {"failed": 1, "swapped": 2}
    failed = next(result for result in summary.results if result.status == "failed")
    assert "No space left" in failed.reason
    assert len(list((tmp_path / "out").iterdir())) == 3  # two photos and the journal, no leftovers


def test_unwritable_output_folder(swapper: Swapper, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PhotoError, match="cannot be written"):
        swap(swapper, PHOTOS[:1], tmp_path / "file" / "out")


def test_unknown_choice_has_a_suggestion() -> None:
    with pytest.raises(SettingsError, match="Did you mean 'poisson'"):
        SwapOptions(blend="poison")


def test_no_face_is_a_value(swapper: Swapper) -> None:
    result = swapper.swap(from_array(np.full((120, 120, 3), 128, np.uint8)))
    assert result.status == "no_face"
    assert result.reason == "no face found"


def test_unreadable_photo_is_an_error_for_one(swapper: Swapper, tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"missing\.jpg"):
        swapper.swap(tmp_path / "missing.jpg")


@pytest.mark.parametrize("size", [(4, 4), (1, 1), (1200, 10), (20_000, 1)])
def test_tiny_and_thin_photos_have_no_face(swapper: Swapper, tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (120, 90, 80)).save(tmp_path / "odd.png")
    assert swapper.swap(tmp_path / "odd.png").status == "no_face"


def test_whatever_goes_wrong_with_one_photo_stays_there(
    swapper: Swapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = swapper._aligner.detector.detect

    def moody(rgb_u8):
        if rgb_u8.shape[0] == 100:
            raise RuntimeError("dlib is in a mood")
        return real(rgb_u8)

    monkeypatch.setattr(type(swapper._aligner.detector), "detect", lambda _, rgb_u8: moody(rgb_u8))
    Image.new("RGB", (90, 100)).save(tmp_path / "bad.png")
    summary = swap(swapper, [tmp_path / "bad.png", PHOTOS[0]], tmp_path / "out")
    assert [result.status for result in summary.results] == ["failed", "swapped"]
    assert "dlib is in a mood" in summary.results[0].reason


def test_ctrl_c_finishes_the_photos_at_hand(swapper: Swapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pressed: list[int] = []
    heard: list[int] = []

    def press_once(*_: object) -> None:
        if not pressed:
            pressed.append(1)
            os.kill(os.getpid(), signal.SIGINT)

    request = SwapRequest(PHOTOS[:6], tmp_path / "out", workers=0, report=False)
    summary = swap_photos(swapper, request, on_photo=press_once, on_interrupt=lambda: heard.append(len(pressed)))
    assert summary.interrupted
    assert heard == [1]
    assert (len(summary.results), summary.num_planned) == (2, 6)
    assert len((tmp_path / "out" / JOURNAL_FILE).read_text().splitlines()) == 2
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 2
