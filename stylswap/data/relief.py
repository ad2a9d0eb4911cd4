"""A face-shaped height field from the 68 landmarks: a stand-in for the depth that a photo does not hold.

Convention:
    x to the right of the picture, y down, z towards the camera. Heights are in pixels of the grid they are given on, so that slopes are
    true; normals are unit vectors. The field is that of a head which looks into the camera, moved to where the landmarks are.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.faces.landmarks import JAW, LEFT_EYE, RIGHT_EYE
from stylswap.shapes import check_shapes

# Half-depth of the head, and how far the parts stand out of it, as shares of the half-width of the face. The figures are drawn after
# frontal and side views of an average head; no person was measured.
HEAD_DEPTH: Final = 0.95
BROW, CHEEK, LIP, CHIN, NOSTRIL, EYEBALL = 0.05, 0.05, 0.045, 0.07, 0.12, 0.035
SOCKET: Final = -0.13
NOSE_TOP, NOSE_TIP = 0.10, 0.40
RIDGE_SAMPLES: Final = 12


def face_height(landmarks: Tensor, size: int, side: int) -> Tensor:
    """Heights of faces: half an ellipsoid for the head, with nose, brows, eye sockets, eyeballs, cheeks, lips and chin on it.

    Args:
        landmarks: The 68 points in pixels of the crop, (B, 68, 2).
        size: S, side of the crop in pixels.
        side: G, side of the grid wanted; it covers the whole crop.

    Returns:
        (B, G, G), in pixels of the grid; 0 far beside the head.
    """
    check_shapes(landmarks=(landmarks, "B 68 2"))
    points = (landmarks + 0.5) * (side / size) - 0.5  # in the grid's pixels
    unit = (points[:, JAW[-1], 0] - points[:, JAW[0], 0]).clamp_min(side * 0.2) / 2  # half-width, (B,)
    ys, xs = torch.meshgrid(torch.arange(side, dtype=points.dtype), torch.arange(side, dtype=points.dtype), indexing="ij")
    grid = torch.stack([xs, ys], dim=-1)  # (G, G, 2)
    height = _head(points, unit, grid) + _nose(points, unit, grid) + _parts(points, unit, grid)
    reach = max(side // 48, 1)
    smooth = F.avg_pool2d(height.clamp_min(0.0)[:, None], 2 * reach + 1, stride=1, padding=reach, count_include_pad=False)[:, 0]
    return smooth * unit[:, None, None]


def normals(height: Tensor) -> Tensor:
    """Unit normals of a height field, (B, G, G) -> (B, 3, G, G), z towards the camera."""
    slope_y, slope_x = torch.gradient(height, dim=(1, 2))
    normal = torch.stack([-slope_x, -slope_y, torch.ones_like(height)], dim=1)
    return F.normalize(normal, dim=1)


def _head(points: Tensor, unit: Tensor, grid: Tensor) -> Tensor:
    """Height of the head alone in half-widths, (B, G, G)."""
    chin, bridge = points[:, 8], points[:, 27]
    across = (points[:, JAW[0]] + points[:, JAW[-1]]) / 2
    # The crown lies as far above the bridge of the nose as the chin below it.
    half_height = (chin[:, 1] - bridge[:, 1]).clamp_min(1.0) * 1.06
    centre = torch.stack([0.5 * (across[:, 0] + points[:, 30, 0]), bridge[:, 1]], dim=-1)  # the nose leads where the head turns
    dx = (grid[..., 0] - centre[:, None, None, 0]) / (1.06 * unit[:, None, None])
    dy = (grid[..., 1] - centre[:, None, None, 1]) / half_height[:, None, None]
    narrow = 1.0 + 0.28 * dy.clamp(0.0, 1.0) ** 2  # towards the chin
    inside = 1.0 - (dx * narrow).abs() ** 2.3 - dy.abs() ** 2.4
    return HEAD_DEPTH * inside.clamp_min(0.0).add(1e-4).sqrt()


def _nose(points: Tensor, unit: Tensor, grid: Tensor) -> Tensor:
    """A ridge that rises and widens from the bridge to the tip and ends below it, (B, G, G)."""
    along = torch.linspace(0.0, 1.0, RIDGE_SAMPLES)
    top, tip = points[:, 27], points[:, 30]
    ridge = top[:, None] + along[None, :, None] * (tip - top)[:, None]  # (B, R, 2)
    rise = NOSE_TOP + (NOSE_TIP - NOSE_TOP) * along**1.3
    width = 0.085 + 0.055 * along
    hills = _hill(ridge, width.expand(len(points), -1), unit, grid) * rise[None, :, None, None]
    wings = _hill(points[:, [31, 35]], torch.full((len(points), 2), 0.07), unit, grid) * NOSTRIL
    return hills.amax(dim=1) + wings.amax(dim=1)


def _parts(points: Tensor, unit: Tensor, grid: Tensor) -> Tensor:
    """Everything that is soft: sums of hills and hollows, (B, G, G)."""
    eyes = torch.stack([points[:, LEFT_EYE].mean(dim=1), points[:, RIGHT_EYE].mean(dim=1)], dim=1)
    corners = points[:, [48, 54]]
    outer = points[:, [36, 45]]
    cheeks = 0.62 * outer + 0.38 * corners + torch.tensor([[-0.02, 0.0], [0.02, 0.0]]) * unit[:, None, None]
    upper, lower = _dense(points[:, [49, 50, 51, 52, 53]]), _dense(points[:, [55, 56, 57, 58, 59]])
    mouth = _dense(_dense(points[:, [48, 60, 62, 64, 54]]))
    chin = (0.78 * points[:, 8] + 0.22 * points[:, 57])[:, None]
    crease = (0.35 * points[:, 8] + 0.65 * points[:, 57])[:, None]
    brows = torch.cat([_dense(points[:, 17:22]), _dense(points[:, 22:27])], dim=1)
    inner = points[:, [39, 42]] * 0.75 + points[:, 27:28] * 0.25  # beside the bridge of the nose
    groups = (
        (eyes, 0.20, SOCKET), (inner, 0.10, SOCKET * 0.5), (eyes, 0.11, EYEBALL), (brows, 0.10, BROW),
        (cheeks, 0.24, CHEEK), (upper, 0.06, LIP), (lower, 0.07, LIP), (mouth, 0.045, -0.4 * LIP), (chin, 0.16, CHIN),
        (crease, 0.08, -0.6 * LIP),
    )  # fmt: skip
    total = torch.zeros(len(points), grid.shape[0], grid.shape[1])
    for where, width, rise in groups:
        hills = _hill(where, torch.full(where.shape[:2], width), unit, grid)
        total = total + rise * hills.amax(dim=1)  # the highest of a row of hills is a ridge
    return total


def _dense(line: Tensor) -> Tensor:
    """A line of points with one more between each two, so that its hills are one ridge: (B, K, 2) -> (B, 2K - 1, 2)."""
    between = (line[:, :-1] + line[:, 1:]) / 2
    return torch.cat([torch.stack([line[:, :-1], between], dim=2).flatten(1, 2), line[:, -1:]], dim=1)


def _hill(centres: Tensor, width: Tensor, unit: Tensor, grid: Tensor) -> Tensor:
    """Gaussian hills of height 1 at centres (B, K, 2), with widths (B, K) in half-widths: (B, K, G, G)."""
    sigma = (width * unit[:, None])[..., None, None]
    across = (grid[..., 0] - centres[..., 0, None, None]) / sigma
    down = (grid[..., 1] - centres[..., 1, None, None]) / sigma
    return torch.exp(-0.5 * (across.square() + down.square()))
