"""Settings: one frozen tree, one spelling in TOML, on the command line and in Python.

Command line over file over default. An unknown key is an error with a suggestion, never ignored: a misspelt weight that silently
keeps its default would spoil a whole study.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, Strict, ValidationError, field_validator, model_validator

from stylswap.errors import SettingsError, did_you_mean

# The default network halves the side of a crop four times.
SIZE_MULTIPLE: Final = 16


class _Table(BaseModel):
    # strict: `style = true` is not the weight 1, and `size = "128"` is no number.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class AlignmentSettings(_Table):
    """How a face is moved to the reference shape."""

    model: Literal["affine", "similarity"] = "similarity"
    points: Literal["all", "inner"] = "inner"


class PrepareSettings(_Table):
    """Which photos of a folder are used."""

    alignment: AlignmentSettings = AlignmentSettings()
    other_person_distance: PositiveFloat = Field(
        0.6, description="identity photos further than this from the folder's mean face descriptor are left out (dlib: 0.6)"
    )
    mask: Literal["parsing", "landmarks"] = Field(
        "parsing", description="what of a training face is face: without what the face parser sees in front of it, or the landmarks alone"
    )
    hairline: bool = Field(True, description="where faces are parsed, measure how far up the identity's forehead goes, for higher ones")
    min_photos: PositiveInt = Field(20, description="fewer usable photos of the identity are an error")
    few_photos: PositiveInt = Field(40, description="fewer usable photos of the identity are a warning")
    min_face_px: PositiveInt = Field(40, description="faces whose aligned square is smaller in the photo are left out")


class NetworkSettings(_Table):
    """The network that is trained."""

    name: str = "residual"
    options: dict[str, Any] = Field(default_factory=dict, description="passed to the network, for instance channels = 32")
    start: str = Field("", description="an identity file, or a shipped name, whose network the training starts from; empty: from nothing")
    freeze_base: bool = Field(False, description="of a grown network, train only what was added to the one it was grown from (paper: true)")


class StyleSettings(_Table):
    """The landmark-constrained patch style loss."""

    layers: tuple[str, ...] = Field(("relu3_1", "relu4_1"), min_length=1, strict=False)  # TOML and JSON know lists only
    num_faces: PositiveInt = Field(8, description="N: style faces chosen by landmarks for each input (paper: 16)")
    mouth_weight: PositiveFloat = Field(4.0, description="weight of the mouth's points in that choice (paper: 1)")
    eyes_weight: PositiveFloat = Field(2.0, description="weight of the eyes' points in that choice (paper: 1)")
    jaw_weight: PositiveFloat = Field(0.5, description="weight of the jaw's points in that choice (paper: 1)")
    lit_alike: bool = Field(
        True, description="relight the identity's photos, and choose of each the copy whose light is closest to the input's (paper: false)"
    )
    radius: int = Field(0, ge=0, le=8, description="r: cells around the same cell that are searched")
    patch: PositiveInt = Field(1, description="k: side of a patch in cells, odd")
    softness: float = Field(0.0, ge=0, description="temperature of a soft minimum over the candidates; 0: the best match alone (paper)")
    features_weight: float = Field(1.0, ge=0, description="weight of the cells at mouth, eyes and brows (paper: 1)")

    @field_validator("patch")
    @classmethod
    def _is_odd(cls, patch: int) -> int:
        if patch % 2 == 0:
            raise ValueError("Input should be odd")
        return patch

    @model_validator(mode="after")
    def _is_soft_for_single_cells_alone(self) -> StyleSettings:
        if self.softness > 0 and self.patch > 1:
            raise ValueError(f"softness {self.softness} goes with patch 1 alone; give patch = 1 or softness = 0")
        return self


class ContentSettings(_Table):
    """The content loss."""

    layers: tuple[str, ...] = Field(("relu4_2",), min_length=1, strict=False)
    features_weight: float = Field(1.0, ge=0, description="weight of the cells at mouth, eyes and brows (paper: 1)")


class ExpressionSettings(_Table):
    """The expression term."""

    mouth_weight: float = Field(3.0, ge=0, description="weight of the mouth's points; the others have 1")


class DetailSettings(_Table):
    """The style loss in a window at full resolution."""

    layers: tuple[str, ...] = Field(("relu1_2", "relu3_1"), min_length=1, strict=False)
    num_faces: PositiveInt = Field(2, description="of the style faces chosen for an input, the nearest ones, whose windows are compared")
    radius: int = Field(1, ge=0, le=8, description="cells around the same cell that are searched")


class WeightSettings(_Table):
    """Weights of the loss terms; 0 switches a term, and whatever only it needs, off."""

    content: float = Field(0.3, ge=0)
    style: float = Field(100.0, ge=0)
    identity: float = Field(16.0, ge=0)
    residual: float = Field(8.0, ge=0)
    expression: float = Field(2000.0, ge=0)
    keep: float = Field(200.0, ge=0)
    lighting: float = Field(0.0, ge=0)
    luminance: float = Field(200.0, ge=0)
    chrominance: float = Field(50.0, ge=0)
    smoothness: float = Field(0.3, ge=0)
    adversarial: float = Field(0.3, ge=0)
    detail: float = Field(0.0, ge=0)


_RAMPS = {"adversarial": (0.4, 0.6, 0.0)}


class LossSettings(_Table):
    """Loss terms and their weights."""

    weights: WeightSettings = WeightSettings()
    style: StyleSettings = StyleSettings()
    content: ContentSettings = ContentSettings()
    expression: ExpressionSettings = ExpressionSettings()
    detail: DetailSettings = DetailSettings()
    critic_px: PositiveInt = Field(128, description="side to which larger crops are reduced for critics, recognisers and landmarks")
    recognisers: tuple[str, ...] = Field(
        ("dlib", "mobilefacenet", "faceres"),
        min_length=1,
        strict=False,
        description="face recognisers of the identity and residual terms; they cannot judge what they taught",
    )
    unsteady: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="how differently recognisers and landmark network look at a face from step to step, recognisers in a mirror, too; "
        "0: never",
    )
    finished: bool = Field(
        False,
        description="recognisers and landmark network see the face as photos show it, sharpened and its colour smoothed; false: as drawn",
    )
    ramps: dict[str, Annotated[tuple[float, float, float], Strict(False)]] = Field(
        _RAMPS,
        description="terms whose weight changes: share of the training where it begins to, share where it is whole, weight before",
    )

    inner: float = Field(
        0.0292,
        ge=0,
        lt=0.08,  # what is measured counts as so much at most: stylswap.jobs.inner_distance
        description="distance of the inner landmarks to the input's, over that between the eyes, at which the weight of the expression "
        "term holds them: it moves, up to four times up or down; 0: the weight stays",
    )
    light: float = Field(
        0.06,
        ge=0,
        lt=0.5,  # likewise: stylswap.jobs.light_distance
        description="one minus the correlation of broad luma before and after, at which the weight of the luminance term holds it, as far; "
        "0: the weight stays",
    )

    @field_validator("ramps")
    @classmethod
    def _with_defaults(cls, ramps: dict[str, tuple[float, float, float]]) -> dict[str, tuple[float, float, float]]:
        # A ramp for one term is no word about the others; [0, 0, 0] takes a default one away.
        return {**_RAMPS, **ramps}


class TrainingSettings(_Table):
    """Optimisation."""

    steps: PositiveInt = Field(2000, description="steps of a full training; --minutes replaces it by a time budget")
    batch_size: PositiveInt = 4
    optimiser: Literal["auto", "adam", "soap"] = Field(
        "auto", description="of the network; auto takes soap, which needs fewer steps, where torch knows eigenvectors (paper: adam)"
    )
    learning_rate: PositiveFloat = 1e-3
    final_learning_rate: PositiveFloat = 1e-4
    warmup: float = Field(0.02, ge=0, lt=1, description="share of the training in which the learning rate rises")
    gradient_norm: PositiveFloat = Field(10.0, description="gradients are scaled down to this norm")
    sheet_every: PositiveInt = Field(250, description="steps between contact sheets")
    checkpoint_every: PositiveInt = Field(250, description="steps between checkpoints")
    held_out: PositiveInt = Field(8, description="faces kept out of training for the contact sheets")
    relit_inputs: float = Field(0.5, ge=0, le=1, description="share of the training faces that are seen once more under a random light")
    occluded_inputs: float = Field(0.3, ge=0, le=1, description="share of the faces that are seen once more with something in front")
    even_yaw: bool = Field(True, description="show heads turned little and far equally often, as far as there are enough of them")
    average: float = Field(0.999, ge=0, lt=1, description="decay of the moving average of the weights that is used in the end; 0: none")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the critic; auto takes bfloat16 where the hardware computes in it, at twice the speed"
    )
    cache_gib: float = Field(0.6, ge=0, description="memory for the inputs' content features")


class Settings(_Table):
    """Everything that decides what a training computes."""

    size: PositiveInt = Field(128, description="side of the crop in pixels")
    seed: int = Field(0, ge=0, lt=2**32)
    prepare: PrepareSettings = PrepareSettings()
    network: NetworkSettings = NetworkSettings()
    loss: LossSettings = LossSettings()
    training: TrainingSettings = TrainingSettings()

    @field_validator("size")
    @classmethod
    def _can_be_halved(cls, size: int) -> int:
        # The networks say so themselves, but only `train` builds one: `prepare` would report on crops that nothing can be trained on.
        if size % SIZE_MULTIPLE:
            near = max(2, round(size / SIZE_MULTIPLE)) * SIZE_MULTIPLE
            raise ValueError(f"Input should be a multiple of {SIZE_MULTIPLE}, for instance {near}")
        return size


def load_settings(file: Path | None = None, overrides: Sequence[str] = (), *, missing: Mapping[str, Any] | None = None) -> Settings:
    """Defaults, then the file, then dotted overrides.

    Args:
        file: A TOML file, or None.
        overrides: Texts such as ``"loss.weights.style=40"``; the right side is read as a TOML value, else as text.
        missing: Nested tables: values of keys that the file lacks, in the place of the defaults.

    Raises:
        SettingsError: If the file cannot be read, a key does not exist or a value does not fit.
    """
    tree: dict[str, Any] = {}
    if file is not None:
        try:
            tree = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"{file}: settings cannot be read ({error.strerror})") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{file}: not a TOML file ({error})") from error
    _fill(tree, missing or {})
    for text in overrides:
        _apply(tree, text)
    return settings_from_tree(tree)


def settings_from_tree(tree: Mapping[str, Any]) -> Settings:
    """Settings from nested tables, as they stand in a TOML file or in an identity file's header.

    Raises:
        SettingsError: If a key does not exist or a value does not fit.
    """
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(detail) for detail in error.errors())) from error


def to_toml(settings: Settings) -> str:
    """The effective settings as a TOML file that `load_settings` reads back to the same value."""
    return tomli_w.dumps(settings.model_dump(mode="json"))


def _fill(tree: dict[str, Any], missing: Mapping[str, Any]) -> None:
    for key, value in missing.items():
        if not isinstance(value, Mapping):
            tree.setdefault(key, value)
        elif isinstance(there := tree.setdefault(key, {}), dict):  # what is no table is told of when the settings are read
            _fill(there, value)


def _apply(tree: dict[str, Any], text: str) -> None:
    name, equals, value = text.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise SettingsError(f"'{text}': an override is written key.key=value, for instance loss.weights.style=40")
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()  # bare words are texts: network.name=pyramid
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"'{text}': '{key}' is a value, not a table")
    tree[keys[-1]] = parsed


def _explain(detail: Mapping[str, Any]) -> str:
    path = [str(part) for part in detail["loc"]]
    name = ".".join(path)
    if detail["type"] == "extra_forbidden":
        return f"unknown setting '{name}'.{did_you_mean(path[-1], _known_keys(path[:-1]))}"
    if detail["type"] == "tuple_type":
        example = list(_RAMPS["adversarial"]) if "ramps" in path else _words(str(detail["input"]))
        return f"setting '{name}': Input should be a list, for instance --set \"{name}={example}\", got {detail['input']!r}"
    return f"setting '{name}': {detail['msg'].removeprefix('Value error, ')}, got {detail['input']!r}"


def _words(text: str) -> list[str]:
    """The list that was meant by a text that is none: without quotes around the words, or without brackets around all."""
    return [word.strip(" []'\"") for word in text.split(",")]


def _known_keys(path: Sequence[str]) -> list[str]:
    table: type[BaseModel] = Settings
    for key in path:
        annotation = table.model_fields[key].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        table = annotation
    return list(table.model_fields)
