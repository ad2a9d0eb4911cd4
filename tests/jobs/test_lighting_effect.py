"""The judges of light see what they should: a light that is kept, and one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stylswap.config import Settings
from stylswap.data.faceset import FaceSet
from stylswap.jobs.lighting_effect import _harmonics_error, _luminance_error, compare_lighting, side_lit
from stylswap.jobs.prepare import prepare_inputs


@pytest.fixture(scope="module")
def faces(folders: tuple[Path, Path], tiny_settings: Settings) -> FaceSet:
    return prepare_inputs(folders[1], tiny_settings)[0]


def test_side_light_is_brighter_on_its_side(faces: FaceSet) -> None:
    lit = side_lit(faces)
    assert len(lit) == 2 * len(faces)
    grey = (lit.images.mean(dim=1) * lit.masks[:, 0])
    half = lit.size // 2
    balance = grey[..., :half].sum(dim=(1, 2)) / grey[..., half:].sum(dim=(1, 2))
    first, second = balance[: len(faces)], balance[len(faces) :]
    assert ((first > 1.2 * second) | (second > 1.2 * first)).all()


@pytest.mark.parametrize("judge", [_luminance_error, _harmonics_error])
def test_the_same_picture_has_no_error_and_the_other_light_a_large_one(faces: FaceSet, judge) -> None:
    lit = side_lit(faces)
    swapped_sides = torch.cat([lit.images[len(faces) :], lit.images[: len(faces)]])
    assert float(judge(lit.images, lit).abs().max()) < 1e-5
    assert float(judge(lit.images * 0.8, lit).max()) < 0.05  # exposure is no light
    assert float(judge(swapped_sides, lit).min()) > 0.2


def test_compare(tiny_identity: Path, folders: tuple[Path, Path]) -> None:
    table, sheet = compare_lighting(folders[1], [tiny_identity], sheet_faces=2)
    assert table["tiny"].keys() == {"luminance_error", "harmonics_error", "identity_distance", "identity_cosine", "network_distance"}
    assert table["tiny"]["luminance_error"] < 0.1  # two steps change next to nothing
    assert table["tiny"]["network_distance"] < table["two people under one lamp"]["network_distance"] < 1.0
    assert sheet.shape == (3, 4 * 66 + 2, 2 * 66 + 2)
