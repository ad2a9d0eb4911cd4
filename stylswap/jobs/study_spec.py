"""What a study varies: a table of variants over one base, read from a TOML file."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, model_validator

from stylswap.config import Settings, settings_from_tree
from stylswap.errors import SettingsError, UsageError, did_you_mean
from stylswap.jobs.figure_columns import COLUMNS
from stylswap.jobs.swap_options import SwapOptions
from stylswap.photo import list_photos

# What `Variant.join` may say.
_JOIN = ("blend", "colour", "detail", "mask", "glasses", "forehead")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class HeldOut(_Table):
    """Photos to measure on.

    Attributes:
        folder: Where they are. Files that are among the training faces are left out.
        count: So many, evenly spaced in name order; None: all.
    """

    folder: Path
    count: PositiveInt | None = None


class StudyPhotos(_Table):
    """Whose photos.

    Attributes:
        identities: Folder of each identity, by name. The first is the one that variants take unless they say otherwise.
        faces: The faces to train on.
        held_out: The photos to measure on, by name. The first is the one whose columns have no prefix.
    """

    identities: dict[str, Path] = Field(min_length=1)
    faces: Path
    held_out: dict[str, HeldOut] = Field(min_length=1)


class Variant(_Table):
    """One training.

    Attributes:
        name: Unique; also the name of its folder.
        group: Which table it stands in.
        set: Dotted settings that differ from the base.
        identity: Another identity than the first.
        photos: So many of the identity's photos, evenly spaced in name order; None: all.
        seed: Of the training.
        steps: Another budget than the study's, for rows at equal time.
        join: How the photos are joined where that is what is studied, for instance ``{detail = "none"}``; see `SwapOptions`.
    """

    name: str = Field(min_length=1)
    group: str = "variants"
    set: dict[str, Any] = {}
    identity: str | None = None
    photos: PositiveInt | None = None
    seed: int = Field(0, ge=0)
    steps: PositiveInt | None = None
    join: dict[str, str] = {}

    @property
    def changed(self) -> dict[str, Any]:
        """All that differs from the base, for the tables."""
        extra = {"identity": self.identity, "photos": self.photos, "seed": self.seed or None, "steps": self.steps, **self.join}
        return {**self.set, **{key: value for key, value in extra.items() if value is not None}}


class Search(_Table):
    """What Optuna may draw: dotted setting -> (lowest, highest), on a logarithmic scale."""

    ranges: dict[str, tuple[PositiveFloat, PositiveFloat]] = {}


class StudySpec(_Table):
    """A study.

    Attributes:
        title: Heading.
        about: A sentence or two for the report.
        steps: Of every variant that does not say otherwise.
        base: Dotted settings of all variants, beside the defaults.
        photos: See `StudyPhotos`.
        variant: The rows.
        search: For ``--search``.
        tradeoff: The plot's axes, expression and identity.
    """

    title: str
    about: str = ""
    steps: PositiveInt
    base: dict[str, Any] = {}
    photos: StudyPhotos
    variant: tuple[Variant, ...] = Field(min_length=1)
    search: Search = Search()
    tradeoff: tuple[str, str] = ("expression", "sface_share")

    @model_validator(mode="after")
    def _check(self) -> StudySpec:
        names = [slug(variant.name) for variant in self.variant]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"variants need names of their own; {', '.join(twice)} comes more than once")
        known = {column.key for column in COLUMNS}
        for key in self.tradeoff:
            if key not in known:
                raise ValueError(f"tradeoff: nothing is measured as '{key}'.{did_you_mean(key, known)}")
        for key, (low, _) in self.search.ranges.items():
            self.settings_of(Variant(name=f"search of {key}", set={key: low}))
        for variant in self.variant:
            join_options(variant)
            if variant.identity is not None and variant.identity not in self.photos.identities:
                hint = did_you_mean(variant.identity, self.photos.identities)
                raise ValueError(f"variant '{variant.name}': there is no identity '{variant.identity}'.{hint}")
            self.settings_of(variant)  # a misspelt setting is found before the first training, not after the tenth
        return self

    def settings_of(self, variant: Variant) -> Settings:
        """The settings of a variant's training.

        Raises:
            SettingsError: If there is no such setting, or a value does not fit.
        """
        tree: dict[str, Any] = {}
        steps = {"training.steps": variant.steps or self.steps, "seed": variant.seed}
        for key, value in {**self.base, **steps, **variant.set}.items():
            *tables, name = key.split(".")
            table = tree
            for part in tables:
                table = table.setdefault(part, {})
            table[name] = value
        try:
            return settings_from_tree(tree)
        except SettingsError as error:
            raise SettingsError(f"variant '{variant.name}': {error}") from error

    def identity_of(self, variant: Variant) -> str:
        """The name of a variant's identity."""
        return variant.identity or next(iter(self.photos.identities))


