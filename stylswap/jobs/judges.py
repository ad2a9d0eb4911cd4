"""Whoever looks at a face before and after a swap: recognisers, landmarks, light, the picture itself.

All look at the same square of the photo, cut by the input's own landmarks, whatever the identity's network was trained with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.config import PrepareSettings, Settings
from stylswap.data.faceset import FaceSet
from stylswap.data.prepare import cut_crop
from stylswap.errors import FaceSetError, StylswapError
from stylswap.faces.align import crop_from_photo, inverse, reference_shape, scale_of, transform_points, warp
from stylswap.faces.batch import Face
from stylswap.faces.detect import FaceDetector
from stylswap.features.blendshapes import Blendshapes, FaceSigns, blendshape_difference, gaze_difference
from stylswap.features.identity import FaceDescriptor
from stylswap.features.lpips import WEIGHTS_NAME as LPIPS
from stylswap.features.lpips import Perceptual
from stylswap.features.recogniser import Recogniser
from stylswap.identity_file import IdentityFile
from stylswap.jobs.look import VIEW_PX, Look, OwnPhotos
from stylswap.jobs.pixels import pixels_u8
from stylswap.jobs.prepare import prepare_identity
from stylswap.metrics.expression import expression_error, landmark_error
from stylswap.metrics.identity import cosine, mean_direction, own_cosines
from stylswap.metrics.light import luminance_correlation, sh_error
from stylswap.metrics.picture import sharpness_ratio
from stylswap.metrics.pose import pose_error_deg
from stylswap.photo import Photo
from stylswap.weights import weights_path

FloatArray = npt.NDArray[np.float64]
Looked = Mapping[str, float]
"""Figures of one face by column key, see `stylswap.jobs.figure_columns`; NaN or absent where not measured."""

DLIB: Final = "dlib"
SFACE: Final = "sface"
FACERES: Final = "faceres"
# How an identity's own photos are cut, for what they are like: the same square, by the same rule. Few are enough to compare with.
_OWN: Final = Settings(size=VIEW_PX, prepare=PrepareSettings(min_photos=2, few_photos=20))


@dataclass(frozen=True, eq=False)
class Judges:
    """All who are there.

    Attributes:
        recognisers: By name; dlib's descriptor is always there besides.
        perceptual: LPIPS, or None.
        blendshapes: MediaPipe, or None.
        absent: Why somebody is missing, a sentence each.
    """

    recognisers: Mapping[str, Recogniser] = field(default_factory=dict)
    perceptual: Perceptual | None = None
    blendshapes: Blendshapes | None = None
    absent: tuple[str, ...] = ()
    detector: FaceDetector = field(default_factory=FaceDetector)
    descriptor: FaceDescriptor = field(default_factory=FaceDescriptor)

    @classmethod
    def load(cls, *, device: torch.device | str = "cpu") -> Judges:
        """Everybody whose weights ship or have been fetched."""
        absent: list[str] = []

        def there(what: str, load: Callable[[], Any]) -> Any:
            try:
                return load()
            except StylswapError as error:
                absent.append(f"{what}: {error}")
                return None

        recognisers = {
            SFACE: there("Identity by an ArcFace-class recogniser was not measured", lambda: Recogniser.load(SFACE, device=device)),
            FACERES: there("Identity by a recogniser of another family was not measured", lambda: Recogniser.load(FACERES, device=device)),
        }
        perceptual = there("LPIPS outside the face was not measured", lambda: Perceptual.load(device=device))
        blendshapes = there("Blendshapes and gaze were not measured", Blendshapes.load)
        found = {name: recogniser for name, recogniser in recognisers.items() if recogniser is not None}
        return cls(found, perceptual, blendshapes, tuple(absent))

    @staticmethod
    def present() -> tuple[str, ...]:
        """The names of those that `load` would find; what is measured depends on them."""

        def is_there(name: str) -> bool:
            try:
                weights_path(name)
            except StylswapError:
                return False
            return True

        fetched = tuple(name for name in (SFACE, FACERES, LPIPS) if is_there(name))
        return (DLIB, *fetched, *(("blendshapes",) if Blendshapes.why_not() is None else ()))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the recognisers."""
        return (DLIB, *self.recognisers)

    def look(self, photo: Photo, face: Face, *, again: bool = True) -> Look:
        """Look at one face.

        Args:
            photo: Before or after a swap.
            face: Where it was before. The square comes from its landmarks.
            again: Find the landmarks anew, inside the same box: another detection would move the box and with it the points. False takes
                the face's own.
        """
        landmarks = self.detector.landmarks_in(photo.rgb_u8(), face).landmarks if again else face.landmarks
        matrix = _view_from_photo(face)
        return self.look_at(cut_crop(photo, matrix, VIEW_PX), transform_points(matrix, landmarks), landmarks)

    def look_at_output(self, output: Tensor, crop_from_photo_: FloatArray, face: Face) -> Look:
        """Look at a network's bare crop, as if the whole crop were the photo.

        Args:
            output: (3, S, S) in [0, 1].
            crop_from_photo_: (3, 3), of the output's side.
            face: Where it was before.
        """
        view_from_photo = _view_from_photo(face)
        view = warp(output, view_from_photo @ inverse(crop_from_photo_), (VIEW_PX, VIEW_PX), mode="bicubic").clamp(0, 1)
        points = transform_points(view_from_photo, face.landmarks)
        inside = Face(points, _box_in_view(face, view_from_photo), face.score, face.detector)
        found = self.detector.landmarks_in(pixels_u8(view), inside).landmarks
        return self.look_at(view, found, transform_points(inverse(view_from_photo), found))

    def look_at(self, view: Tensor, points: FloatArray, landmarks: FloatArray | None = None) -> Look:
        """Look at a square that was cut already.

        Args:
            view: (3, V, V) in [0, 1].
            points: Landmarks in it, (68, 2).
            landmarks: In the photo, (68, 2); None: the square is the photo.
        """
        view_u8 = pixels_u8(view)
        bounds = (*points.min(axis=0), *points.max(axis=0))
        face = Face(points, (bounds[0], bounds[1], bounds[2], bounds[3]), 1.0, "landmarks")
        embeddings = {DLIB: self.descriptor.describe(view_u8, face)}
        for name, recogniser in self.recognisers.items():
            device = next(recogniser.parameters()).device
            with torch.inference_mode():
                features = recogniser(view[None].to(device), torch.from_numpy(points).float()[None].to(device))
            embeddings[name] = features[0].cpu().double().numpy()
        signs = self.blendshapes.describe(view_u8) if self.blendshapes is not None else None
        return Look(points if landmarks is None else landmarks, view, points, embeddings, signs)

    def own_photos(self, folder: Path) -> OwnPhotos:
        """Look at an identity's own photos.

        Args:
            folder: Photos of one person; strangers among them are left out as in training.

        Raises:
            FaceSetError: If there are fewer than two usable ones.
        """
        faces, _ = prepare_identity(folder, _OWN)
        looks = [self.look_at(image, points) for image, points in _rows(faces)]
        by_name = {name: np.stack([look.embeddings[name] for look in looks]) for name in self.names}
        return OwnPhotos(
            {name: mean_direction(embeddings) for name, embeddings in by_name.items()},
            {name: float(own_cosines(embeddings).mean()) for name, embeddings in by_name.items()},
            by_name[DLIB].mean(axis=0),
            [look.sharpness for look in looks],
            [look.view for look in looks[:: max(len(looks) // 5, 1)][:5]],
        )

    def compare(self, before: Look, after: Look, own: OwnPhotos) -> dict[str, float]:
        """All figures of one face that need no more than two looks; see `stylswap.jobs.figure_columns` for what they mean."""
        figures = {f"{DLIB}_distance": float(np.linalg.norm(after.embeddings[DLIB] - own.descriptor))}
        for name in self.names:
            figures[name] = float(cosine(after.embeddings[name], own.means[name]))
            figures[f"{name}_share"] = figures[name] / own.own[name]
            figures[f"{name}_residual"] = float(cosine(after.embeddings[name], before.embeddings[name]))
        landmarks, expression = landmark_error(before.landmarks, after.landmarks), expression_error(before.landmarks, after.landmarks)
        figures |= {"inner": landmarks.inner, "mouth": landmarks.mouth}
        figures |= {"expression": expression.all, "expression_mouth": expression.mouth}
        figures |= {"expression_eyes": expression.eyes, "expression_brows": expression.brows}
        figures["pose_deg"] = pose_error_deg(before.pose, after.pose).angle_deg
        figures["light"] = luminance_correlation(before.view, after.view, before.mask)
        figures["harmonics"] = float(sh_error(before.light, before.light_of(after.view)))
        ratio = sharpness_ratio(after.sharpness, own.sharpness)
        figures["sharpness"] = float("nan") if ratio is None else ratio
        figures |= self._signs(before.signs, after.signs)
        return figures

    def perceptual_outside(self, before: Look, after: Look) -> float:
        """LPIPS outside `Look.mask`, at half the view's side; NaN where it is absent."""
        if self.perceptual is None:
            return float("nan")
        small = [F.interpolate(image[None], scale_factor=0.5, mode="area") for image in (before.view, after.view, 1 - before.mask)]
        device = next(self.perceptual.buffers()).device
        with torch.inference_mode():
            return float(self.perceptual(*(image.to(device) for image in small))[0])

    @staticmethod
    def _signs(before: FaceSigns | None, after: FaceSigns | None) -> dict[str, float]:
        if before is None or after is None:
            return {}
        return {"blendshapes": blendshape_difference(before, after), "gaze": gaze_difference(before, after)}


def mean_descriptor(identity: IdentityFile) -> FloatArray:
    """The mean of dlib's descriptors of the identity's photos, (128,).

    Raises:
        FaceSetError: If the file does not hold it.
    """
    mean = identity.data.get("identity", {}).get("mean_descriptor")
    if mean is None:
        raise FaceSetError("the identity file holds no mean descriptor; train it again with this version")
    return np.asarray(mean, dtype=np.float64)


def _view_from_photo(face: Face) -> FloatArray:
    return crop_from_photo(face.landmarks, reference_shape(VIEW_PX), model="similarity", points="inner")


def _box_in_view(face: Face, view_from_photo: FloatArray) -> tuple[float, float, float, float]:
    """The detector's box, moved and scaled but not turned: the landmark predictor wants it upright, and the view is."""
    left, top, right, bottom = face.box
    ((x, y),) = transform_points(view_from_photo, np.array([[(left + right) / 2, (top + bottom) / 2]]))
    half_width, half_height = (scale_of(view_from_photo) * side / 2 for side in (right - left, bottom - top))
    return x - half_width, y - half_height, x + half_width, y + half_height


def _rows(faces: FaceSet) -> list[tuple[Tensor, FloatArray]]:
    batches = [faces.faces([row]) for row in range(len(faces))]
    return [(batch.images[0], batch.landmarks[0].double().numpy()) for batch in batches]
