"""`stylswap swap`: which engine, and what each of them takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stylswap.cli import COULD_NOT_RUN, DONE, WRONG_USAGE, main
from stylswap.provenance import read_mark
from tests.jobs.conftest import EXAMPLES, folders, home  # noqa: F401 - fixtures

PHOTO = sorted((EXAMPLES / "photos").glob("*.jpg"))[0]
Capture = pytest.CaptureFixture[str]


def swap(identity: Path | str, out: Path, *options: str) -> int:
    shared = ["--device", "cpu", "--mask", "landmarks", "--workers", "0", "--no-report", "--json"]
    return main(["swap", "--identity", str(identity), str(PHOTO), "--out", str(out), *shared, *options])


def test_a_folder_of_photos_is_pasted(folders, tmp_path: Path, capsys: Capture) -> None:  # noqa: F811
    warp = ("--engine", "warp", "--consent", "synthetic", "--name", "Ada the first")
    assert swap(folders[0], tmp_path / "out", *warp) == DONE
    streams = capsys.readouterr()
    photo = json.loads(streams.out)["photos"][0]
    assert photo["status"] == "swapped"
    assert photo["faces"][0]["colour"] == "skin"
    assert "6 photos used" in streams.err
    assert "Ada the first on cpu" in streams.err
    assert read_mark(Path(photo["output"])).identity_name == "Ada the first"
    assert swap(folders[0], tmp_path / "out", *warp) == DONE
    assert json.loads(capsys.readouterr().out)["done_earlier"] == 1
    assert swap(folders[0], tmp_path / "out", *warp, "--colour", "none") == DONE
    again = json.loads(capsys.readouterr().out)
    assert again["done_earlier"] == 0
    assert again["photos"][0]["faces"][0]["colour"] == "none"


def test_the_style_engine_chooses_the_colour_by_the_seam(tmp_path: Path, capsys: Capture) -> None:
    assert swap("ada", tmp_path / "out") == DONE
    assert json.loads(capsys.readouterr().out)["photos"][0]["faces"][0]["colour"] in ("none", "balance")


def test_a_folder_for_the_style_engine(folders, tmp_path: Path, capsys: Capture) -> None:  # noqa: F811
    assert swap(folders[0], tmp_path / "out") == COULD_NOT_RUN
    message = capsys.readouterr().err
    assert "is a folder of photos; train an identity first" in message
    assert "--engine warp" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--like-distance", "0.5"], "--like-distance says nothing without --like PHOTO"),
        (["--size-limit", "0"], "--size-limit must be over 0 megapixels, got 0"),
        (["--size-limit", "nan"], "--size-limit must be over 0 megapixels, got nan"),
        (["--glasses", "rims"], "--glasses rims needs the face parser, which --mask landmarks does without"),
        (["--glasses", "keep"], "--glasses keep needs the face parser, which --mask landmarks does without"),
    ],
)
def test_what_says_nothing_is_refused(tmp_path: Path, capsys: Capture, options: list[str], message: str) -> None:
    assert swap("ada", tmp_path / "out", *options) == WRONG_USAGE
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_evaluation_refuses_what_a_swap_refuses(tmp_path: Path, capsys: Capture) -> None:
    command = ["evaluate", "--identity", "ada", "--photos", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*command, "--mask", "landmarks", "--glasses", "rims"]) == WRONG_USAGE
    assert "--glasses rims needs the face parser" in capsys.readouterr().err


def test_options_are_written_out(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        swap("ada", tmp_path / "out", "--forehea", "whole")
    assert caught.value.code == WRONG_USAGE


@pytest.mark.parametrize(("option", "value"), [("--consent", "self"), ("--consent-note", "a letter"), ("--name", "Bea")])
def test_a_trained_identity_has_a_card(tmp_path: Path, capsys: Capture, option: str, value: str) -> None:
    assert swap("ada", tmp_path / "out", option, value) == WRONG_USAGE
    assert f"{option} belongs to --engine warp" in capsys.readouterr().err


@pytest.mark.parametrize(("identity", "found"), [(str(PHOTO), "that is a file"), ("ada", "no such folder")])
def test_the_warp_engine_wants_a_folder(tmp_path: Path, capsys: Capture, monkeypatch, identity: str, found: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert swap(identity, tmp_path / "out", "--engine", "warp", "--consent", "self") == WRONG_USAGE
    message = capsys.readouterr().err
    assert f"{identity}: {found}" in message
    assert "a folder with photos of one person" in message


def test_the_warp_engine_wants_consent(folders, tmp_path: Path, capsys: Capture) -> None:  # noqa: F811
    assert swap(folders[0], tmp_path / "out", "--engine", "warp") == WRONG_USAGE
    assert "--consent self|written|synthetic|research" in capsys.readouterr().err
