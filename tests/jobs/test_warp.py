"""A swap from photos alone: who it is, what the outputs say, and when they are made again."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from stylswap.errors import ConsentError, FaceSetError, UsageError
from stylswap.faces.landmarks import INNER, eye_distance
from stylswap.features.identity import FaceDescriptor
from stylswap.identity_file import IdentityCard
from stylswap.jobs import paste
from stylswap.jobs.prepare import PrepareReport
from stylswap.jobs.swap import SwapRequest, swap_photos
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapper import Swapper
from stylswap.jobs.warp import WARP_COLOUR, identity_from_photos
from stylswap.photo import read_photo
from stylswap.provenance import read_mark
from tests.jobs.conftest import EXAMPLES

PHOTOS = sorted((EXAMPLES / "photos").glob("*.jpg"))[:2]
CARD = IdentityCard("ada", "synthetic", "for tests")
OPTIONS = SwapOptions(colour=WARP_COLOUR, mask="landmarks")


@pytest.fixture(scope="module")
def swapper(folders: tuple[Path, Path]) -> Swapper:
    return Swapper.from_photos(folders[0], card=CARD, options=OPTIONS, device="cpu")


@pytest.fixture
def three(folders: tuple[Path, Path], tmp_path: Path) -> Path:
    """A folder with three of the photos."""
    (tmp_path / "three").mkdir()
    for path in sorted(folders[0].iterdir())[:3]:
        shutil.copyfile(path, tmp_path / "three" / path.name)
    return tmp_path / "three"


def test_a_pasted_face_is_nearer_to_the_identity_and_keeps_its_place(swapper: Swapper) -> None:
    mean = np.asarray(swapper.identity.data["identity"]["mean_descriptor"])
    assert mean.shape == (128,)
    for path in PHOTOS:
        before, after = read_photo(path).rgb_u8(), swapper.swap(path).photo.rgb_u8()
        face = swapper._aligner.detector.detect(before)[0]
        again = swapper._aligner.detector.landmarks_in(after, face)
        far, near = (float(np.linalg.norm(FaceDescriptor().describe(*seen) - mean)) for seen in ((before, face), (after, again)))
        assert near < far - 0.05
        errors = np.linalg.norm(again.landmarks - face.landmarks, axis=1) / float(eye_distance(face.landmarks))
        assert errors[INNER].mean() < 0.06


def test_only_the_face_changes(swapper: Swapper) -> None:
    swapped = swapper.swap(PHOTOS[0])
    assert swapped.status == "swapped"
    assert swapped.faces[0].output.shape == (3, 256, 256)
    assert swapped.faces[0].facts["colour"] == "skin"
    changed = (read_photo(PHOTOS[0]).rgb_u8() != swapped.photo.rgb_u8()).any(axis=-1)
    assert 0.05 < changed.mean() < 0.6


def test_the_identity_is_its_photos_and_its_card(folders: tuple[Path, Path], three: Path, swapper: Swapper) -> None:
    reports: list[PrepareReport] = []
    again = identity_from_photos(folders[0], card=CARD, on_prepared=reports.append).identity
    assert again.sha256 == swapper.identity.sha256
    assert len(again.sha256) == 64
    assert again.engine == "warp"
    assert again.data["identity"]["photos"] == reports[0].num_used == 6
    assert "only 6 usable photos" in reports[0].warnings[0]
    others = [
        identity_from_photos(three, card=CARD).identity,
        identity_from_photos(folders[0], card=IdentityCard("bea", "synthetic", "for tests")).identity,
    ]
    assert len({again.sha256, *(identity.sha256 for identity in others)}) == 3


def test_marked_like_any_output_and_done_again_with_other_photos_only(swapper: Swapper, three: Path, tmp_path: Path) -> None:
    request = SwapRequest(PHOTOS, tmp_path / "out", workers=0, report=False)
    first = swap_photos(swapper, request)
    assert first.complete
    mark = read_mark(first.results[0].output)
    assert mark is not None
    assert (mark.identity_name, mark.identity_sha256) == ("ada", swapper.identity.sha256)
    assert swap_photos(swapper, request).num_cached == 2
    fewer = Swapper.from_photos(three, card=CARD, options=OPTIONS, device="cpu")
    again = swap_photos(fewer, request)
    assert again.num_cached == 0
    assert read_mark(again.results[0].output).identity_sha256 == fewer.identity.sha256 != swapper.identity.sha256


def test_what_travels_to_a_worker_is_light_and_does_the_same(swapper: Swapper, tmp_path: Path) -> None:
    """The photos of the identity stay in the process that renders."""
    parcel = pickle.dumps(swapper.worker())
    assert len(parcel) < 50_000
    worker = pickle.loads(parcel)
    aligned = worker.aligner(PHOTOS[0])
    joined = worker.joiner(aligned, swapper.renderer.render([aligned])[0])
    assert np.array_equal(joined.photo.rgb_u8(), swapper.swap(PHOTOS[0]).photo.rgb_u8())
    assert worker.mark == swapper.mark


def test_photos_are_sharpened_as_photos_not_as_large_networks(swapper: Swapper, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[bool] = []

    def sharpened(output: Tensor, *, drawn: bool = True) -> Tensor:
        kinds.append(drawn)
        return output

    monkeypatch.setattr(paste, "sharpened", sharpened)
    photo = sorted((EXAMPLES / "photos").glob("*.jpg"))[0]
    swapper.swap(photo)
    Swapper.load("ada", options=SwapOptions(mask="landmarks"), device="cpu").swap(photo)
    assert kinds == [False, True]


def test_without_options_skin_decides_about_colour(three: Path) -> None:
    assert Swapper.from_photos(three, card=CARD, device="cpu").options == SwapOptions(colour="skin")


def test_one_photo_is_enough(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    path = min(folders[0].iterdir())
    shutil.copyfile(path, tmp_path / "one" / path.name)
    (tmp_path / "one" / "identity.toml").write_text('name = "once"\nconsent = "synthetic"\n')
    swapper = Swapper.from_photos(tmp_path / "one", device="cpu", options=OPTIONS)
    assert swapper.identity.card.name == "once"
    assert swapper.swap(PHOTOS[1]).status == "swapped"


def test_nobody_is_pasted_without_consent(folders: tuple[Path, Path]) -> None:
    with pytest.raises(ConsentError, match="who allowed this face"):
        Swapper.from_photos(folders[0], device="cpu")


def test_what_is_no_folder_of_photos(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes a folder with photos of one person"):
        Swapper.from_photos(PHOTOS[0], card=CARD)
    with pytest.raises(UsageError, match="no such folder"):
        Swapper.from_photos(tmp_path / "nowhere", card=CARD)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FaceSetError, match="no photos"):
        Swapper.from_photos(tmp_path / "empty", card=CARD)
