"""Is it still the photo's light? Spherical harmonics fitted to a face, its main light, and low-pass luminance.

Convention:
    Directions are those of `stylswap.data.relight`: azimuth positive towards the picture's left side, elevation positive above.

    The fit is in linear light, since it is there that lights add up and a surface's value is its reflectance times the light on it; in
    encoded values a shadow looks shallower than it is. What the figures compare is the light on a matt ball, seen from the camera and
    scaled to mean 1: exposure and the shade of the skin drop out. The ball also settles which harmonics count. Only the half that looks
    towards the camera is seen, and there order 0, z and z² are nearly the same function, so that coefficients taken one by one are noise;
    their sum on the ball is not.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.data.relief import face_height, normals
from stylswap.data.relight import GAMMA, harmonics, irradiance
from stylswap.errors import UsageError
from stylswap.faces.detail import LUMA
from stylswap.shapes import check_shapes

FloatArray = npt.NDArray[np.float64]

LIGHT_BINS: Final = ("even", "front", "left", "right", "top", "below")

_GRID: Final = 64
# Chosen by lamps that are known, on photographs and on relit faces: a smaller ridge makes one light differ more between people, and one
# that draws to even light sees lamps at the camera too high, since brows shade the eyes and foreheads shine.
_RIDGE: Final = 1e-2
_CAMERA_SHARE: Final = 0.5
_LEAST_COVER: Final = 0.01  # of the crop: less is no face
_SPHERE_POINTS: Final = 3000  # 4 degrees apart
_BALL_SIDE: Final = 32
_LEAST_Z: Final = -0.35  # lamps further behind the face light only its rim
_EVEN_STRENGTH: Final = 0.2
_FRONT_DEG: Final = 30.0


class MainLight(NamedTuple):
    """The one lamp, with even light besides, that would light a ball most alike.

    Attributes:
        azimuth_deg: Positive towards the picture's left side.
        elevation_deg: Positive above.
        strength: Root mean square variation of the light over the ball whose mean is 1: 0 under even light, 0.35 under a lamp at the
            camera, about 1 under a lamp from the side in a dark room. Where it is low, the direction means little.
    """

    azimuth_deg: float
    elevation_deg: float
    strength: float


def sh_light(images: Tensor, landmarks: Tensor, masks: Tensor) -> FloatArray:
    """Light on faces: second-order spherical harmonics, fitted by ridge regression to linear luminance over the face's normals.

    Args:
        images: Crops, (B, 3, S, S) sRGB in [0, 1], or one, (3, S, S).
        landmarks: The 68 points in pixels of the crop, (B, 68, 2) or (68, 2). They give the normals; before and after a swap give both the
            input's, so that only the light is compared.
        masks: Face masks, (B, 1, S, S) or (1, S, S) in [0, 1].

    Returns:
        (B, 9) or (9,), in the order of `stylswap.data.relight.harmonics`; scaled so that a ball's mean is 1. NaN where there is no face in
        the mask, or it is black.

    Raises:
        ShapeError: If the shapes do not fit together.

    Reference:
        ramamoorthi2001.
    """
    if images.ndim == 3:
        return np.asarray(sh_light(images[None], landmarks[None], masks[None])[0])
    check_shapes(images=(images, "B 3 S S"), landmarks=(landmarks, "B 68 2"), masks=(masks, "B 1 S S"))
    grey = F.interpolate(_luma(images.double().cpu().clamp(0, 1) ** GAMMA)[:, None], size=(_GRID, _GRID), mode="area").flatten(1)
    weight = F.interpolate(masks.double().cpu(), size=(_GRID, _GRID), mode="area").flatten(1)
    cover = weight.sum(dim=1, keepdim=True)
    weight = weight / cover.clamp_min(1.0)  # (B, cells)
    mean = (weight * grey).sum(dim=1, keepdim=True)
    relief = face_height(landmarks.float().cpu(), images.shape[-1], _GRID)
    basis = harmonics(normals(relief)).double().flatten(2)  # (B, 9, cells)
    square = (weight[:, None] * basis) @ basis.transpose(1, 2) + _RIDGE * torch.eye(9, dtype=torch.float64)
    usual = _usual_light()
    rest = grey / mean.clamp_min(1e-6) - usual @ basis  # (B, cells)
    light = torch.linalg.solve(square, ((weight * rest)[:, None] * basis).sum(dim=2)) + usual
    light = light / (_on_ball(light) @ _ball()[1]).clamp_min(1e-3)[:, None]
    light[((cover < _LEAST_COVER * _GRID**2) | (mean < 1e-6))[:, 0]] = torch.nan
    return np.asarray(light.numpy())


def sh_error(before: FloatArray, after: FloatArray) -> FloatArray:
    """How different two lights are: root mean square difference of two balls lit by them, both with mean 1.

    Args:
        before: See `sh_light`, (..., 9).
        after: The same shape.

    Returns:
        (...,), at least 0. Medians over photographs in a dark room: two people under one lamp 0.20, lamps 20 to 45 degrees apart 0.55, more
        than 60 degrees apart 1.4.

    Raises:
        ShapeError: If the shapes differ.
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    tokens = " ".join([*"ABCDEFGH"[: first.ndim - 1], "9"])
    check_shapes(before=(first, tokens), after=(second, tokens))
    difference = _on_ball(torch.from_numpy(first - second))
    return np.asarray((difference.square() @ _ball()[1]).sqrt().numpy())


