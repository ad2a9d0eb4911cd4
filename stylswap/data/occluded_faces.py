"""Faces with drawn things in front of them, and what a face parser should answer: the lessons of its tuning.

Where a thing lies, the wanted class is its own: known exactly, because it was drawn. Elsewhere it is what the parser answered before
anything was drawn, so that nothing is forgotten of what it knew. The batch of a step follows from the seed and the step's number alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.data.faceset import FaceSet
from stylswap.data.light_pairs import step_generator
from stylswap.data.occluders import Occluded, draw_occluder, skin_colour
from stylswap.data.occluders.drawing import FaceFrame, FloatArray, Sketch
from stylswap.errors import SettingsError, ShapeError, did_you_mean
from stylswap.shapes import check_shapes

# How often each kind comes, against the others. Hands have the most shapes and are the hardest: they look like the face.
# "blob" is a cut-out of another face, see `draw_blob`; "none" leaves the face alone.
SHARES: Final[Mapping[str, float]] = MappingProxyType(
    {"hand": 4, "glasses": 2, "hair": 1, "bar": 2, "text": 2.5, "microphone": 2, "hat": 0.7, "mask": 2.5, "blob": 3, "none": 2}
)
OWN_CLASS: Final = MappingProxyType({"glasses": "glasses", "hair": "hair", "hat": "hat"})  # what the parser has a name for
OTHER_CLASS: Final = "background"  # of everything else

_TWICE: Final = 0.15  # share of the faces that have two things in front of them
_OTHER_SKIN: Final = 0.7  # share of the hands that are somebody else's
_LENS: Final = 0.015  # opacity from which on a pixel is glasses: a lens is clear, and yet not face
_REDUCED: Final = 0.4  # share of the pictures that were smaller once
_SMALLEST: Final = 0.375  # how small, as a share of the side


@dataclass(frozen=True, eq=False)
class OccludedBatch:
    """Pictures and the answers wanted.

    Attributes:
        images: Crops with things in front of the faces, (B, 3, S, S) in [0, 1].
        classes: Probability of each class, (B, C, T, T) in [0, 1], 1 in sum over them. T is S / 2: the parser's cells are coarser yet.
    """

    images: Tensor
    classes: Tensor

    def __post_init__(self) -> None:
        check_shapes(images=(self.images, "B 3 S S"), classes=(self.classes, "B C T T"))


def shares_without(leave: Sequence[str]) -> dict[str, float]:
    """`SHARES` without some kinds.

    Raises:
        SettingsError: If one is not known, or none is left.
    """
    for kind in leave:
        if kind not in SHARES:
            raise SettingsError(f"unknown kind of occluder '{kind}'.{did_you_mean(kind, SHARES)}")
    kept = {kind: share for kind, share in SHARES.items() if kind not in leave}
    if not kept:
        raise SettingsError(f"all kinds of occluders are left out ({', '.join(leave)}); keep at least one of them")
    return kept


@dataclass(frozen=True, eq=False)
class OccludedFaces:
    """Batches without end.

    Attributes:
        faces: Aligned; the side of their crops is even.
        answers: The parser's logits for each row of `faces` as it is, (2M, C, h, h); the outer cells lie on the outer pixels.
        class_names: Names of the C classes.
        shares: How often each kind comes, against the others.
        batch_size: Faces in a batch.
        seed: Of the whole sequence.
    """

    faces: FaceSet
    answers: Tensor
    class_names: Sequence[str]
    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)
    batch_size: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        expected = (self.faces.num_rows, len(self.class_names))
        check_shapes(answers=(self.answers, "R C h h"))
        if tuple(self.answers.shape[:2]) != expected:
            raise ShapeError(f"answers to {expected[0]} rows in {expected[1]} classes were expected, got {tuple(self.answers.shape)}")
        if self.faces.size % 2:
            raise ShapeError(f"crops of an even side were expected, got {self.faces.size} px")

    def __call__(self, step: int) -> OccludedBatch:
        """The batch of a step, from 0."""
        generator = step_generator(self.seed, step)
        rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        images, classes = [], []
        for _ in range(self.batch_size):
            row = _any_row(self.faces, rng)
            image, wanted = self.occluded(row, chosen_kinds(self.shares, rng), rng, generator)
            images.append(photographed(image, rng))
            classes.append(wanted)
        return OccludedBatch(torch.stack(images), torch.stack(classes))

    def occluded(self, row: int, kinds: Sequence[str], rng: np.random.Generator, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One face with things in front of it.

        Args:
            row: Of the faces.
            kinds: Of the things, the last one in front.
            rng: Chooses whose skin a hand has, and the cut-outs.
            generator: For `draw_occluder`.

        Returns:
            The picture, (3, S, S) in [0, 1], and the probabilities wanted, (C, S / 2, S / 2).
        """
        faces = self.faces.faces([row])
        image, landmarks, half = faces.images[0], faces.landmarks[0], self.faces.size // 2
        logits = F.interpolate(self.answers[row : row + 1].float(), size=(half, half), mode="bilinear", align_corners=True)
        classes = logits.softmax(dim=1)[0]  # (C, S / 2, S / 2)
        for kind in kinds:
            if kind == "none":
                continue
            image, alpha = draw_thing(kind, image, landmarks, self.faces, (rng, generator))
            hidden = (alpha > _LENS).float() if kind == "glasses" else alpha
            hidden = F.avg_pool2d(hidden[None], kernel_size=2)[0]  # (1, S / 2, S / 2)
            own = torch.zeros(len(classes), 1, 1)
            own[self.class_names.index(OWN_CLASS.get(kind, OTHER_CLASS))] = 1.0
            classes = classes * (1 - hidden) + own * hidden
        return image, classes


