"""What the tests of the style engine share."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from stylswap.data.faceset import FaceSet
from stylswap.engines.style import StyleEngine
from stylswap.features.vgg import VGG
from tests.engines.style_case import Watched, make


@pytest.fixture(scope="module")
def vgg() -> VGG:
    return VGG.load()


@pytest.fixture
def critic(vgg: VGG) -> Watched:
    return Watched(vgg)


@pytest.fixture(scope="module")
def covered_set(input_set: FaceSet) -> FaceSet:
    """The inputs, each with something in front of the left half of its lower face."""
    kept = torch.zeros_like(input_set.masks_u8)
    kept[..., 40:, :32] = 255
    return replace(input_set, kept_u8=kept)


@pytest.fixture
def engine(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> StyleEngine:
    return make(critic, input_set, identity_set)
