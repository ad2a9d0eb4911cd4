"""What the predictor sees of results: nothing where nothing changed, and a shift as what it is."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from stylswap.config import load_settings
from stylswap.data.augment import with_random_lights
from stylswap.data.faceset import FaceSet, RowBatch
from stylswap.data.occluded_inputs import with_occluders
from stylswap.errors import SettingsError
from stylswap.faces.batch import Face
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import eye_distance
from stylswap.jobs.inner_distance import FURTHEST, InnerDistance


@dataclass
class Shifts:
    """Draws the inputs, moved to the right."""

    inputs: FaceSet
    pixels: int

    def judged(self, batch: RowBatch) -> Tensor:
        images = batch.faces.images
        return torch.cat([images[..., :1].expand(*images.shape[:3], self.pixels), images[..., : images.shape[3] - self.pixels]], dim=3)


def test_what_is_drawn_as_it_was_has_no_distance(input_set: FaceSet) -> None:
    assert InnerDistance(Shifts(input_set, 0))(input_set.batch((0, 1, 7))) == 0.0


def test_a_shift_is_seen_as_what_it_is(input_set: FaceSet) -> None:
    batch = input_set.batch((0, 1, 2, 7))
    between = eye_distance(batch.faces.landmarks.double().numpy())
    for pixels in (1, 2):
        expected = float((pixels / between).mean())
        assert InnerDistance(Shifts(input_set, pixels))(batch) == pytest.approx(expected, rel=0.35)


class Counts(FaceDetector):
    looked = 0

    def landmarks_in(self, rgb_u8: npt.NDArray[np.uint8], face: Face) -> Face:
        Counts.looked += 1
        return super().landmarks_in(rgb_u8, face)


def test_inputs_are_looked_at_once(input_set: FaceSet) -> None:
    distance = InnerDistance(Shifts(input_set, 1), Counts(use_cnn=False))
    for looked in (4, 6):
        distance(input_set.batch((0, 3)))
        assert Counts.looked == looked


def test_one_that_is_lost_counts_as_the_furthest(input_set: FaceSet) -> None:
    class Blank(Shifts):
        def judged(self, batch: RowBatch) -> Tensor:
            return torch.zeros_like(batch.faces.images)

    assert InnerDistance(Blank(input_set, 0))(input_set.batch((0, 1))) == FURTHEST


def test_what_is_relit_covered_or_turned_does_not_count(input_set: FaceSet) -> None:
    more = with_occluders(with_random_lights(input_set, 0.5, seed=0), 0.5, seed=0)
    count = len(input_set)
    far = [*more.poses]
    far[1] = far[1]._replace(yaw_deg=-40.0)
    turned = dataclasses.replace(more, poses=tuple(far))
    distance = InnerDistance(Shifts(turned, 1))
    plain = distance(turned.batch((0,)))
    assert plain > 0
    assert distance(turned.batch((0, 1, count, count + 2, len(turned) + 1, len(turned) + count))) == plain
    assert math.isnan(distance(turned.batch((1, count))))
    assert distance(turned.batch((len(turned),))) > 0, "a mirror image is a photo"


def test_no_level_is_beyond_what_is_ever_measured() -> None:
    assert load_settings(overrides=[f"loss.inner={FURTHEST * 0.99}"]).loss.inner == FURTHEST * 0.99
    with pytest.raises(SettingsError, match=f"less than {FURTHEST}"):
        load_settings(overrides=[f"loss.inner={FURTHEST}"])
