"""What is done, what is not, and what a crash leaves behind."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from stylswap.jobs.photo_worker import PhotoResult
from stylswap.jobs.swap_journal import JOURNAL_FILE, SwapJournal, fingerprint, remove_left_overs


@pytest.fixture
def done(tmp_path: Path) -> PhotoResult:
    """A photo that was swapped; both files are there."""
    photo, output = tmp_path / "in" / "a.jpg", tmp_path / "out" / "a.jpg"
    for path, content in ((photo, b"photo"), (output, b"output")):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    sha256, output_sha256 = (hashlib.sha256(content).hexdigest() for content in (b"photo", b"output"))
    face = {"box": [1.0, 2.0, 3.0, 4.0], "seam": 0.5}
    return PhotoResult(
        photo, output, "swapped", "", 2, (face,), {2: "not the largest"}, {"decode": 0.5}, sha256, output_sha256, (3.0, 0.25)
    )


def journal(folder: Path, run: str = "run") -> SwapJournal:
    return SwapJournal(folder, lambda _: run, "identity")


def test_what_was_written_is_done_and_comes_back_whole(done: PhotoResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    journal(out).write(done)
    assert journal(out).done(done.photo, done.output) == replace(done, cached=True)


def test_photo_output_options_and_files_decide(done: PhotoResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    journal(out).write(done)
    assert journal(out, "other options").done(done.photo, done.output) is None
    assert journal(out).done(done.photo, out / "b.jpg") is None
    assert journal(out).done(done.photo.with_name("b.jpg"), done.output) is None
    done.output.write_bytes(b"somebody edited it")
    assert journal(out).done(done.photo, done.output) is None
    done.output.write_bytes(b"output")
    assert journal(out).done(done.photo, done.output) is not None
    done.photo.write_bytes(b"another photo")
    assert journal(out).done(done.photo, done.output) is None


def test_failures_are_tried_again_and_photos_without_a_face_are_not(done: PhotoResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for status, again in (("failed", True), ("no_face", False), ("skipped", False)):
        journal(out).write(replace(done, status=status, output=None, output_sha256="", reason="because"))
        assert (journal(out).done(done.photo, done.output) is None) == again


def test_a_torn_line_is_no_line(done: PhotoResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    journal(out).write(done)
    path = out / JOURNAL_FILE
    path.write_bytes(path.read_bytes()[:-30])
    assert journal(out).done(done.photo, done.output) is None
    journal(out).write(done)
    assert journal(out).done(done.photo, done.output) is not None


def test_closing_leaves_a_line_a_photo_in_order(done: PhotoResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    book = journal(out)
    photos = [Path(f"{letter}.jpg") for letter in "abc"]
    for photo in (photos[2], photos[0], photos[1], photos[0], Path("of another run.jpg")):
        book.write(replace(done, photo=photo))
    book.close(photos)
    names = [json.loads(line)["photo"] for line in (out / JOURNAL_FILE).read_text().splitlines()]
    assert names == ["of another run.jpg", "a.jpg", "b.jpg", "c.jpg"]


def test_names_that_are_not_utf_8_survive(done: PhotoResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    odd = Path("caf\udce9.jpg")
    book = journal(out)
    book.write(replace(done, photo=odd, status="no_face", output=None, sha256="missing"))
    book.close([odd])
    assert journal(out).done(odd, out / "x.jpg") is not None


def test_left_overs_of_a_killed_run_go_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in (".a.jpg.0123abcd.part", "sub/.b.png.ffffffff.part"):
        (tmp_path / name).touch()
    kept = ("a.part", ".mine.part", ".a.jpg.0123abcd", "a.jpg")
    for name in kept:
        (tmp_path / name).touch()
    remove_left_overs(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_a_fingerprint_depends_on_every_fact_and_not_on_their_order() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1, "b": 2}) != fingerprint({"a": 1, "b": 3})


def test_what_a_failed_run_left_standing_goes_when_the_photo_is_swapped_no_more(done: PhotoResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    nothing = replace(done, output=None, output_sha256="", reason="because")
    journal(out).write(done)
    for _ in range(2):
        journal(out).write(replace(nothing, status="failed"))
        assert done.output.exists()
        assert not journal(out).owned_by_another(done.photo, done.output)
        assert journal(out).owned_by_another(done.photo.with_name("b.jpg"), done.output)
        assert journal(out).done(done.photo, done.output) is None
    journal(out).write(replace(nothing, status="skipped"))
    assert not done.output.exists()


def test_what_somebody_edited_after_a_failure_stays(done: PhotoResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    journal(out).write(done)
    journal(out).write(replace(done, status="failed", output=None, output_sha256=""))
    done.output.write_bytes(b"edited")
    journal(out).write(replace(done, status="no_face", output=None, output_sha256=""))
    assert done.output.read_bytes() == b"edited"
