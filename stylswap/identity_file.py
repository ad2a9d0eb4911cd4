"""The identity file: one safetensors file with a trained network and everything needed to use it and to know what it is."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from stylswap.errors import ConsentError, IdentityFileError, did_you_mean
from stylswap.names import CONSENTS
from stylswap.shapes import check_shapes
from stylswap.storage import write_atomically

FORMAT: Final = 1
CARD_NAME: Final = "identity.toml"
_HEADER_KEY: Final = "stylswap"


@dataclass(frozen=True)
class IdentityCard:
    """Who the identity is, and who allowed that it is used.

    Attributes:
        name: Of the identity.
        consent: ``self`` (it is me), ``written`` (I hold the person's written consent), ``synthetic`` (nobody real), ``research`` (under a
            data set's research terms).
        note: Where the consent can be found, what it covers.
        licence: Terms of the photos.
    """

    name: str
    consent: str
    note: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        if self.consent not in CONSENTS:
            raise ConsentError(f"unknown consent '{self.consent}'.{did_you_mean(self.consent, CONSENTS)}")
        for what, text in (("name", self.name), ("note", self.note), ("licence", self.licence)):
            try:
                text.encode()
            except UnicodeEncodeError as error:  # bytes of the command line that are no UTF-8; no file could be written at the end
                raise ConsentError(f"the identity's {what} is no valid text: {text!r}; write it in UTF-8") from error


def read_card(folder: Path, *, name: str | None = None, consent: str | None = None, note: str | None = None) -> IdentityCard:
    """The identity card of a folder of photos, from its ``identity.toml`` or from the command line, which wins.

    Args:
        folder: The identity's photos.
        name: The name, or None to take the card's, else the folder's.
        consent: As in `IdentityCard`, or None to take the card's.
        note: As in `IdentityCard`, or None to take the card's.

    Raises:
        ConsentError: If neither says who consented, or the card cannot be read.
    """
    path = folder / CARD_NAME
    stated: dict[str, Any] = {}
    if path.is_file():
        try:
            stated = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConsentError(f"{path}: not a readable TOML file ({error})") from error
        unknown = sorted(set(stated) - {"name", "consent", "note", "licence"})
        if unknown:
            raise ConsentError(f"{path}: unknown key '{unknown[0]}'.{did_you_mean(unknown[0], ['name', 'consent', 'note', 'licence'])}")
    consent = consent or stated.get("consent")
    if not consent:
        raise ConsentError(
            f"it must be known who allowed this face to be used. Either write {path} with\n"
            '    name = "..."\n    consent = "self" | "written" | "synthetic" | "research"\n    note = "where the consent can be found"\n'
            'or give --consent self|written|synthetic|research [--consent-note "..."]'
        )
    note = note if note is not None else str(stated.get("note", ""))
    folder_name = os.fsencode(folder.resolve().name).decode("utf-8", errors="replace")  # an old disk may hold names in another encoding
    name = name or str(stated.get("name", folder_name))
    return IdentityCard(name, str(consent), note, str(stated.get("licence", "")))


@dataclass(frozen=True, eq=False)
class IdentityFile:
    """A trained identity.

    Attributes:
        tensors: Of the network.
        network: ``{"name": ..., "options": {...}}``, rebuilds the network.
        size: Side of the crop in pixels.
        alignment: ``{"model": ..., "points": ...}``.
        reference: The 68 reference points in pixels of the crop, (68, 2).
        card: Who it is, who consented.
        settings: The effective settings of the training.
        data: Summary of both folders of photos, and the sha256 over the hashes of all of them.
        training: Steps, seconds, device, versions.
        engine: Which engine renders it.
        version: Of the stylswap that wrote it.
        sha256: Of the file it was read from, "" before it is written.
        forehead: How far up a face is swapped, see `stylswap.faces.forehead.below_hairline`; None: nobody looked, or nothing limits it.
    """

    tensors: Mapping[str, Tensor]
    network: dict[str, Any]
    size: int
    alignment: dict[str, str]
    reference: npt.NDArray[np.float64]
    card: IdentityCard
    settings: dict[str, Any]
    data: dict[str, Any]
    training: dict[str, Any]
    engine: str = "style"
    version: str = ""
    sha256: str = field(default="", compare=False)
    forehead: float | None = None

    def header(self) -> dict[str, Any]:
        """Everything but the tensors, as JSON types."""
        names = ("engine", "version", "network", "size", "alignment", "settings", "data", "training", "forehead")
        facts = {name: getattr(self, name) for name in names}
        return {"format": FORMAT, **facts, "reference": np.asarray(self.reference).tolist(), "card": asdict(self.card)}

    def content(self) -> bytes:
        """The file."""
        content: bytes = save(
            {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()},
            metadata={_HEADER_KEY: json.dumps(self.header(), ensure_ascii=False)},
        )
        return content

    def write(self, path: Path) -> None:
        """Write the file; an old one is replaced only by a whole new one.

        Raises:
            IdentityFileError: If it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, self.content())
        except OSError as error:
            raise IdentityFileError(f"{path}: the identity file cannot be written ({error.strerror})") from error


