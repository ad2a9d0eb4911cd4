"""dlib's descriptor, and the search for strangers."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from stylswap.config import PrepareSettings
from stylswap.data.prepare import PreparedFace
from stylswap.faces.batch import Face
from stylswap.faces.detect import FaceDetector
from stylswap.features.identity import SAME_PERSON_DISTANCE, FaceDescriptor, distances_to_mean

FloatArray = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]


def described(picture: Picture) -> FloatArray:
    return FaceDescriptor().describe(picture, FaceDetector(use_cnn=False).detect(picture)[0])


@pytest.fixture(scope="module")
def descriptor(photo_u8: Picture, face: Face) -> FloatArray:
    return FaceDescriptor().describe(photo_u8, face)


def test_a_descriptor_is_128_numbers_of_about_unit_length(descriptor: FloatArray) -> None:
    assert descriptor.shape == (128,)
    assert descriptor.dtype == np.float64
    assert 1.0 < np.linalg.norm(descriptor) < 1.7
    assert np.isfinite(descriptor).all()


def test_the_same_photo_gives_the_same_descriptor(photo_u8: Picture, face: Face, descriptor: FloatArray) -> None:
    with ThreadPoolExecutor(2) as pool:
        for again in pool.map(lambda _: FaceDescriptor().describe(photo_u8, face), range(2)):
            assert np.array_equal(again, descriptor)


def test_size_and_mirroring_change_little(photo_u8: Picture, descriptor: FloatArray) -> None:
    large = np.asarray(Image.fromarray(photo_u8).resize((512, 512), Image.Resampling.BICUBIC))
    assert np.linalg.norm(described(large) - descriptor) < 0.3
    assert np.linalg.norm(described(np.ascontiguousarray(photo_u8[:, ::-1])) - descriptor) < 0.4


def test_one_person_is_closer_than_two(ada_faces: list[PreparedFace], descriptor: FloatArray) -> None:
    ada = np.stack([face.descriptor for face in ada_faces if face.descriptor is not None])
    mean = ada.mean(axis=0)
    assert np.linalg.norm(ada - mean, axis=1).max() < SAME_PERSON_DISTANCE < np.linalg.norm(descriptor - mean)


def test_the_default_threshold_is_dlibs() -> None:
    assert PrepareSettings().other_person_distance == SAME_PERSON_DISTANCE == 0.6


def brute_force(descriptors: FloatArray) -> list[float]:
    """Word for word what the docstring says."""
    between = [[float(np.sqrt(((one - two) ** 2).sum())) for two in descriptors] for one in descriptors]
    medoid = min(range(len(descriptors)), key=lambda row: np.median(between[row]))
    half = sorted(range(len(descriptors)), key=lambda row: between[medoid][row])[: max(len(descriptors) // 2, 1)]
    mean = sum(descriptors[row] for row in half) / len(half)
    return [float(np.sqrt(((one - mean) ** 2).sum())) for one in descriptors]


@pytest.mark.parametrize("number", [1, 2, 3, 4, 11, 30])
def test_distances_agree_with_brute_force(number: int) -> None:
    descriptors = np.random.default_rng(number).normal(0, 0.1, (number, 128))
    descriptors[: number // 3] += 0.2  # strangers, all on one side: the mean distance would choose another medoid
    assert distances_to_mean(descriptors) == pytest.approx(brute_force(descriptors))


def test_distances_by_hand() -> None:
    # Three at 0, 0.1 and 0.2 along one axis, a stranger at 9: the medoid is 0.1, its half 0.1 and 0 (the first of equals).
    descriptors = np.zeros((4, 128))
    descriptors[:, 5] = (0.0, 0.1, 0.2, 9.0)
    assert distances_to_mean(descriptors) == pytest.approx([0.05, 0.05, 0.15, 8.95])


@pytest.mark.parametrize("num_strangers", [1, 5, 9])
def test_strangers_do_not_pull_the_mean_towards_them(num_strangers: int) -> None:
    random = np.random.default_rng(0)
    own, strangers = random.normal(0, 0.02, (20, 128)), random.normal(0, 0.02, (num_strangers, 128)) + 0.1
    distances = distances_to_mean(np.concatenate([strangers, own]))
    assert distances[num_strangers:].max() < 0.4
    assert distances[:num_strangers].min() > 1.0


def test_a_thousand_photos_need_little_memory() -> None:
    descriptors = np.random.default_rng(0).normal(0, 0.1, (1200, 128))
    tracemalloc.start()
    distances_to_mean(descriptors)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_the_shared_identities_are_told_apart(shared_data: Path) -> None:
    def some(name: str, count: int) -> list[FloatArray]:
        folder = sorted((shared_data / "identities" / name).glob("*.jpg"))
        pictures = [np.asarray(Image.open(path).convert("RGB")) for path in folder[:: len(folder) // count][:count]]
        return [described(picture) for picture in pictures if FaceDetector(use_cnn=False).detect(picture)]

    ada, bruno = some("ada", 8), some("bruno", 3)
    assert len(ada) >= 6
    assert bruno
    distances = distances_to_mean(np.stack([*ada, *bruno]))
    assert distances[len(ada) :].min() > distances[: len(ada)].max()
