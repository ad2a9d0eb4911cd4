"""The style engine: Korshunova et al. 2017 with the terms of `docs/method.md`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.data.faceset import FaceSet, RowBatch
from stylswap.engines.critic_size import check_critic_px, reduced, reduced_faces
from stylswap.engines.detail import Corner, DetailOptions, windows
from stylswap.engines.phase import Phase
from stylswap.engines.style_faces import choose_rows, lit_alike
from stylswap.engines.style_options import ContentOptions, ExpressionOptions, StyleOptions
from stylswap.engines.style_pass import StylePass
from stylswap.errors import SettingsError
from stylswap.faces.batch import FaceBatch
from stylswap.features.bank import Critic, FeatureBank
from stylswap.features.parsing import BORDER_PARTS
from stylswap.networks.discriminator import PatchDiscriminator

TERMS: Final = frozenset(
    {
        "content",
        "style",
        "identity",
        "residual",
        "expression",
        "keep",
        "lighting",
        "luminance",
        "chrominance",
        "smoothness",
        "adversarial",
        "detail",
    }
)
DISCRIMINATOR_TERMS: Final = frozenset({"hinge"})

# Inputs by which it is measured how far strangers lie from the identity, as a recogniser sees them.
STRANGERS: Final = 64
DISCRIMINATOR_BETAS: Final = (0.5, 0.99)

# A face recogniser: (B, 3, S, S) and landmarks (B, 68, 2) -> (B, D) of unit length.
Recognises = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Judges:
    """The frozen networks beside the critic, and the discriminator; what no wanted term needs may be left out.

    Attributes:
        light: The lighting critic, (B, 3, S, S) -> (B, D): lighting term, and copies under several lamps.
        recognisers: Face recognisers: identity and residual terms.
        landmarks: (B, 3, S, S) -> (B, 68, 2) in pixels: expression term.
        discriminator: Trained along: adversarial term.
    """

    light: Callable[[Tensor], Tensor] | None = None
    recognisers: Sequence[Recognises] = ()
    landmarks: Callable[[Tensor], Tensor] | None = None
    discriminator: PatchDiscriminator | None = None


class Teacher(NamedTuple):
    """A face recogniser, and what it sees in the identity.

    Attributes:
        recognise: See `Recognises`.
        mean: The mean direction of the identity's photos, (D,), unit length.
        strangers: Mean cosine distance of the inputs to it. Divided by it, distances of different recognisers compare: 1 is a stranger.
    """

    recognise: Recognises
    mean: Tensor
    strangers: float


@dataclass(eq=False)
class _Seen:
    """What is seen in inputs and photos; computed once.

    Attributes:
        faces: By photo: the same person in all rows made of it, lit, covered and mirrored ones.
        landmarks: By row.
        masks: Of the identity's photos, by row.
    """

    faces: dict[str, list[Tensor]] = field(default_factory=dict)
    landmarks: dict[int, Tensor] = field(default_factory=dict)
    masks: dict[int, Tensor] = field(default_factory=dict)


class StyleEngine:
    """What is trained, and the loss terms; the terms themselves are in `stylswap.engines.style_pass`.

    Features of the inputs and of the identity's photos never change and are computed once; see `FeatureBank`.
    """

    def __init__(
        self,
        network: nn.Module,
        critic: Critic,
        inputs: FaceSet,
        identity: FaceSet,
        *,
        style: StyleOptions,
        content: ContentOptions | None = None,
        expression: ExpressionOptions | None = None,
        detail: DetailOptions | None = None,
        critic_px: int = 128,
        judges: Judges | None = None,
        unsteady: float = 0.0,
        finished: bool = False,
        cache_bytes: int = 2**30,
        device: torch.device | str = "cpu",
    ) -> None:
        """Choose the style faces of every input.

        Args:
            network: (B, 3, S, S) -> (B, 3, S, S); moved to the device, channels last.
            critic: Gives the features; frozen, on the device.
            inputs: The faces to be edited, with their mirror images.
            identity: The photos of the identity, with their mirror images.
            style: Choices of the style term.
            content: Choices of the content term; None: the paper's.
            expression: Choices of the expression term; None: all points weigh alike.
            detail: Choices of the detail term.
            critic_px: Side of what critic, recognisers, landmark and lighting critic see; of larger crops, the means over squares of
                pixels. So their numbers mean the same at every size, and cost the same. Full resolution is for `detail` and the
                discriminator.
            judges: The other networks, on the device.
            unsteady: How differently recognisers and landmark critic look at the outputs from step to step, see
                `stylswap.engines.unsteady`.
            finished: Whether they look at the outputs as photos will show them, see `stylswap.faces.detail.finished`, or as drawn.
            cache_bytes: Memory for the inputs' features.
            device: Where everything runs.

        Raises:
            SettingsError: If there are fewer style faces than asked for, sizes differ, or the crops are larger than `critic_px` and no
                multiple of it.
        """
        if identity.size != inputs.size:
            raise SettingsError(f"identity and inputs must be crops of one size, got {identity.size} and {inputs.size} px")
        check_critic_px(inputs.size, critic_px)
        self.device, self.critic_px, self.unsteady, self.finished = torch.device(device), critic_px, unsteady, finished
        self.network = network.to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.critic, self.style, self.content, self.detail = critic, style, content or ContentOptions(), detail or DetailOptions()
        self.expression = expression or ExpressionOptions()
        if not 1 <= self.detail.num_faces <= style.num_faces:
            raise SettingsError(f"detail.num_faces must be from 1 to the {style.num_faces} style faces, got {self.detail.num_faces}")
        self._judges = judges or Judges()
        self._identity, self.inputs = identity, inputs
        weights = None if style.point_weights is None else torch.tensor(style.point_weights)
        self._styles_of = choose_rows(inputs, identity, style.num_faces, point_weights=weights, copies=style.copies)
        if style.copies > 1:
            self._styles_of = lit_alike(self._styles_of, inputs, identity, style.copies, self._light_of)
        self.teachers = tuple(self._teacher(recognise, inputs) for recognise in self._judges.recognisers)
        self._style_bank = FeatureBank(critic, style.layers, lambda row: self._image(identity, row))
        self.input_bank = FeatureBank(critic, self.content.layers, lambda row: self._image(inputs, row), budget_bytes=cache_bytes)
        self._seen = _Seen()
        self._drawn: tuple[RowBatch, Tensor] | None = None
        self._set_phases()

    def _set_phases(self) -> None:
        modules: dict[str, nn.Module] = {"network": self.network}
        wanted = tuple(parameter for parameter in self.network.parameters() if parameter.requires_grad)  # a base may be frozen
        phases = [Phase("network", wanted, self.terms)]
        self.term_names: Mapping[str, frozenset[str]] = {"network": TERMS}
        discriminator = self._judges.discriminator
        if discriminator is not None:
            modules["discriminator"] = discriminator.to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
            parameters = tuple(discriminator.parameters())
            phases.append(Phase("discriminator", parameters, self.discriminator_terms, betas=DISCRIMINATOR_BETAS))
            self.term_names = {**self.term_names, "discriminator": DISCRIMINATOR_TERMS}
        self.trained = nn.ModuleDict(modules)
        self.phases: Sequence[Phase[RowBatch]] = tuple(phases)

    def terms(self, batch: RowBatch, names: Collection[str]) -> dict[str, Tensor]:
        """The wanted terms, (B,) each, unweighted; what no term needs is not computed."""
        layers = (*(self.style.layers if "style" in names else ()), *(self.content.layers if "content" in names else ()))
        forward = StylePass(self, batch, tuple(dict.fromkeys(layers)))
        terms: dict[str, Tensor] = {name: getattr(forward, name) for name in sorted(names)}
        self._drawn = (batch, forward.output.detach())
        return terms

    @torch.no_grad()
    def judged(self, batch: RowBatch) -> Tensor:
        """What the network's turn drew of a batch, as its judges see it, (B, 3, S, S); drawn anew if that was another batch."""
        return StylePass(self, batch, (), self._drawn_of(batch)).judged

    def discriminator_terms(self, batch: RowBatch, names: Collection[str]) -> dict[str, Tensor]:
        """The discriminator's turn. It follows the network's, and judges what that drew a moment ago."""
        forward = StylePass(self, batch, (), self._drawn_of(batch))
        return {name: getattr(forward, name) for name in sorted(names)}

    @torch.no_grad()
    def _drawn_of(self, batch: RowBatch) -> Tensor:
        if self._drawn is not None and self._drawn[0] is batch:
            return self._drawn[1]
        return StylePass(self, batch, ()).output

    def critic_of_light(self) -> Callable[[Tensor], Tensor]:
        """The lighting critic.

        Raises:
            SettingsError: If there is none.
        """
        if self._judges.light is None:
            raise SettingsError("the lighting term or style faces lit alike are wanted, but the engine has no lighting critic")
        return self._judges.light

    def opponent(self) -> PatchDiscriminator:
        """The discriminator.

        Raises:
            SettingsError: If there is none.
        """
        if self._judges.discriminator is None:
            raise SettingsError("the adversarial term is wanted, but the engine has no discriminator")
        return self._judges.discriminator

    def find_landmarks(self, images: Tensor) -> Tensor:
        """What the landmark critic sees, (B, 68, 2).

        Raises:
            SettingsError: If there is none.
        """
        if self._judges.landmarks is None:
            raise SettingsError("the expression term is wanted, but the engine has no landmark critic")
        return self._judges.landmarks(images)

    @torch.no_grad()
    def input_landmarks(self, rows: Sequence[int], faces: FaceBatch) -> Tensor:
        """What the landmark critic sees in the inputs as they are, (B, 68, 2); computed once."""
        for place, row in enumerate(rows):
            if row not in self._seen.landmarks:
                self._seen.landmarks[row] = self.find_landmarks(faces.images[place : place + 1])[0]
        return torch.stack([self._seen.landmarks[row] for row in rows])

    @torch.no_grad()
    def input_faces(self, rows: Sequence[int]) -> list[Tensor]:
        """Whom each recogniser sees in the photos of the inputs, (B, D)."""
        names = [self.inputs.names[row % len(self.inputs)] for row in rows]
        for name in names:
            if name not in self._seen.faces:
                photo = [self.inputs.names.index(name)]  # the first of its rows is the photo itself
                self._seen.faces[name] = [self._described(teacher.recognise, self.inputs, photo)[0] for teacher in self.teachers]
        return [torch.stack([self._seen.faces[name][number] for name in names]) for number in range(len(self.teachers))]

    def real_faces(self, rows: Sequence[int], faces: FaceBatch, mask: Tensor, *, step: int = 0) -> tuple[Tensor, Tensor]:
        """What the discriminator takes for real: for every other face the identity's photo that is nearest to it, for the others the input.

        Where a batch has an odd number of faces, it goes on with the next one in turn.

        Returns:
            Images (B, 3, S, S), and where they count, (B, 1, S, S).
        """
        images, masks = faces.images.clone(), mask.clone()
        for place in range(step * len(rows) % 2, len(rows), 2):
            photo = self._identity.batch([int(self._styles_of[rows[place]][0])])
            images[place] = photo.faces.images[0].to(self.device)
            masks[place] = (photo.faces.masks[0] * (1.0 - photo.kept[0])).to(self.device)  # as of the inputs: what covers it is no face
        return images, masks

    def style_features(self, row: int) -> dict[str, Tensor]:
        """Style features for one input, (N, C, H, W) float16, channels last, by layer."""
        return self._style_bank.lookup(self._styles_of[row].tolist())

    @torch.no_grad()
    def style_masks(self, row: int) -> Tensor:
        """Where the style faces of one input surely show a face and nothing in front of it, (N, 1, s, s) in [0, 1]."""
        chosen = self._styles_of[row].tolist()
        for photo in chosen:
            if photo not in self._seen.masks:
                seen = self._identity.batch([photo])
                shown = seen.faces.masks * (1.0 - seen.kept)
                if self._identity.kept_u8 is not None:  # parsed, but for the border: there a forehead may be hair
                    edge = round(shown.shape[-1] / BORDER_PARTS)
                    shown = F.pad(shown[..., edge:-edge, edge:-edge], (edge,) * 4)
                self._seen.masks[photo] = reduced(shown.to(self.device), self.critic_px)[0].half()
        return torch.stack([self._seen.masks[photo] for photo in chosen]).float()

    @torch.no_grad()
    def detail_features(self, rows: Sequence[int], corners: Sequence[Corner], side: int) -> dict[str, Tensor]:
        """Features of the nearest style faces of some inputs, within each input's window, (B, N, C, H, W) by layer.

        Not kept: there are many more windows than photos, and what they would need of memory is worth more than the time.
        """
        count = self.detail.num_faces
        photos = [self._identity.faces(self._styles_of[row][:count].tolist()).images for row in rows]  # (N, 3, S, S) each
        cut = torch.cat([windows(some, [corner] * count, side) for some, corner in zip(photos, corners, strict=True)])
        features = self.critic(cut.to(self.device), self.detail.layers)
        return {layer: cells.unflatten(0, (len(rows), count)) for layer, cells in features.items()}

    def _light_of(self, images: Tensor) -> Tensor:
        return self.critic_of_light()(reduced(images.to(self.device), self.critic_px))

    @torch.no_grad()
    def _teacher(self, recognise: Recognises, inputs: FaceSet) -> Teacher:
        own = self._described(recognise, self._identity, range(len(self._identity) // self.style.copies))  # under their own light
        mean = F.normalize(own.mean(dim=0), dim=0)
        some = range(0, len(inputs), max(len(inputs) // STRANGERS, 1))
        strangers = 1 - self._described(recognise, inputs, some) @ mean
        return Teacher(recognise, mean, max(float(strangers.mean()), 1e-3))

    def _described(self, recognise: Recognises, faces: FaceSet, rows: Sequence[int]) -> Tensor:
        batches = [reduced_faces(faces.faces([row]).to(self.device), self.critic_px) for row in rows]
        return torch.cat([recognise(batch.images, batch.landmarks) for batch in batches])

    def _image(self, faces: FaceSet, row: int) -> Tensor:
        """What the critic sees of a face, (3, critic_px, critic_px) at most."""
        return reduced(faces.faces([row]).images.to(self.device), self.critic_px)[0]
