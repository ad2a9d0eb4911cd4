"""`stylswap evaluate` as a whole, and where it finds the identity's own photos."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from pathlib import Path

import pytest

from stylswap.cli import DONE, INTERRUPTED, SOME_FAILED, WRONG_USAGE, main
from stylswap.errors import UsageError
from stylswap.jobs.evaluate_run import find_identity_photos
from stylswap.photo import read_photo
from tests.jobs.conftest import EXAMPLES

PHOTOS = sorted((EXAMPLES / "photos").glob("*.jpg"))[:2]


@pytest.fixture
def no_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the user has fetched, only dlib judges."""
    from stylswap.jobs.judges import Judges

    monkeypatch.setattr(Judges, "load", classmethod(lambda cls, *, device: cls(absent=("Nobody else was asked.",))))


@pytest.mark.usefixtures("no_judges")
def test_a_folder_with_figures_and_a_report(tiny_identity: Path, folders, tmp_path: Path, capsys) -> None:
    (tmp_path / "held").mkdir()
    for photo in PHOTOS:
        shutil.copyfile(photo, tmp_path / "held" / photo.name)
    out = tmp_path / "out"
    common = ["--identity-photos", str(folders[0]), "--photos", str(tmp_path / "held"), "--out", str(out), "--mask", "landmarks"]
    assert main(["evaluate", "--identity", str(tiny_identity), *common]) == DONE
    shown = capsys.readouterr()
    assert "dlib distance ↓" in shown.out
    assert "Nobody else was asked." in shown.err
    facts = json.loads((out / "evaluation.json").read_text())
    assert set(facts["table"]) == {"return the input", "paste", "swap", "swap, bare crop"}
    assert facts["table"]["swap"]["inner"]["count"] == 2
    rows = list(csv.DictReader((out / "photos.csv").read_text().splitlines()))
    assert len(rows) == 2 * 4
    assert float(rows[0]["inner"]) >= 0
    report = (out / "report.html").read_text()
    assert "return the input" in report
    assert "stylswap evaluate --identity" in report
    assert read_photo(out / "sheet.png").width > 300
    again = ["--identity-photos", str(folders[0]), "--photos", str(PHOTOS[0]), "--out", str(out), "--mask", "landmarks"]
    assert main(["evaluate", "--identity", str(tiny_identity), *again]) == DONE, "of the same identity: replaced"
    assert len(json.loads((out / "evaluation.json").read_text())["photos"]) == 1


@pytest.mark.usefixtures("no_judges")
def test_a_photo_without_a_face_is_counted(tiny_identity: Path, folders, tmp_path: Path, capsys) -> None:
    import torch

    from stylswap.photo import write_png

    write_png(torch.full((3, 64, 64), 0.5), tmp_path / "grey.png")
    words = ["--photos", str(PHOTOS[0]), str(tmp_path / "grey.png"), "--out", str(tmp_path / "out"), "--json", "--mask", "landmarks"]
    assert main(["evaluate", "--identity", str(tiny_identity), "--identity-photos", str(folders[0]), *words]) == SOME_FAILED
    assert json.loads(capsys.readouterr().out)["skipped"] == {"grey.png": "no face found"}


@pytest.mark.usefixtures("no_judges")
def test_the_identitys_own_photos_are_not_in_the_figures(tiny_identity: Path, folders, tmp_path: Path, capsys) -> None:
    (tmp_path / "held").mkdir()
    own = sorted(folders[0].glob("*.jpg"))[0]
    shutil.copyfile(own, tmp_path / "held" / "renamed.jpg")
    shutil.copyfile(PHOTOS[0], tmp_path / "held" / PHOTOS[0].name)
    words = ["evaluate", "--identity", str(tiny_identity), "--out", str(tmp_path / "out"), "--mask", "landmarks", "--json", "--photos"]
    assert main([*words, str(tmp_path / "held")]) == SOME_FAILED
    shown = capsys.readouterr()
    facts = json.loads(shown.out)
    assert facts["skipped"] == {"renamed.jpg": "is one of the identity's own photos"}
    assert [photo["name"] for photo in facts["photos"]] == [PHOTOS[0].name]
    assert "1 of the 2 photos are the identity's own" in shown.err
    assert "1 of the 2 photos are the identity" in (tmp_path / "out" / "report.html").read_text()


