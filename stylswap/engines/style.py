"""The style engine: Korshunova et al. 2017 with the terms of `docs/method.md`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.data.faceset import FaceSet, RowBatch
from stylswap.engines.phase import Phase
from stylswap.engines.style_faces import choose_rows, lit_alike
from stylswap.errors import SettingsError
from stylswap.faces.batch import FaceBatch
from stylswap.features.bank import Critic, FeatureBank
from stylswap.losses.content import content
from stylswap.losses.identity import identity as identity_distance
from stylswap.losses.lighting import lighting
from stylswap.losses.luminance import luminance
from stylswap.losses.smoothness import smoothness
from stylswap.losses.style import patch_style

TERMS = frozenset({"content", "style", "identity", "lighting", "luminance", "smoothness"})

# A face recogniser: (B, 3, S, S) and landmarks (B, 68, 2) -> (B, D) of unit length.
Recognises = Callable[[Tensor, Tensor], Tensor]


class Rendered(NamedTuple):
    """What an engine makes of aligned faces.

    Attributes:
        images: (B, 3, S, S) in [0, 1].
        masks: (B, 1, S, S) in [0, 1] where the engine knows better than the segmenter what it changed, else None.
    """

    images: Tensor
    masks: Tensor | None = None


@dataclass(frozen=True)
class StyleOptions:
    """Choices of the style term; see `stylswap.losses.style.patch_style`.

    Attributes:
        layers: Of the critic.
        num_faces: N, style faces chosen for each input.
        point_weights: Weight of each of the 68 points in that choice; None weighs all alike. A smile moves few points: weighed alike,
            head pose decides, and a closed mouth is shown mostly open ones.
        radius: Cells around the same cell that are searched.
        patch: Side of a patch in cells.
        copies: How often each photo of the identity is there, under another lamp each time; see `stylswap.engines.style_faces.lit_alike`.
    """

    layers: tuple[str, ...] = ("relu3_1", "relu4_1")
    num_faces: int = 16
    point_weights: tuple[float, ...] | None = None
    radius: int = 0
    patch: int = 1
    copies: int = 1


class StyleRenderer:
    """A network in use."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def render(self, faces: FaceBatch) -> Rendered:
        """Give aligned faces the identity. One forward pass for the whole batch; a network in training is left in training."""
        images = faces.images.contiguous(memory_format=torch.channels_last)
        was_training = self._network.training
        try:
            return Rendered(self._network.eval()(images).clamp(0, 1).contiguous())
        finally:
            self._network.train(was_training)


