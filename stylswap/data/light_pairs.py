"""Pairs of portraits with the same light or different lights, from faces that were lit and from faces that are relit.

A batch is some faces and a list of which of them are paired, so that each face goes through the network once. The batch of a step follows
from the seed and the step's number alone. Pairs never show one person twice: equal light has to be seen across people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.data.degrade import Degradation
from stylswap.data.faceset import FaceSet
from stylswap.data.lit_faces import LitFaces
from stylswap.data.relief import face_height, normals
from stylswap.data.relight import GAMMA, Lights, angles_between_deg, draw_lights, estimated_shading, relight
from stylswap.errors import FaceSetError
from stylswap.shapes import check_shapes

DIFFERENT_DEG = 20.0  # lights at least this far apart are different; between 0 and this there is no answer
NEAR_DEG = 45.0  # half of the different pairs are nearer than this: the others are easy
# Up to a linear camera's dark tones, and down to the near black of a face that is lit from behind.
RELIT_DEGRADATION = Degradation(gamma=(-0.3, 0.8), exposure=(0.25, 1.5))
DEPTH_RANGE = (0.75, 1.3)  # how flat or deep faces are, against the one relief that landmarks give
LIT_DEGRADATION = Degradation(gamma=(-0.8, 0.2))  # the laboratory's camera is linear: brighter mid-tones make its pictures more like photos
REC709 = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True, eq=False)
class LightPairs:
    """Faces and which of them are paired.

    Attributes:
        images: Grey aligned crops, (M, 1, S, S) in [0, 1].
        first: Rows of `images`, (P,).
        second: Rows of `images`, (P,).
        same: 1 where a pair has the same light, else 0, (P,) float.
    """

    images: Tensor
    first: Tensor
    second: Tensor
    same: Tensor

    def __post_init__(self) -> None:
        check_shapes(images=(self.images, "M 1 S S"))
        check_shapes(first=(self.first, "P"), second=(self.second, "P"), same=(self.same, "P"))


def choose_pairs(directions: Tensor, lights: Tensor, people: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """All pairs of equal light, and as many of different lights, half of them of near ones where there are enough.

    Args:
        directions: Towards each face's lamp, (M, 3).
        lights: Number of each face's light, (M,); equal numbers are equal lights.
        people: Number of each face's person, (M,).
        generator: Chooses the different pairs.

    Returns:
        first, second, same: (P,) each; same is float.
    """
    first, second = torch.triu_indices(len(lights), len(lights), offset=1)
    strangers = people[first] != people[second]
    first, second = first[strangers], second[strangers]
    same = lights[first] == lights[second]
    angle = angles_between_deg(directions, directions)[first, second]
    wanted = int(same.sum())
    # Each pair gets a random rank; near pairs are taken from the front of their own line.
    rank = torch.rand(len(first), generator=generator)
    near = (angle >= DIFFERENT_DEG) & (angle < NEAR_DEG) & ~same
    chosen_near = _lowest(rank, near, wanted // 2)
    far = (angle >= DIFFERENT_DEG) & ~same
    far[chosen_near] = False
    rows = torch.cat([same.nonzero()[:, 0], chosen_near, _lowest(rank, far, wanted - len(chosen_near))])
    return first[rows], second[rows], same[rows].float()


def _lowest(rank: Tensor, allowed: Tensor, count: int) -> Tensor:
    rows = allowed.nonzero()[:, 0]
    return rows[rank[rows].argsort()[:count]]


def step_generator(seed: int, step: int) -> torch.Generator:
    """The randomness of one step."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


