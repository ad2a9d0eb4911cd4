"""From a photo to an aligned face: once, and with a reason where it does not work."""

from __future__ import annotations

import dataclasses
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from stylswap.config import AlignmentSettings, PrepareSettings
from stylswap.data.faceset import FaceSet
from stylswap.data.prepare import PreparedFace, Preparer, Refused, cut_crop, prepare_folder
from stylswap.errors import ShapeError
from stylswap.faces.align import crop_from_photo, reference_shape, scale_of, warp
from stylswap.faces.batch import Face
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import eye_distance, head_pose
from stylswap.features.identity import FaceDescriptor
from stylswap.photo import from_array

SIZE = 64
HOG = FaceDetector(use_cnn=False)
TRANSFORMS = {
    "affine": np.array([[0.6, 0.1, -30], [-0.05, 0.5, -20], [0, 0, 1.0]]),
    "shrinking": np.array([[0.2, -0.02, -8], [0.02, 0.2, -10], [0, 0, 1.0]]),
    "enlarging": np.array([[1.5, 0.3, -240], [-0.3, 1.5, -120], [0, 0, 1.0]]),
    "beyond the photo": np.array([[1.5, 0.3, 20], [-0.3, 1.5, 10], [0, 0, 1.0]]),
}


@pytest.fixture
def folder(examples: Path, tmp_path: Path) -> Path:
    """Two photos, one of them in a folder with a name of its own."""
    folder = tmp_path / "Fotos von Zoë"
    (folder / "Été 2024").mkdir(parents=True)
    shutil.copy(examples / "photos" / "0001.jpg", folder / "b.jpg")
    shutil.copy(examples / "photos" / "0086.jpg", folder / "Été 2024" / "ü 1.jpg")
    return folder


@pytest.fixture
def preparer(tmp_path: Path) -> Preparer:
    return Preparer(SIZE, PrepareSettings(), tmp_path / "cache", HOG, None)


def only(result: PreparedFace | Refused) -> PreparedFace:
    assert isinstance(result, PreparedFace), result
    return result


def same(one: PreparedFace, two: PreparedFace) -> bool:
    return all(np.array_equal(getattr(one, field.name), getattr(two, field.name)) for field in dataclasses.fields(PreparedFace))


@pytest.fixture
def no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the detector was called")

    monkeypatch.setattr(FaceDetector, "detect", fail)


def test_what_cannot_be_read_is_refused_with_its_reason(folder: Path, preparer: Preparer) -> None:
    (folder / "a.avif").write_bytes(b"\0\0\0\x20ftypavif" + bytes(200))
    (folder / "c.nef").write_bytes(b"MM\0*" + bytes(200))
    faces, refused = prepare_folder(folder, preparer)
    assert [face.name for face in faces] == ["b.jpg", "Été 2024/ü 1.jpg"]
    assert [photo.name for photo in refused] == ["a.avif", "c.nef"]
    assert all("which stylswap does not read; save it as JPEG" in photo.reason for photo in refused)


def test_a_photo_becomes_an_aligned_face(folder: Path, preparer: Preparer, face: Face) -> None:
    prepared = only(preparer.prepare(folder / "b.jpg", "b.jpg"))
    assert prepared.image_u8.shape == (3, SIZE, SIZE)
    assert prepared.mask_u8.shape == (1, SIZE, SIZE)
    assert prepared.image_u8.dtype == prepared.mask_u8.dtype == np.uint8
    assert prepared.mask_u8.max() == 255
    assert prepared.landmarks.shape == (68, 2)
    apart = np.linalg.norm(prepared.landmarks - reference_shape(SIZE), axis=1)
    assert apart.mean() < 0.1 * eye_distance(reference_shape(SIZE))
    assert prepared.pose == pytest.approx(head_pose(face.landmarks))
    assert (prepared.num_faces, prepared.descriptor) == (1, None)
    eyes_in_crop = eye_distance(prepared.landmarks.astype(np.float64))
    assert prepared.crop_side_px == pytest.approx(SIZE * eye_distance(face.landmarks) / eyes_in_crop, rel=1e-5)


def test_the_crop_shows_what_the_landmarks_say(folder: Path, preparer: Preparer, photo_u8: npt.NDArray[np.uint8], face: Face) -> None:
    prepared = only(preparer.prepare(folder / "b.jpg", "b.jpg"))
    matrix = crop_from_photo(face.landmarks, reference_shape(SIZE))
    whole = warp(torch.from_numpy(photo_u8 / 255.0).float().permute(2, 0, 1), matrix, (SIZE, SIZE))
    assert np.abs(whole.numpy() * 255 - prepared.image_u8).mean() < 1.5
    again = HOG.landmarks_in(
        np.ascontiguousarray(np.moveaxis(prepared.image_u8, 0, -1)), dataclasses.replace(face, box=(8.0, 12.0, 56.0, 60.0))
    )
    assert np.linalg.norm(again.landmarks - prepared.landmarks, axis=1).mean() < 3


