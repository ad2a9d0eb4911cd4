"""The demo end to end, with an identity that was trained for two steps, and everything around it."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from stylswap.config import Settings
from stylswap.errors import RunError, SettingsError, StylswapError
from stylswap.examples import EXAMPLES, examples_path
from stylswap.identity_file import read_identity_file
from stylswap.jobs import demo as demo_module
from stylswap.jobs import demo_report
from stylswap.jobs.demo import demo
from stylswap.jobs.swap import PhotoResult
from stylswap.jobs.train import Trained, TrainEvents
from stylswap.photo import read_photo
from stylswap.provenance import read_mark

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class World:
    """Examples that are small enough for a test, and a tiny identity."""

    examples: dict[str, Path]
    identity: Path
    settings: Settings


@pytest.fixture(scope="module")
def world(
    folders: tuple[Path, Path], tiny_identity: Path, tiny_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    root = tmp_path_factory.mktemp("demo")
    shutil.copytree(folders[0], root / "ada")
    shutil.copy(examples_path("ada") / "identity.toml", root / "ada")
    (root / "photos").mkdir()
    for photo in sorted(examples_path("photos").glob("*.jpg"))[:2]:
        shutil.copy(photo, root / "photos")
    examples = {"ada": root / "ada", "faces": folders[1], "photos": root / "photos"}
    with pytest.MonkeyPatch.context() as patch:
        for module in (demo_module, demo_report):
            patch.setattr(module, "examples_path", examples.__getitem__)
        yield World(examples, tiny_identity, tiny_settings)


def pictures(report: Path) -> list[Image.Image]:
    sources = re.findall(r'src="data:image/jpeg;base64,([^"]*)"', report.read_text(encoding="utf-8"))
    return [Image.open(io.BytesIO(base64.b64decode(source))) for source in sources]


def test_a_training_leaves_a_report_in_its_run_folder(tiny_identity: Path) -> None:
    run = tiny_identity.with_suffix(".run")
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "Training of tiny" in text and f"stylswap swap --identity {tiny_identity}" in text
    last = json.loads((run / "journal.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert last["step"] == 2 and last["terms"]
    assert {"network.style", "discriminator.hinge"} < last["terms"].keys()
    for name in last["terms"]:
        assert f"<b>{name.split('.')[1]}</b>" in text
    assert [picture.size for picture in pictures(run / "report.html")] == [(2 * 66 + 2, 3 * 66 + 2)]


def test_without_training_every_photo_is_swapped_and_shown(world: World, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []

    def on_photo(result: PhotoResult, done: int, total: int) -> None:
        seen.append((result.status, done, total))

    report = demo(tmp_path / "out", minutes=0, device="cpu", on_photo=on_photo, identity=world.identity)
    assert report == tmp_path / "out" / "report.html"
    assert seen == [("swapped", 1, 3), ("swapped", 2, 3), ("swapped", 3, 3)]
    names = {path.name for path in world.examples["photos"].iterdir()} | {"astronaut.png"}
    assert {path.name for path in (tmp_path / "out" / "photos").iterdir()} == names
    assert {path.name for path in (tmp_path / "out" / "swapped-shipped").iterdir()} == names | {"stylswap.jsonl"}
    mark = read_mark(tmp_path / "out" / "swapped-shipped" / "astronaut.png")
    assert mark is not None and mark.identity_sha256 == read_identity_file(world.identity).sha256
    assert not (tmp_path / "out" / "train").exists()
    text = report.read_text(encoding="utf-8")
    assert "3 of 3" in text and "she does not exist" in text and "Losses" not in text
    sizes = [picture.size for picture in pictures(report)]
    assert sizes[:6] == [(160, 160)] * 6
    assert sizes[6:] == [(256, 256), (64, 64), (256, 256)] * 2 + [(320, 320), (64, 64), (320, 320)]


def test_with_training_there_is_a_fresh_identity_and_a_second_demo_replaces_it(world: World, tmp_path: Path) -> None:
    out, steps, folders = tmp_path / "out", [], []
    events = TrainEvents(
        on_prepared=lambda report: folders.append(report.folder), on_step=lambda standing: steps.append(standing.tick.step)
    )
    demo(out, minutes=0.001, device="cpu", events=events, identity=world.identity, settings=world.settings)
    assert len(folders) == 2 and steps
    assert read_identity_file(out / "ada-fresh.safetensors").card.consent == "synthetic"
    text = (out / "report.html").read_text(encoding="utf-8")
    assert text.count("trained here in") == 4 and "Losses" in text and f"train {steps[-1]} steps" in text
    assert len(pictures(out / "report.html")) == 6 + 3 * 4
    assert f"stylswap train --resume {out / 'train'}" in text

    (out / "train" / "notes.txt").write_text("mine")
    (out / "photos" / "mine.jpg").write_bytes(b"mine")
    first = (out / "train" / "journal.jsonl").read_text()
    (out / "ada-fresh.safetensors").write_bytes(b"of the first demo")
    demo(out, minutes=0.001, device="cpu", identity=world.identity, settings=world.settings)
    assert (out / "train" / "notes.txt").read_text() == "mine" and (out / "photos" / "mine.jpg").read_bytes() == b"mine"
    assert read_identity_file(out / "ada-fresh.safetensors").card.consent == "synthetic"
    second = (out / "train" / "journal.jsonl").read_text()
    assert json.loads(second.splitlines()[0])["step"] == 1 and not second.startswith(first)
    assert read_photo(out / "swapped-fresh" / "astronaut.png").width == 512


@pytest.mark.parametrize("name", ["photos", "train", "swapped-shipped", "swapped-fresh", "report.html", "ada-fresh.safetensors"])
def test_what_no_demo_made_is_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match=f"holds {name}, which no demo made"):
        demo(tmp_path, minutes=0, device="cpu", identity="nobody")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_photo_without_a_face_is_shown_with_its_reason(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = shutil.copytree(world.examples["photos"], tmp_path / "photos")
    Image.new("RGB", (90, 60), "teal").save(photos / "0000 <wall>.jpg")
    monkeypatch.setitem(world.examples, "photos", photos)
    text = demo(tmp_path / "out", minutes=0, device="cpu", identity=world.identity).read_text(encoding="utf-8")
    assert "3 of 4" in text and "no face found" in text and "0000 &lt;wall&gt;.jpg" in text and "<wall>" not in text


def test_an_interrupted_training_is_reported_and_then_raised(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_module, "train", lambda *_: Trained(None, world.identity.with_suffix(".run"), 2, 2, 1.5, True, {}))
    with pytest.raises(KeyboardInterrupt):
        demo(tmp_path, minutes=1, device="cpu", identity=world.identity, settings=world.settings)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "It was interrupted" in text and "train 2 steps" in text and "trained here in" not in text


def test_an_interrupted_swap_trains_nothing(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def on_photo(result: PhotoResult, done: int, total: int) -> None:
        if done == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        demo(tmp_path, minutes=1, device="cpu", on_photo=on_photo, identity=world.identity, settings=world.settings)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "It was interrupted" in text and text.count('class="missing">interrupted') == 1  # a second photo was at hand
    assert not (tmp_path / "train").exists()


@pytest.mark.parametrize("minutes", [-1.0, float("nan"), float("inf")])
def test_impossible_minutes_are_refused_before_anything_is_written(tmp_path: Path, minutes: float) -> None:
    with pytest.raises(SettingsError, match="minutes"):
        demo(tmp_path / "out", minutes=minutes)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StylswapError, match="the demo cannot write there"):
        demo(tmp_path / "file" / "out", minutes=0)


def test_examples_are_found_in_the_checkout_and_in_a_wheel(tmp_path: Path) -> None:
    for name in EXAMPLES:
        assert examples_path(name) == ROOT / "examples" / name
    (tmp_path / "stylswap" / "_examples" / "ada").mkdir(parents=True)
    assert examples_path("ada", package=tmp_path / "stylswap") == tmp_path / "stylswap" / "_examples" / "ada"
    with pytest.raises(StylswapError, match="the example 'faces' is missing"):
        examples_path("faces", package=tmp_path / "stylswap")
    with pytest.raises(StylswapError, match="Did you mean 'photos'"):
        examples_path("photo")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose pip and stylswap only write down what they were asked for."""
    root = tmp_path / "a checkout"
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / "scripts").mkdir()
    for name in ("demo", "venv.sh"):
        shutil.copy(ROOT / "scripts" / name, root / "scripts")
    (root / "pyproject.toml").write_text("one")
    for name, line in (("python", f'echo "$@" | tee -a "{root}/pip.log"'), ("stylswap", 'printf "%s|" "$PWD" "$@"')):
        (root / ".venv" / "bin" / name).write_text(f"#!/bin/bash\n{line}\n")
        (root / ".venv" / "bin" / name).chmod(0o755)
    return root


