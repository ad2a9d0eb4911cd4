"""Face masks in the crop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.faces.forehead import HeadFrame
from stylswap.faces.landmarks import BROWS, EYES, JAW, LEFT_EYE, MOUTH, RIGHT_EYE
from stylswap.shapes import check_shapes

FloatArray = npt.NDArray[np.float64]

_SUPERSAMPLING: Final = 4
_ARC_POINTS: Final = 15
_AROUND: Final = 0.05  # of the side: 6 px at 128, half the height of an eye and its lids


class Segmenter(Protocol):
    """Whatever says which pixels of a crop are face: landmarks here, face parsing later."""

    def segment(self, images: Tensor, landmarks: Tensor) -> Tensor:
        """Masks (B, 1, S, S) in [0, 1] for crops (B, 3, S, S) with landmarks (B, 68, 2)."""
        ...


@dataclass(frozen=True)
class LandmarkSegmenter:
    """The area inside jaw and forehead, from the landmarks alone.

    Attributes:
        forehead: Height of the forehead above the brows as a share of the distance from the brows to the bottom of the nose. The classical
            canon of proportions says 1.0 up to the hairline; less keeps clear of the hair.
        inset: How far the outline is drawn in towards its centre, as a share of its size; jaw points sit on the edge of the face, and
            an edge pixel is half background.
        softness: Standard deviation of the soft edge as a share of the crop's side; 0 for an anti-aliased hard edge.
    """

    forehead: float = 0.75
    inset: float = 0.0
    softness: float = 0.0

    def segment(self, images: Tensor, landmarks: Tensor) -> Tensor:
        """Masks (B, 1, S, S) in [0, 1] for crops (B, 3, S, S) with landmarks (B, 68, 2)."""
        check_shapes(images=(images, "B 3 S S"), landmarks=(landmarks, "B 68 2"))
        size = int(images.shape[-1])
        points = landmarks.detach().cpu().double().numpy()
        masks = np.stack([_fill(self._outline(face), size) for face in points])[:, None]
        mask = torch.from_numpy(masks.astype(np.float32)).to(images.device)
        return _soften(mask, self.softness * size) if self.softness > 0 else mask

    def _outline(self, landmarks: FloatArray) -> FloatArray:
        outline = face_outline(landmarks, self.forehead)
        centre = outline.mean(axis=0)
        return np.asarray(centre + (outline - centre) * (1.0 - self.inset))


# Without a face parser: up to where hair usually begins, and no further, since nobody says what is hair.
FACE_OUTLINE: Final = LandmarkSegmenter()
# Around a parser's mask: all that can be face, from chin to hairline. What is not, the parser leaves out.
WIDE_OUTLINE: Final = LandmarkSegmenter(forehead=1.2, inset=-0.1)


def feature_areas(landmarks: Tensor, size: int) -> Tensor:
    """Where mouth, eyes and brows are: what an expression moves.

    Args:
        landmarks: (B, 68, 2) in pixels of crops.
        size: Side of the crops in pixels, S; a multiple of 4.

    Returns:
        (B, 1, S/4, S/4) in [0, 1], 1 at a landmark, falling off over `_AROUND` of the side: enough for weights of cells.

    Raises:
        ShapeError: If there are not 68 points.
    """
    check_shapes(landmarks=(landmarks, "B 68 2"))
    points = landmarks.detach()[:, np.concatenate([MOUTH, EYES, BROWS])]  # (B, P, 2)
    centres = torch.arange(size // 4, dtype=points.dtype, device=points.device) * 4 + 1.5
    across = (centres - points[..., :1]).square()  # (B, P, S/4)
    down = (centres - points[..., 1:]).square()
    squares = (down[..., :, None] + across[..., None, :]).amin(dim=1, keepdim=True)  # (B, 1, S/4, S/4)
    return (-squares / (_AROUND * size) ** 2).exp()


def face_outline(landmarks: FloatArray, forehead: float) -> FloatArray:
    """The outline of the face, (P, 2): the jaw from ear to ear, then an arc over the forehead back again.

    Args:
        landmarks: (68, 2).
        forehead: See `LandmarkSegmenter`.
    """
    start, end = landmarks[JAW[-1]], landmarks[JAW[0]]
    brows, up = HeadFrame.of(landmarks)  # up is the way from the nose to the brows, so that the arc leans with the head
    eyes = (landmarks[LEFT_EYE].mean(axis=0) + landmarks[RIGHT_EYE].mean(axis=0)) / 2
    top = brows + forehead * up
    middle = (start + end) / 2
    height = float(np.dot(top - middle, up) / max(np.linalg.norm(up), 1e-6))
    direction = up / max(float(np.linalg.norm(up)), 1e-6)
    # The top of the arc lies over the point between eyes and ears' middle, which follows the head when it turns.
    lean = (eyes - middle) - np.dot(eyes - middle, direction) * direction
    angles = np.linspace(0.0, np.pi, _ARC_POINTS)[1:-1, None]
    arc = middle + (start - middle) * np.cos(angles) + (height * direction + 0.5 * lean) * np.sin(angles)
    return np.concatenate([landmarks[JAW], arc])


def _fill(outline: FloatArray, size: int) -> FloatArray:
    """The area inside an outline, (size, size) in [0, 1]: the share of 4 x 4 points of each pixel that lie inside."""
    fine = size * _SUPERSAMPLING
    x, y = ((outline[:, axis] + 0.5) * _SUPERSAMPLING - 0.5 for axis in (0, 1))
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    rows = np.arange(fine)[:, None]
    edge_row, edge = np.nonzero((y <= rows) != (next_y <= rows))  # where a row of points crosses an edge of the outline
    along = (edge_row - y[edge]) / (next_y[edge] - y[edge])
    crossing = np.ceil(x[edge] + along * (next_x[edge] - x[edge])).clip(0, fine).astype(int)
    # From each crossing to the right, inside and outside change places.
    changes = np.zeros((fine, fine + 1), dtype=np.int8)
    np.add.at(changes, (edge_row, crossing), 1)
    inside = (np.cumsum(changes[:, :-1], axis=1, dtype=np.int8) & 1).astype(np.float32)
    return np.asarray(inside.reshape(size, _SUPERSAMPLING, size, _SUPERSAMPLING).mean(axis=(1, 3)))


def _soften(mask: Tensor, sigma_px: float) -> Tensor:
    """Gaussian edge that stays inside the outline: the mask is drawn in by two sigma first, so that nothing outside is touched."""
    radius = max(round(2 * sigma_px), 1)
    inner = -F.max_pool2d(-mask, 2 * radius + 1, stride=1, padding=radius)
    offsets = torch.arange(-radius, radius + 1, dtype=mask.dtype, device=mask.device)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    rows = F.conv2d(inner, kernel.view(1, 1, -1, 1), padding=(radius, 0))
    return F.conv2d(rows, kernel.view(1, 1, 1, -1), padding=(0, radius))
