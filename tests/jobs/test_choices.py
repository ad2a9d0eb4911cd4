"""The CSV that says for single photos which faces are swapped."""

from __future__ import annotations

from pathlib import Path

import pytest

from stylswap.errors import SettingsError, UsageError
from stylswap.jobs.choices import names_of, read_choices, shortest_names, write_choices
from stylswap.jobs.choose import photo_key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg", "sub/a.jpg", "Zoë, 1.jpg"):
        (root / name).touch()
    return root


def photos_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.jpg"))


def read(folder: Path, text: str | bytes) -> dict[str, object]:
    path = folder.parent / "choices.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    found = read_choices(path, [folder], photos_in(folder))
    return {Path(key).relative_to(folder.resolve()).as_posix(): wanted for key, wanted in found.items()}


def test_all_that_can_be_said(folder: Path) -> None:
    text = 'photo,faces,remark\na.jpg,1 3,bride\nb.jpg,none,\n"Zoë, 1.jpg",Largest,\nsub/a.jpg,"1,2",\n'
    expected = {"a.jpg": (1, 3), "b.jpg": "none", "Zoë, 1.jpg": "largest", "sub/a.jpg": (1, 2)}
    assert read(folder, text) == expected
    assert read(folder, text.encode("utf-8-sig").replace(b"\n", b"\r\n")) == expected, "as spreadsheets save it"


def test_other_dialects(folder: Path) -> None:
    assert read(folder, "Faces;Photo\n2,1;a.jpg\n") == {"a.jpg": (1, 2)}
    assert read(folder, "photo\tfaces\nsub\\a.jpg\tall\n\n\t\n") == {"sub/a.jpg": "all"}
    assert read(folder, f"photo,faces\n{folder.resolve() / 'b.jpg'},all\n") == {"b.jpg": "all"}
    assert read(folder, "photo,faces\n") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("photo,faces\na.jpg,1\nb.jgp,all\n", r"not among those given; .*\n  line 3: 'b.jgp'. Did you mean 'b.jpg'\?"),
        ("photo,faces\na.jpg,1\nb.jpg,2\na.jpg,1\n", r"'a.jpg' is there twice, in lines 2 and 4"),
        ("photo,face\na.jpg,1\n", r"columns photo and faces was expected, got \['photo', 'face'\]"),
        ("", "columns photo and faces"),
        ("photo,faces\n" + "".join(f"{number}.png,1\n" for number in range(7)), r"line 6: '4.png'\.\n  and 2 more"),
        ('photo,faces\na.jpg,"1\n', "line 2: not a readable CSV"),
        ("photo,faces\nZoë,1\n".encode("latin-1"), "is not UTF-8 .* save it as CSV UTF-8"),
    ],
)
def test_what_is_refused(folder: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UsageError, match=f"(?s){message}"):
        read(folder, text)


@pytest.mark.parametrize("faces", ["0", "", "everyone"])
def test_faces_that_cannot_be_are_refused_with_their_line(folder: Path, faces: str) -> None:
    with pytest.raises(SettingsError, match=rf"choices.csv, line 3: unknown faces '{faces}': expected largest, all, none or numbers"):
        read(folder, f"photo,faces\nb.jpg,1\na.jpg,{faces}\n")


def test_no_file(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"--choices .*absent\.csv cannot be read \(No such file"):
        read_choices(folder / "absent.csv", [folder], [])


def test_a_name_that_may_be_two_photos_is_refused(folder: Path) -> None:
    inputs = [folder, folder / "sub"]
    path = folder.parent / "choices.csv"
    path.write_text("photo,faces\na.jpg,1\n")
    with pytest.raises(UsageError, match=r"line 2: 'a.jpg' may be .*a.jpg or .*sub.*a.jpg; write the whole path"):
        read_choices(path, inputs, photos_in(folder))


def test_a_photo_that_was_given_itself_goes_by_its_name(folder: Path) -> None:
    photo = folder / "sub" / "a.jpg"
    assert names_of([photo], [photo])["a.jpg"] == {photo_key(photo)}
    assert "a.jpg" not in names_of([folder / "b.jpg"], [photo])


def test_names_are_short_and_mean_one_photo(folder: Path) -> None:
    photos = photos_in(folder)
    short = shortest_names([folder], photos)
    assert sorted(short.values()) == ["Zoë, 1.jpg", "a.jpg", "b.jpg", "sub/a.jpg"]
    twice = shortest_names([folder, folder / "sub"], photos)
    assert twice[folder / "a.jpg"] == str(folder / "a.jpg"), "a.jpg alone may be the one in sub"
    assert twice[folder / "sub" / "a.jpg"] == "sub/a.jpg"


def test_what_is_written_is_read(folder: Path) -> None:
    path = folder.parent / "new" / "choices.csv"
    write_choices(path, [("a.jpg", "1 3", 4), ("Zoë, 1.jpg", "none", 0)])
    assert path.read_bytes().startswith(b"\xef\xbb\xbfphoto,faces,found\r\n")
    found = read_choices(path, [folder], photos_in(folder))
    assert found == {photo_key(folder / "a.jpg"): (1, 3), photo_key(folder / "Zoë, 1.jpg"): "none"}


def test_nobodys_edits_are_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "choices.csv"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists, and may hold somebody's choices"):
        write_choices(path, [])
    assert path.read_text() == "mine"


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="the choices cannot be written"):
        write_choices(tmp_path / "file" / "choices.csv", [])


@pytest.mark.parametrize("name", ["a\\b.jpg", " lead.jpg", "caf\udce9.jpg"], ids=["backslash", "space", "Latin-1"])
def test_names_as_old_archives_have_them_come_back(folder: Path, name: str) -> None:
    (folder / name).touch()
    photos = photos_in(folder)
    path = folder.parent / "choices.csv"
    write_choices(path, [(short, "all", 1) for short in shortest_names([folder], photos).values()])
    assert read_choices(path, [folder], photos) == {photo_key(photo): "all" for photo in photos}
