"""How well features tell the light: verification across people, retrieval, leakage of identity, and what plain methods reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from torch import Tensor

from stylswap.data.light_pairs import DIFFERENT_DEG, RelitPairs, near_pairs_of_lights, step_generator
from stylswap.data.lit_faces import FindLandmarks, LitFaces, read_lit_faces
from stylswap.data.relief import face_height, normals
from stylswap.data.relight import angles_between_deg, harmonics
from stylswap.errors import FaceSetError
from stylswap.faces.align import reference_shape
from stylswap.features.lighting import WEIGHTS_NAME, read_lighting
from stylswap.jobs.lighting import ordinary_faces, split_faces, split_people
from stylswap.networks.siamese import EXTENT, LEFT, TOP, LightingNetwork
from stylswap.weights import weights_path

Array = npt.NDArray[np.float64]
Describe = Callable[[Tensor], Tensor]
"""Grey crops (M, 1, S, S) -> features (M, D); the nearer, the more alike the light."""

ANGLE_BINS_DEG: Final = (20, 30, 45, 60, 90, 120, 181)
NEAR_LIGHTS_DEG: Final = 15.0
CROP_PX: Final = 64


@dataclass(frozen=True, eq=False)
class LitCrops:
    """What is judged on.

    Attributes:
        grey: (M, 1, S, S).
        people: (M,).
        lights: Number of the light, (M,).
        directions: Towards the lamp, (M, 3).
    """

    grey: Tensor
    people: Tensor
    lights: Tensor
    directions: Tensor


def evaluate_lighting(
    network: LightingNetwork,
    yale: Path,
    *,
    faces: Path | None = None,
    held_out: bool = False,
    baselines: bool = True,
    find: FindLandmarks | None = None,
) -> dict[str, dict[str, Any]]:
    """Judge a network on a file of lit faces.

    Args:
        network: To be judged.
        yale: The file; see `stylswap.data.lit_faces.read_lit_faces`.
        faces: A folder of ordinary faces; if given, also judge on its held-out part, relit.
        held_out: Only the 10 test people of the split, not all.
        baselines: Also judge methods without learning.
        find: Finds the landmarks; None: ours.

    Returns:
        For each method its figures by name.
    """
    lit = read_lit_faces(yale, CROP_PX, find=find)
    crops = yale_crops(split_people(lit)[1] if held_out else lit)
    relit = relit_crops(RelitPairs(split_faces(ordinary_faces(faces))[1], CROP_PX)) if faces else None
    methods: dict[str, Describe] = {"network": network.eval()}
    if baselines:
        methods |= BASELINES
    table = {}
    for name, describe in methods.items():
        table[name] = figures(crops, describe)
        if relit is not None:
            table[name]["relit_auc"] = figures(relit, describe)["auc"]
    return table


def load_network(path: Path | None) -> LightingNetwork:
    """The network of a file, or the one that ships with stylswap."""
    return read_lighting(path or weights_path(WEIGHTS_NAME))


def yale_crops(faces: LitFaces) -> LitCrops:
    """Lit faces as they are judged on."""
    return LitCrops(faces.images_u8.float()[:, None] / 255, faces.people, faces.light_numbers, faces.directions)


def relit_crops(pairs: RelitPairs, *, num_lights: int = 40, num_people: int = 12) -> LitCrops:
    """Held-out faces under random lights, degraded; the same in every call."""
    generator = step_generator(20_260_000, 0)
    lights = near_pairs_of_lights(num_lights, generator)
    numbers = torch.arange(num_lights).repeat_interleave(num_people)
    rows = torch.randint(pairs.faces.num_rows, (len(numbers),), generator=generator)
    grey = pairs.degradation(pairs.relit(rows, lights[numbers]), generator)
    return LitCrops(grey, rows % len(pairs.faces), numbers, lights.directions[numbers])


@torch.inference_mode()
def figures(crops: LitCrops, describe: Describe) -> dict[str, Any]:
    """All figures of one method.

    Returns:
        ``auc``, ``equal_error_rate``, ``auc_by_angle_deg``, ``top_match_error_deg``, ``identity_auc`` (None where no two lights are
        near) and ``pairs``, how many of equal and of different light.

    Raises:
        FaceSetError: If the crops hold no pair with equal light, or none with different lights.
    """
    features = torch.cat([describe(part) for part in crops.grey.split(128)]).double()
    distance = torch.cdist(features, features)
    angle = angles_between_deg(crops.directions, crops.directions)
    upper = torch.ones_like(angle, dtype=torch.bool).triu(1) & (crops.people[:, None] != crops.people)
    equal = crops.lights[:, None] == crops.lights
    same, apart = distance[upper & equal].numpy(), upper & ~equal & (angle >= DIFFERENT_DEG)
    different = distance[apart].numpy()
    if not len(same) or not len(different):
        raise FaceSetError(f"{len(same)} pairs of equal light and {len(different)} of different lights: nothing to judge on")
    by_angle = {}
    for low, high in pairwise(ANGLE_BINS_DEG):
        bin_ = distance[apart & (angle >= low) & (angle < high)].numpy()
        by_angle[f"{low}-{min(high, 180)}"] = round(auc(bin_, same), 4) if len(bin_) else None
    return {
        "auc": round(auc(different, same), 4),
        "equal_error_rate": round(equal_error_rate(different, same), 4),
        "auc_by_angle_deg": by_angle,
        "top_match_error_deg": round(_top_match_error_deg(distance, angle, crops.people), 2),
        "identity_auc": _identity_auc(distance, angle, crops),
        "pairs": [len(same), len(different)],
    }


def auc(higher: Array, lower: Array) -> float:
    """Share of pairs of one value of each kind where the higher kind is higher; ties count half."""
    ranks = rankdata(np.concatenate([higher, lower]))[: len(higher)]
    return float((ranks.sum() - len(higher) * (len(higher) + 1) / 2) / (len(higher) * len(lower)))


def equal_error_rate(higher: Array, lower: Array) -> float:
    """The error at the threshold where as large a share of the one kind as of the other is on the wrong side."""
    thresholds = np.quantile(np.concatenate([higher, lower]), np.linspace(0, 1, 2001))
    missed = np.searchsorted(np.sort(higher), thresholds) / len(higher)  # different lights below the threshold
    refused = 1.0 - np.searchsorted(np.sort(lower), thresholds) / len(lower)
    place = int(np.argmin(np.abs(missed - refused)))
    return float((missed[place] + refused[place]) / 2)


def _top_match_error_deg(distance: Tensor, angle: Tensor, people: Tensor) -> float:
    """Mean angle between a face's light and that of its nearest match among other people."""
    others = distance.masked_fill(people[:, None] == people, torch.inf)
    return float(angle.gather(1, others.argmin(dim=1, keepdim=True)).mean())


