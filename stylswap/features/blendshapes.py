"""What a face does: 52 movements of brows, eyes, mouth, the direction of the gaze, the pose of the head.

A frozen critic that belongs to MediaPipe, the extra `stylswap[mediapipe]`; its model is fetched by `stylswap weights fetch
face-landmarker`. It has nothing to do with the 68 landmarks that the swap itself works with, so it is a judge of its own.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from stylswap.errors import SettingsError, ShapeError, UsageError, WeightsFileError
from stylswap.faces.landmarks import Pose
from stylswap.shapes import check_shapes
from stylswap.weights import weights_path

WEIGHTS_NAME: Final = "face-landmarker"
NEUTRAL: Final = "_neutral"
"""The one of the 52 names that is no movement."""
NUM_MOVEMENTS: Final = 51

FloatArray = npt.NDArray[np.float64]

_AROUND: Final = 0.6  # of the face's box, on each side: the model's own detector wants to see the whole head


@dataclass(frozen=True, eq=False)
class FaceSigns:
    """What one face does.

    Attributes:
        scores: Names of MediaPipe (and ARKit) -> how far each movement goes, in [0, 1]. In the names, left is the person's left.
        pose: Of the head, in degrees; its signs are those of `stylswap.faces.landmarks.head_pose`. None where the model gave none.
    """

    scores: Mapping[str, float]
    pose: Pose | None = None

    @property
    def gaze(self) -> FloatArray:
        """Where the eyes look from the head, (2, 2): the eye on the left side of the picture, then the other; x, y.

        x is positive towards the right side of the picture, y positive down; 1 is as far as an eye turns, 0 straight out of the head. A
        closed eye counts as looking down.
        """
        # The eye on the left side of the picture is the person's right; its nose is to the right.
        return np.array(
            [
                [self._between("eyeLookInRight", "eyeLookOutRight"), self._between("eyeLookDownRight", "eyeLookUpRight")],
                [self._between("eyeLookOutLeft", "eyeLookInLeft"), self._between("eyeLookDownLeft", "eyeLookUpLeft")],
            ]
        )

    def _between(self, there: str, back: str) -> float:
        return self.scores[there] - self.scores[back]


def blendshape_difference(a: FaceSigns, b: FaceSigns) -> float:
    """Mean absolute difference of the 51 movements, in [0, 1]; 0 for the same expression.

    Raises:
        ShapeError: If the two do not have the same 51 names.
    """
    names = sorted(set(a.scores) - {NEUTRAL})
    if len(names) != NUM_MOVEMENTS or set(names) != set(b.scores) - {NEUTRAL}:
        found = f"{len(names)} and {len(set(b.scores) - {NEUTRAL})}"
        raise ShapeError(f"both faces must have the same {NUM_MOVEMENTS} movements, got {found}")
    return float(np.mean([abs(a.scores[name] - b.scores[name]) for name in names]))


def gaze_difference(a: FaceSigns, b: FaceSigns) -> float:
    """How far apart two gazes are, mean of both eyes: 0 for the same, about 1 from straight ahead to as far as an eye turns.

    It is the gaze out of the head: compare it where the heads have the same pose. Measured: a box that is some pixels off moves it by 0.02,
    photos of different people differ by 0.36; but a mirrored picture differs from itself by 0.23, because the model leans to one side.
    """
    return float(np.linalg.norm(a.gaze - b.gaze, axis=1).mean())


class Blendshapes:
    """MediaPipe's face landmarker: `with Blendshapes.load() as blendshapes`. Not to be used by several threads at once.

    Its library writes some lines about itself to the terminal when it starts.

    Args:
        landmarker: What has `detect` and `close` as MediaPipe's `FaceLandmarker` has.
        as_image: Makes its image of (H, W, 3) uint8 RGB.
    """

    def __init__(self, landmarker: Any, as_image: Any) -> None:
        self._landmarker, self._as_image = landmarker, as_image

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let MediaPipe's threads go; while Python goes down they can no longer, and complain. It describes nothing afterwards."""
        self._landmarker.close()

    @staticmethod
    def why_not() -> str | None:
        """Why there are no blendshapes on this machine, and what to do; None where there are."""
        if importlib.util.find_spec("mediapipe") is None:
            return "Blendshapes need an extra library: pip install 'stylswap[mediapipe]'"
        try:
            weights_path(WEIGHTS_NAME)
        except WeightsFileError as error:
            return str(error)
        return None

    @classmethod
    def load(cls) -> Blendshapes:
        """With the model that was fetched.

        Raises:
            UsageError: If MediaPipe or the model's file is not there, or they do not fit together; see `why_not`.
        """
        if reason := cls.why_not():
            raise UsageError(reason)
        try:
            mediapipe: Any = importlib.import_module("mediapipe")
            tasks: Any = importlib.import_module("mediapipe.tasks.python")
        except (ImportError, OSError) as error:  # for instance a system library that it wants
            raise UsageError(f"MediaPipe is installed, but cannot be loaded: {error}") from error
        vision = tasks.vision
        options = vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_buffer=weights_path(WEIGHTS_NAME).read_bytes()),
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
            num_faces=1,
        )
        try:
            landmarker = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"MediaPipe {mediapipe.__version__} cannot run its model: {error}") from error
        return cls(landmarker, lambda rgb_u8: mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb_u8))

    def describe(self, rgb_u8: npt.NDArray[np.uint8], box: tuple[float, float, float, float] | None = None) -> FaceSigns | None:
        """What a face does.

        Args:
            rgb_u8: An upright photo, or a crop with the whole head, (H, W, 3) uint8 RGB.
            box: The face's left, top, right, bottom in pixels, of which the surroundings are looked at. None: the whole picture, of which
                the face should be a fifth of the width or more.

        Returns:
            The clearest face; None where MediaPipe finds none.

        Raises:
            ShapeError: If the picture has another shape or no pixel.
            SettingsError: If it is not of 8 bits.
        """
        sizes = check_shapes(rgb_u8=(rgb_u8, "H W 3"))
        if rgb_u8.dtype != np.uint8:
            raise SettingsError(f"rgb_u8 must be uint8, got {rgb_u8.dtype}")
        if 0 in sizes.values():
            raise ShapeError(f"a face needs at least one pixel, rgb_u8 is {rgb_u8.shape}")
        region_u8 = rgb_u8 if box is None else _around(rgb_u8, box)
        found = self._landmarker.detect(self._as_image(np.ascontiguousarray(region_u8)))
        if not found.face_blendshapes:
            return None
        scores = {category.category_name: float(category.score) for category in found.face_blendshapes[0]}
        matrices = found.facial_transformation_matrixes
        return FaceSigns(scores, pose_of(np.asarray(matrices[0], dtype=np.float64)) if matrices else None)


