"""Blendshapes, gaze and pose: the numbers by a stand-in whose scores are known; MediaPipe itself where it is installed."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stylswap import weights
from stylswap.errors import SettingsError, ShapeError, UsageError, WeightsFileError
from stylswap.faces.batch import Face
from stylswap.faces.landmarks import head_pose
from stylswap.features import blendshapes
from stylswap.features.blendshapes import NEUTRAL, NUM_MOVEMENTS, Blendshapes, FaceSigns, blendshape_difference, gaze_difference, pose_of

EYES = [f"eyeLook{way}{side}" for way in ("Down", "In", "Out", "Up") for side in ("Left", "Right")]
NAMES = [NEUTRAL, *EYES, *(f"movement{number}" for number in range(NUM_MOVEMENTS - len(EYES)))]


def signs(**scores: float) -> FaceSigns:
    assert set(scores) <= set(NAMES)
    return FaceSigns(dict.fromkeys(NAMES, 0.0) | scores)


# ---- differences ---------------------------------------------------------------------------------------------------------------


def test_the_same_face_does_not_differ() -> None:
    some = signs(movement3=0.4, eyeLookUpLeft=0.2)
    assert blendshape_difference(some, some) == gaze_difference(some, some) == 0.0


def test_the_difference_is_the_mean_over_51_movements() -> None:
    assert blendshape_difference(signs(movement3=0.5), signs(movement3=0.2, movement9=0.21)) == pytest.approx((0.3 + 0.21) / 51)
    everything = signs(**dict.fromkeys(NAMES, 1.0))
    assert blendshape_difference(signs(), everything) == blendshape_difference(everything, signs()) == 1.0
    assert blendshape_difference(signs(_neutral=0.9), signs()) == 0.0, "neutral is no movement"


def test_other_names_are_refused() -> None:
    some = signs()
    fewer = FaceSigns(dict.fromkeys(NAMES[:-1], 0.0))
    renamed = FaceSigns({name.replace("movement1", "x"): 0.0 for name in NAMES})
    for first, second in ((some, fewer), (fewer, some), (fewer, fewer), (some, renamed)):
        with pytest.raises(ShapeError, match="the same 51 movements"):
            blendshape_difference(first, second)


def test_each_look_has_its_axis_and_sign() -> None:
    # Both eyes to the right side of the picture, which is the person's left.
    right = signs(eyeLookOutLeft=0.6, eyeLookInRight=0.4)
    np.testing.assert_allclose(right.gaze, [[0.4, 0], [0.6, 0]])
    left = signs(eyeLookInLeft=0.4, eyeLookOutRight=0.6)
    np.testing.assert_allclose(left.gaze, [[-0.6, 0], [-0.4, 0]])
    np.testing.assert_allclose(signs(eyeLookDownLeft=0.3, eyeLookUpRight=0.2).gaze, [[0, -0.2], [0, 0.3]])


def test_the_gazes_difference_is_a_length_averaged_over_both_eyes() -> None:
    ahead, aside = signs(), signs(eyeLookOutLeft=0.3, eyeLookDownLeft=0.4, eyeLookOutRight=0.1)
    assert gaze_difference(ahead, aside) == gaze_difference(aside, ahead) == pytest.approx((0.5 + 0.1) / 2)
    assert gaze_difference(signs(movement3=1.0), signs()) == 0.0
    wide = signs(eyeLookOutLeft=1.0, eyeLookInRight=1.0)
    assert gaze_difference(wide, signs(eyeLookInLeft=1.0, eyeLookOutRight=1.0)) == pytest.approx(2.0)


# ---- pose ----------------------------------------------------------------------------------------------------------------------


def turned(axis: int, angle_deg: float) -> npt.NDArray[np.float64]:
    """A turn about x, y or z by the right hand's rule, (4, 4), with a shift that must not matter."""
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(4)
    matrix[[first, second], [first, second]] = cos
    matrix[first, second], matrix[second, first] = -sin, sin
    matrix[:3, 3] = (3.0, -2.0, -40.0)
    return matrix