def _identity_auc(distance: Tensor, angle: Tensor, crops: LitCrops) -> float | None:
    """Can one tell people apart? For two lights that are nearly one, is a person nearer to itself than to others?

    No person was photographed twice under one light, so the two pictures of a person are under neighbouring lights, and each is
    compared with other people under just these two lights.
    """
    scores = []
    numbers = torch.unique(crops.lights).tolist()
    rows_of = {number: (crops.lights == number).nonzero()[:, 0] for number in numbers}
    for first in numbers:
        for second in numbers:
            a, b = rows_of[first], rows_of[second]
            if second <= first or angle[a[0], b[0]] > NEAR_LIGHTS_DEG:
                continue
            own = crops.people[a][:, None] == crops.people[b]
            between = distance[a][:, b]
            if own.any() and not own.all():
                scores.append(auc(between[~own].numpy(), between[own].numpy()))
    return round(float(np.mean(scores)), 4) if scores else None


def _middle(grey: Tensor, cells: int) -> Tensor:
    """What the network looks at, without mean and spread, (M, 1, cells, cells)."""
    size = grey.shape[-1]
    top, left, extent = round(TOP * size), round(LEFT * size), round(EXTENT * size)
    cut = F.adaptive_avg_pool2d(grey[..., top : top + extent, left : left + extent], cells)
    centred = cut - cut.mean(dim=(2, 3), keepdim=True)
    return centred / (centred.square().mean(dim=(2, 3), keepdim=True).sqrt() + 0.03)


def _harmonic_light(grey: Tensor) -> Tensor:
    """Order-2 light fitted on the mean face's normals, unit length, (M, 9)."""
    size = grey.shape[-1]
    mean_face = torch.from_numpy(reference_shape(size)).float()[None]
    rows = [slice(round(start * size), round(start * size) + round(EXTENT * size)) for start in (TOP, LEFT)]
    basis = harmonics(normals(face_height(mean_face, size, size)))[0][:, rows[0], rows[1]].flatten(1).T  # (cells, 9)
    seen = grey[:, 0, rows[0], rows[1]].flatten(1).T
    ridge = 1e-3 * len(basis) * torch.eye(9)
    return F.normalize(torch.linalg.solve(basis.T @ basis + ridge, basis.T @ seen).T, dim=1)


BASELINES: Final[Mapping[str, Describe]] = {
    "raw pixels": lambda grey: _middle(grey, 32).flatten(1),
    "low-pass luminance": lambda grey: _middle(grey, 8).flatten(1),
    "spherical harmonics on the mean face": _harmonic_light,
}


def as_markdown(table: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures for a document."""
    bins = list(next(iter(table.values()))["auc_by_angle_deg"])
    columns = ["AUC", "equal error rate", *[f"AUC {name}°" for name in bins], "top match, error °", "identity AUC", "relit AUC"]
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in table.items():
        values = [row["auc"], row["equal_error_rate"], *row["auc_by_angle_deg"].values()]
        values += [row["top_match_error_deg"], row["identity_auc"], row.get("relit_auc")]
        lines.append(f"| {name} | {' | '.join('–' if value is None else f'{value:.4g}' for value in values)} |")
    return "\n".join(lines)
