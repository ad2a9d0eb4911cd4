"""The warp engine: the classical swap, without training.

The identity's photo whose aligned landmarks are nearest is bent onto the input's landmarks, triangle by triangle. It brings the identity's
own pixels, and with them the light and whatever else that one photo shows: the row that every trained engine has to be better than.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.interpolate import LinearNDInterpolator
from torch import Tensor

from stylswap.data.faceset import FaceSet
from stylswap.engines.rendering import Rendered
from stylswap.errors import SettingsError
from stylswap.faces.align import crop_from_photo, grid_from_pixels, transform_points
from stylswap.faces.batch import FaceBatch
from stylswap.faces.landmarks import EYES, JAW, MOUTH, NUM_LANDMARKS
from stylswap.faces.segment import LandmarkSegmenter, face_outline
from stylswap.losses.style import choose_style_faces
from stylswap.shapes import check_shapes

FloatArray = npt.NDArray[np.float64]

# The top of the area that is pasted, which the 68 points do not reach.
FOREHEAD: Final = LandmarkSegmenter().forehead
MOUTH_WEIGHT: Final = 4.0
EYES_WEIGHT: Final = 2.0
JAW_WEIGHT: Final = 0.5


def default_point_weights() -> tuple[float, ...]:
    """Weight of each of the 68 points in the choice of a photo, (68,).

    As in training: weighed alike, head pose decides alone, and an open mouth is bent out of a closed one.
    """
    weights = np.ones(NUM_LANDMARKS)
    weights[MOUTH], weights[EYES], weights[JAW] = MOUTH_WEIGHT, EYES_WEIGHT, JAW_WEIGHT
    return tuple(weights.tolist())


class WarpRenderer:
    """Photos of an identity in use; see the module."""

    def __init__(self, identity: FaceSet, *, point_weights: Sequence[float] | None = None) -> None:
        """Keep the photos.

        Args:
            identity: The identity's photos; their mirror images are used too.
            point_weights: Of the 68 points in the choice of a photo, (68,); None takes `default_point_weights`.
        """
        self._identity = identity
        self._landmarks = identity.all_landmarks  # (2M, 68, 2)
        self._point_weights = torch.tensor(default_point_weights() if point_weights is None else tuple(point_weights))

    def nearest_rows(self, landmarks: Tensor) -> list[int]:
        """The row of the identity for each input, from M on mirrored.

        Args:
            landmarks: Of the inputs in their crops, (B, 68, 2).
        """
        chosen = choose_style_faces(landmarks.cpu().float(), self._landmarks, 1, point_weights=self._point_weights)
        rows: list[int] = chosen[:, 0].tolist()
        return rows

    @torch.inference_mode()
    def render(self, faces: FaceBatch) -> Rendered:
        """Put the identity's nearest photo onto each input's landmarks.

        Raises:
            SettingsError: If the crops are of another size than the identity's photos.
            ShapeError: If an input's landmarks lie on one line.
        """
        if faces.size != self._identity.size:
            raise SettingsError(f"inputs must be crops of {self._identity.size} px like the identity's photos, got {faces.size} px")
        photos = self._identity.faces(self.nearest_rows(faces.landmarks))
        images = [
            warp_face(image, own, wanted) for image, own, wanted in zip(photos.images, photos.landmarks, faces.landmarks.cpu(), strict=True)
        ]
        return Rendered(torch.stack(images).to(faces.images.device))


def warp_face(image: Tensor, landmarks: Tensor, wanted: Tensor) -> Tensor:
    """Bend a face so that its landmarks come to lie where they are wanted.

    Args:
        image: (3, S, S) in [0, 1].
        landmarks: In it, (68, 2).
        wanted: (68, 2).

    Returns:
        (3, S, S) in [0, 1]. Beyond the face, between its outline and the border, the image follows continuously.

    Raises:
        ShapeError: If the wanted landmarks lie on one line.
    """
    size = check_shapes(image=(image, "3 S S"), landmarks=(landmarks, "68 2"), wanted=(wanted, "68 2"))["S"]
    points = torch.from_numpy(image_from_output(landmarks.double().numpy(), wanted.double().numpy(), size)).to(image)
    grid = grid_from_pixels(points, size, size)
    return F.grid_sample(image[None], grid[None], mode="bicubic", padding_mode="border", align_corners=False)[0].clamp(0, 1)


def image_from_output(landmarks: FloatArray, wanted: FloatArray, size: int) -> FloatArray:
    """Where in the image each pixel of the output comes from: affine within each triangle of the wanted points' Delaunay triangulation.

    The points are the 68, an arc over the forehead that is drawn from them, and a frame around the crop that follows the face as one
    affine transform does.

    Args:
        landmarks: In the image, (68, 2).
        wanted: In the output, (68, 2).
        size: Side of the output in pixels, S.

    Returns:
        (S, S, 2), x then y.

    Raises:
        ShapeError: If the wanted landmarks lie on one line.
    """
    own, goal = (np.concatenate([points, face_outline(points, FOREHEAD)[len(JAW) :]]) for points in (landmarks, wanted))
    frame = _frame(goal, size)
    image_from_wanted = crop_from_photo(wanted, landmarks, model="affine", points="all")
    own, goal = np.concatenate([own, transform_points(image_from_wanted, frame)]), np.concatenate([goal, frame])
    x, y = np.meshgrid(np.arange(size, dtype=np.float64), np.arange(size, dtype=np.float64))
    return np.asarray(LinearNDInterpolator(goal, own)(x, y), dtype=np.float64)


def _frame(points: FloatArray, size: int) -> FloatArray:
    """Eight points on a square around the crop and all points, so far out that the bend fades slowly, (8, 2)."""
    low = min(float(points.min()), 0.0) - size / 4
    high = max(float(points.max()), size - 1.0) + size / 4
    middle = (low + high) / 2
    return np.array([[x, y] for x in (low, middle, high) for y in (low, middle, high) if (x, y) != (middle, middle)])
