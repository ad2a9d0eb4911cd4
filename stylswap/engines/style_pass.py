"""One batch of the style engine on its way through network and critics: every part is computed at first use, and once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.data.faceset import RowBatch
from stylswap.engines.critic_size import reduced, reduced_faces
from stylswap.engines.detail import window_corner, windows
from stylswap.engines.unsteady import moved_images, moved_points, sometimes_mirrored, unsteady_cut
from stylswap.errors import SettingsError
from stylswap.faces.batch import FaceBatch
from stylswap.faces.detail import finished
from stylswap.faces.segment import feature_areas
from stylswap.losses.adversarial import discriminator_hinge, face_cells, generator_hinge
from stylswap.losses.colour import chrominance
from stylswap.losses.content import content
from stylswap.losses.expression import expression
from stylswap.losses.identity import identity, residual
from stylswap.losses.keep import keep
from stylswap.losses.lighting import lighting
from stylswap.losses.luminance import luminance
from stylswap.losses.smoothness import smoothness
from stylswap.losses.style import patch_style

if TYPE_CHECKING:
    from stylswap.engines.style import StyleEngine


class StylePass:
    """The terms of one batch, each a property with (B,) numbers.

    What begins with `small` is reduced to `critic_px` (see `stylswap.engines.critic_size`), and is all that frozen networks see, but for
    the window of the detail term. The other terms work at full resolution.

    Args:
        engine: Whose networks, critics and photos.
        batch: Faces to be edited.
        layers: Of the critic, those that any wanted term needs.
        output: What the network made of the batch, where that is known; a constant then.
    """

    def __init__(self, engine: StyleEngine, batch: RowBatch, layers: tuple[str, ...], output: Tensor | None = None) -> None:
        self._engine = engine
        self._rows = batch.rows
        self._faces = batch.faces.to(engine.device)
        self._kept = batch.kept.to(engine.device)
        self._step = batch.step
        self._layers = layers
        if output is not None:
            self.__dict__["output"] = output

    @cached_property
    def output(self) -> Tensor:
        """What the network makes of the inputs, (B, 3, S, S)."""
        images = self._faces.images.contiguous(memory_format=torch.channels_last)
        output: Tensor = self._engine.network(images)
        return output

    @cached_property
    def mask(self) -> Tensor:
        """Where the output will be seen, (B, 1, S, S): face, and nothing in front of it."""
        return self._faces.masks * (1.0 - self._kept)

    @cached_property
    def pasted(self) -> Tensor:
        """What will be pasted, in front of what will stay: hair drawn outside the mask would fool a judge and never be seen."""
        return torch.lerp(self._faces.images, self.output, self.mask)

    @cached_property
    def small_faces(self) -> FaceBatch:
        """The inputs."""
        return reduced_faces(self._faces, self._engine.critic_px)

    @cached_property
    def small_output(self) -> Tensor:
        """(B, 3, s, s)."""
        return reduced(self.output, self._engine.critic_px)

    @cached_property
    def small_mask(self) -> Tensor:
        """(B, 1, s, s)."""
        return reduced(self.mask, self._engine.critic_px)

    @cached_property
    def judged(self) -> Tensor:
        """What recognisers and landmark critic look at, (B, 3, S, S): the pasted faces, finished as photos will show them if so wanted."""
        if not self._engine.finished:
            return self.pasted
        return torch.lerp(self._faces.images, finished(self.output), self.mask)

    @cached_property
    def small_judged(self) -> Tensor:
        """(B, 3, s, s)."""
        return reduced(self.judged, self._engine.critic_px)

    @cached_property
    def features(self) -> dict[str, Tensor]:
        """The critic's, of the output."""
        return self._engine.critic(self.small_output, self._layers)

    @cached_property
    def areas(self) -> Tensor:
        """Mouth, eyes and brows, (B, 1, s, s)."""
        return feature_areas(self.small_faces.landmarks, self.small_faces.size).to(self._engine.device)

    @cached_property
    def shown(self) -> Tensor:
        """Where each of the chosen style faces is face, (B, N, 1, s, s)."""
        return torch.stack([self._engine.style_masks(row) for row in self._rows])

    @cached_property
    def never_shown(self) -> Tensor:
        """What of the faces no style face shows, (B, 1, S, S): a forehead that reaches beyond the identity's hairline.

        Not mouth, eyes and brows: an identity that always wears dark glasses shows no eyes, and must not keep the input's for that.
        """
        size = self._faces.images.shape[-2:]
        known = [self.shown.amax(dim=1), self.areas]  # (B, 1, s, s), (B, 1, s/4, s/4)
        somewhere = torch.stack([F.interpolate(some, size=size, mode="bilinear", align_corners=False) for some in known]).amax(dim=0)
        return self.mask * (1.0 - somewhere)

    @cached_property
    def _cut(self) -> Tensor:
        """How the landmark critic looks at the faces this time, (B, 2, 3)."""
        return unsteady_cut(self.small_faces.landmarks, self._rows, self._step, self._engine.unsteady)

    @cached_property
    def _seen(self) -> list[Tensor]:
        """What each recogniser sees in the pasted faces, (B, D)."""
        if not self._engine.teachers:
            raise SettingsError("the identity or residual term is wanted, but the engine has no face recogniser")
        images, landmarks, spread = self.small_judged, self.small_faces.landmarks, self._engine.unsteady
        if spread > 0:
            images, landmarks = sometimes_mirrored(images, landmarks, self._rows, self._step)
            landmarks = moved_points(landmarks, unsteady_cut(landmarks, self._rows, self._step, spread))
        return [teacher.recognise(images, landmarks) for teacher in self._engine.teachers]

    @property
    def content(self) -> Tensor:
        """What the input shows must stay."""
        layers, weight = self._engine.content.layers, self._engine.content.features
        wanted = self._engine.input_bank.lookup(self._rows)
        parts = []
        for layer in layers:
            features = self.features[layer]
            mask = None if weight == 1.0 else 1.0 + (weight - 1.0) * _reduced(self.areas, features)
            parts.append(content(features, wanted[layer].float(), mask=mask))
        return torch.stack(parts).mean(dim=0)

    @property
    def style(self) -> Tensor:
        """Every cell should look like that cell of one of the identity's photos."""
        options = self._engine.style
        chosen = [self._engine.style_features(row) for row in self._rows]
        distances = []
        for layer in options.layers:
            features = self.features[layer]  # (B, C, H, W)
            mask = _reduced(self.small_mask, features)
            if options.features != 1.0:
                mask = mask * (1.0 + (options.features - 1.0) * _reduced(self.areas, features))
            styles = torch.stack([face[layer] for face in chosen])  # (B, N, C, H, W)
            shown = _reduced(self.shown.flatten(0, 1), features).unflatten(0, self.shown.shape[:2])
            search = {"radius": options.radius, "patch": options.patch}
            distances.append(patch_style(features, styles, mask=mask, shown=shown, softness=options.softness, **search))
        return torch.stack(distances).mean(dim=0)

    @property
    def identity(self) -> Tensor:
        """The recognisers should take the pasted faces for the identity; 1 is a stranger."""
        pairs = zip(self._seen, self._engine.teachers, strict=True)
        return torch.stack([identity(seen, teacher.mean) / teacher.strangers for seen, teacher in pairs]).mean(dim=0)

    @property
    def residual(self) -> Tensor:
        """And not for the input's own person."""
        inputs = self._engine.input_faces(self._rows)
        parts = [
            residual(seen, own, teacher.mean) / teacher.strangers
            for seen, own, teacher in zip(self._seen, inputs, self._engine.teachers, strict=True)
        ]
        return torch.stack(parts).mean(dim=0)

    @property
    def expression(self) -> Tensor:
        """The landmarks of the pasted faces must lie where the input has them."""
        mouth = self._engine.expression.mouth
        if self._engine.unsteady == 0:
            wanted = self._engine.input_landmarks(self._rows, self.small_faces)
            return expression(self._engine.find_landmarks(self.small_judged), wanted, mouth=mouth)
        with torch.no_grad():  # looked at anew: the critic's own errors drop out only in the same cut
            wanted = self._engine.find_landmarks(moved_images(self.small_faces.images, self._cut))
        return expression(self._engine.find_landmarks(moved_images(self.small_judged, self._cut)), wanted, mouth=mouth)

    @property
    def keep(self) -> Tensor:
        """What covers a face must stay, and so must what nobody knows of the identity: hair would be drawn on a bald head."""
        return keep(self.output, self._faces.images, self._kept + self.never_shown)

    @property
    def lighting(self) -> Tensor:
        """The light must stay, as the lighting network sees it."""
        light = self._engine.critic_of_light()
        with torch.no_grad():
            wanted = light(self.small_faces.images)
        return lighting(light(self.small_output), wanted)

    @property
    def luminance(self) -> Tensor:
        """The broad luma must stay."""
        return luminance(self.output, self._faces.images, mask=self.mask)

    @property
    def chrominance(self) -> Tensor:
        """The broad colour must stay."""
        return chrominance(self.output, self._faces.images, mask=self.mask)

    @property
    def smoothness(self) -> Tensor:
        """Total variation."""
        return smoothness(self.output)

    @property
    def adversarial(self) -> Tensor:
        """The discriminator should take the pasted faces for photos."""
        discriminator = self._engine.opponent()
        with discriminator.frozen():
            logits = discriminator(self.pasted)
        return generator_hinge(logits, mask=face_cells(self.mask, logits))

    @property
    def detail(self) -> Tensor:
        """What only full resolution shows should look like that of one of the identity's photos, within a window.

        The window is as large as what the critic sees; crops that are not larger are looked at whole.
        """
        options, side = self._engine.detail, min(self._faces.size, self._engine.critic_px)
        corners = [window_corner(mask, row, self._step, side) for mask, row in zip(self._faces.masks, self._rows, strict=True)]
        drawn = self._engine.critic(windows(self.output, corners, side), options.layers)
        wanted = self._engine.detail_features(self._rows, corners, side)
        masks = windows(self.mask, corners, side)
        distances = [
            patch_style(drawn[layer], wanted[layer], mask=_reduced(masks, drawn[layer]), radius=options.radius) for layer in options.layers
        ]
        return torch.stack(distances).mean(dim=0)

    @property
    def hinge(self) -> Tensor:
        """The discriminator's own term; the output is a constant in it."""
        real, real_mask = self._engine.real_faces(self._rows, self._faces, self.mask, step=self._step)
        # One pass for both sides: the spectral norm takes one step of its iteration.
        logits, fakes = self._engine.opponent()(torch.cat([real, self.pasted.detach()])).chunk(2)
        return discriminator_hinge(logits, fakes, real_mask=face_cells(real_mask, logits), fake_mask=face_cells(self.mask, fakes))


def _reduced(mask: Tensor, features: Tensor) -> Tensor:
    """(B, 1, S, S) -> (B, 1, H, W) of the features."""
    return F.interpolate(mask, size=features.shape[-2:], mode="area")
