"""The bank of features: each row once, alone, in float16, whatever batch asks for it and whatever memory is left."""

from __future__ import annotations

from collections.abc import Collection

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.features.bank import FeatureBank

NUM_ROWS, SIDE = 5, 8
IMAGES = torch.rand(NUM_ROWS, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
LAYERS = ("shallow", "deep")
ROW_BYTES = 2 * (4 * SIDE * SIDE + 6 * (SIDE // 2) ** 2)


class CountingCritic:
    """Two layers; remembers what it was asked."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.kernels = {"shallow": torch.randn(4, 3, 3, 3, generator=generator), "deep": torch.randn(6, 3, 2, 2, generator=generator)}
        self.asked: list[tuple[int, tuple[str, ...]]] = []

    def __call__(self, images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        self.asked.append((len(images), tuple(layers)))
        found = {"shallow": F.conv2d(images, self.kernels["shallow"], padding=1), "deep": F.conv2d(images, self.kernels["deep"], stride=2)}
        return {layer: found[layer] for layer in layers}


def bank(critic: CountingCritic, *, layers: tuple[str, ...] = LAYERS, budget_bytes: int | None = None) -> FeatureBank:
    return FeatureBank(critic, layers, lambda row: IMAGES[row], budget_bytes=budget_bytes)


def test_the_values_are_the_critics_in_float16() -> None:
    critic = CountingCritic()
    found = bank(critic).lookup([3, 0, 3])
    wanted = critic(IMAGES[[3, 0, 3]], LAYERS)
    assert {layer: tuple(features.shape) for layer, features in found.items()} == {"shallow": (3, 4, 8, 8), "deep": (3, 6, 4, 4)}
    for layer, features in found.items():
        assert features.dtype == torch.float16
        assert torch.allclose(features.float(), wanted[layer], atol=1e-2, rtol=1e-3)
        assert features.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(features[0], features[2])


def test_a_value_depends_neither_on_the_batch_nor_on_the_memory() -> None:
    in_one = bank(CountingCritic()).lookup(range(NUM_ROWS))
    one_by_one, forgetful = bank(CountingCritic()), bank(CountingCritic(), budget_bytes=0)
    for row in reversed(range(NUM_ROWS)):
        for other in (one_by_one, forgetful):
            for layer in LAYERS:
                assert torch.equal(other.lookup([row])[layer][0], in_one[layer][row])


def test_each_row_is_computed_once_and_alone() -> None:
    critic = CountingCritic()
    features = bank(critic)
    assert critic.asked == [], "nothing before the first look"
    features.lookup([1, 2, 1])
    features.lookup([2, 3])
    features.lookup([1])
    assert critic.asked == [(1, LAYERS)] * 3
    assert len(features) == 3


@pytest.mark.parametrize(("budget_bytes", "kept"), [(0, 0), (ROW_BYTES - 1, 0), (ROW_BYTES, 1), (3 * ROW_BYTES + 1, 3), (None, 5)])
def test_no_more_is_kept_than_fits(budget_bytes: int | None, kept: int) -> None:
    critic = CountingCritic()
    features = bank(critic, budget_bytes=budget_bytes)
    for _ in range(2):
        features.lookup(range(NUM_ROWS))
    assert len(features) == kept
    assert len(critic.asked) == NUM_ROWS + (NUM_ROWS - kept), "the others are computed again"


def test_only_its_layers_are_asked_for() -> None:
    critic = CountingCritic()
    assert set(bank(critic, layers=("deep",)).lookup([0])) == {"deep"}
    assert critic.asked == [(1, ("deep",))]


def test_nothing_is_kept_for_a_gradient() -> None:
    critic = CountingCritic()
    critic.kernels["deep"].requires_grad_()
    assert not bank(critic).lookup([0])["deep"].requires_grad


def test_looking_does_not_lend_the_bank_out() -> None:
    features = bank(CountingCritic())
    before = features.lookup([0])["deep"].clone()
    features.lookup([0])["deep"].zero_()
    assert torch.equal(features.lookup([0])["deep"], before)
