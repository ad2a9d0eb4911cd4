"""The report of a swap: right in its counts, worst first, bounded, and unmoved by whatever a journal or a folder holds."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from stylswap.errors import StylswapError
from stylswap.photo import write_png
from stylswap.report import gallery as gallery_module
from stylswap.report import write_swap_report
from tests.report.conftest import Swapped, a_run, face, record
from tests.test_report import HOSTILE, Page, read


def cards(page: Page) -> dict[str, str]:
    """Label and value of each key figure; they stand before everything that has the same words."""
    found: dict[str, str] = {}
    for label, value in itertools.pairwise(page.text):
        found.setdefault(label, value)
    return found


def pairs(page: Page) -> list[str]:
    """What the sliders show, in order."""
    return [attrs["aria-label"] or "" for tag, attrs in page.tags if tag == "input"]


def report(folder: Path, *records: dict[str, Any], most: int = 60, **more: Any) -> Page:
    return read(write_swap_report(folder, a_run(*records, **more), most=most))


def test_the_counts_are_those_of_the_records(tmp_path: Path, swapped: Swapped) -> None:
    records = [swapped("a.png", 0.1, 0.2), swapped("b.png", 0.3, cached=True), swapped("c.png", 0.4)]
    records += [record(f"in/{number}.jpg", "no_face", reason="no face found") for number in range(4)]
    records += [record("in/s.jpg", "skipped", reason="too small"), record("in/f.jpg", "failed", reason="broken")]
    records += [record("in/n.jpg", "levitated")]
    page = report(tmp_path, *records, seconds=4.0)
    found = cards(page)
    expected = {"swapped": "3", "no face": "4", "skipped": "1", "failed": "1", "unchanged": "1", "levitated": "1", "time": "4.0 s"}
    assert {label: found[label] for label in expected} == expected
    assert "4 faces" in page.text and "9 photos done" in page.text
    assert found["speed"] == "2.2"  # 9 photos in 4 seconds
    assert found["identity"] == "ada" and "sha256 0123456789ab" in page.text
    assert found["device"] == "cpu" and found["face parsing"] == "on"


def test_reasons_are_grouped_without_the_names_of_their_photos(tmp_path: Path) -> None:
    broken = [record(f"in/{number}.jpg", "failed", reason=f"in/{number}.jpg cannot be read: cut short") for number in range(30)]
    small = [record("in/x/s.jpg", "skipped", reason="faces under 40 px")]
    page = report(tmp_path, *small, *broken, record("in/y.jpg", "failed"))
    assert page.text.count("cannot be read: cut short") == 1 + 30  # once as a group, then in the table of failed photos
    assert page.all_text.index("cannot be read: cut short") < page.all_text.index("faces under 40 px")  # the most frequent first
    assert "and 10 more" in page.text and "x/s.jpg" in page.text and "no reason was given" in page.text
    assert page.text[page.text.index("cannot be read: cut short") - 2] == "30"


def test_faces_that_were_left_have_their_reasons(tmp_path: Path, swapped: Swapped) -> None:
    records = [swapped(f"{number}.png", 0.1, left_out={"2": "under 40 px", "3": "turned too far"}) for number in range(3)]
    page = report(tmp_path, *records)
    assert page.text.count("face left") == 2 and page.text.count("under 40 px") == 1
    assert page.text[page.text.index("under 40 px") - 2] == "3"


def test_many_different_reasons_stay_a_short_list(tmp_path: Path) -> None:
    page = report(tmp_path, *(record(f"in/{number}.jpg", "failed", reason=f"reason {number:03}") for number in range(300)))
    assert "260 further reasons" in page.text
    assert len([tag for tag, _ in page.tags if tag == "details"]) == 40 + 1 + 1  # groups, the rest, the table of failed photos
    assert "and 100 more, in the journal" in page.text


def test_the_worst_seams_come_first_and_no_more_than_asked_for(tmp_path: Path, swapped: Swapped) -> None:
    figures: list[tuple[float | None, ...]] = [(0.2,), (0.1, 0.9), (None,), (0.5,), (-0.3,)]
    records = [swapped(f"{number}.png", *seams) for number, seams in enumerate(figures)]
    page = report(tmp_path, *records)
    assert [name.split(":")[0] for name in pairs(page)] == ["1.png", "3.png", "0.png", "4.png", "2.png"]
    assert [text for text in page.text if text.startswith("seam ")] == ["seam 0.90", "seam 0.50", "seam 0.20", "seam -0.30"]
    assert "All swapped photos are shown." in page.all_text
    page = report(tmp_path, *records, most=2)
    assert [name.split(":")[0] for name in pairs(page)] == ["1.png", "3.png"]
    assert "3 of 5 swapped photos are not shown." in page.all_text
    assert pairs(report(tmp_path, *records, most=0)) == []


def test_only_what_is_shown_is_read(tmp_path: Path, swapped: Swapped, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [swapped(f"{number}.png", number / 10) for number in range(6)]
    records += [{**swapped(f"n{number}.png"), "status": "no_face"} for number in range(30)]
    opened: list[str] = []
    real = gallery_module.read_photo

    def counting(path: Path, **options: Any) -> Any:
        opened.append(path.name)
        return real(path, **options)

    monkeypatch.setattr(gallery_module, "read_photo", counting)
    page = report(tmp_path, *records, most=2)
    assert opened == ["5.png"] * 2 + ["4.png"] * 2 + [f"n{number}.png" for number in range(24)]
    assert len(page.attributes("src")) == 2 + 24
    assert "photos that are not shown above" in page.text and "n29.png" in page.text


def test_files_that_have_vanished_are_placeholders(tmp_path: Path, swapped: Swapped) -> None:
    records = [swapped(f"{name}.png", 0.1) for name in ("whole", "in", "out", "damaged")]
    (tmp_path / "in" / "in.png").unlink()
    (tmp_path / "out" / "out.png").unlink()
    (tmp_path / "in" / "damaged.png").write_bytes(b"half a pictu")
    records += [record("\0.jpg", faces=(face(),), output="out/\0.jpg"), record("gone/n.jpg", "no_face"), record(tmp_path, faces=(face(),))]
    page = report(tmp_path, *records)
    assert [name.split("/")[-1].split(":")[0] for name in pairs(page)] == ["whole.png"]
    assert page.text.count("no longer there") == 1 + 1 + 2 + 1  # in, out, both of a path that no system takes, one without a face
    assert page.text.count("cannot be read") == 1 + 1  # the damaged one, and a folder
    assert page.text.count("no output is named") == 1
    assert report(tmp_path, records[0], size_limit_mp=0.001).text.count("cannot be read") == 2


def test_an_output_of_another_size_is_shown_whole(tmp_path: Path, swapped: Swapped) -> None:
    one = swapped("a.png", 0.1)
    frame = r"--ratio:(\d+)/(\d+)"
    same = re.search(frame, write_swap_report(tmp_path, a_run(one)).read_text())
    assert same is not None and same.groups() == ("36", "36")  # a box of 20 px, and 0.4 of it on each side
    write_png(torch.zeros(3, 30, 50), Path(one["output"]))
    whole = re.search(frame, write_swap_report(tmp_path, a_run(one)).read_text())
    assert whole is not None and whole.groups() == ("50", "30")


def test_names_from_strangers_are_escaped_everywhere(tmp_path: Path, swapped: Swapped) -> None:
    bad = face(0.2, blend=HOSTILE, colour=HOSTILE, warning=HOSTILE, glasses=True, occluded_share=0.5)
    other = {**bad, "parsed": False}
    real = swapped("real.png", 0.5)
    real["faces"] = [bad, other]
    renamed = tmp_path / "in" / "<img src=http:x onerror=alert(1)>.png"
    Path(real["photo"]).rename(renamed)
    records = [{**real, "photo": str(renamed)}, record(HOSTILE, faces=(bad, other), output=HOSTILE, left_out={"9": HOSTILE})]
    records += [record(HOSTILE, status, reason=HOSTILE, seconds={HOSTILE: 1.0}) for status in ("no_face", "skipped", "failed", HOSTILE)]
    page = report(
        tmp_path, *records, identity=HOSTILE, identity_sha256=HOSTILE, device=HOSTILE, options={HOSTILE: HOSTILE}, finished=HOSTILE
    )
    assert page.all_text.count(HOSTILE.replace("\udce9", "?")) > 25
    assert {tag for tag, attrs in page.tags if "onerror" in attrs} == set()
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 1 and "http" not in " ".join(page.attributes("style"))


def test_heads_turned_far_and_covered_faces_are_listed(tmp_path: Path) -> None:
    faces = (
        face(0.1, yaw_deg=-41.0, warning="41° to the left"),
        face(0.2, yaw_deg=60.4, pitch_deg=None, warning="60° to the right", occluded_share=0.25),
        face(0.3, glasses=True, occluded_share=0.01),
        face(0.4, parsed=False, occluded_share=0.01),
    )
    text = report(tmp_path, record("in/group.jpg", faces=faces, output="out/group.jpg")).text
    assert text.index("60° to the right") < text.index("41° to the left")
    row = text.index("60° to the right")
    assert text[row - 4 : row] == ["group.jpg, face 2 of 4", "60°", "–", "1°"]
    assert text.count("group.jpg, face 2 of 4") == 2 and text[text.index("25 %") - 1] == "group.jpg, face 2 of 4"
    assert text[text.index("glasses") - 2] == "group.jpg, face 3 of 4" and "landmarks" in text
    assert "group.jpg, face 4 of 4" not in text
    off = report(tmp_path, record("in/group.jpg", faces=faces, output="out/group.jpg"), parsing=False)
    assert "Face parsing was off" in off.all_text and cards(off)["face parsing"] == "off"


def test_seconds_are_those_of_this_run(tmp_path: Path) -> None:
    records = [record(f"in/{number}.jpg", "no_face", seconds={"decode": 1.0, "detect": 3.0}) for number in range(2)]
    records += [record("in/old.jpg", "no_face", seconds={"decode": 100.0}, cached=True)]
    text = report(tmp_path, *records).text
    assert text[text.index("decode") + 1] == "1.000 s, 25 %" and text[text.index("detect") + 1] == "3.000 s, 75 %"
    assert "4.00 s a photo" in text


def test_an_older_or_damaged_journal_makes_a_report(tmp_path: Path) -> None:
    odd: list[dict[str, Any]] = [
        {},
        {"photo": "a.jpg"},
        {"photo": "b.jpg", "status": "swapped"},
        {
            "photo": "c.jpg",
            "status": "swapped",
            "faces": [{}, None, {"box": [1, 2], "seam": "bad"}, {"box": [5, 5, 1, 1], "seam": 10**400}],
        },
        {"photo": 7, "output": 7, "status": None, "reason": [], "faces": "face", "seconds": [], "cached": "yes", "left_out": 3},
        {
            "photo": "d.jpg",
            "status": "swapped",
            "faces": [{"seam": float("nan"), "yaw_deg": float("inf"), "warning": "w"}],
            "faces_found": 1e300,
        },
        {"photo": "e.jpg", "status": "no_face", "seconds": {"decode": "long", "x": -1, "y": None, "z": True}},
    ]
    page = report(tmp_path, *json.loads(json.dumps(odd)))
    assert cards(page)["swapped"] == "3" and cards(page)["unknown"] == "3" and cards(page)["unchanged"] == "0"
    assert "The journal holds no seam figures: in the order of the run." in page.all_text
    assert not {"nan", "inf"} & set(re.findall(r"\w+", page.all_text.lower()))
    text = [words for words in page.text if words.strip()]
    assert text[text.index("Heads turned far") :][6:11] == ["d.jpg", "–", "–", "–", "w"]


def test_a_run_without_photos_has_a_report(tmp_path: Path) -> None:
    page = report(tmp_path, seconds=0.0)
    assert "There were no photos." in page.text and cards(page)["swapped"] == "0" and cards(page)["speed"] == "–"
    assert page.attributes("src") == [] and [text for text in page.text if text == "How it was run"]


def test_what_decided_the_run_is_listed(tmp_path: Path) -> None:
    options = {"blend": "auto", "choice": {"faces": ["largest"], "like": None}}
    page = report(tmp_path, record("in/a.jpg", faces=(face(), face(blend="feather"), face())), options=options, interrupted=True)
    text = page.text
    assert text[text.index("choice.faces") + 1] == "largest" and text[text.index("choice.like") + 1] == "None"
    assert text[text.index("blend taken") + 1] == "poisson: 2 faces, feather: 1 face"
    assert "0123456789abcdef" * 4 in text and "The run was interrupted" in page.all_text


def test_it_goes_where_it_was_told_to(tmp_path: Path) -> None:
    assert write_swap_report(tmp_path, a_run()) == tmp_path / "report.html"
    with pytest.raises(StylswapError, match="cannot be written"):
        write_swap_report(tmp_path / "missing", a_run())


def test_ten_thousand_photos_make_a_small_page(tmp_path: Path) -> None:
    kinds = ("no_face", "failed", "skipped", "swapped")
    warned = face(0.1, warning="far", glasses=True)
    records = [record(f"in/{number:05}.jpg", kinds[number % 4], faces=(warned,), reason=f"{number}") for number in range(10_000)]
    page = report(tmp_path, *records)
    assert (tmp_path / "report.html").stat().st_size < 300_000
    assert cards(page)["failed"] == "2,500" and "2,440 of 2,500 swapped photos are not shown." in page.all_text