def chosen_kinds(shares: Mapping[str, float], rng: np.random.Generator) -> list[str]:
    """The things in front of one face: one, or now and then two, by their shares."""
    kinds, weights = list(shares), np.array(list(shares.values()), dtype=float)
    count = 2 if rng.random() < _TWICE else 1
    return [kinds[place] for place in rng.choice(len(kinds), size=count, p=weights / weights.sum())]


def draw_thing(
    kind: str, image: Tensor, landmarks: Tensor, others: FaceSet, chance: tuple[np.random.Generator, torch.Generator]
) -> Occluded:
    """Put one thing in front of a face, made of other people where it is of somebody: their skin, a piece of their picture.

    Args:
        kind: A key of `SHARES` but "none".
        image: (3, S, S) RGB in [0, 1].
        landmarks: The face's 68 points in pixels, (68, 2).
        others: Faces of the same size.
        chance: Chooses whose skin a hand has, and the cut-outs; and the generator for `draw_occluder`.

    Returns:
        The picture and the thing's opacity.

    Raises:
        SettingsError: If the kind is not known.
        ShapeError: If a shape is off.
    """
    rng, generator = chance
    if kind == "blob":
        return draw_blob(image, landmarks, others.faces([_any_row(others, rng)]).images[0], rng)
    skin = None
    if rng.random() < _OTHER_SKIN:
        other = others.faces([_any_row(others, rng)])
        skin = skin_colour(other.images[0], other.landmarks[0])
    return draw_occluder(kind, image, landmarks, generator, skin=skin)


def _any_row(faces: FaceSet, rng: np.random.Generator) -> int:
    return int(rng.integers(faces.num_rows))


def draw_blob(image: Tensor, landmarks: Tensor, other: Tensor, rng: np.random.Generator) -> Occluded:
    """Put a round piece of another picture in front of a face: skin, hair, eyes and backgrounds of all kinds, where they do not belong.

    Args:
        image: (3, S, S) RGB in [0, 1].
        landmarks: The face's 68 points in pixels, (68, 2).
        other: What the piece is cut from, (3, S, S) RGB in [0, 1].
        rng: Chooses shape, place and brightness.

    Returns:
        The picture and the piece's opacity.

    Raises:
        ShapeError: If a shape is off.
    """
    size = check_shapes(image=(image, "3 S S"), landmarks=(landmarks, "68 2"), other=(other, "3 S S"))["S"]
    sketch = Sketch(FaceFrame.of(landmarks.double().numpy(), (size, size)), colours=False)
    sketch.polygon(np.array([rng.uniform(-1, 1), rng.uniform(-1, 1.8)]) + _outline(rng))
    alpha = torch.from_numpy(sketch.cover())[None].to(image)
    down, right = rng.integers(size, size=2).tolist()
    piece = (torch.roll(other, (down, right), dims=(1, 2)) * float(rng.uniform(0.6, 1.2))).clamp(0, 1)
    piece = piece.flip(1) if rng.random() < 0.5 else piece
    return Occluded((image * (1 - alpha) + piece * alpha).clamp(0, 1), alpha)


def _outline(rng: np.random.Generator) -> FloatArray:
    """A closed curve round the origin in units of the face's frame, (40, 2)."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    waves = sum(rng.uniform(-0.35, 0.35) / number * np.cos(number * angle + rng.uniform(0, 7)) for number in range(1, 5))
    radius = rng.uniform(0.25, 0.9) * (1 + waves)
    turn = rng.uniform(0, 7)
    round_it = np.stack([radius * np.cos(angle), rng.uniform(0.4, 1) * radius * np.sin(angle)], axis=-1)
    return np.asarray(round_it @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]))


def photographed(image: Tensor, rng: np.random.Generator) -> Tensor:
    """What a camera does to a picture (3, S, S): it may be small, and has its own tone curve, exposure, tint and noise."""
    size = int(image.shape[-1])
    if rng.random() < _REDUCED:
        small = int(rng.integers(max(round(_SMALLEST * size), 1), size))
        reduced = F.interpolate(image[None], size=(small, small), mode="bilinear", antialias=True)
        image = F.interpolate(reduced, size=(size, size), mode="bilinear")[0]
    exponent, exposure = float(np.exp(rng.uniform(-0.3, 0.3))), float(rng.uniform(0.8, 1.15))
    tint = torch.from_numpy(rng.uniform(0.93, 1.07, (3, 1, 1))).float()
    noise = float(rng.uniform(0, 0.03)) * torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
    return (image.clamp(1e-4, 1.0) ** exponent * exposure * tint + noise).clamp(0, 1)
