"""Detection: on photos, small, many, mirrored, enlarged, at the edge, and not in noise."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
from PIL import Image

from stylswap.errors import ShapeError, WeightsFileError
from stylswap.faces import detect as module
from stylswap.faces.batch import Face
from stylswap.faces.detect import FaceDetector, dlib_model_path
from stylswap.faces.landmarks import LEFT_EYE, RIGHT_EYE, eye_distance

Picture = npt.NDArray[np.uint8]
HOG = FaceDetector(use_cnn=False)
FIRST_PASS_ONLY = FaceDetector(use_cnn=False, second_px=800)
BOX_PX = 150  # of the face in 0001.jpg, which is 256 px


def resized(picture: Picture, side_px: int) -> Picture:
    return np.asarray(Image.fromarray(picture).resize((side_px, side_px), Image.Resampling.LANCZOS))


def pasted(picture: Picture, box_px: int, *, height: int = 1800, width: int = 2400) -> Picture:
    """A face whose box has about this side, in a large grey photo, at (1300, 900)."""
    small = resized(picture, round(picture.shape[0] * box_px / BOX_PX))
    canvas = np.full((height, width, 3), 128, dtype=np.uint8)
    canvas[900 : 900 + small.shape[0], 1300 : 1300 + small.shape[1]] = small
    return canvas


def apart(face: Face, landmarks: npt.NDArray[np.float64]) -> float:
    """Mean distance of the landmarks as a share of the distance between the eyes."""
    return float(np.linalg.norm(face.landmarks - landmarks, axis=1).mean() / eye_distance(landmarks))


def test_the_astronaut() -> None:
    (face,) = HOG.detect(skimage.data.astronaut())
    assert face.detector == "hog"
    assert face.score > 0
    # Marked by hand: pupils, tip of the nose, corners of the mouth.
    points = face.landmarks
    found = np.stack([points[LEFT_EYE].mean(axis=0), points[RIGHT_EYE].mean(axis=0), points[30], points[48], points[54]])
    by_hand = [(203.5, 101), (247, 103), (224, 127), (203.5, 140), (243.5, 141.5)]
    assert np.linalg.norm(found - by_hand, axis=1).max() < 4.5


def test_every_example_photo_has_one_face(examples: Path) -> None:
    photos = sorted((examples / "photos").glob("*.jpg"))
    faces = [HOG.detect(np.asarray(Image.open(path))) for path in photos]
    assert [len(found) for found in faces] == [1] * len(photos)
    for (face,) in faces:
        left, top, right, bottom = face.box
        assert right - left == pytest.approx(bottom - top, abs=2), "HOG's boxes are squares"
        assert left < face.landmarks[30, 0] < right
        assert top < face.landmarks[30, 1] < bottom
        assert face.landmarks.shape == (68, 2)


def test_a_small_face_in_a_large_photo_is_found_by_the_second_pass(photo_u8: Picture, face: Face) -> None:
    canvas = pasted(photo_u8, 60)
    assert FIRST_PASS_ONLY.detect(canvas) == []
    (found,) = HOG.detect(canvas)
    wanted = face.landmarks * (60 / BOX_PX) + (1300, 900)
    assert apart(found, wanted) < 0.15


def test_the_convolutional_detector_comes_last(photo_u8: Picture) -> None:
    # Lying on its side, a face is nothing to HOG.
    lying = np.ascontiguousarray(np.rot90(photo_u8[40:, 20:240]))
    lying = np.asarray(Image.fromarray(lying).resize((150, 147), Image.Resampling.LANCZOS))
    assert HOG.detect(lying) == []
    (found,) = FaceDetector().detect(lying)
    assert found.detector == "cnn"
    assert 0 < found.landmarks.mean() < 150


@pytest.mark.parametrize("thorough", [True, False])
def test_a_group_of_five(examples: Path, thorough: bool) -> None:
    photos = [np.asarray(Image.open(path)) for path in sorted((examples / "photos").glob("*.jpg"))[:5]]
    group = np.concatenate(photos, axis=1)
    faces = FaceDetector(use_cnn=False, thorough=thorough).detect(group)
    assert sorted(int(face.landmarks[30, 0] // 256) for face in faces) == [0, 1, 2, 3, 4]
    areas = [face.area_px for face in faces]
    assert areas == sorted(areas, reverse=True)


def test_thorough_also_finds_the_small_one_beside_the_large_one(photo_u8: Picture) -> None:
    canvas = pasted(photo_u8, 60)
    canvas[100:868, 100:868] = resized(photo_u8, 768)
    assert len(HOG.detect(canvas)) == 1
    large, small = FaceDetector(use_cnn=False, thorough=True).detect(canvas)
    assert large.area_px > 20 * small.area_px
    assert small.landmarks[30, 0] > 1300


def test_there_is_nobody_in_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    assert HOG.detect(noise) == []
    assert HOG.detect(np.zeros((120, 90, 3), dtype=np.uint8)) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 2000, 3), (0, 4, 3)])
def test_tiny_photos_are_no_trouble(shape: tuple[int, ...]) -> None:
    assert HOG.detect(np.zeros(shape, dtype=np.uint8)) == []


@pytest.mark.parametrize("side_px", [512, 1600])
def test_landmarks_follow_the_size_of_the_photo(photo_u8: Picture, face: Face, side_px: int) -> None:
    scale = side_px / photo_u8.shape[0]
    (found,) = HOG.detect(resized(photo_u8, side_px))
    assert apart(found, (face.landmarks + 0.5) * scale - 0.5) < 0.04
    assert found.area_px == pytest.approx(face.area_px * scale**2, rel=0.35)


def test_landmarks_follow_the_place_in_the_photo(photo_u8: Picture, face: Face) -> None:
    canvas = np.full((500, 600, 3), 90, dtype=np.uint8)
    canvas[200:456, 301:557] = photo_u8
    (found,) = HOG.detect(canvas)
    assert apart(found, face.landmarks + np.array([301, 200])) < 0.04


@pytest.mark.parametrize(("left", "top"), [(60, 0), (0, 90)])
def test_a_face_at_the_edge_of_the_photo(photo_u8: Picture, face: Face, left: int, top: int) -> None:
    (found,) = HOG.detect(np.ascontiguousarray(photo_u8[top:, left:]))
    assert min(found.box[:2]) < 0, "the box reaches beyond the photo"
    assert apart(found, face.landmarks - (left, top)) < 0.05, "and so may the landmarks"


def test_threads_find_what_one_finds(examples: Path) -> None:
    photos = [np.asarray(Image.open(path)) for path in sorted((examples / "photos").glob("*.jpg"))]
    alone = [HOG.detect(photo) for photo in photos]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(HOG.detect, photos))
    for one, two in zip(alone, together, strict=True):
        assert [face.box for face in one] == [face.box for face in two]
        assert all(np.array_equal(a.landmarks, b.landmarks) for a, b in zip(one, two, strict=True))


def test_each_thread_has_its_own_detector() -> None:
    def mine() -> int:
        return id(module.per_thread("hog", lambda dlib: dlib.get_frontal_face_detector()))

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(mine).result() != mine()
    assert mine() == mine()


def test_a_view_of_a_photo_does(photo_u8: Picture) -> None:
    view = photo_u8[:, ::-1]
    assert not view.flags.c_contiguous
    assert np.array_equal(HOG.detect(view)[0].landmarks, HOG.detect(view.copy())[0].landmarks)


def test_landmarks_in_a_known_box(photo_u8: Picture, face: Face) -> None:
    darker = (photo_u8 * 0.8).astype(np.uint8)
    again = HOG.landmarks_in(darker, face)
    assert (again.box, again.score, again.detector) == (face.box, face.score, face.detector)
    assert apart(again, face.landmarks) < 0.03
    assert np.array_equal(HOG.landmarks_in(photo_u8, again).landmarks, face.landmarks)


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (np.zeros((50, 50), np.uint8), r"rgb_u8 must be \(H, W, 3\), got \(50, 50\)"),
        (np.zeros((50, 50, 4), np.uint8), r"rgb_u8 must be \(H, W, 3\), got \(50, 50, 4\)"),
        (np.zeros((50, 50, 3), np.float32), "rgb_u8 must be uint8, got float32"),
    ],
)
def test_what_is_no_photo_is_refused(photo: Picture, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        HOG.detect(photo)


def test_missing_models_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsFileError, match=r"nothing\.dat is missing from face_recognition_models: `pip install --force-reinstall"):
        dlib_model_path("nothing.dat")
    monkeypatch.setattr(module, "_MODEL_PACKAGE", "a_package_that_nobody_has")
    with pytest.raises(WeightsFileError, match="`pip install a_package_that_nobody_has` brings them"):
        dlib_model_path("shape_predictor_68_face_landmarks.dat")
