"""What the lighting term does to a swap: inputs under strong side light, and whether the output keeps it.

The judges are not the lighting network: low-frequency luminance, and spherical harmonics fitted to the luminance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.config import load_settings
from stylswap.data.augment import under_lights
from stylswap.data.faceset import FaceSet
from stylswap.data.relief import face_height, normals
from stylswap.data.relight import GAMMA, Lights, direction, harmonics
from stylswap.engines.rendering import StyleRenderer
from stylswap.faces.batch import Face, FaceBatch
from stylswap.faces.detail import LUMA
from stylswap.faces.landmarks import FloatArray
from stylswap.features.identity import FaceDescriptor
from stylswap.features.lighting import LightingCritic
from stylswap.identity_file import IdentityFile, read_identity_file
from stylswap.jobs.judges import mean_descriptor
from stylswap.jobs.prepare import prepare_inputs
from stylswap.jobs.swapper import network_of
from stylswap.losses.lighting import lighting
from stylswap.sheets import contact_sheet

AZIMUTHS_DEG: Final = (-60.0, 60.0)
ELEVATION_DEG: Final = 15.0
AMBIENT: Final = 0.25
CELLS: Final = 16
GRID: Final = 64


@dataclass(frozen=True)
class LightFigures:
    """Means over the relit faces.

    Attributes:
        luminance_error: Root mean square difference of 16 x 16 luma cells inside the face, each picture's over its own mean.
        harmonics_error: Distance of the eight fitted harmonics of order 1 and 2, over the one of order 0.
        identity_distance: dlib's descriptor of the bare output to the identity's mean.
        identity_cosine: Of the same two.
        network_distance: What the lighting term is: the squared distance of the lighting network's features, median. No judge, but it says
            when the network has nothing more to say: see `strangers_distance`.
    """

    luminance_error: float
    harmonics_error: float
    identity_distance: float
    identity_cosine: float
    network_distance: float


def side_lit(faces: FaceSet) -> FaceBatch:
    """Every face under a lamp 60 degrees to its left and again to its right, (2M, ...)."""
    own, count = faces.faces(range(len(faces))), len(faces)
    lit = []
    for azimuth_deg in AZIMUTHS_DEG:
        towards = direction(torch.full((count,), azimuth_deg), torch.full((count,), ELEVATION_DEG))
        lit.append(under_lights(own, Lights(towards, torch.full((count,), AMBIENT), torch.ones(count, 3))))
    return FaceBatch(torch.cat(lit), own.landmarks.repeat(2, 1, 1), own.masks.repeat(2, 1, 1, 1))


def lighting_effect(identity: IdentityFile, inputs: FaceBatch, critic: LightingCritic) -> tuple[LightFigures, Tensor]:
    """Swap side-lit faces and compare the light of output and input.

    Args:
        identity: A trained identity.
        inputs: See `side_lit`.
        critic: The lighting network.

    Returns:
        The figures, and the outputs (B, 3, S, S).
    """
    renderer = StyleRenderer(network_of(identity))
    output = torch.cat([renderer.render(inputs[start : start + 16]).images for start in range(0, len(inputs), 16)])
    mean = mean_descriptor(identity)
    described = np.stack([_descriptor(image, points) for image, points in zip(output, inputs.landmarks, strict=True)])  # (2M, 128)
    distances = np.linalg.norm(described - mean, axis=1)
    cosines = described @ mean / (np.linalg.norm(described, axis=1) * np.linalg.norm(mean))
    figures = LightFigures(
        float(_luminance_error(output, inputs).mean()),
        float(_harmonics_error(output, inputs).mean()),
        float(distances.mean()),
        float(cosines.mean()),
        float(lighting(_features(output, critic), _features(inputs.images, critic)).median()),
    )
    return figures, output


def strangers_distance(inputs: FaceBatch, critic: LightingCritic) -> float:
    """The same distance between two people under one lamp, median: below it the lighting network cannot tell lights apart.

    Args:
        inputs: See `side_lit`: first all faces under one lamp, then all under the other.
        critic: The lighting network.
    """
    features = _features(inputs.images, critic)
    sides = features.chunk(2)
    return float(torch.cat([lighting(side, side.roll(1, dims=0)) for side in sides]).median())


@torch.inference_mode()
def _features(images: Tensor, critic: LightingCritic) -> Tensor:
    return torch.cat([critic(part) for part in images.split(16)])


def _luma(images: Tensor) -> Tensor:
    return (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1)


def _luminance_error(output: Tensor, inputs: FaceBatch) -> Tensor:
    cover = F.interpolate(inputs.masks, size=(CELLS, CELLS), mode="area")[:, 0]
    inside = (cover > 0.5).float()

    def cells(images: Tensor) -> Tensor:
        luma = F.interpolate(_luma(images)[:, None] * inputs.masks, size=(CELLS, CELLS), mode="area")[:, 0] / cover.clamp_min(1e-3)
        average = (luma * inside).sum(dim=(1, 2), keepdim=True) / inside.sum(dim=(1, 2), keepdim=True)
        return luma / average

    squares = (cells(output) - cells(inputs.images)).square() * inside
    return (squares.sum(dim=(1, 2)) / inside.sum(dim=(1, 2))).sqrt()


def _harmonics_error(output: Tensor, inputs: FaceBatch) -> Tensor:
    size = inputs.size
    basis = harmonics(normals(face_height(inputs.landmarks, size, GRID))).flatten(2).transpose(1, 2)  # (B, cells, 9)
    weight = F.interpolate(inputs.masks, size=(GRID, GRID), mode="area").flatten(1)[..., None]

    def coefficients(images: Tensor) -> Tensor:
        linear = _luma(F.interpolate(images, size=(GRID, GRID), mode="area") ** GAMMA).flatten(1)[..., None]
        square = basis.transpose(1, 2) @ (weight * basis)
        ridge = 1e-2 * square.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None] * torch.eye(9)
        fit = torch.linalg.solve(square + ridge, basis.transpose(1, 2) @ (weight * linear))[..., 0]
        shares: Tensor = fit[:, 1:] / fit[:, :1]
        return shares

    difference: Tensor = (coefficients(output) - coefficients(inputs.images)).norm(dim=1)
    return difference


def _descriptor(image: Tensor, landmarks: Tensor) -> FloatArray:
    image_u8 = (image * 255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()
    points = landmarks.double().numpy()
    left, top = points.min(axis=0)
    right, bottom = points.max(axis=0)
    return FaceDescriptor().describe(image_u8, Face(points, (left, top, right, bottom), 0.0, "hog"))


def compare_lighting(folder: Path, identities: Sequence[Path], *, sheet_faces: int = 8) -> tuple[dict[str, dict[str, float]], Tensor]:
    """Measure several identity files on the same side-lit faces.

    Args:
        folder: Faces that no training saw.
        identities: Identity files of one crop size.
        sheet_faces: Columns of the contact sheet.

    Returns:
        The figures by file, and a contact sheet: inputs lit from one side and the outputs of each file, then from the other side.

    Raises:
        IdentityFileError: If a file cannot be used.
        FaceSetError: If the folder holds no usable face.
    """
    files = [read_identity_file(path) for path in identities]
    faces, _ = prepare_inputs(folder, load_settings(None, [f"size={files[0].size}"]))
    inputs = side_lit(faces)
    critic = LightingCritic.load()
    measured = [lighting_effect(file, inputs, critic) for file in files]
    table = {
        path.stem: {name: round(value, 4) for name, value in vars(figures).items()}
        for path, (figures, _) in zip(identities, measured, strict=True)
    }
    floor = {name: float("nan") for name in vars(measured[0][0])} | {"network_distance": round(strangers_distance(inputs, critic), 4)}
    table["two people under one lamp"] = floor
    count = min(sheet_faces, len(faces))
    sides = [slice(start, start + count) for start in (0, len(faces))]
    pictures = [inputs.images, *(output for _, output in measured)]
    return table, contact_sheet([images[side] for side in sides for images in pictures])
