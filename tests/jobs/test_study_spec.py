"""The table of variants."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stylswap.errors import SettingsError, UsageError
from stylswap.jobs.study_spec import fingerprint_of, read_spec, slug, training_fingerprint
from tests.jobs.conftest import EXAMPLES

CHECKOUT = EXAMPLES.parent
HEAD = """
title = "A study"
steps = 7
[base]
"loss.weights.style" = 30.0
[photos]
faces = "faces"
identities = { ada = "ada" }
held_out = { portraits = { folder = "photos", count = 2 } }
"""


def write(folder: Path, variants: str, head: str = HEAD) -> Path:
    for name in ("faces", "ada", "photos"):
        (folder / name).mkdir(exist_ok=True)
    path = folder / "study.toml"
    path.write_text(head + variants)
    return path


def test_base_then_variant(tmp_path: Path) -> None:
    spec = read_spec(
        write(tmp_path, '[[variant]]\nname = "a"\n[[variant]]\nname = "b"\nseed = 3\nsteps = 9\nset = { "loss.weights.content" = 2.0 }\n')
    )
    first, second = (spec.settings_of(variant) for variant in spec.variant)
    assert (first.loss.weights.style, first.training.steps, first.seed) == (30, 7, 0)
    assert (second.loss.weights.style, second.loss.weights.content, second.training.steps, second.seed) == (30, 2, 9, 3)
    assert spec.variant[0].changed == {}
    assert spec.variant[1].changed == {"loss.weights.content": 2.0, "seed": 3, "steps": 9}
    assert spec.photos.faces == tmp_path / "faces", "relative to the file"


def test_other_figures_need_another_fingerprint(tmp_path: Path) -> None:
    def fingerprint(variant: str, head: str = HEAD, judges: tuple[str, ...] = ("dlib",)) -> str:
        spec = read_spec(write(tmp_path, f'[[variant]]\nname = "a"\n{variant}', head))
        return fingerprint_of(spec, spec.variant[0], judges)

    plain = fingerprint("")
    assert plain == fingerprint('group = "elsewhere"\n'), "in which table it stands changes no figure"
    for other in ("seed = 1\n", "photos = 5\n", 'set = { "loss.style.num_faces" = 3 }\n', 'join = { detail = "none" }\n'):
        assert fingerprint(other) != plain
    assert fingerprint("", HEAD.replace("count = 2", "count = 3")) != plain
    assert fingerprint("", HEAD.replace("30.0", "31.0")) != plain
    assert fingerprint("", judges=("dlib", "sface")) != plain, "a judge that was fetched since measures more"
    (tmp_path / "ada" / "1.jpg").write_bytes(b"a photo")
    with_photo = fingerprint("")
    assert with_photo != plain
    shutil.copytree(tmp_path / "ada", tmp_path / "moved")
    assert fingerprint("", HEAD.replace('ada = "ada"', 'ada = "moved"')) == with_photo, "it is what the photos show that counts"


def test_how_a_network_is_pasted_changes_no_training(tmp_path: Path) -> None:
    spec = read_spec(write(tmp_path, '[[variant]]\nname = "a"\n[[variant]]\nname = "b"\njoin = { detail = "none" }\n'))
    assert training_fingerprint(spec, spec.variant[0]) == training_fingerprint(spec, spec.variant[1])
    assert fingerprint_of(spec, spec.variant[0], ()) != fingerprint_of(spec, spec.variant[1], ())


@pytest.mark.parametrize(
    ("variants", "says"),
    [
        ('[[variant]]\nname = "a"\nset = { "loss.weights.styel" = 1.0 }\n', "variant 'a'.*styel.*style"),
        ('[[variant]]\nname = "a"\nset = { "loss.weights.style" = "much" }\n', "variant 'a'"),
        ('[[variant]]\nname = "A b"\n[[variant]]\nname = "a-b"\n', "a-b comes more than once"),
        ('[[variant]]\nname = "a"\nidentity = "adda"\n', "no identity 'adda'.*ada"),
        ('[[variant]]\nname = "a"\nstep = 3\n', "step"),
        ('[[variant]]\nname = "a"\njoin = { detial = "none" }\n', "detial.*detail"),
        ('[[variant]]\nname = "a"\njoin = { detail = "some" }\n', "some"),
        ('[[variant]]\nname = "a"\n[search.ranges]\n"loss.weights.styel" = [1, 2]\n', "styel"),
        ("", "variant"),
    ],
)
def test_a_mistake_is_found_before_the_first_training(tmp_path: Path, variants: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        read_spec(write(tmp_path, variants))


def test_folders_on_this_machine(tmp_path: Path) -> None:
    path = write(tmp_path, '[[variant]]\nname = "a"\n')
    other = tmp_path / "other"
    other.mkdir()
    spec = read_spec(path, [f"faces={other}", f"identities.ada={other}", f"held_out.portraits={other}"])
    assert {spec.photos.faces, spec.photos.identities["ada"], spec.photos.held_out["portraits"].folder} == {other}
    assert spec.photos.held_out["portraits"].count == 2
    with pytest.raises(UsageError, match=r"faces=DIR"):
        read_spec(path, [f"face={other}"])
    with pytest.raises(UsageError, match="knows no such folder"):
        read_spec(path, [f"identities.eve={other}"])
    with pytest.raises(UsageError, match="knows no such folder"):
        read_spec(path, [f"identities.portraits={other}"])
    with pytest.raises(UsageError, match="no such folder"):
        read_spec(path, ["faces=nowhere"])


def test_a_plot_of_what_nobody_measures(tmp_path: Path) -> None:
    head = HEAD.replace("steps = 7", 'steps = 7\ntradeoff = ["expresion", "dlib_share"]')
    with pytest.raises(SettingsError, match=r"tradeoff.*expresion.*expression"):
        read_spec(write(tmp_path, '[[variant]]\nname = "a"\n', head))


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_spec(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("title = ")
    with pytest.raises(SettingsError, match="not a TOML file"):
        read_spec(tmp_path / "broken.toml")


def test_slug() -> None:
    assert slug("N = 4, ada/eve") == "n-4-ada-eve"
    assert slug("../..") == "variant"


@pytest.mark.parametrize("path", sorted((CHECKOUT / "ablations").glob("*.toml")), ids=lambda path: path.name)
def test_the_studies_that_ship_are_right(path: Path) -> None:
    spec = read_spec(path)
    assert len(spec.variant) > 1
    for key in spec.search.ranges:
        spec.settings_of(spec.variant[0].model_copy(update={"set": {key: 1.0}}))