def run_script(checkout: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [str(checkout / "scripts" / "demo"), *arguments]
    environment = {**os.environ, "PYTHON": sys.executable, **more}
    return subprocess.run(command, capture_output=True, text=True, cwd=checkout.parent, env=environment, check=False)


def test_the_script_installs_once_and_passes_its_arguments(checkout: Path) -> None:
    assert (ROOT / "scripts" / "demo").stat().st_mode & stat.S_IXUSR
    log = checkout / "pip.log"
    for _ in range(2):
        done = run_script(checkout, "--out", "my demo", CDPATH="/")
        assert (done.returncode, done.stdout) == (0, f"{checkout.parent}|demo|--out|my demo|"), done.stderr
        assert len(log.read_text().splitlines()) == 1 and log.read_text().startswith("-m pip install")
    (checkout / "pyproject.toml").write_text("two")
    assert run_script(checkout).returncode == 0
    assert len(log.read_text().splitlines()) == 2


@pytest.mark.parametrize("how", ["moved", "without its Python"])
def test_an_environment_that_would_not_start_is_made_anew(checkout: Path, how: str) -> None:
    assert run_script(checkout).returncode == 0
    if how == "moved":
        old, checkout = checkout, checkout.rename(checkout.with_name("another place"))
        old.mkdir()  # where pip writes down what it was asked for
    kept = (checkout / ".venv").rename(checkout / "kept")
    shutil.copytree(kept, checkout / ".venv")
    (checkout / ".venv" / "of the old one").touch()
    if how != "moved":
        (checkout / ".venv" / "bin" / "python").unlink()
        (checkout / ".venv" / "bin" / "python").symlink_to("gone")
    maker = checkout / "maker"  # of environments, in Python's place
    maker.write_text('#!/bin/bash\n[[ $2 == venv ]] && cp -r kept "$3"\nexit 0\n')
    maker.chmod(0o755)
    for _ in range(2):
        done = run_script(checkout, PYTHON=str(maker))
        assert (done.returncode, done.stdout) == (0, f"{checkout.parent}|demo|"), done.stderr
        assert not (checkout / ".venv" / "of the old one").exists()
        (checkout / ".venv" / "of this one").touch()
    assert (checkout / ".venv" / "of this one").exists()


def test_the_script_says_that_python_is_too_old(checkout: Path) -> None:
    old = checkout / "old"
    old.write_text("#!/bin/bash\n[[ $1 == --version ]] && echo Python 3.9.2\nexit 1\n")
    old.chmod(0o755)
    done = run_script(checkout, PYTHON=str(old))
    assert (done.returncode, done.stdout) == (1, "")
    assert "Python 3.11 or newer is needed" in done.stderr and "Python 3.9.2" in done.stderr
