"""Which photo is written where."""

from __future__ import annotations

from pathlib import Path

import pytest

from stylswap.errors import UsageError
from stylswap.jobs import swap_plan
from stylswap.jobs.swap_journal import JOURNAL_FILE
from stylswap.jobs.swap_plan import check_out_folder, plan
from stylswap.report import REPORT_FILE, write_report, write_swap_report
from tests.report.conftest import a_run


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


def test_an_output_folder_above_the_photos_passes_over_none_of_them(tmp_path: Path) -> None:
    for name in ("in/one/a.jpg", "in/two/b.jpg", "in/two/deep/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for folders, expected in (
        (["in"], ["one/a.jpg", "two/b.jpg", "two/deep/c.jpg"]),
        (["in/one", "in/two"], ["one/a.jpg", "two/b.jpg", "two/deep/c.jpg"]),
    ):
        pairs = plan([tmp_path / folder for folder in folders], tmp_path)
        assert [output.relative_to(tmp_path).as_posix() for _, output in pairs] == expected


@pytest.mark.parametrize(
    ("arguments", "out", "message"),
    [
        (["one"], "one", "overwrite"),
        (["one/a.jpg", "two/a.jpg"], "out", "both be written"),
        (["missing"], "out", "no such photo"),
        (["empty"], "out", "no photos found"),
        (["one", "two"], ".", "overwrite"),
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


def test_links_that_lead_nowhere_are_planned(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, where in (("gone.jpg", "moved.jpg"), ("itself.jpg", "itself.jpg")):
        (tmp_path / "in" / name).symlink_to(tmp_path / "in" / where)
    assert [photo.name for photo, _ in plan([tmp_path / "in"], tmp_path / "out")] == ["gone.jpg", "itself.jpg"]


def test_a_folder_that_is_not_there_or_a_swaps_own_is_taken(tmp_path: Path) -> None:
    check_out_folder(tmp_path / "missing", report=True)
    write_swap_report(tmp_path, a_run())
    whole, sorted_keys = b'{"photo": "a.jpg", "status": "failed"}\n', b'{"status": "failed", "photo": "a.jpg"}\n'
    for content in (b"", b"\n", whole, sorted_keys, b'{"pho', b'{"photo": "a.j', b'{"pho\n' + whole):
        (tmp_path / JOURNAL_FILE).write_bytes(content)
        check_out_folder(tmp_path, report=True)


@pytest.mark.parametrize("title", ["", "Evaluation of ada", "Training of ada"])
def test_reports_of_others_are_not_replaced(tmp_path: Path, title: str) -> None:
    path = tmp_path / REPORT_FILE
    write_report(path, title=title) if title else path.write_text("<html><title>Swap of my own</title>")
    with pytest.raises(UsageError, match=r"report\.html would be replaced, and no swap wrote it; give another --out than .*--no-report"):
        check_out_folder(tmp_path, report=True)
    check_out_folder(tmp_path, report=False)


@pytest.mark.parametrize("content", [b"my notes", b'{"step": 1}\n{"step": 2}\n', b"[1, 2]\n"])
def test_journals_of_others_are_not_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / JOURNAL_FILE).write_bytes(content)
    with pytest.raises(UsageError, match=r"stylswap\.jsonl would be replaced, and no swap wrote it"):
        check_out_folder(tmp_path, report=False)


@pytest.mark.parametrize("other", ["A.JPG", "a\N{COMBINING ACUTE ACCENT}.jpg"])
def test_names_that_are_one_file_where_case_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    first = "a.jpg" if other == "A.JPG" else "\N{LATIN SMALL LETTER A WITH ACUTE}.jpg"
    for name in (f"in/one/{first}", f"in/ONE/{other}"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert len(plan([tmp_path / "in"], tmp_path / "out")) == 2
    monkeypatch.setattr(swap_plan, "ignores_case", lambda folder: folder == tmp_path / "out")
    with pytest.raises(UsageError, match="would both be written to"):
        plan([tmp_path / "in"], tmp_path / "out")


def test_folders_given_by_dots_have_their_own_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("in/new/a.jpg", "in/b.jpg", "other/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path / "in" / "new")
    out = Path("out")
    assert [str(output) for _, output in plan([Path(".."), Path("../../other")], out)] == [
        "out/in/b.jpg",
        "out/in/new/a.jpg",
        "out/other/c.jpg",
    ]
    assert [str(output) for _, output in plan([Path(), Path("../../other")], out)] == ["out/new/a.jpg", "out/other/c.jpg"]
