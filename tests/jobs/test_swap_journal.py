"""What is done, what is not, and what a crash leaves behind."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from stylswap.jobs.photo_worker import PhotoResult
from stylswap.jobs.swap_journal import JOURNAL_FILE, WRITING, SwapJournal, fingerprint, remove_left_overs


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


def test_reading_leaves_no_file(done: PhotoResult, tmp_path: Path) -> None:
    assert journal(tmp_path / "out").done(done.photo, done.output) is None
    assert journal(tmp_path / "missing").done(done.photo, tmp_path / "missing" / "a.jpg") is None
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.jpg"]
    assert not (tmp_path / "missing").exists()
    journal(tmp_path / "out").open()
    assert (tmp_path / "out" / JOURNAL_FILE).read_bytes() == b""


def test_an_output_is_edited_when_it_is_not_what_was_written(done: PhotoResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    journal(out).write(done)
    assert not journal(out).was_edited(done.photo, done.output)
    done.output.write_bytes(b"edited")
    for run in ("run", "other options"):
        assert journal(out, run).was_edited(done.photo, done.output)
        assert not journal(out, run).owned_by_another(done.photo, done.output)
    assert not journal(out).was_edited(done.photo.with_name("b.jpg"), done.output)
    journal(out).write(replace(done, status="failed", output=None, output_sha256="", reason="was edited"))
    assert journal(out).was_edited(done.photo, done.output)  # and again in the next run
    done.output.unlink()
    assert not journal(out).was_edited(done.photo, done.output)
    done.output.write_bytes(b"output")
    assert not journal(out).was_edited(done.photo, done.output)


def test_a_file_that_no_line_speaks_of_is_another_s(done: PhotoResult, tmp_path: Path) -> None:
    assert journal(tmp_path / "out").owned_by_another(done.photo, done.output)


def test_of_two_photos_that_wrote_to_one_place_the_one_whose_output_is_there_owns_it(done: PhotoResult, tmp_path: Path) -> None:
    out, other = tmp_path / "out", done.photo.with_name("b.jpg")
    journal(out).write(done)
    done.output.write_bytes(b"of the other")  # the first was moved away before
    journal(out).write(replace(done, photo=other, output_sha256=hashlib.sha256(b"of the other").hexdigest()))
    assert journal(out).owned_by_another(done.photo, done.output)
    assert not journal(out).owned_by_another(other, done.output)


def test_what_a_run_was_killed_at_is_its_own(done: PhotoResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    journal(out).write(done)
    journal(out).begin(done.photo, done.output, done.output_sha256)  # killed before it was written
    journal(out).begin(done.photo, done.output, hashlib.sha256(b"newer").hexdigest())
    assert not journal(out).was_edited(done.photo, done.output)
    done.output.write_bytes(b"newer")  # killed after it was written
    book = journal(out)
    assert not book.was_edited(done.photo, done.output) and not book.owned_by_another(done.photo, done.output)
    assert book.owned_by_another(done.photo.with_name("b.jpg"), done.output)
    assert book.done(done.photo, done.output) is None
    book.close([])  # of another photo's run
    assert not journal(out).owned_by_another(done.photo, done.output)
    assert [json.loads(line)["status"] for line in (out / JOURNAL_FILE).read_text().splitlines()] == ["swapped", WRITING, WRITING]
    done.output.write_bytes(b"edited")
    assert journal(out).was_edited(done.photo, done.output)
    done.output.write_bytes(b"newer")
    book = journal(out)
    book.write(replace(done, status="failed", output=None, output_sha256=""))  # its worker died then
    book.close([done.photo])
    assert not journal(out).was_edited(done.photo, done.output)
    assert not journal(out).owned_by_another(done.photo, done.output)
    assert [json.loads(line)["status"] for line in (out / JOURNAL_FILE).read_text().splitlines()] == ["failed"]


def test_what_was_begun_is_forgotten_when_the_output_is_the_line_s(done: PhotoResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    journal(out).write(done)
    journal(out).begin(done.photo, done.output, hashlib.sha256(b"newer").hexdigest())  # killed before it was written
    book = journal(out)
    assert book.done(done.photo, done.output) == replace(done, cached=True)
    book.close([done.photo])
    assert [json.loads(line)["status"] for line in (out / JOURNAL_FILE).read_text().splitlines()] == ["swapped"]


def test_an_output_of_a_killed_run_goes_when_its_photo_is_not_to_be_swapped(done: PhotoResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    skipped = replace(done, output=None, output_sha256="", status="skipped")
    journal(out).write(skipped)
    journal(out, "other options").begin(done.photo, done.output, done.output_sha256)  # killed just after it was written
    book = journal(out)
    assert book.done(done.photo, done.output) is None
    book.write(skipped)
    assert not done.output.exists()
    assert journal(out).done(done.photo, done.output) is not None


def test_an_output_elsewhere_in_the_folder_stays_its_photo_s(done: PhotoResult, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "out" / "in" / "a.jpg"
    journal(out).write(done)
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(b"output")
    journal(out).write(replace(done, output=elsewhere))
    for output in (done.output, elsewhere):
        assert not journal(out).owned_by_another(done.photo, output)
    journal(out).write(replace(done, output=None, output_sha256="", status="no_face"))
    assert done.output.exists() and not elsewhere.exists()
    assert not journal(out).owned_by_another(done.photo, done.output)


def test_a_line_of_an_earlier_version_is_understood(done: PhotoResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    journal(out).write(replace(done, status="failed", output=None, output_sha256=""))
    path = out / JOURNAL_FILE
    line = {**json.loads(path.read_text()), "earlier": {"file": "a.jpg", "sha256": done.output_sha256}}
    path.write_text(json.dumps(line) + "\n[1]\n")
    assert not journal(out).owned_by_another(done.photo, done.output)
    done.output.write_bytes(b"edited")
    assert journal(out).was_edited(done.photo, done.output)
