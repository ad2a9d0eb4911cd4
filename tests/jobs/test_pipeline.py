"""Photos through worker processes: the same files as in one process, whatever is killed when."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylswap.errors import UsageError
from stylswap.faces.detect import FaceDetector
from stylswap.jobs.choose import FaceChoice, photo_key
from stylswap.jobs.photo_worker import PhotoHandler, PhotoResult, PhotoWorker
from stylswap.jobs.pipeline import PHOTOS_A_WORKER, Pipeline
from stylswap.jobs.swap import SwapRequest, dry_run, swap_photos
from stylswap.jobs.swap_journal import JOURNAL_FILE
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapped import Aligned
from stylswap.jobs.swapper import Swapper
from stylswap.jobs.workers import Answer, Died, InlineWorker, ProcessWorkers
from stylswap.photo import read_photo
from tests.jobs.conftest import EXAMPLES

PHOTOS = sorted((EXAMPLES / "photos").glob("*.jpg"))
TIMES = ("seconds", "finished")


@pytest.fixture(scope="module")
def swapper(tiny_identity: Path) -> Swapper:
    detector = FaceDetector(use_cnn=False)
    options = SwapOptions(blend="feather", mask="landmarks")
    loaded = Swapper.load(tiny_identity, device="cpu", options=options)
    return Swapper(loaded.identity, options=options, device="cpu", detector=detector)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five faces, a wall and a text."""
    folder = tmp_path_factory.mktemp("photos")
    for path in PHOTOS[:5]:
        shutil.copyfile(path, folder / path.name)
    Image.fromarray(np.full((200, 300, 3), 90, np.uint8)).save(folder / "wall.png")
    (folder / "text.jpg").write_text("not a picture")
    return folder


def files(out: Path) -> dict[str, str]:
    """sha256 of everything in a folder but the journal, whose times differ."""
    paths = [path for path in out.rglob("*") if path.is_file() and path.name != JOURNAL_FILE]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def lines(out: Path) -> list[dict[str, object]]:
    """The journal without its times."""
    rows = [json.loads(line) for line in (out / JOURNAL_FILE).read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in row.items() if key not in (*TIMES, "output")} for row in rows]