def read_spec(file: Path, overrides: Sequence[str] = ()) -> StudySpec:
    """A study from a TOML file; its paths are relative to the file.

    Args:
        file: The file.
        overrides: Folders on this machine: ``"faces=DIR"``, ``"identities.ada=DIR"``, ``"held_out.portraits=DIR"``; new names may be added.

    Raises:
        SettingsError: If it cannot be read, or a value does not fit.
        UsageError: If an override is not written so, or a folder does not exist.
    """
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: the study cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not a TOML file ({error})") from error
    try:
        spec = StudySpec.model_validate(tree)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, part['loc']))}: {part['msg'].removeprefix('Value error, ')}" for part in error.errors()]
        raise SettingsError(f"{file}: " + "\n".join(lines)) from error
    return _with_folders(spec, file.parent, overrides)


def _with_folders(spec: StudySpec, root: Path, overrides: Sequence[str]) -> StudySpec:
    given: dict[str, Path] = {}
    for text in overrides:
        key, equals, folder = text.partition("=")
        kind = key.partition(".")[0]
        if not equals or kind not in ("faces", "identities", "held_out") or (kind == "faces") == ("." in key):
            raise UsageError(f"'{text}': a folder is given as faces=DIR, identities.NAME=DIR or held_out.NAME=DIR")
        given[key] = Path(folder)
    photos = spec.photos
    identities = {name: given.get(f"identities.{name}", root / folder) for name, folder in photos.identities.items()}
    held_out = {
        name: HeldOut(folder=given.get(f"held_out.{name}", root / part.folder), count=part.count) for name, part in photos.held_out.items()
    }
    knows = {"faces", *(f"identities.{name}" for name in identities), *(f"held_out.{name}" for name in held_out)}
    unknown = sorted(set(given) - knows)
    if unknown:
        raise UsageError(f"{', '.join(unknown)}: the study knows no such folder; it has {', '.join(sorted(knows))}")
    faces = given.get("faces", root / photos.faces)
    missing = [str(folder) for folder in (*identities.values(), faces, *(part.folder for part in held_out.values())) if not folder.is_dir()]
    if missing:
        raise UsageError(f"{', '.join(missing)}: no such folder; the study's file says where it looks, --folder NAME=DIR says otherwise")
    return spec.model_copy(update={"photos": StudyPhotos(identities=identities, faces=faces, held_out=held_out)})


def slug(name: str) -> str:
    """A name as the name of a folder."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "variant"


def join_options(variant: Variant) -> SwapOptions:
    """How a variant's photos are joined.

    Raises:
        SettingsError: If there is no such option or value.
    """
    unknown = sorted(set(variant.join) - set(_JOIN))
    if unknown:
        raise SettingsError(f"variant '{variant.name}': join has no '{unknown[0]}'.{did_you_mean(unknown[0], _JOIN)}")
    return SwapOptions(**variant.join)  # type: ignore[arg-type]


def training_fingerprint(spec: StudySpec, variant: Variant) -> str:
    """What decides about a variant's network, as a hash: settings and the content of photos, wherever they lie."""
    return _hash(
        {
            "settings": spec.settings_of(variant).model_dump(mode="json"),
            "identity": folder_hash(spec.photos.identities[spec.identity_of(variant)]),
            "photos": variant.photos,
            "faces": folder_hash(spec.photos.faces),
        }
    )


def fingerprint_of(spec: StudySpec, variant: Variant, judges: Sequence[str]) -> str:
    """What decides about a variant's figures: its network, and how and by whom what is measured.

    Args:
        spec: The study.
        variant: The row.
        judges: See `stylswap.jobs.judges.Judges.present`.
    """
    held_out = {name: [folder_hash(part.folder), part.count] for name, part in spec.photos.held_out.items()}
    return _hash(
        {"training": training_fingerprint(spec, variant), "join": dict(variant.join), "held_out": held_out, "judges": list(judges)}
    )


def folder_hash(folder: Path) -> str:
    """Of the content of all photos in a folder; computed once a process for each state of the folder."""
    photos = list_photos(folder)
    return _hash_of_photos(tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in photos))


@functools.cache
def _hash_of_photos(photos: tuple[tuple[Path, int, int], ...]) -> str:
    return _hash([photo_hash(path) for path, _, _ in photos])


def photo_hash(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _hash(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
