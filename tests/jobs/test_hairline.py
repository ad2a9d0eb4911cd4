"""How far up foreheads are swapped: measured in training, kept in the identity file, heeded in swaps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stylswap.config import load_settings
from stylswap.data.faceset import FaceSet
from stylswap.errors import SettingsError
from stylswap.identity_file import IdentityFile, read_identity_file
from stylswap.jobs import hairline
from stylswap.jobs.hairline import MOST_FACES, forehead_of
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


def test_masks_of_higher_foreheads_end_there_unless_all_is_wanted(identity: IdentityFile) -> None:
    low = replace(identity, forehead=0.3)
    ends, whole, free, hardly = (
        swapped_area(identity, SwapOptions(mask="parsing", forehead=rule))
        for identity, rule in (
            (low, "auto"), (low, "whole"), (replace(identity, forehead=None), "auto"), (replace(identity, forehead=1.1), "auto")
        )
    )  # fmt: skip
    assert torch.equal(whole, free)
    assert torch.equal(whole, hardly), "this photo shows no more than that"
    assert (ends <= whole).all()
    assert float(ends.sum()) < 0.95 * float(whole.sum())
    lower_half = slice(ends.shape[1] // 2, None)
    assert torch.equal(ends[:, lower_half], whole[:, lower_half])


def test_without_a_parser_nobody_knows_where_the_photos_own_hair_begins(identity: IdentityFile) -> None:
    low, free = (swapped_area(replace(identity, forehead=height), SwapOptions(mask="landmarks")) for height in (0.3, None))
    assert torch.equal(low, free)


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


def test_a_training_need_not_look(folders: tuple[Path, Path], tmp_path: Path) -> None:
    trained = train(request_for(folders, tmp_path, load_settings(None, [*TINY, "prepare.hairline=false"])))
    assert trained.out is not None
    assert read_identity_file(trained.out).forehead is None


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(SettingsError, match="forehead"):
        SwapOptions(forehead="half")