def read_identity_file(path: Path) -> IdentityFile:
    """Read and check an identity file.

    Raises:
        IdentityFileError: If it is missing, damaged, not an identity file, or written by a newer version.
    """
    if not path.is_file():
        raise IdentityFileError(f"{path}: no such identity file; `stylswap train --out {path.name}` makes one")
    try:
        content = path.read_bytes()
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise IdentityFileError(f"{path}: damaged or not a safetensors file ({error}); copy it again from where it came") from error
    if _is_other_weights(metadata):
        raise IdentityFileError(
            f"{path}: holds no identity, but a checkpoint or other weights of stylswap; give an identity file, as `stylswap train --out` "
            "writes one, or the name of one that ships"
        )
    if _HEADER_KEY not in metadata:
        raise IdentityFileError(f"{path}: a safetensors file, but not an identity file of stylswap (it has no header)")
    try:
        header = json.loads(metadata[_HEADER_KEY])
        return _from_header(path, header, tensors, hashlib.sha256(content).hexdigest())
    except (AttributeError, KeyError, TypeError, ValueError, ConsentError) as error:
        raise IdentityFileError(f"{path}: the header is incomplete or wrong ({error!r}); the file is damaged") from error


def _is_other_weights(metadata: Mapping[str, str]) -> bool:
    """Whether something else of ours is in the file: a checkpoint, or a critic, whose header has another name or says other things."""
    if _HEADER_KEY not in metadata:
        return any(key.startswith(f"{_HEADER_KEY}-") for key in metadata)
    try:
        header = json.loads(metadata[_HEADER_KEY])
    except ValueError:
        return False
    return isinstance(header, dict) and not {"format", "network", "card"} & header.keys()


def _from_header(path: Path, header: dict[str, Any], tensors: dict[str, Tensor], sha256: str) -> IdentityFile:
    if header.get("format", 0) > FORMAT:
        raise IdentityFileError(
            f"{path}: written by stylswap {header.get('version', '?')} in format {header['format']}, this one reads up to format {FORMAT}; "
            "upgrade with `pip install --upgrade stylswap`"
        )
    reference = np.array(header["reference"], dtype=np.float64)
    check_shapes(reference=(reference, "68 2"))
    return IdentityFile(
        tensors=tensors,
        network=header["network"],
        size=int(header["size"]),
        alignment=header["alignment"],
        reference=reference,
        card=IdentityCard(**header["card"]),
        settings=header["settings"],
        data=header["data"],
        training=header["training"],
        engine=header["engine"],
        version=header["version"],
        sha256=sha256,
        forehead=None if header.get("forehead") is None else float(header["forehead"]),
    )