@dataclass(frozen=True, eq=False)
class YalePairs:
    """Pairs of faces that were photographed under known lamps.

    Attributes:
        faces: Aligned, of at least two people.
        num_lights: Lights in a batch, half of them near the other half.
        num_people: Faces under each light.
        seed: Of the whole sequence.
        degradation: Of each face.
    """

    faces: LitFaces
    num_lights: int = 12
    num_people: int = 5
    seed: int = 0
    degradation: Degradation = LIT_DEGRADATION

    def __call__(self, step: int) -> LightPairs:
        """The batch of a step, from 0."""
        generator = step_generator(self.seed, step)
        lights = self._lights(generator)
        rows = torch.cat([self._people(light, generator) for light in lights])
        images = self.faces.images_u8[rows].float()[:, None] / 255  # (M, 1, S, S)
        number = torch.tensor(lights)[:, None].expand(-1, self.num_people).flatten()
        directions = self.faces.light_directions[number]
        mirrored = (torch.rand((), generator=generator) < 0.5).item()  # all or none: mirrored pictures have mirrored lights
        images = images.flip(-1) if mirrored else images
        pairs = choose_pairs(directions, number, self.faces.people[rows], generator)
        return LightPairs(self.degradation(images, generator), *pairs)

    def _lights(self, generator: torch.Generator) -> list[int]:
        """Numbers of some lights: random ones, and for each a near but different one."""
        directions = self.faces.light_directions
        order = torch.randperm(len(directions), generator=generator).tolist()
        first = order[: (self.num_lights + 1) // 2]
        angle = angles_between_deg(directions, directions)
        chosen = list(first)
        for light in first:
            near = ((angle[light] >= DIFFERENT_DEG) & (angle[light] < NEAR_DEG)).nonzero()[:, 0]
            near = near[[int(other) not in chosen for other in near]]
            if len(near) and len(chosen) < self.num_lights:
                chosen.append(int(near[torch.randint(len(near), (), generator=generator)]))
        rest = [light for light in order if light not in chosen]  # where a file has too few near ones
        return chosen + rest[: self.num_lights - len(chosen)]

    def _people(self, light: int, generator: torch.Generator) -> Tensor:
        rows = (self.faces.light_numbers == light).nonzero()[:, 0]
        if len(rows) < 2:
            raise FaceSetError(f"light {light} shows {len(rows)} people; at least 2 are needed for a pair")
        order = torch.randperm(len(rows), generator=generator)
        return rows[order[torch.arange(self.num_people) % len(rows)]]


@dataclass(frozen=True, eq=False)
class RelitPairs:
    """Pairs of ordinary faces under lights that were never there.

    Attributes:
        faces: Aligned, one photo a person.
        size: Side of the crops wanted.
        num_lights: Lights in a batch, half of them near the other half.
        num_people: Faces under each light.
        seed: Of the whole sequence.
        degradation: Of each face.
    """

    faces: FaceSet
    size: int = 64
    num_lights: int = 12
    num_people: int = 5
    seed: int = 0
    degradation: Degradation = RELIT_DEGRADATION

    def __call__(self, step: int) -> LightPairs:
        """The batch of a step, from 0."""
        generator = step_generator(self.seed, step)
        lights = near_pairs_of_lights(self.num_lights, generator)
        number = torch.arange(self.num_lights).repeat_interleave(self.num_people)
        # With replacement: a face may come twice, then the two are one person and never paired.
        rows = torch.randint(self.faces.num_rows, (len(number),), generator=generator)
        depth = DEPTH_RANGE[0] + (DEPTH_RANGE[1] - DEPTH_RANGE[0]) * torch.rand(len(rows), generator=generator)
        images = self.relit(rows, lights[number], depth)
        pairs = choose_pairs(lights.directions[number], number, rows % len(self.faces), generator)
        return LightPairs(self.degradation(images, generator), *pairs)

    def relit(self, rows: Tensor | Sequence[int], lights: Lights, depth: Tensor | None = None) -> Tensor:
        """Faces of some rows under lights, as luminance.

        Args:
            rows: Rows of the set, M numbers.
            lights: M lights.
            depth: Factor on each face's relief, (M,); None leaves it.

        Returns:
            (M, 1, S, S) in [0, 1].
        """
        rows = torch.as_tensor(rows)
        images = self._small[rows % len(self.faces)].float() / 255
        mirrored = rows >= len(self.faces)
        images[mirrored] = images[mirrored].flip(-1)
        height = self._heights[rows].float()
        if depth is not None:
            height = height * depth[:, None, None]
        images = relight(images, self._current[rows].float(), height, normals(height), lights)
        return luminance_of(images)

    @cached_property
    def _small(self) -> Tensor:
        """All faces at the size wanted, (M, 3, S, S) uint8."""
        parts = [F.interpolate(part.float(), size=(self.size, self.size), mode="area") for part in self.faces.images_u8.split(64)]
        return torch.cat(parts).round().byte()

    @cached_property
    def _heights(self) -> Tensor:
        """Of all faces and their mirror images, (2M, S, S) float16."""
        return torch.cat([face_height(part, self.faces.size, self.size).half() for part in self.faces.all_landmarks.split(32)])

    @cached_property
    def _current(self) -> Tensor:
        """The light that each photo has, (2M, S, S) float16."""
        found = []
        for rows in torch.arange(self.faces.num_rows).split(32):
            faces = self.faces.faces(rows.tolist())
            linear = luminance_of(F.interpolate(faces.images, size=(self.size, self.size), mode="area") ** GAMMA)[:, 0]
            masks = F.interpolate(faces.masks, size=(self.size, self.size), mode="area")[:, 0]
            found.append(estimated_shading(linear, normals(self._heights[rows].float()), masks).half())
        return torch.cat(found)


def near_pairs_of_lights(count: int, generator: torch.Generator) -> Lights:
    """Random lights; each second one is the one before it, turned by 20 to 45 degrees."""
    lights = draw_lights(count, generator)
    directions = lights.directions.clone()
    noise = F.normalize(torch.randn(count, 3, generator=generator), dim=1)
    angle = torch.deg2rad(DIFFERENT_DEG + (NEAR_DEG - DIFFERENT_DEG) * torch.rand(count, generator=generator))[:, None]
    for row in range(1, count, 2):
        before = directions[row - 1]
        across = F.normalize(noise[row] - (noise[row] @ before) * before, dim=0)
        directions[row] = torch.cos(angle[row]) * before + torch.sin(angle[row]) * across
    ambient, tint = lights.ambient.clone(), lights.tint.clone()
    ambient[1::2], tint[1::2] = ambient[0::2][: count // 2], tint[0::2][: count // 2]
    return Lights(directions, ambient, tint)


def luminance_of(images: Tensor) -> Tensor:
    """Rec. 709, (M, 3, S, S) -> (M, 1, S, S)."""
    return (images * images.new_tensor(REC709).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