def main_light(light: FloatArray) -> MainLight:
    """Where the light comes from.

    Not the vector of the first-order coefficients, which a face seen from the front hardly tells from the others: every lamp of a dense set
    is tried, and the one whose shading varies over the ball most like the light's is taken. On photographs under known lamps up to 85
    degrees aside half of the directions are within 16 degrees, nine in ten within 27; lamps far aside are seen nearer to the camera.

    Args:
        light: See `sh_light`, (9,).

    Raises:
        ShapeError: If there are not nine numbers.
        UsageError: If they are NaN.
    """
    check_shapes(light=(light, "9"))
    if not np.isfinite(light).all():
        raise UsageError("this light could not be fitted (it holds NaN): the mask holds no face, or the face is black. Leave the photo out")
    weights = _ball()[1]
    lamps, shades = _lamps()
    seen = _on_ball(torch.from_numpy(np.asarray(light, dtype=np.float64)))
    seen = seen - seen @ weights
    x, y, z = lamps[int((shades @ (weights * seen)).argmax())].tolist()
    strength = float((seen.square() @ weights).sqrt())
    return MainLight(float(np.degrees(np.arctan2(-x, z))), float(np.degrees(np.arcsin(np.clip(-y, -1, 1)))), strength)


def light_bin(light: FloatArray) -> str:
    """The name of a light's bin, one of `LIGHT_BINS`.

    ``even`` where it varies little; ``front`` within 30 degrees of the camera; else by the side that it comes most from.

    Args:
        light: See `sh_light`, (9,).

    Raises:
        ShapeError: If there are not nine numbers.
        UsageError: If they are NaN.
    """
    azimuth_deg, elevation_deg, strength = main_light(light)
    if strength < _EVEN_STRENGTH:
        return "even"
    azimuth, elevation = np.radians([azimuth_deg, elevation_deg])
    across, up = np.cos(elevation) * np.sin(azimuth), np.sin(elevation)  # towards the picture's left, and above
    if np.cos(elevation) * np.cos(azimuth) > np.cos(np.radians(_FRONT_DEG)):
        return "front"
    if abs(across) >= abs(up):
        return "left" if across > 0 else "right"
    return "top" if up > 0 else "below"


def luminance_correlation(before: Tensor, after: Tensor, mask: Tensor, *, cells: int = 8) -> float:
    """Correlation of low-pass luminance inside the face: does light still lie where it lay?

    Args:
        before: Crop of the input, (3, S, S) in [0, 1].
        after: Crop of the output, the same shape.
        mask: Face mask, (1, S, S) in [0, 1].
        cells: The face is averaged over so many cells each way; those with more than half of their area in the mask count.

    Returns:
        In [-1, 1]; 1 for the same picture, also when it is brighter or of less contrast. NaN where fewer than two cells count or one
        picture has the same value in all.

    Raises:
        ShapeError: If the shapes differ.
    """
    check_shapes(before=(before, "3 S S"), after=(after, "3 S S"), mask=(mask, "1 S S"))
    first, second = (_cells(image, mask, cells) for image in (before, after))
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(second, first)[0, 1])


def _cells(image: Tensor, mask: Tensor, cells: int) -> FloatArray:
    sums = F.interpolate((_luma(image[None])[:, None] * mask), size=(cells, cells), mode="area")
    cover = F.interpolate(mask[None], size=(cells, cells), mode="area")
    inside = cover > 0.5
    return np.asarray((sums[inside] / cover[inside]).double().cpu().numpy())


def _luma(images: Tensor) -> Tensor:
    return (images * images.new_tensor(LUMA)[:, None, None]).sum(dim=1)  # (B, H, W)


def _usual_light() -> Tensor:
    """Coefficients of the light that the ridge draws to, (9,): half of it even, half of it brightness z; the ball's mean is 1."""
    light = torch.zeros(9, dtype=torch.float64)
    rows = harmonics(light.new_tensor([[0.0, 0.0, 1.0]]))[0]
    light[0], light[2] = (1.0 - _CAMERA_SHARE) / rows[0], _CAMERA_SHARE * 1.5 / rows[2]
    return light


@cache
def _ball() -> tuple[Tensor, Tensor]:
    """Picture of a ball: its normals, (1, 3, G, G), and each pixel's share of it, (G G,), 0 beside it."""
    line = (torch.arange(_BALL_SIDE, dtype=torch.float64) + 0.5) * (2 / _BALL_SIDE) - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    depth = 1 - x * x - y * y
    normal = F.normalize(torch.stack([x, y, depth.clamp_min(0).sqrt()]), dim=0)
    inside = (depth > 0).double().flatten()
    return normal[None], inside / inside.sum()


def _on_ball(light: Tensor) -> Tensor:
    return light @ harmonics(_ball()[0])[0].flatten(1)  # (..., 9) -> (..., G G)


@cache
def _lamps() -> tuple[Tensor, Tensor]:
    """Directions of lamps, (L, 3), and how each lights the ball: without its mean, and of length 1, (L, G G)."""
    count = torch.arange(_SPHERE_POINTS, dtype=torch.float64) + 0.5
    z = 1 - 2 * count / _SPHERE_POINTS  # a golden spiral from pole to pole lies evenly
    turn = torch.pi * (1 + 5**0.5) * count
    flat = (1 - z * z).sqrt()
    lamps = torch.stack([flat * turn.cos(), flat * turn.sin(), z], dim=1)[z > _LEAST_Z]
    normal, weights = _ball()
    parts = [irradiance(normal.expand(len(part), -1, -1, -1), part) for part in lamps.split(256)]
    shades = torch.cat(parts).flatten(1)
    shades = shades - (shades @ weights)[:, None]
    return lamps, shades / (shades.square() @ weights).sqrt()[:, None]