@pytest.mark.parametrize("angle_deg", [-50.0, -10.0, 0.0, 25.0])
def test_a_turn_about_one_axis_is_its_angle(angle_deg: float) -> None:
    # x right, y up, z towards the camera: about y the nose goes right, about x down, about z the head turns against the clock.
    assert pose_of(turned(1, angle_deg)) == pytest.approx((angle_deg, 0, 0), abs=1e-9)
    assert pose_of(turned(0, angle_deg)) == pytest.approx((0, angle_deg, 0), abs=1e-9)
    assert pose_of(turned(2, angle_deg)) == pytest.approx((0, 0, -angle_deg), abs=1e-9)
    assert pose_of(np.diag([2.0, 2.0, 2.0, 1.0]) @ turned(1, angle_deg)) == pytest.approx((angle_deg, 0, 0), abs=1e-9)


def test_no_matrix_of_another_shape() -> None:
    with pytest.raises(ShapeError, match="4 expected"):
        pose_of(np.eye(4)[:3])


# ---- the critic with a stand-in ------------------------------------------------------------------------------------------------


@dataclass
class Landmarker:
    """Finds the faces it was given, and keeps what it saw."""

    faces: list[dict[str, float]]
    matrices: list[npt.NDArray[np.float64]]
    seen: npt.NDArray[np.uint8] | None = None
    closed: bool = False

    def detect(self, image: npt.NDArray[np.uint8]) -> SimpleNamespace:
        self.seen = image
        rows = [[SimpleNamespace(category_name=name, score=score) for name, score in face.items()] for face in self.faces]
        return SimpleNamespace(face_blendshapes=rows, facial_transformation_matrixes=self.matrices)

    def close(self) -> None:
        self.closed = True


def critic(*faces: dict[str, float], matrices: list[npt.NDArray[np.float64]] | None = None) -> tuple[Blendshapes, Landmarker]:
    landmarker = Landmarker(list(faces), matrices or [])
    return Blendshapes(landmarker, lambda rgb_u8: rgb_u8), landmarker


PHOTO_U8 = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_the_first_face_is_described() -> None:
    known = dict.fromkeys(NAMES, 0.25) | {"eyeLookUpLeft": 0.75}
    described = critic(known, dict.fromkeys(NAMES, 1.0), matrices=[turned(1, 30.0)])[0].describe(PHOTO_U8)
    assert described is not None
    assert described.scores == known
    assert described.pose == pytest.approx((30, 0, 0), abs=1e-9)
    np.testing.assert_allclose(described.gaze, [[0, 0], [0, -0.5]])
    without = critic(known)[0].describe(PHOTO_U8)
    assert without is not None
    assert without.pose is None


def test_no_face_is_none() -> None:
    assert critic()[0].describe(PHOTO_U8) is None


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((20, 10, 30, 20), (4, 26), (14, 36)),
        ((0, 0, 20, 10), (0, 16), (0, 32)),
        ((-5, -9, 70, 60), (0, 40), (0, 60)),
        ((100, 10, 110, 20), (0, 40), (0, 60)),  # beyond the photo: all of it
    ],
)
def test_a_box_is_seen_with_its_surroundings(box: tuple[float, ...], rows: tuple[int, int], columns: tuple[int, int]) -> None:
    blend, landmarker = critic()
    blend.describe(PHOTO_U8, box)  # type: ignore[arg-type]
    assert landmarker.seen is not None
    assert np.array_equal(landmarker.seen, PHOTO_U8[slice(*rows), slice(*columns)])
    assert landmarker.seen.flags.c_contiguous
    blend.describe(PHOTO_U8)
    assert np.array_equal(landmarker.seen, PHOTO_U8)


def test_it_is_closed_behind_a_with() -> None:
    blend, landmarker = critic()
    with blend as same:
        assert same is blend
        assert not landmarker.closed
    assert landmarker.closed


def test_wrong_pictures_are_refused() -> None:
    blend = critic()[0]
    with pytest.raises(ShapeError, match="rgb_u8 must be"):
        blend.describe(PHOTO_U8[..., 0])
    with pytest.raises(ShapeError, match="at least one pixel"):
        blend.describe(PHOTO_U8[:0])
    with pytest.raises(SettingsError, match="uint8, got float64"):
        blend.describe(PHOTO_U8 / 255)  # type: ignore[arg-type]


