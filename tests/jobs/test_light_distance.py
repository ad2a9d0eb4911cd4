"""How far results are from the inputs' light: nothing where it lies alike, and what the metric says elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from stylswap.config import load_settings
from stylswap.data.augment import with_random_lights
from stylswap.data.faceset import FaceSet, RowBatch
from stylswap.data.occluded_inputs import with_occluders
from stylswap.errors import SettingsError
from stylswap.jobs.light_distance import FURTHEST, LightDistance
from stylswap.metrics.light import luminance_correlation


@dataclass
class Draws:
    """Draws the inputs, changed."""

    inputs: FaceSet
    change: Callable[[Tensor], Tensor]

    def judged(self, batch: RowBatch) -> Tensor:
        return self.change(batch.faces.images)


def lamp_from_the_left(images: Tensor) -> Tensor:
    return images * torch.linspace(1.0, 0.4, images.shape[-1])


@pytest.mark.parametrize("change", [lambda images: images, lambda images: 0.5 * images + 0.1])
def test_brightness_and_contrast_are_not_where_light_lies(input_set: FaceSet, change: Callable[[Tensor], Tensor]) -> None:
    assert LightDistance(Draws(input_set, change))(input_set.batch((0, 1, 7))) == pytest.approx(0.0, abs=1e-6)


def test_a_new_lamp_is_seen_as_the_metric_sees_it(input_set: FaceSet) -> None:
    batch = input_set.batch((0, 3, 7))
    after = lamp_from_the_left(batch.faces.images)
    each = [luminance_correlation(*one) for one in zip(batch.faces.images, after, batch.faces.masks, strict=True)]
    assert LightDistance(Draws(input_set, lamp_from_the_left))(batch) == pytest.approx(1 - sum(each) / 3)
    assert 1 - sum(each) / 3 > 0.02


def test_what_covers_a_face_does_not_count(input_set: FaceSet) -> None:
    """A hand in front of the face is not drawn by the network: whatever it does there, nobody will see."""
    batch = input_set.batch((0,))
    half = torch.zeros_like(batch.kept)
    half[..., half.shape[-1] // 2 :] = 1.0

    def spoil(images: Tensor) -> Tensor:
        return torch.where(half > 0, images.flip(-2), images)

    distance = LightDistance(Draws(input_set, spoil))
    assert distance(batch) > 0.02
    assert distance(replace(batch, kept=half)) == pytest.approx(0.0, abs=1e-6)


def test_what_is_relit_or_covered_says_nothing(input_set: FaceSet) -> None:
    more = with_occluders(with_random_lights(input_set, 0.5, seed=0), 0.5, seed=0)
    count = len(input_set)
    distance = LightDistance(Draws(more, lamp_from_the_left))
    plain = distance(more.batch((1,)))
    assert plain > 0
    assert distance(more.batch((1, count, count + 2, len(more) + count))) == plain
    assert math.isnan(distance(more.batch((count,))))
    assert distance(more.batch((len(more) + 1,))) > 0, "a mirror image is a photo"


def test_a_face_that_is_lit_from_elsewhere_altogether_counts_as_the_furthest(input_set: FaceSet) -> None:
    assert LightDistance(Draws(input_set, lambda images: 1.0 - images))(input_set.batch((0, 1))) == FURTHEST


def test_a_picture_of_one_colour_is_passed_over(input_set: FaceSet) -> None:
    assert math.isnan(LightDistance(Draws(input_set, torch.zeros_like))(input_set.batch((0, 1))))


def test_no_level_is_beyond_what_is_ever_measured() -> None:
    assert load_settings(overrides=[f"loss.light={FURTHEST * 0.99}"]).loss.light == FURTHEST * 0.99
    with pytest.raises(SettingsError, match=f"less than {FURTHEST}"):
        load_settings(overrides=[f"loss.light={FURTHEST}"])
