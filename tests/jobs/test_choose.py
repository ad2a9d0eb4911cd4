"""Which faces of a photo are chosen, and what is said of the others."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylswap.errors import PhotoError, SettingsError, UsageError
from stylswap.faces.batch import Face
from stylswap.faces.detect import FaceDetector
from stylswap.jobs import choose
from stylswap.jobs.choose import Chosen, FaceChoice, Reference, numbers_of, parse_faces, photo_key, read_references, size_px
from tests.jobs.conftest import EXAMPLES

BLANK = np.zeros((8, 8, 3), dtype=np.uint8)


def face_at(left: float, top: float, side: float) -> Face:
    return Face(np.zeros((68, 2)), (left, top, left + side, top + side), 1.0, "hog")


# Largest first, as a detector returns them: in the middle, on the right, on the left.
FACES = [face_at(100, 50, 80), face_at(300, 10, 60), face_at(10, 40, 42)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("largest", "largest"), (" ALL ", "all"), ("2", (2,)), ("3,1", (1, 3)), ("1 3", (1, 3)), ("2, 2;10", (2, 10))],
)
def test_what_can_be_asked_for(text: str, wanted: object) -> None:
    assert parse_faces(text) == wanted


@pytest.mark.parametrize("text", ["", "0", "1,-2", "1.5", "²", "first", "1-3", "none", "one"])
def test_what_cannot(text: str) -> None:
    with pytest.raises(SettingsError, match=r"unknown faces .* expected largest, all or numbers from 1 on such as 1,3"):
        parse_faces(text)


def test_a_misspelt_word_has_a_hint() -> None:
    with pytest.raises(SettingsError, match=r"Did you mean 'largest'\?"):
        parse_faces("largst")
    assert parse_faces("none", allow_none=True) == "none"


def test_numbers_run_from_left_to_right() -> None:
    assert numbers_of(FACES) == (2, 3, 1)
    assert numbers_of(FACES[::-1]) == (1, 3, 2), "whatever the order they are found in"
    above, below = face_at(0, 0, 10), face_at(0, 50, 10)
    assert numbers_of([below, above]) == (2, 1)
    assert numbers_of([]) == ()


def test_numbers_go_by_the_middle_of_the_box() -> None:
    wide, narrow = face_at(0, 0, 100), face_at(20, 0, 10)  # middles at 50 and 25
    assert numbers_of([wide, narrow]) == (2, 1)


def test_the_largest_is_the_default() -> None:
    chosen = FaceChoice().choose(BLANK, FACES)
    assert chosen == Chosen((0,), ("", "not the largest", "not the largest"), (2, 3, 1))
    assert FaceChoice().choose(BLANK, FACES[::-1]).indices == (2,), "by area, not by order"
    assert not FaceChoice().thorough


def test_all() -> None:
    choice = FaceChoice("all")
    assert choice.choose(BLANK, FACES) == Chosen((0, 1, 2), ("", "", ""), (2, 3, 1))
    assert choice.choose(BLANK, FACES).reason == ""
    assert choice.thorough


def test_by_number() -> None:
    chosen = FaceChoice((1, 3)).choose(BLANK, FACES)
    assert chosen == Chosen((1, 2), ("not asked for", "", ""), (2, 3, 1))
    assert chosen.reason == "face 2: not asked for"
    assert FaceChoice((1,)).thorough


@pytest.mark.parametrize(
    ("numbers", "count", "missing"),
    [
        ((3,), 2, "face 3 was asked for, 2 were found"),
        ((1, 2), 1, "face 2 was asked for, 1 was found"),
        ((4, 5), 3, "faces 4 and 5 were asked for, 3 were found"),
        ((1,), 0, "face 1 was asked for, none was found"),
        ((2, 3), 3, ""),
    ],
)
def test_a_number_that_is_not_there_is_said(numbers: tuple[int, ...], count: int, missing: str) -> None:
    chosen = FaceChoice(numbers).choose(BLANK, FACES[:count])
    assert chosen.missing == missing
    assert len(chosen.indices) == len([number for number in numbers if number <= count])
    assert chosen.reason.startswith(missing)


def test_small_faces_are_left_out_and_it_is_said_how_small() -> None:
    chosen = FaceChoice("all", min_size_px=60).choose(BLANK, FACES)
    assert chosen.indices == (0, 1), "60 is not below 60"
    assert chosen.reasons[2] == "smaller than --min-size 60 px (42 px)"
    assert FaceChoice((1,), min_size_px=60).choose(BLANK, FACES).indices == (), "even when asked for by number"
    assert FaceChoice(min_size_px=100).choose(BLANK, FACES).reasons[0] == "smaller than --min-size 100 px (80 px)"
    assert size_px(Face(np.zeros((68, 2)), (10, 10, 30, 55), 1.0, "hog")) == 45


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"faces": "biggest"}, "unknown faces 'biggest'"),
        ({"faces": (0,)}, "numbers from 1 on"),
        ({"faces": ()}, "numbers from 1 on"),
        ({"min_size_px": -1}, "--min-size must be 0 or more"),
        ({"min_size_px": float("nan")}, "--min-size must be 0 or more"),
        ({"like_distance": 0}, r"--like-distance must be in 0\.\.2"),
        ({"faces": (1,), "like": (Reference("a", (0.0,) * 128),)}, "contradict"),
    ],
)
def test_wrong_rules_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        FaceChoice(**wrong)


# Likeness: every face gets a descriptor on one axis, where distances are easily said.


def reference(name: str, at: float, axis: int = 0) -> Reference:
    return Reference(name, tuple(at if index == axis else 0.0 for index in range(128)))


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> None:
    """The middle face lies at 0.0, the right one at 0.3, the left one at 1.0."""
    places = {100: 0.0, 300: 0.3, 10: 1.0}

    class OnOneAxis:
        def describe(self, rgb_u8: object, face: Face) -> np.ndarray:
            return np.array(reference("", places[round(face.box[0])]).descriptor)

    monkeypatch.setattr(choose, "FaceDescriptor", OnOneAxis)


@pytest.mark.usefixtures("described")
def test_only_the_nearest_is_like_the_reference() -> None:
    chosen = FaceChoice(like=(reference("anna.jpg", 0.25),)).choose(BLANK, FACES)
    assert chosen.indices == (1,)
    assert chosen.reasons == ("face 3 is more like anna.jpg (0.25)", "", "not like anna.jpg (0.75 > 0.60)")


@pytest.mark.usefixtures("described")
def test_nobody_may_be_like_the_reference() -> None:
    chosen = FaceChoice(like=(reference("anna.jpg", -0.71),)).choose(BLANK, FACES)
    assert chosen.indices == ()
    assert chosen.reasons[0] == "not like anna.jpg (0.71 > 0.60)"
    assert chosen.reason.count("not like") == 3
    assert FaceChoice(like=(reference("a", -0.71),), like_distance=0.72).choose(BLANK, FACES).indices == (0,)
    assert FaceChoice(like=(reference("a", 0),)).choose(BLANK, []).indices == ()


@pytest.mark.usefixtures("described")
def test_references_that_are_alike_show_one_person() -> None:
    # 0.5 from each other: one person, who is taken once, though the second reference alone would take the face on the right.
    pair = (reference("a.jpg", -0.1), reference("b.jpg", 0.45))
    assert FaceChoice(like=pair).choose(BLANK, FACES).indices == (0,)
    assert FaceChoice(like=pair[1:]).choose(BLANK, FACES).indices == (1,)
    # Farther from each other than faces of one person are: two people.
    assert FaceChoice(like=(reference("a.jpg", 0.0), reference("b.jpg", 1.1))).choose(BLANK, FACES).indices == (0, 2)
    # Alike by way of a third.
    chain = (reference("a.jpg", -0.1), reference("c.jpg", 0.95), reference("b.jpg", 0.45))
    assert FaceChoice(like=chain).choose(BLANK, FACES).indices == (2,)


@pytest.mark.usefixtures("described")
def test_small_faces_are_nobody() -> None:
    chosen = FaceChoice(like=(reference("anna.jpg", 0.25),), min_size_px=61).choose(BLANK, FACES)
    assert chosen.indices == (0,), "the nearest is too small"


def test_choices_for_single_photos_come_first(tmp_path: Path) -> None:
    group, other = tmp_path / "group.jpg", tmp_path / "other.jpg"
    choice = FaceChoice("all", per_photo={photo_key(group): (3,), photo_key(other): "none"})
    assert choice.choose(BLANK, FACES, group).indices == (1,)
    assert choice.choose(BLANK, FACES, other) == Chosen((), ("not asked for",) * 3, (2, 3, 1))
    assert choice.choose(BLANK, FACES, tmp_path / "third.jpg").indices == (0, 1, 2)
    assert choice.choose(BLANK, FACES).indices == (0, 1, 2)
    assert choice.choose(BLANK, FACES, tmp_path / "sub" / ".." / "group.jpg").indices == (1,), "the same photo by another way"
    assert FaceChoice(per_photo={photo_key(group): "largest"}).thorough


@pytest.mark.usefixtures("described")
def test_a_choice_for_a_photo_overrides_likeness(tmp_path: Path) -> None:
    choice = FaceChoice(like=(reference("anna.jpg", 5.0),), per_photo={photo_key(tmp_path / "group.jpg"): (1,)})
    assert choice.choose(BLANK, FACES, tmp_path / "group.jpg").indices == (2,)
    assert choice.choose(BLANK, FACES, tmp_path / "other.jpg").indices == ()


def test_what_decides_about_a_photo_changes_with_what_matters_to_it(tmp_path: Path) -> None:
    group, other = tmp_path / "group.jpg", tmp_path / "other.jpg"
    before = FaceChoice("all", per_photo={photo_key(group): (1,)})
    after = FaceChoice("all", per_photo={photo_key(group): (2,)})
    assert before.for_photo(group) != after.for_photo(group)
    assert before.for_photo(other) == after.for_photo(other)
    liking = [FaceChoice(like=(reference("anna.jpg", at),)).for_photo(other) for at in (0.1, 0.1, 0.2)]
    assert liking[0] == liking[1] != liking[2]
    assert FaceChoice(min_size_px=3).for_photo(None) != FaceChoice().for_photo(None)


def test_a_choice_goes_to_another_process() -> None:
    choice = FaceChoice("all", 20, (reference("anna.jpg", 0.5),), 0.5, {"/somewhere/a.jpg": (1, 2)})
    assert pickle.loads(pickle.dumps(choice)) == choice


# With the real models.


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generated people side by side; the second is ada."""
    canvas = Image.new("RGB", (900, 320), "grey")
    strangers, ada = (sorted((EXAMPLES / name).glob("*.jpg")) for name in ("faces", "ada"))
    names = [strangers[2], ada[3], strangers[4]]
    for place, name in enumerate(names):
        canvas.paste(Image.open(name).resize((256, 256)), (20 + 300 * place, 30))
    path = tmp_path_factory.mktemp("group") / "group.png"
    canvas.save(path)
    return path


def test_the_person_of_the_reference_is_found(group: Path) -> None:
    references = read_references([sorted((EXAMPLES / "ada").glob("*.jpg"))[0]])
    rgb_u8 = np.asarray(Image.open(group))
    faces = FaceDetector(thorough=True).detect(rgb_u8)
    chosen = FaceChoice(like=references).choose(rgb_u8, faces)
    assert len(faces) == 3
    assert [chosen.numbers[index] for index in chosen.indices] == [2]


def test_a_reference_shows_one_face(group: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"group\.png: 3 faces were found in it, one is needed; cut out"):
        read_references([group])
    Image.new("RGB", (64, 64)).save(tmp_path / "dark.png")
    with pytest.raises(UsageError, match=r"dark\.png: no face was found"):
        read_references([tmp_path / "dark.png"])
    with pytest.raises(PhotoError, match="there is no file"):
        read_references([tmp_path / "absent.jpg"])