# ---- what is missing -----------------------------------------------------------------------------------------------------------


def test_without_the_extra_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'stylswap[mediapipe]'" in (Blendshapes.why_not() or "")
    with pytest.raises(UsageError, match="an extra library"):
        Blendshapes.load()


def test_without_the_file_the_reason_says_how_to_fetch_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv("STYLSWAP_HOME", str(tmp_path))
    assert "stylswap weights fetch face-landmarker" in (Blendshapes.why_not() or "")
    with pytest.raises(UsageError, match="face-landmarker"):
        Blendshapes.load()


def test_with_both_there_is_no_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(blendshapes, "weights_path", lambda name: tmp_path / name)
    assert Blendshapes.why_not() is None


@pytest.mark.parametrize("fault", [None, RuntimeError("not a zip archive")])
def test_mediapipe_is_asked_for_blendshapes_and_poses(fault: Exception | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "face_landmarker.task"
    path.write_bytes(b"the model")
    asked: dict[str, Any] = {}

    def create(options: dict[str, Any]) -> Landmarker:
        asked.update(options)
        if fault is not None:
            raise fault
        return Landmarker([], [])

    vision = SimpleNamespace(FaceLandmarkerOptions=dict, FaceLandmarker=SimpleNamespace(create_from_options=create))
    modules = {
        "mediapipe": SimpleNamespace(Image=lambda image_format, data: data, ImageFormat=SimpleNamespace(SRGB="srgb"), __version__="1.2.2"),
        "mediapipe.tasks.python": SimpleNamespace(vision=vision, BaseOptions=dict),
    }
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(importlib, "import_module", modules.__getitem__)
    monkeypatch.setattr(blendshapes, "weights_path", lambda name: path)
    if fault is not None:
        with pytest.raises(UsageError, match=r"MediaPipe 1\.2\.2 cannot run its model: not a zip"):
            Blendshapes.load()
        return
    assert Blendshapes.load().describe(PHOTO_U8) is None
    assert asked == {
        "base_options": {"model_asset_buffer": b"the model"},
        "output_face_blendshapes": True,
        "output_facial_transformation_matrixes": True,
        "num_faces": 1,
    }


# ---- MediaPipe itself ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mediapipe() -> Iterator[Blendshapes]:
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("the extra stylswap[mediapipe] is not installed")
    path = os.environ.get("STYLSWAP_FACE_LANDMARKER")
    if not path:
        pytest.skip("STYLSWAP_FACE_LANDMARKER does not name face_landmarker.task")
    try:
        weights.fetch_weights("face-landmarker", artefact=Path(path))
    except WeightsFileError as error:
        pytest.fail(str(error))
    with Blendshapes.load() as blend:
        yield blend


def test_mediapipe_describes_a_face(mediapipe: Blendshapes, photo_u8: npt.NDArray[np.uint8], face: Face) -> None:
    whole, boxed = mediapipe.describe(photo_u8), mediapipe.describe(photo_u8, face.box)
    assert whole is not None
    assert boxed is not None
    assert len(boxed.scores) == NUM_MOVEMENTS + 1
    assert set(EYES) | {NEUTRAL} <= set(boxed.scores)
    assert blendshape_difference(whole, boxed) < 0.02
    assert boxed.pose == pytest.approx(head_pose(face.landmarks), abs=8.0)
    assert mediapipe.describe(np.zeros_like(photo_u8)) is None


def test_mediapipe_sees_a_mirrored_face_mirrored(mediapipe: Blendshapes, photo_u8: npt.NDArray[np.uint8]) -> None:
    there, mirrored = mediapipe.describe(photo_u8), mediapipe.describe(photo_u8[:, ::-1])
    assert there is not None
    assert mirrored is not None
    assert mirrored.pose == pytest.approx(np.array(there.pose) * [-1, 1, -1], abs=3.0)
    assert np.abs(mirrored.gaze[::-1] * [-1, 1] - there.gaze).mean() < 0.3
