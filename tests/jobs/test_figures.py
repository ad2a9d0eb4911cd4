"""The page of swaps that nobody picked."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylswap.jobs.figures import PAGE_COLUMNS, PAGE_PX, draw_page
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapper import Swapper
from tests.jobs.conftest import EXAMPLES


@pytest.fixture(scope="module")
def swapper(tiny_identity: Path) -> Swapper:
    return Swapper.load(tiny_identity, device="cpu", options=SwapOptions(mask="landmarks"))


def test_results_stand_below_their_photos_and_failures_stay(swapper: Swapper, tmp_path: Path) -> None:
    face, wall = tmp_path / "face.jpg", tmp_path / "wall.png"
    shutil.copyfile(EXAMPLES / "photos" / "0258.jpg", face)
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(wall)
    draw_page(swapper, [face, wall], tmp_path / "page.jpg")
    page = np.asarray(Image.open(tmp_path / "page.jpg").convert("RGB")).astype(int)
    assert page.shape == (2 * PAGE_PX, PAGE_COLUMNS * PAGE_PX, 3)
    before, after = page[:PAGE_PX], page[PAGE_PX:]
    assert np.abs(before - after)[:, :PAGE_PX].max() > 8, "the face was swapped"
    assert np.abs(before - after)[:, PAGE_PX : 2 * PAGE_PX].max() <= 8, "the wall has no face"
    assert abs(before[PAGE_PX // 2, PAGE_PX * 3 // 2] - 90).max() <= 4


def test_a_page_carries_the_mark(swapper: Swapper, tmp_path: Path) -> None:
    draw_page(swapper, [EXAMPLES / "photos" / "0258.jpg"], tmp_path / "page.jpg")
    assert b"compositeWithTrainedAlgorithmicMedia" in (tmp_path / "page.jpg").read_bytes()
