"""An identity from a folder of photos, without training: what the warp engine swaps with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final, NamedTuple

from stylswap.config import PrepareSettings, Settings
from stylswap.engines.warp import WarpRenderer
from stylswap.errors import UsageError
from stylswap.faces.align import reference_shape
from stylswap.identity_file import IdentityCard, IdentityFile, read_card
from stylswap.jobs.prepare import OnPhoto, PrepareReport, prepare_identity
from stylswap.version import __version__

ENGINE: Final = "warp"
# Skin of another light needs more than a gain: on 24 portraits it is nearer to the identity and to the photo's light than "auto".
WARP_COLOUR: Final = "skin"
# Twice the side that networks are trained at: the photos' own pixels go into the photo, and nothing is learned that would take longer.
# One photo is enough to paste; with fewer than twenty most inputs meet one that looks elsewhere.
WARP_SETTINGS: Final = Settings(size=256, prepare=PrepareSettings(min_photos=1, few_photos=20))


class PhotoIdentity(NamedTuple):
    """An identity that is its photos.

    Attributes:
        identity: What an identity file would say; it has no tensors, and is not meant to be written.
        renderer: Holds the photos.
    """

    identity: IdentityFile
    renderer: WarpRenderer


def identity_from_photos(
    folder: Path,
    *,
    card: IdentityCard | None = None,
    settings: Settings = WARP_SETTINGS,
    on_photo: OnPhoto | None = None,
    on_prepared: Callable[[PrepareReport], None] | None = None,
) -> PhotoIdentity:
    """Prepare the photos of a person and say who it is.

    Args:
        folder: Photos of one person.
        card: Who it is, and who consented; None reads the folder's ``identity.toml``.
        settings: Size and preparation; the rest concerns training.
        on_photo: Called with (done, all) after each photo.
        on_prepared: Called with what the folder holds.

    Returns:
        The identity. Its sha256 is that of the card, the settings that count and the photos, in place of a file's: other photos are
        another identity.

    Raises:
        UsageError: If it is no folder.
        ConsentError: If nobody says who consented.
        FaceSetError: If the folder holds no usable face, or several people.
    """
    check_photo_folder(folder)
    card = card or read_card(folder)
    faces, report = prepare_identity(folder, settings, on_photo=on_photo)
    if on_prepared is not None:
        on_prepared(report)
    alignment = settings.prepare.alignment.model_dump()
    facts = {"engine": ENGINE, "size": settings.size, "alignment": alignment, "card": asdict(card), "photos": faces.hashes}
    identity = IdentityFile(
        tensors={},
        network={},
        size=settings.size,
        alignment=alignment,
        reference=reference_shape(settings.size),
        card=card,
        settings={"size": settings.size, "prepare": settings.prepare.model_dump(mode="json")},
        data={"identity": report.summary(), "sha256": hashlib.sha256("\n".join(faces.hashes).encode()).hexdigest()},
        training={},
        engine=ENGINE,
        version=__version__,
        sha256=hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
    )
    return PhotoIdentity(identity, WarpRenderer(faces))


def check_photo_folder(folder: Path) -> None:
    """Refuse what is no folder.

    Raises:
        UsageError: If it is none.
    """
    if folder.is_dir():
        return
    found = "that is a file; a trained identity goes without --engine warp" if folder.exists() else "no such folder"
    raise UsageError(f"{folder}: {found}. The warp engine takes a folder with photos of one person, no training needed")

