"""What the predictor sees of results: nothing where nothing changed, and a shift as what it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from stylswap.data.faceset import FaceSet, RowBatch
from stylswap.faces.batch import Face
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import eye_distance
from stylswap.jobs.inner_distance import InnerDistance


@dataclass
class Shifts:
    """Draws the inputs, moved to the right."""

    pixels: int

    def pasted(self, batch: RowBatch) -> Tensor:
        images = batch.faces.images
        return torch.cat([images[..., :1].expand(*images.shape[:3], self.pixels), images[..., : images.shape[3] - self.pixels]], dim=3)


def test_what_is_drawn_as_it_was_has_no_distance(input_set: FaceSet) -> None:
    assert InnerDistance(Shifts(0))(input_set.batch((0, 1, 7))) == 0.0


def test_a_shift_is_seen_as_what_it_is(input_set: FaceSet) -> None:
    batch = input_set.batch((0, 1, 2, 7))
    between = eye_distance(batch.faces.landmarks.double().numpy())
    for pixels in (1, 2):
        expected = float((pixels / between).mean())
        assert InnerDistance(Shifts(pixels))(batch) == pytest.approx(expected, rel=0.35)


class Counts(FaceDetector):
    looked = 0

    def landmarks_in(self, rgb_u8: npt.NDArray[np.uint8], face: Face) -> Face:
        Counts.looked += 1
        return super().landmarks_in(rgb_u8, face)


def test_inputs_are_looked_at_once(input_set: FaceSet) -> None:
    distance = InnerDistance(Shifts(1), Counts(use_cnn=False))
    for looked in (4, 6):
        distance(input_set.batch((0, 3)))
        assert Counts.looked == looked
