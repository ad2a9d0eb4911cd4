"""The measurements of joins and details see what they should."""

from __future__ import annotations

from pathlib import Path

import pytest
import scipy.ndimage
import torch

from stylswap.errors import FaceSetError
from stylswap.faces.join import ACCEPTED_SEAM
from stylswap.jobs.paste_report import JOINS, WINDOW_PX, Case, _octaves, _window, compare_details, compare_joins, find_cases, write_sheet
from stylswap.jobs.swapper import Swapper
from stylswap.photo import from_array, read_photo


@pytest.fixture(scope="module")
def swapper(tiny_identity: Path) -> Swapper:
    return Swapper.load(tiny_identity, device="cpu")


@pytest.fixture(scope="module")
def case(swapper: Swapper, folders: tuple[Path, Path]) -> Case:
    return find_cases(swapper, sorted(folders[0].glob("*.jpg"))[:1])[0]


def test_only_large_faces_are_cases(swapper: Swapper, folders: tuple[Path, Path], tmp_path: Path) -> None:
    photos = sorted(folders[0].glob("*.jpg"))[:1]
    assert len(find_cases(swapper, photos, least_px=100)) == 1
    with pytest.raises(FaceSetError, match="at least 5000 px"):
        find_cases(swapper, photos, least_px=5000)


def test_joins(swapper: Swapper, case: Case) -> None:
    table, lines = compare_joins(swapper, [case])
    assert list(table) == list(JOINS)
    tried = ["poisson", "poisson+balance", "feather", "feather+balance"]
    assert sum(table[name]["share_chosen"] for name in tried) == 1.0
    feathered = min(table[name]["seam_percent"] for name in ("feather", "feather+balance"))
    assert feathered < 100 * ACCEPTED_SEAM  # so "auto" looks no further
    assert table["auto"]["seam_percent"] == pytest.approx(feathered, rel=0.05)
    assert all(row["milliseconds"] > 0 for row in table.values())
    assert [line.shape for line in lines] == [(1 + len(JOINS), 3, 64, 64)]
    assert torch.equal(lines[0][0], lines[0][0].clamp(0, 1))
    assert not torch.equal(lines[0][0], lines[0][1])


def test_details(swapper: Swapper, case: Case) -> None:
    table, lines = compare_details(swapper, [case])
    assert table["all of the input's detail"]["fine_share"] > table["bands"]["fine_share"] > table["none"]["fine_share"]
    assert table["bands, sharpened"]["fine_share"] > table["bands"]["fine_share"]
    assert table["all of the input's detail"]["fine_share"] == pytest.approx(1.0, abs=0.2)
    assert [line.shape for line in lines] == [(1, 3, WINDOW_PX, WINDOW_PX)] * (1 + len(table))


def test_a_sheet_says_what_it_shows(swapper: Swapper, tmp_path: Path) -> None:
    write_sheet([torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)], tmp_path / "sheet.jpg", swapper)
    photo = read_photo(tmp_path / "sheet.jpg")
    assert (photo.height, photo.width) == (38, 38)
    assert b"compositeWithTrainedAlgorithmicMedia" in (tmp_path / "sheet.jpg").read_bytes()


def test_a_blurred_photo_has_less_energy(case: Case) -> None:
    blurred = from_array(scipy.ndimage.uniform_filter(case.photo.rgb_u8(), (7, 7, 1)))
    fine, middle = (after / own for after, own in zip(_octaves(blurred, case), _octaves(case.photo, case), strict=True))
    assert fine < 0.5
    assert fine < middle < 1


def test_a_window_beyond_a_small_photo_is_filled_up(case: Case, examples: Path) -> None:
    small = from_array(read_photo(next((examples / "ada").glob("*.jpg"))).rgb_u8()[:100, :90])
    window = _window(small, case.face)
    assert window.shape == (3, WINDOW_PX, WINDOW_PX)
    assert float(window[:, 100:].max()) == 0.0
