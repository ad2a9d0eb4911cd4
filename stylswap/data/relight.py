"""Ratio relighting of ordinary faces: the photo times the light wanted over the light it has, both shaded on one normal map.

Light is second-order spherical-harmonic irradiance of one far lamp and of even light from all sides, with a soft shadow that is marched
over the height field. Directions follow the Extended Yale B faces: azimuth is positive towards the subject's right hand, which is the
picture's left side; elevation is positive above. x right, y down, z towards the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.shapes import check_shapes

GAMMA: Final = 2.2
MARCH_STEPS: Final = 20
LEAST_IRRADIANCE: Final = 0.015
RATIO_RANGE: Final = (0.01, 4.0)
# The clamped cosine's factors for orders 0, 1, 2: a lamp of strength 1 straight above gives 1.06 where the exact value is 1.
_KERNEL: Final = (pi, 2 * pi / 3, pi / 4)


@dataclass(frozen=True, eq=False)
class Lights:
    """B lights.

    Attributes:
        directions: Unit vectors from the face to the lamp, (B, 3).
        ambient: Even light as a share of the lamp's, (B,).
        tint: Colour of the lamp, (B, 3); Rec. 709 luminance 1.
    """

    directions: Tensor
    ambient: Tensor
    tint: Tensor

    def __len__(self) -> int:
        return len(self.directions)

    def __getitem__(self, rows: Tensor) -> Lights:
        return Lights(self.directions[rows], self.ambient[rows], self.tint[rows])


def direction(azimuth_deg: Tensor, elevation_deg: Tensor) -> Tensor:
    """Unit vectors towards lamps, (..., 3); see the module's convention."""
    azimuth, elevation = torch.deg2rad(azimuth_deg), torch.deg2rad(elevation_deg)
    flat = torch.cos(elevation)
    return torch.stack([-flat * torch.sin(azimuth), -torch.sin(elevation), flat * torch.cos(azimuth)], dim=-1)


def angles_between_deg(first: Tensor, second: Tensor) -> Tensor:
    """Angles between all pairs of unit vectors, (M, 3) and (N, 3) -> (M, N), in degrees."""
    return torch.rad2deg(torch.acos((first @ second.T).clamp(-1.0, 1.0)))


def draw_lights(count: int, generator: torch.Generator, *, most_ambient: float = 0.5) -> Lights:
    """Random lights: azimuth within 130 degrees, elevation -45 to 80, from dark rooms to soft light, candle to skylight colours."""
    draw = torch.rand(count, 4, generator=generator)
    azimuth = 260.0 * draw[:, 0] - 130.0
    elevation = torch.rad2deg(torch.asin(-0.7 + 1.68 * draw[:, 1]))  # even over the sphere's area
    ambient = most_ambient * draw[:, 2] ** 2
    warmth = 0.5 * draw[:, 3] - 0.25
    tint = torch.stack([1.0 + warmth, torch.ones(count), 1.0 - 1.2 * warmth], dim=-1)
    tint = tint / (tint @ torch.tensor([0.2126, 0.7152, 0.0722]))[:, None]
    return Lights(direction(azimuth, elevation), ambient, tint)


def harmonics(vectors: Tensor) -> Tensor:
    """The nine real spherical harmonics up to order 2 of unit vectors, (B, 3, ...) -> (B, 9, ...).

    Reference:
        ramamoorthi2001, equation 3.
    """
    x, y, z = vectors.unbind(dim=1)
    rows = [
        torch.full_like(x, 0.282095), 0.488603 * y, 0.488603 * z, 0.488603 * x,
        1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=1)


def irradiance(normals: Tensor, directions: Tensor) -> Tensor:
    """Light that surfaces get from one far lamp, without shadows, never negative.

    Args:
        normals: (B, 3, G, G).
        directions: (B, 3).

    Returns:
        (B, G, G); about 1 where the surface faces the lamp.

    Reference:
        ramamoorthi2001, equations 8 to 10.

    Differs from the paper:
        Order 2 undershoots a little behind the terminator; that is cut off at 0.
    """
    check_shapes(normals=(normals, "B 3 G G"), directions=(directions, "B 3"))
    kernel = normals.new_tensor([_KERNEL[order] for order in (0, 1, 1, 1, 2, 2, 2, 2, 2)])
    light = harmonics(directions) * kernel  # (B, 9)
    return torch.einsum("bk,bkhw->bhw", light, harmonics(normals)).clamp_min(0.0)