class StyleEngine:
    """What is trained, and the loss terms.

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
        light: Callable[[Tensor], Tensor] | None = None,
        recogniser: Recognises | None = None,
        content_layer: str = "relu4_2",
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
            light: The lighting critic, (B, 3, S, S) -> (B, D), frozen, on the device; None where neither the lighting term nor copies
                under several lamps are wanted.
            recogniser: The face recogniser, frozen, on the device; None where the identity term is not wanted.
            content_layer: Layer of the content term.
            cache_bytes: Memory for the inputs' features.
            device: Where everything runs.

        Raises:
            SettingsError: If there are fewer style faces than asked for.
        """
        if identity.size != inputs.size:
            raise SettingsError(f"identity and inputs must be crops of one size, got {identity.size} and {inputs.size} px")
        self._device = torch.device(device)
        self._network = network.to(self._device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self._critic = critic
        self._light = light
        self._style = style
        self._content_layer = content_layer
        weights = None if style.point_weights is None else torch.tensor(style.point_weights)
        self._styles_of = choose_rows(inputs, identity, style.num_faces, point_weights=weights, copies=style.copies)
        if style.copies > 1:
            critic_of_light = self._critic_of_light()
            self._styles_of = lit_alike(
                self._styles_of, inputs, identity, style.copies, lambda images: critic_of_light(images.to(self._device))
            )
        self._recogniser = recogniser
        self._identity_features = None if recogniser is None else self._mean_direction(identity, style.copies)
        self._style_bank = FeatureBank(critic, style.layers, lambda row: self._image(identity, row))
        self._input_bank = FeatureBank(
            critic, (content_layer,), lambda row: self._image(inputs, row), budget_bytes=cache_bytes
        )
        self.trained = nn.ModuleDict({"network": self._network})
        self.phases: Sequence[Phase[RowBatch]] = (Phase("network", tuple(self._network.parameters()), self.terms),)
        self.term_names: Mapping[str, frozenset[str]] = {"network": TERMS}

    def terms(self, batch: RowBatch, names: Collection[str]) -> dict[str, Tensor]:
        """The wanted terms, (B,) each, unweighted; what no term needs is not computed."""
        forward = _ForwardPass(self, batch, names)
        return {name: getattr(forward, name) for name in sorted(names)}

    def _critic_of_light(self) -> Callable[[Tensor], Tensor]:
        if self._light is None:
            raise SettingsError("the lighting term or style faces lit alike are wanted, but the engine has no lighting critic")
        return self._light

    @torch.no_grad()
    def _mean_direction(self, identity: FaceSet, copies: int) -> Tensor:
        """What the recogniser sees in the identity's own photos, (D,), unit length."""
        assert self._recogniser is not None
        rows = range(len(identity) // copies)  # the photos themselves, under their own light
        faces = [identity.faces([row]).to(self._device) for row in rows]
        features = torch.cat([self._recogniser(face.images, face.landmarks) for face in faces])
        return F.normalize(features.mean(dim=0), dim=0)

    def _image(self, faces: FaceSet, row: int) -> Tensor:
        return faces.faces([row]).images[0].to(self._device)

    def _styles(self, row: int) -> dict[str, Tensor]:
        """Style features for one input, (N, C, H, W) float16, channels last, by layer."""
        return self._style_bank.lookup(self._styles_of[row].tolist())


class _ForwardPass:
    """One batch on its way through network and critic; each part is computed at first use."""

    def __init__(self, engine: StyleEngine, batch: RowBatch, names: Collection[str]) -> None:
        self._engine = engine
        self._rows = batch.rows
        self._faces = batch.faces.to(engine._device)
        self._layers = [*(engine._style.layers if "style" in names else ()), *([engine._content_layer] if "content" in names else ())]

    @cached_property
    def output(self) -> Tensor:
        images = self._faces.images.contiguous(memory_format=torch.channels_last)
        output: Tensor = self._engine._network(images)
        return output

    @cached_property
    def features(self) -> dict[str, Tensor]:
        return self._engine._critic(self.output, self._layers)

    @property
    def content(self) -> Tensor:
        layer = self._engine._content_layer
        return content(self.features[layer], self._engine._input_bank.lookup(self._rows)[layer].float())

    @property
    def style(self) -> Tensor:
        engine = self._engine
        chosen = [engine._styles(row) for row in self._rows]
        distances = []
        for layer in engine._style.layers:
            features = self.features[layer]  # (B, C, H, W)
            mask = F.interpolate(self._faces.masks, size=features.shape[-2:], mode="area")
            styles = torch.stack([face[layer] for face in chosen])  # (B, N, C, H, W)
            distances.append(patch_style(features, styles, mask=mask, radius=engine._style.radius, patch=engine._style.patch))
        return torch.stack(distances).mean(dim=0)

    @property
    def identity(self) -> Tensor:
        engine = self._engine
        if engine._recogniser is None or engine._identity_features is None:
            raise SettingsError("the identity term is wanted, but the engine has no face recogniser")
        # What will be pasted, in front of what will stay: hair drawn outside the mask would fool the recogniser and never be seen.
        pasted = torch.lerp(self._faces.images, self.output, self._faces.masks)
        return identity_distance(engine._recogniser(pasted, self._faces.landmarks), engine._identity_features)

    @property
    def lighting(self) -> Tensor:
        light = self._engine._critic_of_light()
        with torch.no_grad():
            wanted = light(self._faces.images)
        return lighting(light(self.output), wanted)

    @property
    def luminance(self) -> Tensor:
        return luminance(self.output, self._faces.images, mask=self._faces.masks)

    @property
    def smoothness(self) -> Tensor:
        return smoothness(self.output)
