"""Settings: defaults < file < command line, and nothing that was misspelt passes for a default."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from stylswap.config import Settings, load_settings, settings_from_tree, to_toml
from stylswap.engines.style import TERMS
from stylswap.errors import SettingsError

CHANGED = (
    "size=256",
    "seed=7",
    "network.name=pyramid",
    "network.options.channels=16",
    "prepare.alignment.model=affine",
    "prepare.alignment.points='all'",
    "loss.weights.style=40",
    "loss.style.layers=['relu3_1']",
    "loss.style.radius=1",
    "loss.recognisers=['dlib', 'sface']",
    "loss.ramps.expression=[0.1, 0.5, 2]",
    "training.learning_rate=5e-4",
)


def test_toml_gives_back_the_same_settings(tmp_path: Path) -> None:
    for settings in (Settings(), load_settings(overrides=CHANGED)):
        file = tmp_path / "settings.toml"
        file.write_text(to_toml(settings), encoding="utf-8")
        assert load_settings(file) == settings


def test_json_gives_back_the_same_settings() -> None:
    settings = load_settings(overrides=CHANGED)
    tree = json.loads(json.dumps(settings.model_dump(mode="json")))  # what an identity file's header holds
    assert settings_from_tree(tree) == settings


def test_every_override_arrives() -> None:
    settings = load_settings(overrides=CHANGED)
    assert (settings.size, settings.seed, settings.network.name) == (256, 7, "pyramid")
    assert settings.network.options == {"channels": 16}
    assert (settings.prepare.alignment.model, settings.prepare.alignment.points) == ("affine", "all")
    assert settings.loss.weights.style == 40
    assert settings.loss.weights.content == Settings().loss.weights.content
    assert settings.loss.style.layers == ("relu3_1",)
    assert settings.training.learning_rate == 5e-4


def test_the_command_line_wins_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("size = 96\n[loss.weights]\nstyle = 1.5\ncontent = 2\n", encoding="utf-8")
    settings = load_settings(file, ["loss.weights.style=3"])
    assert (settings.size, settings.loss.weights.style, settings.loss.weights.content) == (96, 3.0, 2.0)
    assert settings.loss.weights.smoothness == Settings().loss.weights.smoothness


def test_the_last_override_wins() -> None:
    assert load_settings(overrides=["size=64", " size = 96 "]).size == 96


def test_bare_words_are_texts_and_texts_may_hold_equals_signs() -> None:
    assert load_settings(overrides=["network.name=pyramid"]).network.name == "pyramid"
    assert load_settings(overrides=["network.options.note=a=b c"]).network.options == {"note": "a=b c"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("los.weights.style=2", "unknown setting 'los'. Did you mean 'loss'?"),
        ("loss.weights.stlye=2", "unknown setting 'loss.weights.stlye'. Did you mean 'style'?"),
        ("prepare.alignment.modell=affine", "unknown setting 'prepare.alignment.modell'. Did you mean 'model'?"),
        ("loss.weights.xyz=2", f"unknown setting 'loss.weights.xyz'. Known: {', '.join(sorted(TERMS))}."),
        ("loss.recogniser=sface", "unknown setting 'loss.recogniser'. Did you mean 'recognisers'?"),
        ("loss.content_layer=relu4_2", "unknown setting 'loss.content_layer'. Did you mean 'content'?"),
        ("style=3", "unknown setting 'style'. Known: loss, network, prepare, seed, size, training."),
        ("prepare.alignment.model=afine", "setting 'prepare.alignment.model': Input should be 'affine' or 'similarity', got 'afine'"),
        ("loss.weights.style=-1", "setting 'loss.weights.style': Input should be greater than or equal to 0, got -1"),
        ("loss.weights.style=inf", "setting 'loss.weights.style': Input should be a finite number, got inf"),
        ("loss.weights.style=much", "setting 'loss.weights.style': Input should be a valid number, got 'much'"),
        ("loss.weights.style=true", "setting 'loss.weights.style': Input should be a valid number, got True"),
        ("loss.weights.style=", "setting 'loss.weights.style': Input should be a valid number, got ''"),
        ("loss.inner=0.08", "setting 'loss.inner': Input should be less than 0.08, got 0.08"),
        ("loss.light=0.5", "setting 'loss.light': Input should be less than 0.5, got 0.5"),
        ("loss.weights=3", "setting 'loss.weights': "),
        ("size=0", "setting 'size': Input should be greater than 0, got 0"),
        ("size='128'", "setting 'size': Input should be a valid integer, got '128'"),
        ("size=100", "setting 'size': Input should be a multiple of 16, for instance 96, got 100"),
        ("size=3", "setting 'size': Input should be a multiple of 16, for instance 32, got 3"),
        ("size.x=3", "setting 'size': Input should be a valid integer"),
        ("seed=99999999999999999999", "setting 'seed': "),
        ("loss.style.layers=relu3_1", "setting 'loss.style.layers': "),
        (
            "loss.recognisers=dlib",
            "setting 'loss.recognisers': Input should be a list, for instance --set \"loss.recognisers=['dlib']\", got 'dlib'",
        ),
        (
            "loss.recognisers=[dlib, sface]",
            "setting 'loss.recognisers': Input should be a list, for instance --set \"loss.recognisers=['dlib', 'sface']\", got '[dlib,",
        ),
        (
            "loss.ramps.style=0.5",
            "setting 'loss.ramps.style': Input should be a list, for instance --set \"loss.ramps.style=[0.4, 0.6, 0.0]\", got 0.5",
        ),
        ("loss.style.layers=[]", "setting 'loss.style.layers': "),
        ("loss.style.layers=[3]", "setting 'loss.style.layers.0': Input should be a valid string, got 3"),
        ("loss.style.patch=2", "setting 'loss.style.patch': Input should be odd, got 2"),
        ("loss.style={patch=3, softness=0.1}", "setting 'loss.style': softness 0.1 goes with patch 1 alone; give patch = 1 or softness"),
        ("training.warmup=1.0", "setting 'training.warmup': Input should be less than 1, got 1.0"),
        ("network.name=3", "setting 'network.name': Input should be a valid string, got 3"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(overrides=[override])
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("override", ["size", "=3", "a..b=3", ".size=3", "", "--size 3"])
def test_an_override_without_a_key_is_refused(override: str) -> None:
    with pytest.raises(SettingsError, match=r"an override is written key\.key=value"):
        load_settings(overrides=[override])


def test_a_value_is_no_table() -> None:
    with pytest.raises(SettingsError, match="'size' is a value, not a table"):
        load_settings(overrides=["size=3", "size.x=4"])


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(overrides=["size=0", "loss.weights.stlye=1"])
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "message"), [(b"size = ", "not a TOML file"), (b"\xff\xfe", "not a TOML file"), (None, "settings cannot be read")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "settings.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings(file)
    assert str(file) in str(caught.value)


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError):
        Settings().loss.weights.style = 3.0