def pose_of(head_to_camera: FloatArray) -> Pose:
    """The pose in MediaPipe's matrix, whose x points right, y up, and z towards the camera.

    Args:
        head_to_camera: (4, 4), a rotation, perhaps scaled, and a shift.
    """
    check_shapes(head_to_camera=(head_to_camera, "4 4"))
    across, _, nose = (head_to_camera[:3, axis] / np.linalg.norm(head_to_camera[:3, axis]) for axis in range(3))
    yaw_deg = np.degrees(np.arctan2(nose[0], nose[2]))
    pitch_deg = np.degrees(np.arcsin(np.clip(-nose[1], -1.0, 1.0)))
    roll_deg = np.degrees(np.arctan2(-across[1], across[0]))
    return Pose(float(yaw_deg), float(pitch_deg), float(roll_deg))


def _around(photo_u8: npt.NDArray[np.uint8], box: tuple[float, float, float, float]) -> npt.NDArray[np.uint8]:
    """The photo around a box, cut at its borders, (h, w, 3); the whole photo where the box lies beyond it."""
    left, top, right, bottom = box
    across, down = _AROUND * (right - left), _AROUND * (bottom - top)
    rows = slice(max(round(top - down), 0), max(round(bottom + down), 0))
    columns = slice(max(round(left - across), 0), max(round(right + across), 0))
    region_u8 = photo_u8[rows, columns]
    return region_u8 if region_u8.size else photo_u8