@pytest.fixture(scope="module")
def uninterrupted(swapper: Swapper, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted")
    summary = swap_photos(swapper, SwapRequest([folder], out, workers=0, report=False))
    assert summary.counts == {"swapped": 5, "no_face": 1, "failed": 1}
    return out


def test_processes_write_the_same_files(swapper: Swapper, folder: Path, uninterrupted: Path, tmp_path: Path) -> None:
    summary = swap_photos(swapper, SwapRequest([folder], tmp_path / "out", workers=2, report=False))
    assert files(tmp_path / "out") == files(uninterrupted)
    assert lines(tmp_path / "out") == lines(uninterrupted)
    assert [result.photo for result in summary.results] == sorted(folder.iterdir())
    stages = summary.results[0].seconds
    assert {"decode", "detect", "align", "render", "blend", "encode"} <= set(stages)


def test_a_second_run_has_nothing_to_do_but_the_failure(swapper: Swapper, folder: Path, tmp_path: Path) -> None:
    request = SwapRequest([folder], tmp_path / "out", workers=0, report=False)
    swap_photos(swapper, request)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.jpg")}
    (tmp_path / "out" / PHOTOS[1].name).unlink()
    again = swap_photos(swapper, request)
    assert again.num_cached == 5
    assert {result.photo.name for result in again.results if not result.cached} == {"text.jpg", PHOTOS[1].name}
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.jpg")}
    assert {path.name for path in before if before[path] != after[path]} == {PHOTOS[1].name}
    forced = swap_photos(swapper, SwapRequest([folder], tmp_path / "out", workers=0, report=False, force=True))
    assert forced.num_cached == 0


def test_other_options_do_everything_again(swapper: Swapper, folder: Path, tmp_path: Path) -> None:
    swap_photos(swapper, SwapRequest([folder], tmp_path / "out", workers=0, report=False))
    other = Swapper(swapper.identity, options=SwapOptions(blend="none", mask="landmarks"), device="cpu")
    assert swap_photos(other, SwapRequest([folder], tmp_path / "out", workers=0, report=False)).num_cached == 0


def test_too_many_failures_stop_the_run(swapper: Swapper, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(6):
        (tmp_path / "in" / f"{number}.jpg").write_text("no picture")
    summary = swap_photos(swapper, SwapRequest([tmp_path / "in"], tmp_path / "out", workers=0, report=False, max_failures=2))
    assert "more than 2" in summary.stopped
    assert 3 <= len(summary.results) <= 2 + PHOTOS_A_WORKER
    assert not summary.complete


@dataclass(frozen=True)
class Murderous(PhotoWorker):
    """Dies of one photo."""

    victim: str = ""

    def __call__(self) -> PhotoHandler:
        handler = super().__call__()
        begin = handler._begin

        def deadly(number: int, photo: Path, output: Path) -> Aligned | PhotoResult:
            if photo.name == self.victim:
                os.kill(os.getpid(), signal.SIGSEGV)
            return begin(number, photo, output)

        handler._begin = deadly
        return handler


def test_a_photo_that_crashes_its_worker_fails_alone(swapper: Swapper, folder: Path, uninterrupted: Path, tmp_path: Path) -> None:
    worker = swapper.worker()
    deadly = Murderous(worker.aligner, worker.joiner, worker.mark, victim=PHOTOS[2].name)
    pairs = [(path, tmp_path / "out" / path.name) for path in sorted(folder.iterdir())]
    workers = ProcessWorkers(deadly, 2)
    try:
        results = {result.photo.name: result for result in Pipeline(workers, swapper.renderer, pairs, lambda: False).results()}
    finally:
        workers.close()
    assert len(results) == 7
    assert results[PHOTOS[2].name].status == "failed"
    assert f"signal {signal.SIGSEGV:d}" in results[PHOTOS[2].name].reason
    expected = files(uninterrupted)
    del expected[PHOTOS[2].name]
    assert files(tmp_path / "out") == expected


def test_faces_that_cannot_be_rendered_fail_alone(swapper: Swapper, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = swapper.renderer.render
    bad = read_photo(folder / PHOTOS[1].name)

    def moody(photos: list[Aligned]):
        if any(abs(float(photo.faces.images.mean()) - unwanted) < 1e-6 for photo in photos):
            raise RuntimeError("out of order")
        return real(photos)

    unwanted = float(swapper._aligner(bad).faces.images.mean())
    monkeypatch.setattr(swapper.renderer, "render", moody)
    summary = swap_photos(swapper, SwapRequest([folder], tmp_path / "out", workers=0, report=False))
    assert {result.photo.name: result.reason for result in summary.results if result.status == "failed"}.keys() == {
        "text.jpg",
        PHOTOS[1].name,
    }
    assert summary.counts["swapped"] == 4


def test_files_of_others_are_not_overwritten(swapper: Swapper, folder: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    request = SwapRequest([folder], out, workers=0, report=False)
    swap_photos(swapper, request)
    other.mkdir()
    shutil.copyfile(PHOTOS[7], other / PHOTOS[0].name)
    before = files(out)
    with pytest.raises(UsageError, match=f"{PHOTOS[0].name} would be overwritten"):
        swap_photos(swapper, SwapRequest([other], out, workers=0, report=False))
    shutil.copyfile(PHOTOS[7], out / "original.jpg")
    shutil.copyfile(PHOTOS[7], other / "original.jpg")
    (other / PHOTOS[0].name).unlink()
    with pytest.raises(UsageError, match=r"original\.jpg would be overwritten"):
        swap_photos(swapper, SwapRequest([other], out, workers=0, report=False))
    (out / "original.jpg").unlink()
    assert files(out) == before
    (out / JOURNAL_FILE).unlink()  # results of two days in one folder: the mark does not say which photo's they are
    with pytest.raises(UsageError, match=f"{PHOTOS[0].name}, .* and 2 more would be overwritten"):
        swap_photos(swapper, request)
    assert files(out) == before
    assert not (out / JOURNAL_FILE).exists()
    with pytest.raises(UsageError, match="would be overwritten"):
        dry_run(swapper, request)


def test_an_edited_output_is_left_alone_and_its_photo_fails(swapper: Swapper, tmp_path: Path) -> None:
    out = tmp_path / "out"
    request = SwapRequest(PHOTOS[:2], out, workers=0, report=False)
    swap_photos(swapper, request)
    edited = out / PHOTOS[0].name
    Image.open(edited).rotate(1).save(edited)
    before = files(out)
    other = Swapper(swapper.identity, options=SwapOptions(blend="none", mask="landmarks"), device="cpu")
    for which, forced in ((swapper, False), (other, False), (swapper, True)):
        again = swap_photos(which, replace(request, force=forced))
        assert [result.status for result in again.results] == ["failed", "swapped"]
        assert again.results[0].reason == f"{edited} was edited since it was swapped; move it away, or give another --out"
        assert files(out)[edited.name] == before[edited.name]
        assert [photo.status for photo in dry_run(which, request)] == ["failed", "done"]
    assert files(out) == before
    edited.rename(tmp_path / "mine.jpg")
    assert swap_photos(swapper, request).complete


def test_a_dry_run_does_not_promise_photos_of_which_no_face_is_wanted(swapper: Swapper, tmp_path: Path) -> None:
    options = replace(swapper.options, choice=FaceChoice(per_photo={photo_key(PHOTOS[0]): "none"}))
    choosy = Swapper(swapper.identity, options=options, device="cpu", detector=FaceDetector(use_cnn=False))
    request = SwapRequest(PHOTOS[:2], tmp_path / "out", workers=0)
    planned = dry_run(choosy, request)
    assert [(photo.status, photo.reason) for photo in planned] == [("skipped", "none of its faces is asked for"), ("planned", "")]
    assert [result.status for result in swap_photos(choosy, request).results] == ["skipped", "swapped"], "as foretold"
    assert [photo.status for photo in dry_run(choosy, request)] == ["skipped", "done"]


def test_a_dry_run_says_what_is_done_and_writes_nothing(swapper: Swapper, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert [photo.status for photo in dry_run(swapper, SwapRequest(PHOTOS[:1], out))] == ["planned"]
    assert not out.exists()
    swap_photos(swapper, SwapRequest(PHOTOS[:1], out, workers=0, report=False))
    before = (out / JOURNAL_FILE).read_bytes()
    planned = dry_run(swapper, SwapRequest(PHOTOS[:2], out))
    assert [(photo.photo, photo.output, photo.status) for photo in planned] == [
        (PHOTOS[0], out / PHOTOS[0].name, "done"),
        (PHOTOS[1], out / PHOTOS[1].name, "planned"),
    ]
    assert [photo.status for photo in dry_run(swapper, SwapRequest(PHOTOS[:1], out, force=True))] == ["planned"]
    assert (out / JOURNAL_FILE).read_bytes() == before
    (out / "report.html").write_text("mine")
    with pytest.raises(UsageError, match=r"report\.html would be replaced"):
        dry_run(swapper, SwapRequest(PHOTOS[:2], out))
    with pytest.raises(UsageError, match=r"report\.html would be replaced"):
        swap_photos(swapper, SwapRequest(PHOTOS[:2], out, workers=0))
    assert (out / "report.html").read_text() == "mine"


def test_an_output_is_in_the_journal_before_it_is_written(swapper: Swapper, tmp_path: Path) -> None:
    out, told = tmp_path / "out", {}
    (tmp_path / "out").mkdir()

    def before_write(photo: Path, output: Path, sha256: str) -> None:
        assert not output.exists()
        told[photo] = sha256

    pairs = [(photo, out / photo.name) for photo in PHOTOS[:3]]
    workers = InlineWorker(swapper.worker())
    results = list(Pipeline(workers, swapper.renderer, pairs, lambda: False, before_write=before_write).results())
    assert told == {result.photo: result.output_sha256 for result in results}
    assert files(out) == {photo.name: sha256 for photo, sha256 in told.items()}


def test_an_output_goes_when_its_photo_is_not_to_be_swapped_any_more(swapper: Swapper, tmp_path: Path) -> None:
    request = SwapRequest([PHOTOS[0]], tmp_path / "out", workers=0, report=False)
    swap_photos(swapper, request)
    assert (tmp_path / "out" / PHOTOS[0].name).exists()
    options = SwapOptions(blend="feather", mask="landmarks", choice=FaceChoice(min_size_px=5000))
    picky = Swapper(swapper.identity, options=options, device="cpu")
    assert swap_photos(picky, request).counts == {"skipped": 1}
    assert not (tmp_path / "out" / PHOTOS[0].name).exists()


def test_neither_the_working_directory_nor_the_size_limit_matters(
    swapper: Swapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(PHOTOS[0], tmp_path / "a.jpg")
    swap_photos(swapper, SwapRequest([tmp_path / "a.jpg"], tmp_path / "out", workers=0, report=False))
    monkeypatch.chdir(tmp_path)
    options = SwapOptions(blend="feather", mask="landmarks", size_limit_mp=7.0)
    other = Swapper(swapper.identity, options=options, device="cpu")
    assert swap_photos(other, SwapRequest([Path("a.jpg")], Path("out"), workers=0, report=False)).num_cached == 1


class Recording:
    """Workers that only write down how much is asked of them at once."""

    def __init__(self, count: int) -> None:
        self.open = [set() for _ in range(count)]
        self.most = 0
        self.answers: list[Answer | Died] = []

    def __len__(self) -> int:
        return len(self.open)

    def send(self, worker: int, kind: str, number: int, content: object) -> None:
        assert kind == "open"
        self.open[worker].add(number)
        self.most = max(self.most, len(self.open[worker]))
        self.answers.append(Answer(worker, number, PhotoResult(Path(str(number)), None, "no_face", "", 0, ())))

    def wait(self) -> list[Answer | Died]:
        answer = self.answers.pop(0)
        self.open[answer.worker].discard(answer.number)
        return [answer]

    def close(self) -> None: ...


def test_a_worker_never_holds_more_than_its_share(swapper: Swapper) -> None:
    workers = Recording(3)
    pairs = [(Path(str(number)), Path(f"out/{number}")) for number in range(50)]
    results = list(Pipeline(workers, swapper.renderer, pairs, lambda: False).results())  # type: ignore[arg-type]
    assert sorted(int(result.photo.name) for result in results) == list(range(50))
    assert workers.most == PHOTOS_A_WORKER


@pytest.mark.timeout(240)
def test_killed_at_any_moment_and_run_again_ends_in_the_same_folder(
    tiny_identity: Path, folder: Path, tmp_path: Path, home: Path
) -> None:
    options = ["--mask", "landmarks", "--blend", "feather", "--no-report", "--quiet"]
    plain = [sys.executable, "-m", "stylswap.cli", "swap", "--identity", str(tiny_identity), str(folder), *options]
    command = [*plain, "--workers", "2", "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, out = tmp_path / "whole", tmp_path / "out"
    subprocess.run([*plain, "--workers", "0", "--out", str(whole)], env=environment, capture_output=True, check=False)
    chance = random.Random(5)
    for least in (1, 3):
        process = subprocess.Popen([*command, str(out)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        journal = out / JOURNAL_FILE
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if journal.is_file() and journal.read_bytes().count(b"\n") >= least:
                break
            time.sleep(0.005)
        time.sleep(chance.random() * 0.1)
        process.kill()
        process.wait()
    (out / ".0001.jpg.0123abcd.part").touch()  # what is left when a power cut comes in the middle of a write
    time.sleep(0.5)  # workers whose parent is gone finish their photo, and end
    last = subprocess.run([*command, str(out)], env=environment, capture_output=True, text=True, check=False)
    assert last.returncode == 3, last.stderr  # the text is no photo
    assert files(out) == files(whole)
    assert lines(out) == lines(whole)
