"""What a training is asked to do, and the run folder that remembers it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stylswap.config import Settings, load_settings, to_toml
from stylswap.errors import RunError, SettingsError
from stylswap.identity_file import IdentityCard
from stylswap.storage import write_atomically
from stylswap.training.checkpoint import checkpoints
from stylswap.training.session import JOURNAL_FILE
from stylswap.version import __version__

SETTINGS_FILE: Final = "settings.toml"
RUN_FILE: Final = "run.json"


@dataclass(frozen=True)
class TrainRequest:
    """What a training is asked to do.

    Attributes:
        identity: Folder with the identity's photos.
        faces: Folder with faces of many people.
        out: The identity file to write; an existing one is replaced by a resumed run only.
        card: Who it is, and who consented.
        settings: What is computed.
        run: Run folder.
        minutes: Time budget, over all resumptions; replaces ``training.steps``.
        device: As in `pick_device`.
    """

    identity: Path
    faces: Path
    out: Path
    card: IdentityCard
    settings: Settings
    run: Path
    minutes: float | None = None
    device: str = "auto"


def request_from_run(
    run: Path, *, minutes: float | None = None, device: str | None = None, overrides: Sequence[str] = ()
) -> TrainRequest:
    """The request that a run folder was started with.

    Args:
        run: The run folder.
        minutes: A new time budget, or None for the old one.
        device: As in `pick_device`, or None for the one the run was started with: another one rounds differently.
        overrides: Changed settings, as in `load_settings`, for instance a lower ``training.learning_rate``.

    Raises:
        RunError: If the folder is not a run folder.
        SettingsError: If an override does not fit.
    """
    try:
        facts = json.loads((run / RUN_FILE).read_text(encoding="utf-8"))
        return TrainRequest(
            Path(facts["identity"]),
            Path(facts["faces"]),
            Path(facts["out"]),
            IdentityCard(**facts["card"]),
            load_settings(run / SETTINGS_FILE, overrides),
            run,
            minutes if minutes is not None else facts["minutes"],
            device or facts["device"],
        )
    except SettingsError:
        raise
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run}: not a run folder that can be resumed ({error})") from error


def open_run(request: TrainRequest, *, resume: bool) -> None:
    """Make the run folder and find out now, not after an hour, that something cannot be written.

    Raises:
        RunError: If the folder holds another run, the identity file exists, or one of the two cannot be written.
    """
    # A run without a checkpoint, for instance because a folder held too few photos, has nothing to lose and may be started again.
    if not resume and checkpoints(request.run):
        # The usual run folder goes with --out. With another --run alone, the next training would ask for another --out as well.
        other = "--out" if request.run == request.out.with_suffix(".run") else "--run folder"
        raise RunError(f"{request.run}: holds another run; resume it with --resume {request.run}, or give another {other}")
    # The training before this one may have taken an hour. A resumed run replaces the file that it wrote itself.
    if not resume and request.out.exists():
        raise RunError(f"{request.out}: exists already; give another --out, or move it away")
    facts = {
        "identity": str(request.identity.resolve()),
        "faces": str(request.faces.resolve()),
        "out": str(request.out.resolve()),
        "card": vars(request.card),
        "minutes": request.minutes,
        "device": request.device,
        "version": __version__,
    }
    try:
        for folder in (request.run, request.out.parent):
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".stylswap-probe"
            probe.touch()
            probe.unlink()
        if not resume:
            (request.run / JOURNAL_FILE).unlink(missing_ok=True)
        write_atomically(request.run / RUN_FILE, json.dumps(facts, indent=1).encode())
        write_atomically(request.run / SETTINGS_FILE, to_toml(request.settings).encode())
    except OSError as error:
        raise RunError(f"{error.filename or request.run}: cannot be written ({error.strerror})") from error
