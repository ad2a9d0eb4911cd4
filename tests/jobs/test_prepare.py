"""Preparing a folder for training: what is refused, what is left out and why, and what the report says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stylswap.config import Settings, load_settings
from stylswap.data.occluders import draw_occluder
from stylswap.data.prepare import PreparedFace
from stylswap.errors import FaceSetError
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import Pose
from stylswap.faces.segment import WIDE_OUTLINE
from stylswap.features.parsing import BELIEVED, FaceParser
from stylswap.jobs import prepare as prepare_job
from stylswap.jobs.occluder_finder import OccluderFinder
from stylswap.jobs.prepare import (
    YAW_BINS_DEG,
    make_preparer,
    near_duplicates,
    outline_of_training,
    prepare_identity,
    prepare_inputs,
)

SETTINGS = load_settings(overrides=["size=64"])
Fill = Callable[..., Path]


@pytest.fixture
def fill(examples: Path, tmp_path: Path) -> Fill:
    """A folder with some of ada's photos and of other people's."""

    def filled(num_ada: int, strangers: Iterable[Path] = (), name: str = "ada") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for path in sorted((examples / "ada").glob("*.jpg"))[:num_ada]:
            shutil.copy(path, folder / path.name)
        for path in strangers:
            shutil.copy(path, folder / f"other-{path.name}")
        return folder

    return filled


@pytest.fixture
def people(examples: Path) -> list[Path]:
    """Forty different people."""
    return sorted((examples / "faces").glob("*.jpg"))[:40]


def grey(side_px: int = 64) -> Image.Image:
    return Image.new("RGB", (side_px, side_px), (120, 120, 120))


# ---- folders that cannot be used


@pytest.mark.parametrize("prepare", [prepare_identity, prepare_inputs])
def test_a_folder_must_be_there(prepare: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "file.jpg").write_text("not a folder")
    for name in ("missing", "file.jpg"):
        with pytest.raises(FaceSetError, match=f"{name}: no such folder"):
            prepare(tmp_path / name, SETTINGS, cache=tmp_path / "cache")


@pytest.mark.parametrize("prepare", [prepare_identity, prepare_inputs])
def test_a_folder_must_hold_photos(prepare: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing to see")
    with pytest.raises(FaceSetError, match="the folder holds no photos"):
        prepare(tmp_path / "empty", SETTINGS, cache=tmp_path / "cache")


@pytest.mark.parametrize("prepare", [prepare_identity, prepare_inputs])
def test_photos_must_hold_faces(prepare: Callable[..., object], tmp_path: Path) -> None:
    folder = tmp_path / "skies"
    folder.mkdir()
    grey().save(folder / "grey.png")
    (folder / "broken.jpg").write_bytes(b"broken")
    with pytest.raises(FaceSetError) as caught:
        prepare(folder, SETTINGS, cache=tmp_path / "cache")
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{folder}: no usable face in 2 photos"
    assert lines[1].startswith("  broken.jpg: ")
    assert lines[2] == "  grey.png: no face found"


def test_too_few_photos_of_the_identity_are_an_error(fill: Fill, record_cache: Path) -> None:
    folder = fill(19)
    grey().save(folder / "grey.png")
    with pytest.raises(FaceSetError, match="19 usable photos of the identity, at least 20 are needed") as caught:
        prepare_identity(folder, SETTINGS, cache=record_cache)
    assert "grey.png: no face found" in str(caught.value)


def test_one_third_of_strangers_is_an_error(fill: Fill, people: list[Path], record_cache: Path) -> None:
    folder = fill(22, people[:11])
    with pytest.raises(FaceSetError, match=r"(\d+) of 33 photos look like somebody else; the folder must show one person") as caught:
        prepare_identity(folder, SETTINGS, cache=record_cache)
    head, *shown, more = str(caught.value).splitlines()
    assert "--set prepare.other_person_distance=0.8" in head
    assert len(shown) == 5
    assert more == f"  and {int(head.split(': ')[1].split()[0]) - 5} more"
    assert all("other-" in line and "looks like somebody else (distance " in line for line in shown)


def test_two_people_in_one_folder_are_an_error(fill: Fill, shared_data: Path, record_cache: Path) -> None:
    bruno = sorted((shared_data / "identities" / "bruno").glob("*.jpg"))[:11]
    with pytest.raises(FaceSetError, match="look like somebody else"):
        prepare_identity(fill(22, bruno), SETTINGS, cache=record_cache)


# ---- the identity


def test_few_photos_are_a_warning(fill: Fill, record_cache: Path) -> None:
    faces, report = prepare_identity(fill(22), SETTINGS, cache=record_cache)
    assert len(faces) == report.num_used == 22
    assert report.warnings == ("only 22 usable photos; from 40 on, in many poses and expressions, results are better",)
    enough = load_settings(overrides=["size=64", "prepare.few_photos=22"])
    assert prepare_identity(fill(22, name="again"), enough, cache=record_cache)[1].warnings == ()


def test_more_photos_than_are_relit_are_a_warning(fill: Fill, record_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(22)
    monkeypatch.setattr(prepare_job, "MOST_PHOTOS", 22)
    assert "relit" not in prepare_identity(folder, SETTINGS, cache=record_cache)[1].warnings[0]
    monkeypatch.setattr(prepare_job, "MOST_PHOTOS", 21)
    warning = prepare_identity(folder, SETTINGS, cache=record_cache)[1].warnings[-1]
    assert warning.startswith("more than 21 photos are not relit (loss.style.lit_alike), because of the memory")
    plain = load_settings(overrides=["size=64", "loss.style.lit_alike=false", "prepare.few_photos=20"])
    assert prepare_identity(folder, plain, cache=record_cache)[1].warnings == ()


def test_one_stranger_is_left_out_with_the_reason(fill: Fill, people: list[Path], record_cache: Path) -> None:
    folder = fill(22, [people[0]])
    faces, report = prepare_identity(folder, SETTINGS, cache=record_cache)
    (refused,) = report.refused
    assert refused.name == f"other-{people[0].name}"
    assert refused.reason.startswith("looks like somebody else (distance 0.")
    assert refused.reason.endswith("to the others' mean, up to 0.6 is the same person)")
    assert refused.name not in faces.names
    assert len(faces) == 22


def test_the_limit_is_a_setting(fill: Fill, people: list[Path], record_cache: Path) -> None:
    lenient = load_settings(overrides=["size=64", "prepare.other_person_distance=2.0"])
    faces, _ = prepare_identity(fill(22, people[:11]), lenient, cache=record_cache)
    assert len(faces) == 33


def test_a_copy_of_a_photo_is_a_near_duplicate(fill: Fill, record_cache: Path) -> None:
    folder = fill(22)
    first, second = sorted(folder.iterdir())[3:5]
    Image.open(first).save(folder / "x-again.jpg", quality=70)
    Image.open(first).resize((240, 240), Image.Resampling.LANCZOS).save(folder / "x-small.png")
    Image.open(second).save(folder / "y-again.webp", quality=90)
    _, report = prepare_identity(folder, SETTINGS, cache=record_cache)
    assert report.duplicates == ((first.name, "x-again.jpg", "x-small.png"), (second.name, "y-again.webp"))
    assert report.num_used == 25, "they are named, not left out"


def test_the_report_counts_yaw_and_is_json(fill: Fill, record_cache: Path) -> None:
    folder = fill(22)
    (folder / "broken.jpg").write_bytes(b"broken")
    faces, report = prepare_identity(folder, SETTINGS, cache=record_cache)
    yaws = [pose.yaw_deg for pose in faces.poses]
    by_hand = [sum(low <= yaw < high for yaw in yaws) for low, high in pairwise(YAW_BINS_DEG)]
    assert list(report.yaw_counts) == by_hand
    assert sum(by_hand) == 22
    facts = json.loads(json.dumps(report.as_json()))
    assert facts["yaw_deg"] == dict(zip(["-90..-30", "-30..-10", "-10..10", "10..30", "30..90"], by_hand, strict=True))
    assert (facts["folder"], facts["used"], facts["near_duplicates"]) == (str(folder), 22, [])
    assert [photo["photo"] for photo in facts["refused"]] == ["broken.jpg"]
    pitches = sorted(pose.pitch_deg for pose in faces.poses)
    # 22 values: the 5th percentile lies 1.05 steps from the lowest, the 95th as far from the highest.
    assert report.pitch_range_deg[0] == pytest.approx(pitches[1] + 0.05 * (pitches[2] - pitches[1]))
    assert report.pitch_range_deg[1] == pytest.approx(pitches[-2] - 0.05 * (pitches[-2] - pitches[-3]))


def test_the_mean_descriptor_is_of_the_photos_that_are_used(fill: Fill, people: list[Path], record_cache: Path) -> None:
    alone = prepare_identity(fill(22), SETTINGS, cache=record_cache)[1].mean_descriptor
    with_stranger = prepare_identity(fill(22, [people[0]], name="again"), SETTINGS, cache=record_cache)[1].mean_descriptor
    assert alone is not None
    assert len(alone) == 128
    assert with_stranger == alone
    preparer = make_preparer(SETTINGS, describe=True, cache=record_cache)
    faces = [preparer.prepare(path, path.name) for path in sorted(fill(22, name="third").iterdir())]
    mean = np.mean([face.descriptor for face in faces if isinstance(face, PreparedFace)], axis=0)
    assert alone == pytest.approx(mean, abs=1e-5)


# ---- faces of many people


def test_faces_of_many_people_are_all_used(fill: Fill, people: list[Path], record_cache: Path) -> None:
    seen: list[tuple[int, int]] = []
    folder = fill(0, people[:6])
    faces, report = prepare_inputs(folder, SETTINGS, cache=record_cache, on_photo=lambda done, total: seen.append((done, total)))
    assert len(faces) == report.num_used == 6
    assert report.mean_descriptor is None
    assert report.duplicates == ()
    assert report.warnings == ("only 6 usable faces; a training needs 16 at least, some hundreds are good",)
    few = load_settings(overrides=["size=64", "training.held_out=3"])
    assert prepare_inputs(folder, few, cache=record_cache)[1].warnings == ()
    assert seen == [(number, 6) for number in range(1, 7)]


def test_some_photos_can_be_left_out_by_their_content(fill: Fill, people: list[Path], record_cache: Path) -> None:
    folder = fill(0, people[:4])
    everybody, _ = prepare_inputs(folder, SETTINGS, cache=record_cache)
    faces, report = prepare_inputs(folder, SETTINGS, cache=record_cache, leave_out=[everybody.hashes[1], "0" * 64])
    assert faces.names == (everybody.names[0], *everybody.names[2:])
    assert report.num_used == 3
    assert [(photo.name, photo.reason) for photo in report.refused] == [(everybody.names[1], "is one of the identity's own photos")]
    with pytest.raises(FaceSetError, match="all 4 usable photos are photos of the identity"):
        prepare_inputs(folder, SETTINGS, cache=record_cache, leave_out=everybody.hashes)


@pytest.mark.parametrize("mask", ["parsing", "landmarks"])
def test_a_training_finds_done_what_was_prepared_before(
    fill: Fill, people: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: str
) -> None:
    settings = load_settings(overrides=["size=64", f"prepare.mask={mask}"])
    folder, cache = fill(0, people[:2]), tmp_path / "cache"
    prepare_inputs(folder, settings, cache=cache, outline=outline_of_training(settings))
    monkeypatch.setattr(FaceDetector, "detect", lambda *_: pytest.fail("looked for once more"))
    preparer = make_preparer(settings, describe=False, cache=cache, outline=outline_of_training(settings))
    assert all(isinstance(preparer.prepare(path, path.name), PreparedFace) for path in folder.iterdir())
    monkeypatch.setattr(OccluderFinder, "find", lambda _, faces, **__: faces)
    faces, _ = prepare_inputs(folder, settings, cache=cache, finder=OccluderFinder() if mask == "parsing" else None)
    assert len(faces) == 2


def test_records_go_to_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLSWAP_HOME", str(tmp_path))
    preparer = make_preparer(Settings(), describe=False)
    assert preparer.cache == tmp_path / "cache" / "faces"
    assert preparer.descriptor is None
    assert (preparer.size, preparer.settings) == (128, Settings().prepare)
    assert asdict(preparer.detector) == asdict(FaceDetector())
    assert make_preparer(Settings(), describe=True, cache=tmp_path / "here").cache == tmp_path / "here"


# ---- what covers the faces


@pytest.mark.parametrize(("prepare", "number"), [(prepare_identity, 20), (prepare_inputs, 3)])
def test_the_parser_looks_at_each_face_once(
    prepare: Callable[..., Any], number: int, fill: Fill, record_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, looked = fill(number), []
    cache = shutil.copytree(record_cache, tmp_path / "cache")

    def logits(parser: FaceParser, images: torch.Tensor) -> torch.Tensor:
        looked.append(len(images))
        return torch.zeros(1, 19, 48, 48).index_fill_(1, torch.tensor([17]), 9.0)  # hair everywhere: not believed

    monkeypatch.setattr(FaceParser, "logits", logits)
    assert prepare(folder, SETTINGS, cache=cache)[0].kept_u8 is None, "nobody asked"
    seen: list[tuple[int, int]] = []
    faces, _ = prepare(folder, SETTINGS, cache=cache, finder=OccluderFinder(), on_photo=lambda *count: seen.append(count))
    assert faces.kept_u8 is not None
    batch = faces.faces(range(number))
    believed = (BELIEVED.segment(batch.images, batch.landmarks) * 255).round().int()
    wanted = (faces.masks_u8.int() - believed).clamp(0, 255).byte()
    assert torch.equal(faces.kept_u8, wanted), "where the parser is not believed, what lies beyond the landmarks' own mask is kept"
    assert not faces.kept_u8[believed == 255].any()
    assert (faces.masks_u8 == (WIDE_OUTLINE.segment(batch.images, batch.landmarks) * 255).round().byte()).float().mean() > 0.999
    assert len(looked) == number
    assert seen == [(done, number) for done in range(1, number + 1)] * 2
    monkeypatch.setattr(FaceParser, "load", lambda **_: pytest.fail("loaded for nothing"))
    again, _ = prepare(folder, SETTINGS, cache=cache, finder=OccluderFinder())
    assert torch.equal(again.kept_u8, faces.kept_u8)
    with pytest.raises(pytest.fail.Exception):
        OccluderFinder(glasses="keep").find(faces, cache=cache)


def test_the_parser_finds_the_mask_that_was_drawn(fill: Fill, record_cache: Path, tmp_path: Path) -> None:
    faces, _ = prepare_inputs(fill(3), SETTINGS, cache=record_cache)
    generator = torch.Generator().manual_seed(0)
    drawn = [draw_occluder("mask", face / 255, points, generator) for face, points in zip(faces.images_u8, faces.landmarks, strict=True)]
    covered = replace(faces, images_u8=torch.stack([(one.image * 255).round().byte() for one in drawn]))
    clean, found = (OccluderFinder().find(some, cache=tmp_path).kept(range(3)) for some in (faces, covered))
    hidden = (torch.stack([one.alpha for one in drawn]) > 0.9) & (faces.masks_u8 == 255)
    assert float(found[hidden].mean()) > 0.95
    assert float(clean[hidden].mean()) < 0.2


# ---- near duplicates, by hand


def one(name: str, image: torch.Tensor) -> PreparedFace:
    image_u8 = (image * 255).round().byte().numpy()
    return PreparedFace(name, "", image_u8, image_u8[:1], np.zeros((68, 2), np.float32), Pose(0, 0, 0), None, 1, 100.0)


def test_duplicates_are_grouped_by_the_mean_difference_of_thumbnails() -> None:
    flat = torch.full((3, 32, 32), 0.5)
    half = flat.clone()
    half[:, :16] += 8 / 255  # mean difference 4/255 = 0.0157
    far = flat + 6 / 255  # 0.0235
    faces = [one("flat", flat), one("far", far), one("half", half), one("same", flat)]
    assert near_duplicates(faces) == (("flat", "half", "same"),)
    assert near_duplicates(faces, limit=0.03) == (("flat", "far", "half", "same"),)
    assert near_duplicates(faces, limit=0.001) == (("flat", "same"),)
    assert near_duplicates(faces[:1]) == ()


def test_fine_detail_is_not_seen_in_a_thumbnail() -> None:
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(3, 64, 64, generator=generator) * 0.2 + torch.linspace(0, 0.8, 64)
    noisy = (picture + 0.02 * torch.randn(3, 64, 64, generator=generator)).clamp(0, 1)
    assert near_duplicates([one("a", picture), one("b", noisy), one("c", picture.flip(-1))]) == (("a", "b"),)
