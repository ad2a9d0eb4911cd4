"""Training faces beyond those that were photographed: the same faces under other lights. With things in front: `occluded_inputs`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.data.faceset import FaceSet
from stylswap.data.light_pairs import luminance_of
from stylswap.data.relief import face_height, normals
from stylswap.data.relight import GAMMA, Lights, direction, draw_lights, estimated_shading, relight
from stylswap.faces.batch import FaceBatch

GRID: Final = 64
CHUNK: Final = 32
# Azimuth and elevation of the lamps that the identity's photos are seen under.
FAN_DEG: Final = ((-40.0, 10.0), (40.0, 10.0), (-75.0, 15.0), (75.0, 15.0))
FAN_AMBIENT: Final = 0.25
# Photos of the identity, copies included: their features stay in memory, at 128 px 1.6 MB for each and its mirror image.
MOST_FACES: Final = 500
# Up to so many photos of the identity each is seen under one lamp at least, and with its mirror image from both sides.
MOST_PHOTOS: Final = 300


def under_lights(faces: FaceBatch, lights: Lights) -> Tensor:
    """Faces relit, one light each.

    Args:
        faces: (B, 3, S, S).
        lights: B of them.

    Returns:
        (B, 3, S, S) in [0, 1].
    """
    height = face_height(faces.landmarks, faces.size, GRID)
    normal = normals(height)
    small = F.interpolate(faces.images, size=(GRID, GRID), mode="area")
    masks = F.interpolate(faces.masks, size=(GRID, GRID), mode="area")[:, 0]
    current = estimated_shading(luminance_of(small**GAMMA)[:, 0], normal, masks)
    return relight(faces.images, current, height, normal, lights)


def with_random_lights(faces: FaceSet, share: float, *, seed: int) -> FaceSet:
    """The faces, and behind them a share of them once more, each under a random light.

    Args:
        faces: M faces.
        share: Of them, in [0, 1].
        seed: Chooses faces and lights.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(faces), generator=generator)[: round(share * len(faces))].sort().values
    if not len(rows):
        return faces
    lights = draw_lights(len(rows), generator)
    return _joined(faces, [(rows, lights)])


def with_light_fan(faces: FaceSet, *, most_faces: int = MOST_FACES, most_photos: int = MOST_PHOTOS) -> tuple[FaceSet, int]:
    """The faces, and behind them all of them under the first lamp of `FAN_DEG`, then under the second, and so on.

    Args:
        faces: M faces.
        most_faces: Lamps are left out, the last first, so that no more faces come out; M faces always do.
        most_photos: Up to so many faces, one lamp stays in any case.

    Returns:
        The faces, and how often each is there.
    """
    rows = torch.arange(len(faces))
    lamps = FAN_DEG[: max(most_faces // len(faces) - 1, int(len(faces) <= most_photos))]
    additions = []
    for azimuth_deg, elevation_deg in lamps:
        towards = direction(torch.tensor([azimuth_deg]), torch.tensor([elevation_deg])).expand(len(rows), 3)
        additions.append((rows, Lights(towards, torch.full((len(rows),), FAN_AMBIENT), torch.ones(len(rows), 3))))
    return _joined(faces, additions), 1 + len(lamps)


def _joined(faces: FaceSet, additions: list[tuple[Tensor, Lights]]) -> FaceSet:
    images = [faces.images_u8]
    for rows, lights in additions:
        for part in torch.arange(len(rows)).split(CHUNK):
            lit = under_lights(faces.faces(rows[part].tolist()), lights[part])
            images.append((lit * 255).round().byte())
    order = [*range(len(faces)), *(row for rows, _ in additions for row in rows.tolist())]
    return replace(faces.subset(order), images_u8=torch.cat(images))
