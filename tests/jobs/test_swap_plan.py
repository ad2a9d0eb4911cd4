"""Which photo is written where."""

from __future__ import annotations

from pathlib import Path

import pytest

from stylswap.errors import UsageError
from stylswap.jobs.swap_plan import plan


def test_plan_keeps_structure_and_passes_over_its_own_output(tmp_path: Path) -> None:
    for name in ("in/a.jpg", "in/sub/a.jpg", "in/out/old.jpg", "in/pixel.bmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    out = tmp_path / "in" / "out"
    pairs = {photo.relative_to(tmp_path).as_posix(): output.relative_to(out).as_posix() for photo, output in plan([tmp_path / "in"], out)}
    assert pairs == {"in/a.jpg": "a.jpg", "in/sub/a.jpg": "sub/a.jpg", "in/pixel.bmp": "pixel.bmp.png"}


def test_plan_of_two_folders_keeps_them_apart(tmp_path: Path) -> None:
    for name in ("one/a.jpg", "two/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    pairs = plan([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    assert [output.relative_to(tmp_path).as_posix() for _, output in pairs] == ["out/one/a.jpg", "out/two/a.jpg"]


@pytest.mark.parametrize(
    ("arguments", "out", "message"),
    [
        (["one"], "one", "overwrite"),
        (["one/a.jpg", "two/a.jpg"], "out", "both be written"),
        (["missing"], "out", "no such photo"),
        (["empty"], "out", "no photos found"),
    ],
)
def test_plans_that_contradict_themselves(tmp_path: Path, arguments: list[str], out: str, message: str) -> None:
    for name in ("one/a.jpg", "two/a.jpg", "empty/readme.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=message):
        plan([tmp_path / argument for argument in arguments], tmp_path / out)


def test_a_photo_that_is_named_twice_is_planned_once(tmp_path: Path) -> None:
    for name in ("in/a.jpg", "in/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    pairs = plan([tmp_path / "in", tmp_path / "in" / "a.jpg", tmp_path / "in" / ".." / "in" / "b.jpg"], tmp_path / "out")
    assert [photo.name for photo, _ in pairs] == ["a.jpg", "b.jpg"]
