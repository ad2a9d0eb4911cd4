"""Faces of photos as rows, as numbered pictures and as a CSV."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylswap.errors import UsageError
from stylswap.faces.batch import Face
from stylswap.faces.detect import FaceDetector
from stylswap.jobs.choices import read_choices
from stylswap.jobs.choose import FaceChoice, photo_key
from stylswap.jobs.face_preview import CHOSEN, OTHER, _free_place, check_free, draw_numbers, write_preview
from stylswap.jobs.list_faces import ListedPhoto, list_faces
from tests.jobs.conftest import EXAMPLES

PEOPLE = sorted((EXAMPLES / "faces").glob("*.jpg"))[2:7:2]


def face_at(left: float, top: float, side: float) -> Face:
    return Face(np.zeros((68, 2)), (left, top, left + side, top + side), 1.0, "hog")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people, the one in the middle largest; nobody; a broken file; one person."""
    root = tmp_path_factory.mktemp("list") / "photos"
    (root / "sub").mkdir(parents=True)
    canvas = Image.new("RGB", (800, 300), "grey")
    for person, place, side in zip(PEOPLE, (20, 230, 560), (180, 280, 190), strict=True):
        canvas.paste(Image.open(person).resize((side, side)), (place, 10))
    canvas.save(root / "group.png")
    Image.new("RGB", (64, 48)).save(root / "nobody.png")
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    Image.open(PEOPLE[0]).save(root / "sub" / "group.jpg")
    return root


