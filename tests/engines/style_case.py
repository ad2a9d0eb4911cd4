"""A style engine with the real critics, on crops of 64 px, and who it is made of: for the tests of the engine."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from stylswap.data.faceset import FaceSet
from stylswap.engines.style import TERMS, Judges, StyleEngine
from stylswap.engines.style_options import StyleOptions
from stylswap.features.landmarks import LandmarkCritic
from stylswap.features.lighting import LightingCritic
from stylswap.features.recogniser import Recogniser
from stylswap.features.vgg import VGG
from stylswap.networks import build_network
from stylswap.networks.discriminator import PatchDiscriminator, build_discriminator

NUM_FACES = 3
ROWS = (0, 4, 7)  # of six faces; 7 is the mirror image of 1
STRONG = {"content": 1.0, "style": 25.0, "identity": 5.0, "residual": 2.0, "expression": 50.0, "keep": 10.0, "lighting": 2.0}
FAINT = {"luminance": 20.0, "chrominance": 20.0, "smoothness": 0.3, "adversarial": 0.2, "detail": 2.0}
ALL_ON = {"network": {**STRONG, **FAINT}, "discriminator": {"hinge": 1.0}}
UNSIGNED = TERMS - {"adversarial"}

LIGHT = LightingCritic.load()
RECOGNISER = Recogniser.load("dlib")
LANDMARKS = LandmarkCritic.load()


class Watched:
    """A critic that remembers the layers it was asked for, and of how many images."""

    def __init__(self, critic: VGG) -> None:
        self.critic = critic
        self.asked: list[tuple[int, tuple[str, ...]]] = []

    def __call__(self, images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        self.asked.append((len(images), tuple(layers)))
        features: dict[str, Tensor] = self.critic(images, layers)
        return features


def network(*, moved: bool = False) -> nn.Module:
    """A small one; `moved` away from the identity that it starts as."""
    net = build_network("residual", seed=1, widths=[8, 16, 16], blocks=1)
    if moved:
        last = net.get_submodule("to_change")
        nn.init.normal_(last.weight, std=0.02, generator=torch.Generator().manual_seed(2))
        nn.init.constant_(last.bias, 0.03)
    return net


def judges(**changes: object) -> Judges:
    """All of them, with a discriminator of its own for each engine."""
    return replace(Judges(LIGHT, [RECOGNISER], LANDMARKS, build_discriminator(seed=3, widths=[8, 8, 8])), **changes)


def make(critic: Watched, inputs: FaceSet, identity: FaceSet, *, net: nn.Module | None = None, **more: object) -> StyleEngine:
    more = {"style": StyleOptions(num_faces=NUM_FACES), "judges": judges(), **more}
    return StyleEngine(net or network(moved=True), critic, inputs, identity, **more)  # type: ignore[arg-type]


def opponent(engine: StyleEngine) -> PatchDiscriminator:
    discriminator = engine.trained["discriminator"]
    assert isinstance(discriminator, PatchDiscriminator)
    return discriminator


def nearest(inputs: FaceSet, identity: FaceSet, row: int) -> list[int]:
    """Brute force: the identity's rows, mirror images among them, by the distance of their landmarks."""
    own = inputs.faces([row]).landmarks[0].numpy()
    distances = [float(((identity.faces([other]).landmarks[0].numpy() - own) ** 2).sum()) for other in range(identity.num_rows)]
    return list(np.argsort(distances, kind="stable")[:NUM_FACES])


def parameters(engine: StyleEngine, module: str = "network") -> Iterator[tuple[str, nn.Parameter]]:
    return engine.trained[module].named_parameters()
