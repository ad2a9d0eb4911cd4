"""The counts of the occluder report, by hand and with masks that keep everything or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from stylswap.engines.rendering import Rendered
from stylswap.errors import FaceSetError
from stylswap.faces.batch import Face, FaceBatch
from stylswap.faces.detect import FaceDetector
from stylswap.identity_file import IdentityFile, read_identity_file
from stylswap.jobs import occluder_bench
from stylswap.jobs.occluder_bench import BenchCrop, BenchSwap
from stylswap.jobs.occluder_report import _Counts, _tally, _tally_alone, compare_masks
from stylswap.jobs.paste import PASTE_SEGMENTER
from stylswap.photo import from_array


class Nothing:
    """Keeps every pixel."""

    def segment(self, images: Tensor, landmarks: Tensor) -> Tensor:
        assert images.shape[1:] == (3, 256, 256)
        assert float(landmarks.min()) > 0
        return images.new_zeros(len(images), 1, *images.shape[2:])


class Unmoved:
    """A detector that sees the clean faces first, and then again in every occluded photo: one kind, so in the same order."""

    def __init__(self) -> None:
        self._seen: list[Face] = []
        self._detector = FaceDetector(use_cnn=False)

    def detect(self, rgb_u8: npt.NDArray[np.uint8]) -> list[Face]:
        if len(self._seen) < 2:
            self._seen += self._detector.detect(rgb_u8)[:1]
            return self._seen[-1:]
        self._seen.append(self._seen[-2])
        return self._seen[-1:]


class CleanOnly:
    """A detector that finds the first `count` pictures it sees, which are the clean ones, and none after them."""

    def __init__(self, count: int) -> None:
        self._count, self._detector = count, FaceDetector(use_cnn=False)

    def detect(self, rgb_u8: npt.NDArray[np.uint8]) -> list[Face]:
        self._count -= 1
        return self._detector.detect(rgb_u8) if self._count >= 0 else []


@pytest.fixture(scope="module")
def identity(tiny_identity: Path) -> IdentityFile:
    return read_identity_file(tiny_identity)


@pytest.fixture(scope="module")
def photos(folders: tuple[Path, Path]) -> list[Path]:
    return sorted(folders[1].glob("*.jpg"))[:2]


def test_a_mask_of_nothing_keeps_everything(photos: list[Path], identity: IdentityFile) -> None:
    done = []
    report = compare_masks(
        photos, identity, Nothing(), kinds=("hand", "bar"), detector=CleanOnly(2), on_photo=lambda *count: done.append(count)
    )
    assert list(report.unchanged) == ["hand", "bar", "all", "mean of kinds"]
    for row in report.unchanged.values():
        assert row["parser"] == row["parser_exact"] == row["worst_tenth"] == 1
        assert row["landmark_mask"] < 1
        assert 0 <= row["network_alone"] <= 1
        assert row["thousand_pixels"] > 0
    assert report.unchanged["all"]["thousand_pixels"] == pytest.approx(
        report.unchanged["hand"]["thousand_pixels"] + report.unchanged["bar"]["thousand_pixels"]
    )
    assert report.unchanged["mean of kinds"]["landmark_mask"] == pytest.approx(
        (report.unchanged["hand"]["landmark_mask"] + report.unchanged["bar"]["landmark_mask"]) / 2
    )
    assert [row["no_face_found"] for row in report.unchanged.values()] == [2, 2, 4, 2]
    assert np.isnan(report.unchanged["all"]["found_again"])
    assert [row["face_swapped"] for row in report.face.values()] == [0, 0, 0]
    assert report.milliseconds["parser"]["mask"] < report.milliseconds["parser"]["whole_face"]
    assert done == [(1, 2), (2, 2)]
    assert report.num_faces == 2
    assert report.sheet.shape == (3, 2 * 258 + 2, 6 * 258 + 2)


def test_the_landmarks_mask_against_itself(photos: list[Path], identity: IdentityFile) -> None:
    report = compare_masks(photos, identity, PASTE_SEGMENTER, kinds=("glasses",), seed=1, detector=Unmoved())
    row = report.unchanged["glasses"]
    assert row["parser"] == row["landmark_mask"] == row["found_again"]
    assert row["no_face_found"] == 0
    assert [row["face_swapped"] for row in report.face.values()] == [1, 1]


def test_photos_without_a_face_are_refused(photos: list[Path], identity: IdentityFile) -> None:
    with pytest.raises(FaceSetError, match="no face was found in 2 photos"):
        compare_masks(photos, identity, Nothing(), detector=CleanOnly(0))


def test_tally_by_hand() -> None:
    before = np.full((2, 4, 3), 100, np.uint8)
    after = before.copy()
    after[0, :, 1] = [100, 108, 109, 200]  # the first row is occluded: still, little, too much, very much
    after[1, :, 0] = 200
    alpha = np.array([[1, 0.95, 1, 0.91], [0, 0, 0.5, 0.05]], np.float32)
    plain = np.array([[0.1, 1, 1, 0], [1, 0.5, 1, 1]], np.float32)  # the last occluded pixel is not at risk
    parser = np.array([[0, 0, 1, 0], [0.5, 1, 1, 0]], np.float32)
    counts = _Counts()
    _tally(counts, from_array(before), alpha, BenchSwap(from_array(before), plain, {}), BenchSwap(from_array(after), parser, {}))
    assert (counts.at_risk, counts.unchanged, counts.exact) == (3, 2, 1)
    assert counts.shares == [pytest.approx(2 / 3)]
    assert counts.face == 2.5  # 1 + 0.5 + 1: a half opaque pixel belongs to nobody
    assert counts.swapped == 1.0  # 0.5 + 0.5 + 0: never more than the landmarks' mask
    nowhere = np.zeros_like(plain)
    _tally(counts, from_array(before), alpha, BenchSwap(from_array(before), nowhere, {}), BenchSwap(from_array(after), parser, {}))
    assert (counts.at_risk, len(counts.shares)) == (3, 1), "a photo without a pixel at risk has no share"


class Shifting:
    """A renderer that hands the crops back, brighter or darker by `step`."""

    def __init__(self, step: float) -> None:
        self._step = step

    def render(self, faces: FaceBatch) -> Rendered:
        moved = faces.images + torch.where(faces.images > 0.5, -self._step, self._step)
        return Rendered(moved)


@pytest.mark.parametrize(("step", "share"), [(0.0, 1), (7 / 255, 1), (12 / 255, 0)])
def test_a_network_that_does_next_to_nothing_leaves_all_alone(
    photos: list[Path], identity: IdentityFile, monkeypatch: pytest.MonkeyPatch, step: float, share: float
) -> None:
    monkeypatch.setattr(occluder_bench, "StyleRenderer", lambda network: Shifting(step))
    report = compare_masks(photos, identity, Nothing(), kinds=("mask",), detector=CleanOnly(2))
    assert [row["network_alone"] for row in report.unchanged.values()] == [share] * 3


def test_tally_of_the_network_alone_by_hand() -> None:
    image = torch.full((3, 2, 4), 100 / 255)
    output = image.clone()
    output[1, 0] = torch.tensor([100, 92, 91, 255]) / 255  # still, little, too much, very much
    output[:, 1] = 1.0
    alpha = torch.tensor([[[1, 0.95, 1, 0.91], [0, 0, 0.5, 0.9]]])
    mask = torch.tensor([[[0.1, 1, 1, 0], [1, 0.5, 1, 1]]])  # the last occluded pixel is not at risk
    counts = _Counts()
    _tally_alone(counts, BenchCrop(image, output, mask, alpha))
    assert (counts.at_risk, counts.unchanged, counts.exact) == (3, 2, 1)
    assert counts.shares == [pytest.approx(2 / 3)]
    _tally_alone(counts, BenchCrop(image, output, torch.zeros_like(mask), alpha))
    assert (counts.at_risk, len(counts.shares)) == (3, 1)