@pytest.mark.usefixtures("no_detector")
def test_the_trap_catches(folder: Path, preparer: Preparer) -> None:
    with pytest.raises(AssertionError, match="the detector was called"):
        preparer.prepare(folder / "b.jpg", "b.jpg")


def test_a_second_time_it_comes_from_the_cache(folder: Path, preparer: Preparer, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    first = only(preparer.prepare(folder / "b.jpg", "b.jpg"))
    shutil.copy(folder / "b.jpg", tmp_path / "copy.jpg")
    request.getfixturevalue("no_detector")
    assert same(only(preparer.prepare(folder / "b.jpg", "b.jpg")), first)
    copy = only(preparer.prepare(tmp_path / "copy.jpg", "elsewhere/copy.jpg"))
    assert (copy.name, copy.sha256) == ("elsewhere/copy.jpg", first.sha256), "it is the content that counts"


def test_a_changed_photo_is_done_again(folder: Path, preparer: Preparer) -> None:
    first = only(preparer.prepare(folder / "b.jpg", "b.jpg"))
    shutil.copy(folder / "Été 2024" / "ü 1.jpg", folder / "b.jpg")
    second = only(preparer.prepare(folder / "b.jpg", "b.jpg"))
    assert second.sha256 != first.sha256
    assert not np.array_equal(second.image_u8, first.image_u8)


@pytest.mark.parametrize(
    "change",
    [
        {"size": 32},
        {"settings": PrepareSettings(alignment=AlignmentSettings(model="affine"))},
        {"settings": PrepareSettings(alignment=AlignmentSettings(points="all"))},
        {"detector": FaceDetector(use_cnn=False, min_score=0.1)},
        {"descriptor": FaceDescriptor()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_settings_have_records_of_their_own(folder: Path, preparer: Preparer, change: dict[str, object]) -> None:
    first = only(preparer.prepare(folder / "b.jpg", "b.jpg"))
    other = only(dataclasses.replace(preparer, **change).prepare(folder / "b.jpg", "b.jpg"))
    assert len(list(preparer.cache.rglob("*.safetensors"))) == 2
    assert same(only(preparer.prepare(folder / "b.jpg", "b.jpg")), first)
    if "descriptor" in change:
        assert other.descriptor is not None
        assert other.descriptor.shape == (128,)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, None])
def test_a_damaged_record_is_made_again(folder: Path, preparer: Preparer, content: bytes | None) -> None:
    first = only(preparer.prepare(folder / "b.jpg", "b.jpg"))
    (record,) = preparer.cache.rglob("*.safetensors")
    record.write_bytes(record.read_bytes()[:-10] if content is None else content)
    assert same(only(preparer.prepare(folder / "b.jpg", "b.jpg")), first)
    (record,) = preparer.cache.rglob("*.safetensors")


def test_the_threshold_counts_for_records_too(folder: Path, preparer: Preparer) -> None:
    first = only(preparer.prepare(folder / "b.jpg", "b.jpg"))
    strict = dataclasses.replace(preparer, settings=PrepareSettings(min_face_px=round(first.crop_side_px) + 1))
    refused = strict.prepare(folder / "b.jpg", "b.jpg")
    wanted = round(first.crop_side_px) + 1
    assert refused == Refused("b.jpg", f"the face is too small ({first.crop_side_px:.0f} px, {wanted} px wanted)")


def test_the_largest_of_several_faces_is_taken(examples: Path, preparer: Preparer, tmp_path: Path) -> None:
    large, small = Image.open(examples / "photos" / "0001.jpg"), Image.open(examples / "photos" / "0086.jpg").resize((160, 160))
    both = Image.new("RGB", (416, 256), (128, 128, 128))
    both.paste(small, (0, 50))
    both.paste(large, (160, 0))
    both.save(tmp_path / "both.png")
    large.save(tmp_path / "large.png")
    prepared, alone = (only(preparer.prepare(tmp_path / name, name)) for name in ("both.png", "large.png"))
    assert (prepared.num_faces, alone.num_faces) == (2, 1)
    assert np.abs(prepared.image_u8.astype(float) - alone.image_u8).mean() < 6


def test_photos_that_cannot_be_used_have_a_reason(preparer: Preparer, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    Image.new("RGB", (200, 200), (90, 120, 150)).save(tmp_path / "sky.png")
    assert preparer.prepare(tmp_path / "sky.png", "sky.png") == Refused("sky.png", "no face found")
    broken = preparer.prepare(tmp_path / "broken.jpg", "broken.jpg")
    assert isinstance(broken, Refused)
    assert "broken.jpg" in broken.reason
    missing = preparer.prepare(tmp_path / "missing.jpg", "missing.jpg")
    assert missing == Refused("missing.jpg", "cannot be read (No such file or directory)")
    assert len(list(preparer.cache.rglob("*.safetensors"))) == 1  # the sky is remembered: looking for faces takes long


def test_nobody_looks_twice_for_a_face_that_is_not_there(preparer: Preparer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (200, 200), (90, 120, 150)).save(tmp_path / "sky.png")
    preparer.prepare(tmp_path / "sky.png", "sky.png")
    monkeypatch.setattr(FaceDetector, "detect", lambda *_: pytest.fail("looked again"))
    assert preparer.prepare(tmp_path / "sky.png", "sky.png") == Refused("sky.png", "no face found")


def test_a_folder_with_subfolders_in_name_order(folder: Path, preparer: Preparer) -> None:
    (folder / "a.jpg").write_bytes(b"broken")
    (folder / "notes.txt").write_text("not a photo")
    seen: list[tuple[int, int]] = []
    faces, refused = prepare_folder(folder, preparer, on_photo=lambda done, total: seen.append((done, total)))
    assert [face.name for face in faces] == sorted(face.name for face in faces)
    assert {face.name for face in faces} == {"b.jpg", "Été 2024/ü 1.jpg"}
    assert [photo.name for photo in refused] == ["a.jpg"]
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_link_that_leads_nowhere_is_told_of(folder: Path, preparer: Preparer, tmp_path: Path) -> None:
    for name, where in (("gone.jpg", tmp_path / "moved.jpg"), ("itself.jpg", folder / "itself.jpg")):
        (folder / name).symlink_to(where)
    refused = {photo.name: photo.reason for photo in prepare_folder(folder, preparer)[1]}
    assert refused["gone.jpg"] == "cannot be read (No such file or directory)"
    assert refused["itself.jpg"].startswith("cannot be read (")


def test_an_empty_folder_gives_nothing(preparer: Preparer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert prepare_folder(tmp_path / "empty", preparer) == ([], [])


def test_threads_prepare_what_one_prepares(folder: Path, preparer: Preparer, tmp_path: Path) -> None:
    paths = sorted(folder.rglob("*.jpg")) * 2
    serial = [only(preparer.prepare(path, path.name)) for path in paths]
    other = dataclasses.replace(preparer, cache=tmp_path / "other")
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda path: only(other.prepare(path, path.name)), paths))
    assert all(same(one, two) for one, two in zip(serial, together, strict=True))


def test_faces_are_stacked_in_order(ada_faces: list[PreparedFace], identity_set: FaceSet) -> None:
    assert identity_set.names == tuple(face.name for face in ada_faces)
    assert identity_set.hashes == tuple(face.sha256 for face in ada_faces)
    for row, face in enumerate(ada_faces):
        assert np.array_equal(identity_set.images_u8[row].numpy(), face.image_u8)
        assert np.array_equal(identity_set.masks_u8[row].numpy(), face.mask_u8)
        assert np.array_equal(identity_set.landmarks[row].numpy(), face.landmarks)
        assert identity_set.poses[row] == face.pose


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_crop_is_cut_as_if_from_the_whole_photo(photo_u8: npt.NDArray[np.uint8], name: str) -> None:
    # Only the part of the photo that the crop needs is decoded; nobody may see where it was cut.
    matrix = TRANSFORMS[name]
    photo = torch.from_numpy(photo_u8 / 255.0).float().permute(2, 0, 1)
    crop = cut_crop(from_array(photo_u8), matrix, SIZE)
    wanted = warp(photo, matrix, (SIZE, SIZE)).clamp(0, 1)
    assert crop.shape == (3, SIZE, SIZE)
    # Where the anti-aliasing filter stands on other pixels, fine detail differs by a little.
    assert (crop - wanted).abs().max() < (1e-5 if scale_of(matrix) >= 1 else 0.08)


@pytest.mark.parametrize(
    ("error", "reason"), [(ShapeError("points coincide"), "points coincide"), (MemoryError(), "too large for the memory")]
)
def test_a_photo_that_cannot_be_prepared_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    (tmp_path / "a.jpg").write_bytes(b"whatever")
    preparer = Preparer(SIZE, PrepareSettings(), tmp_path / "cache", HOG, None)
    monkeypatch.setattr(Preparer, "_compute", fail)
    assert preparer.prepare(tmp_path / "a.jpg", "a.jpg") == Refused("a.jpg", reason)
