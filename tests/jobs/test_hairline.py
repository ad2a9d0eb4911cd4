"""How far up foreheads are swapped: measured in training, kept in the identity file, heeded in swaps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stylswap.config import load_settings
from stylswap.data.faceset import FaceSet
from stylswap.engines.rendering import Rendered
from stylswap.errors import SettingsError
from stylswap.faces.batch import FaceBatch
from stylswap.faces.forehead import below_hairline
from stylswap.identity_file import IdentityFile, read_identity_file
from stylswap.jobs import hairline
from stylswap.jobs.hairline import MOST_FACES, forehead_of, up_to_hairline
from stylswap.jobs.render_faces import FaceRenderer
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapper import Swapper
from stylswap.jobs.train import train
from tests.jobs.conftest import EXAMPLES, TINY, request_for

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def identity(tiny_identity: Path) -> IdentityFile:
    return read_identity_file(tiny_identity)


def test_a_training_measures_it(identity: IdentityFile) -> None:
    assert identity.forehead is not None
    assert 0.6 < identity.forehead < 1.0, "ada's hairline, as her photos show it"


def swapped_area(identity: IdentityFile, options: SwapOptions) -> Tensor:
    """The mask of the first example photo, (1, M, M)."""
    return Swapper(identity, options=options, device="cpu").swap(EXAMPLES / "photos" / "0001.jpg").faces[0].mask


@pytest.mark.parametrize("mask", ["parsing", "landmarks"])
def test_masks_end_there_unless_all_is_wanted(identity: IdentityFile, mask: str) -> None:
    low = replace(identity, forehead=0.3)
    ends, whole, free = (
        swapped_area(identity, SwapOptions(mask=mask, forehead=rule))
        for identity, rule in ((low, "auto"), (low, "whole"), (replace(identity, forehead=None), "auto"))
    )
    assert torch.equal(whole, free)
    assert (ends <= whole).all()
    assert float(ends.sum()) < 0.95 * float(whole.sum())
    lower_half = slice(ends.shape[1] // 2, None)
    assert torch.equal(ends[:, lower_half], whole[:, lower_half])


class Same:
    def render(self, faces: FaceBatch) -> Rendered:
        return Rendered(faces.images)


def test_a_mask_of_another_side_ends_at_the_same_place(input_set: FaceSet) -> None:
    renderer = FaceRenderer(Same(), None, CPU, forehead=0.5)
    faces = input_set.faces([0, 1])
    twice = renderer._up_to_hairline(torch.ones(2, 1, 128, 128), faces)
    once = renderer._up_to_hairline(torch.ones(2, 1, 64, 64), faces)
    assert torch.equal(once, below_hairline(faces.landmarks, 64, 0.5))
    assert torch.nn.functional.avg_pool2d(twice, 2).sub(once).abs().max() < 0.03


def test_frontal_photos_are_looked_at_and_not_too_many(identity_set: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(hairline.FaceParser, "load", classmethod(lambda cls, **_: None))
    monkeypatch.setattr(hairline, "forehead_height", lambda parser, images, landmarks: seen.append(len(images)))
    frontal, turned = (identity_set.poses[0]._replace(yaw_deg=yaw, pitch_deg=0.0) for yaw in (5.0, 40.0))
    forehead_of(replace(identity_set, poses=(frontal, turned) * 4), CPU)
    forehead_of(replace(identity_set, poses=(turned,) * 8), CPU)
    many = identity_set.subset([0] * 60)
    forehead_of(replace(many, poses=(frontal,) * 60), CPU)
    assert seen == [4, 8, MOST_FACES]


def test_training_faces_end_where_swaps_will(input_set: FaceSet) -> None:
    lower = up_to_hairline(input_set, 0.4)
    wanted = input_set.masks_u8 * below_hairline(input_set.landmarks, 64, 0.4)
    assert torch.equal(lower.masks_u8, wanted.round().to(torch.uint8))
    assert (lower.masks_u8 < input_set.masks_u8).any()
    assert up_to_hairline(input_set, None) is input_set
    mirrored = lower.faces([len(lower)]).masks[0]
    assert torch.equal(mirrored, lower.faces([0]).masks[0].flip(-1))


def test_a_training_need_not_look(folders: tuple[Path, Path], tmp_path: Path) -> None:
    trained = train(request_for(folders, tmp_path, load_settings(None, [*TINY, "prepare.hairline=false"])))
    assert trained.out is not None
    assert read_identity_file(trained.out).forehead is None


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(SettingsError, match="forehead"):
        SwapOptions(forehead="half")