def visibility(height: Tensor, directions: Tensor, *, softness: float = 0.05) -> Tensor:
    """Cast shadows: how much of the lamp each cell sees, by marching from it towards the lamp over the height field.

    Args:
        height: In pixels, (B, G, G).
        directions: (B, 3).
        softness: Height, as a share of G, over which a shadow deepens.

    Returns:
        (B, G, G) in [0, 1].
    """
    side = check_shapes(height=(height, "B G G"), directions=(directions, "B 3"))["G"]
    line = torch.arange(side, dtype=height.dtype)
    ys, xs = torch.meshgrid(line, line, indexing="ij")
    base = (2.0 * torch.stack([xs, ys], dim=-1) + 1.0) / side - 1.0  # (G, G, 2)
    flat = directions[:, :2].norm(dim=1).clamp_min(1e-3)
    step = directions / flat[:, None]  # one pixel of the grid across
    excess = torch.full_like(height, -torch.inf)
    for number in range(1, MARCH_STEPS + 1):
        far = 0.6 * side * (number / MARCH_STEPS) ** 1.5  # short steps where shadows begin
        grid = base + (2.0 * far / side) * step[:, None, None, :2]
        seen = F.grid_sample(height[:, None], grid, padding_mode="zeros", align_corners=False)[:, 0]
        excess = torch.maximum(excess, (seen - height - far * step[:, None, None, 2]) / (0.3 + far / side))
    return (1.0 - excess / (softness * side)).clamp(0.0, 1.0)


def shading(height: Tensor, normals: Tensor, lights: Lights) -> tuple[Tensor, Tensor]:
    """Lamp and even light on faces, (B, G, G) each; together positive everywhere."""
    facing = torch.einsum("bk,bkhw->bhw", lights.directions, normals)
    attached = ((facing + 0.05) / 0.25).clamp(0.0, 1.0)  # order 2 lights a little beyond the terminator
    lamp = irradiance(normals, lights.directions) * visibility(height, lights.directions) * attached
    hollow = 0.75 + 0.25 * normals[:, 2]  # steep places see less of the room
    return lamp, lights.ambient[:, None, None] * hollow + LEAST_IRRADIANCE


def estimated_shading(grey: Tensor, normals: Tensor, masks: Tensor) -> Tensor:
    """The light a photo has: order-2 harmonics fitted to its linear luminance inside the face, smooth and positive.

    Args:
        grey: Linear luminance on the grid, (B, G, G).
        normals: (B, 3, G, G).
        masks: (B, G, G) in [0, 1].

    Returns:
        (B, G, G) with mean about 1 in the mask, at least 0.35.
    """
    check_shapes(grey=(grey, "B G G"), normals=(normals, "B 3 G G"), masks=(masks, "B G G"))
    basis = harmonics(normals).flatten(2).transpose(1, 2)  # (B, cells, 9)
    weight = masks.flatten(1)[..., None]
    mean = (grey * masks).sum(dim=(1, 2)) / masks.sum(dim=(1, 2)).clamp_min(1.0)
    wanted = (grey / mean.clamp_min(1e-3)[:, None, None]).flatten(1)[..., None]
    square = basis.transpose(1, 2) @ (weight * basis)
    # The face's own light and dark parts are no light: the higher harmonics are held back.
    ridge = torch.diag(torch.tensor([0.0, *[0.01] * 3, *[0.1] * 5])) * masks.sum(dim=(1, 2))[:, None, None].clamp_min(1.0)
    fit = torch.linalg.solve(square + ridge + 1e-4 * torch.eye(9), basis.transpose(1, 2) @ (weight * wanted))
    fitted: Tensor = basis @ fit
    return fitted[..., 0].view_as(grey).clamp(0.35, 3.0)


def relight(images: Tensor, current: Tensor, height: Tensor, normals: Tensor, lights: Lights) -> Tensor:
    """Faces under other lights: each pixel's linear value times the ratio of the shadings, re-exposed and encoded again.

    Args:
        images: (B, 3, S, S) RGB in [0, 1].
        current: The light they have, see `estimated_shading`, (B, G, G).
        height: See `stylswap.data.relief.face_height`, (B, G, G).
        normals: (B, 3, G, G).
        lights: B lights wanted.

    Returns:
        (B, 3, S, S) RGB in [0, 1]; the middle of the face keeps about its mean luminance, so exposure does not tell the light.

    Reference:
        ramamoorthi2001 (irradiance); the ratio is that of quotient images.
    """
    size = check_shapes(images=(images, "B 3 S S"), height=(height, "B G G"), current=(current, "B G G"))["S"]
    lamp, even = shading(height, normals, lights)
    ratio = lights.tint[:, :, None, None] * (lamp / current)[:, None] + (even / current)[:, None]  # (B, 3, G, G)
    # Beside the head there is no surface to shade: it gets the head's mean ratio, with a soft edge.
    head = (height / height.amax(dim=(1, 2), keepdim=True).clamp_min(1e-3) * 3.0).clamp(0.0, 1.0)[:, None]
    mean = (ratio * head).sum(dim=(2, 3), keepdim=True) / head.sum(dim=(2, 3), keepdim=True).clamp_min(1.0)
    ratio = head * ratio + (1.0 - head) * mean
    ratio = F.interpolate(ratio.clamp(*RATIO_RANGE), size=(size, size), mode="bilinear", align_corners=False)
    linear = images.clamp(0, 1) ** GAMMA * ratio
    middle = linear[..., size // 4 : -size // 8, size // 4 : -size // 4].mean(dim=(1, 2, 3), keepdim=True)
    before = (images[..., size // 4 : -size // 8, size // 4 : -size // 4] ** GAMMA).mean(dim=(1, 2, 3), keepdim=True)
    return (linear * (before / middle.clamp_min(1e-4)).clamp(0.3, 6.0)).clamp(1e-6, 1.0) ** (1 / GAMMA)