def test_nothing_but_the_identitys_own_photos(tiny_identity: Path, folders, tmp_path: Path, capsys) -> None:
    words = ["evaluate", "--identity", str(tiny_identity), "--photos", str(folders[0]), "--out", str(tmp_path / "out")]
    assert main(words) == WRONG_USAGE
    assert "6 of 6 photos are the identity's own" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


EARLIER = {"facts": {}, "notes": [], "skipped": {}, "photos": []}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"report.html": "of a swap"}, "holds report.html and no evaluation, and would be overwritten; give another --out"),
        ({"sheet.png": "", "photos.csv": ""}, "holds photos.csv, sheet.png and no evaluation"),
        ({"evaluation.json": "{}", "report.html": ""}, "is no evaluation that can be read"),
        (
            {"evaluation.json": json.dumps({**EARLIER, "identity": {"name": "bruno", "sha256": "ab" * 32}})},
            "holds the evaluation of another identity file, bruno (abababababab), not tiny (",
        ),
    ],
)
def test_what_is_in_the_folder_already_is_not_replaced(tiny_identity: Path, tmp_path: Path, capsys, files, message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    words = ["evaluate", "--identity", str(tiny_identity), "--photos", str(PHOTOS[0]), "--out", str(tmp_path)]
    assert main(words) == WRONG_USAGE
    assert message in capsys.readouterr().err
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


def test_where_the_identitys_photos_are(tiny_identity: Path, folders, tmp_path: Path) -> None:
    assert find_identity_photos("ada", None) == EXAMPLES / "ada"
    assert find_identity_photos("ada-256", None) == EXAMPLES / "ada"
    assert find_identity_photos(tiny_identity, None) == folders[0].resolve(), "as the run folder beside it says"
    assert find_identity_photos(tiny_identity, tmp_path) == tmp_path
    with pytest.raises(UsageError, match="--identity-photos DIR"):
        find_identity_photos(tmp_path / "other.safetensors", None)
    with pytest.raises(UsageError, match="no such folder"):
        find_identity_photos("ada", tmp_path / "nowhere")


def test_wrong_calls(tmp_path: Path, capsys) -> None:
    words = ["evaluate", "--identity", "ada", "--out", str(tmp_path / "out"), "--photos"]
    assert main([*words, str(tmp_path / "nothing.jpg")]) == WRONG_USAGE
    assert "no photos there" in capsys.readouterr().err
    assert main([*words, str(PHOTOS[0]), "--first", "0"]) == WRONG_USAGE
    assert "--first" in capsys.readouterr().err


@pytest.mark.usefixtures("no_judges")
def test_ctrl_c_ends_it_early_and_says_so(tiny_identity: Path, folders, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    from stylswap.progress import SwapDisplay

    old = tmp_path / "caf\udce9.jpg"  # a name of an old archive, which is no UTF-8
    shutil.copyfile(PHOTOS[0], old)
    monkeypatch.setattr(SwapDisplay, "on_measured", lambda *_: signal.raise_signal(signal.SIGINT))
    common = [
        "--identity-photos",
        str(folders[0]),
        "--photos",
        str(old),
        str(PHOTOS[1]),
        "--out",
        str(tmp_path / "out"),
        "--mask",
        "landmarks",
    ]
    assert main(["evaluate", "--identity", str(tiny_identity), *common]) == INTERRUPTED
    shown = capsys.readouterr()
    assert "finishing the photos at hand" in shown.err
    assert len(json.loads((tmp_path / "out" / "evaluation.json").read_text())["photos"]) == 1
    assert (tmp_path / "out" / "photos.csv").read_bytes().count(b"caf\\udce9.jpg") == 4
    assert (tmp_path / "out" / "report.html").exists()