@pytest.fixture(scope="module")
def listed(folder: Path) -> dict[str, ListedPhoto]:
    """The rows of the folder, with previews and a CSV beside it."""
    told: list[tuple[int, int]] = []
    rows = list_faces(
        [folder],
        preview=folder.parent / "previews",
        choices=folder.parent / "choices.csv",
        on_photo=lambda row, done, count: told.append((done, count)),
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    return {row.photo.relative_to(folder).as_posix(): row for row in rows}


def test_every_photo_has_a_row(listed: dict[str, ListedPhoto]) -> None:
    status = {name: (row.status, len(row.faces)) for name, row in listed.items()}
    assert status == {
        "broken.jpg": ("failed", 0), "group.png": ("faces", 3), "nobody.png": ("no_face", 0), "sub/group.jpg": ("faces", 1),
    }  # fmt: skip
    assert "cannot be read as JPEG" in listed["broken.jpg"].reason
    assert listed["nobody.png"].reason == "no face found"


def test_faces_are_listed_from_left_to_right(listed: dict[str, ListedPhoto]) -> None:
    faces = listed["group.png"].faces
    assert [face.number for face in faces] == [1, 2, 3]
    middles = [(face.face.box[0] + face.face.box[2]) / 2 for face in faces]
    assert middles == pytest.approx([110, 370, 655], abs=40)
    assert [face.reason for face in faces] == ["not the largest", "", "not the largest"]


def test_numbers_are_those_of_a_swap(listed: dict[str, ListedPhoto], folder: Path) -> None:
    choice = FaceChoice((3,))
    rgb_u8 = np.asarray(Image.open(folder / "group.png"))
    found = FaceDetector(thorough=choice.thorough).detect(rgb_u8)
    [index] = choice.choose(rgb_u8, found).indices
    assert found[index].box == listed["group.png"].faces[2].face.box


def test_rows_are_json(listed: dict[str, ListedPhoto]) -> None:
    row = listed["group.png"].as_json()
    assert json.loads(json.dumps(row)) == row
    face = row["faces"][1]
    assert face["size_px"] == pytest.approx(face["box"][2] - face["box"][0], abs=1)
    assert set(face) == {
        "number", "box", "size_px", "yaw_deg", "pitch_deg", "roll_deg", "detector", "score", "chosen", "reason",
    }  # fmt: skip
    assert face["chosen"] is True
    assert face["detector"] == "hog"
    assert abs(face["roll_deg"]) < 20
    assert json.loads(json.dumps(listed["broken.jpg"].as_json()))["preview"] is None


def test_previews_are_numbered_pictures_beside_the_photos(listed: dict[str, ListedPhoto], folder: Path) -> None:
    previews = folder.parent / "previews"
    assert sorted(path.relative_to(previews).as_posix() for path in previews.rglob("*.*")) == [
        "group.faces.jpg", "nobody.faces.jpg", "sub/group.faces.jpg",
    ]  # fmt: skip
    assert listed["group.png"].preview == previews / "group.faces.jpg"
    with Image.open(previews / "group.faces.jpg") as preview:
        assert preview.size == (800, 300)
        before, after = np.asarray(Image.open(folder / "group.png"), dtype=float), np.asarray(preview, dtype=float)
    changed = np.abs(before - after).max(axis=-1) > 60
    assert 0.005 < changed.mean() < 0.1, "lines and tags, not more"


def test_the_csv_is_ready_for_a_swap(listed: dict[str, ListedPhoto], folder: Path) -> None:
    path = folder.parent / "choices.csv"
    assert path.read_text(encoding="utf-8-sig").splitlines() == [
        "photo,faces,found", "group.png,2,3", "nobody.png,none,0", "sub/group.jpg,1,1",
    ]  # fmt: skip
    wanted = read_choices(path, [folder], [row.photo for row in listed.values()])
    assert wanted[photo_key(folder / "group.png")] == (2,)


def test_a_link_that_leads_nowhere_has_a_row(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "moved.jpg")
    (row,) = list_faces([tmp_path])
    assert (row.status, row.photo.name) == ("failed", "gone.jpg")
    assert "is a link to" in row.reason


def test_a_choice_is_tried_out(folder: Path) -> None:
    [row] = list_faces([folder / "group.png"], choice=FaceChoice((1, 4)))
    assert [face.reason for face in row.faces] == ["", "not asked for", "not asked for"]
    assert (row.reason, row.preview) == ("face 4 was asked for, 3 were found", None)


def test_listing_again_renews_previews_but_no_other_file(folder: Path, tmp_path: Path) -> None:
    photo = folder / "nobody.png"
    for _ in range(2):
        assert list_faces([photo], preview=tmp_path)[0].preview == tmp_path / "nobody.faces.jpg"
    Image.new("RGB", (8, 8)).save(tmp_path / "nobody.faces.jpg")  # a photo that happens to have this name
    with pytest.raises(UsageError, match="exists and is no preview"):
        list_faces([photo], preview=tmp_path)


def test_photos_of_one_stem_have_previews_of_their_own(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    for suffix in ("png", "bmp"):
        Image.new("RGB", (40, 40)).save(tmp_path / "two" / f"a.{suffix}")
    list_faces([tmp_path / "two"], preview=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.bmp.faces.jpg", "a.png.faces.jpg"]
    (tmp_path / "a.png").write_bytes((tmp_path / "two" / "a.png").read_bytes())
    with pytest.raises(UsageError, match=r"the previews of .* would both be"):
        list_faces([tmp_path / "a.png", tmp_path / "two" / "a.png"], preview=tmp_path / "out")


def test_wrong_calls_are_refused_before_any_work(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="would be taken for photos"):
        list_faces([folder], preview=folder / "previews")
    assert not (folder / "previews").exists()
    with pytest.raises(UsageError, match="no such photo or folder"):
        list_faces([tmp_path / "absent.jpg"])
    with pytest.raises(UsageError, match="no photos found in an empty list"):
        list_faces([])
    (tmp_path / "choices.csv").touch()
    with pytest.raises(UsageError, match="may hold somebody's choices"):
        list_faces([folder], choices=tmp_path / "choices.csv")
    with pytest.raises(UsageError, match="the folder cannot be made"):
        list_faces([folder], preview=tmp_path / "choices.csv" / "below")


# The drawing.


@pytest.mark.parametrize(
    ("size", "expected"), [((100, 80), (640, 512)), ((800, 300), (800, 300)), ((1000, 4000), (400, 1600)), ((1, 3000), (1, 1600))]
)
def test_previews_have_a_size_that_can_be_looked_at(size: tuple[int, int], expected: tuple[int, int]) -> None:
    rgb_u8 = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    assert draw_numbers(rgb_u8, [], [], []).size == expected


@pytest.mark.parametrize("ground", [(0, 0, 0), (255, 255, 255), (255, 214, 10)])
def test_boxes_lie_where_the_faces_are_and_show_on_any_ground(ground: tuple[int, int, int]) -> None:
    rgb_u8 = np.full((600, 800, 3), ground, dtype=np.uint8)
    drawn = np.asarray(draw_numbers(rgb_u8, [face_at(100, 200, 150), face_at(500, 300, 150)], [1, 2], [True, False]))
    assert tuple(drawn[300, 100]) == CHOSEN, "the left line of the first box"
    assert tuple(drawn[350, 500]) == OTHER
    for row, column in ((300, slice(94, 107)), (350, slice(494, 507))):
        line = drawn[row, column].astype(int).sum(axis=-1)
        assert line.max() - line.min() > 400, "light on a dark rim"
    assert np.array_equal(drawn[300, 150], ground), "the face stays to be seen"


@pytest.mark.parametrize("face", [face_at(-20, -30, 60), face_at(600, 580, 60), face_at(0, 0, 640), face_at(300, 300, 1)])
def test_tags_stay_inside(face: Face) -> None:
    rgb_u8 = np.zeros((640, 640, 3), dtype=np.uint8)
    drawn = np.asarray(draw_numbers(rgb_u8, [face], [12], [True]))
    tag = (drawn == CHOSEN).all(axis=-1)
    assert tag.sum() > 150, "a tag of its size, wherever the face is"


def test_tags_avoid_other_faces() -> None:
    below, above = (100.0, 100.0, 160.0, 160.0), (90.0, 50.0, 170.0, 99.0)
    place = _free_place(below, (30, 20), (640, 640), [above])
    assert place == (100, 160, 130, 180), "above is taken: below"
    assert _free_place(below, (30, 20), (640, 640), []) == (100, 80, 130, 100)


def test_a_preview_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.faces.jpg"
    write_preview(Image.new("RGB", (20, 20)), path)
    check_free(path)
    path.write_text("a letter")
    with pytest.raises(UsageError, match="exists and is no preview"):
        write_preview(Image.new("RGB", (20, 20)), path)
    assert path.read_text() == "a letter"
