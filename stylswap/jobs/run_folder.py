"""What a training is asked to do, and the run folder that remembers it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from stylswap.config import Settings, load_settings, to_toml
from stylswap.errors import RunError, SettingsError
from stylswap.identity_file import IdentityCard, IdentityFile
from stylswap.storage import write_atomically
from stylswap.training.checkpoint import checkpoints
from stylswap.training.session import JOURNAL_FILE
from stylswap.version import __version__

SETTINGS_FILE: Final = "settings.toml"
RUN_FILE: Final = "run.json"
# The sha256 of every identity file that the run wrote, a line each.
WRITTEN_FILE: Final = "written.txt"
LOCK_FILE: Final = ".stylswap-lock"

# What trainings did before there was a setting for it: a run that was begun then goes on as it was.
BEFORE: Final = {
    "prepare": {"hairline": False},
    "loss": {"inner": 0.0, "light": 0.0, "expression": {"mouth_weight": 1.0}},
    "training": {"optimiser": "adam"},
}


@dataclass(frozen=True)
class TrainRequest:
    """What a training is asked to do.

    Attributes:
        identity: Folder with the identity's photos.
        faces: Folder with faces of many people.
        out: The identity file to write; an existing one is replaced by the run that wrote it only.
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


def request_from_run(run: Path, *, minutes: float | None = None, device: str | None = None, overrides: Sequence[str] = ()) -> TrainRequest:
    """The request that a run folder was started with.

    Args:
        run: The run folder.
        minutes: A new time budget, or None for the old one.
        device: As in `pick_device`, or None for the one the run was started with: another one rounds differently.
        overrides: Changed settings, as in `load_settings`, for instance a lower ``training.learning_rate``. ``training.steps`` without
            `minutes` ends an earlier time budget.

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
            load_settings(run / SETTINGS_FILE, overrides, missing=BEFORE),
            run,
            minutes if minutes is not None or _asks_for_steps(overrides) else facts["minutes"],
            device or facts["device"],
        )
    except SettingsError:
        raise
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run}: not a run folder that can be resumed ({error})") from error


def _asks_for_steps(overrides: Sequence[str]) -> bool:
    return any(text.partition("=")[0].strip() == "training.steps" for text in overrides)


@contextmanager
def opened_run(request: TrainRequest, *, resume: bool) -> Iterator[None]:
    """Make the run folder, and keep every other training out of it for the length of the block.

    What cannot be written or resumed is found out now, not after an hour. What the run was asked to do is written by `record_request`,
    which a resumed run calls when it knows that it can go on: an override of an attempt that failed must not stay for the next one.

    Raises:
        RunError: If the folder is used by another training at this moment, holds another run or none that could be resumed, lies among the
            photos, the identity file exists, or one of the two cannot be written.
    """
    _check(request, resume=resume)
    with _alone_in(request.run):
        _check(request, resume=resume)  # another training may have ended a moment ago
        try:
            for folder in (request.run, request.out.parent):
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.NamedTemporaryFile(dir=folder, prefix=".stylswap-"):  # a name of its own: others may begin at this moment
                    pass
            if not resume:
                for name in (JOURNAL_FILE, WRITTEN_FILE):
                    (request.run / name).unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(request.run, error) from error
        yield


def _alone_in(run: Path) -> AbstractContextManager[object]:
    """The run folder, made where it is missing, for nobody else until the block ends, or the process."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        return FileLock(run / LOCK_FILE).acquire(blocking=False)
    except Timeout as error:
        raise RunError(f"{run}: another training is running in this folder; wait for its end, or give another --out") from error
    except NotImplementedError:  # a file system that knows no locks
        return nullcontext()
    except OSError as error:
        raise _unwritable(run, error) from error


def record_request(request: TrainRequest) -> None:
    """Write what the run is asked to do into its folder, from where `request_from_run` reads it.

    Raises:
        RunError: If it cannot be written.
    """
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
        write_atomically(request.run / RUN_FILE, json.dumps(facts, indent=1).encode())
        write_atomically(request.run / SETTINGS_FILE, to_toml(request.settings).encode())
    except OSError as error:
        raise _unwritable(request.run, error) from error


def check_out(request: TrainRequest) -> None:
    """Refuse to replace an identity file that is not this run's: another training may have written it since.

    Raises:
        RunError: If there is one, or it cannot be read.
    """
    try:
        if not request.out.exists() or hashlib.sha256(request.out.read_bytes()).hexdigest() in _written(request.run):
            return
    except OSError as error:
        raise RunError(f"{error.filename or request.out}: cannot be read ({error.strerror})") from error
    raise RunError(
        f"{request.out}: exists already, and this run has no note of having written it; move it away, and go on with --resume {request.run}"
    )


def write_identity(request: TrainRequest, trained: IdentityFile) -> None:
    """Write the identity file, and remember that this run did.

    Raises:
        RunError: See `check_out`; or if the run folder cannot be written.
        IdentityFileError: If it cannot be written.
    """
    check_out(request)
    # Remembered first: whoever is killed in between knows the old file and the new one.
    lines = [*_written(request.run), hashlib.sha256(trained.content()).hexdigest()]
    try:
        write_atomically(request.run / WRITTEN_FILE, "".join(f"{line}\n" for line in dict.fromkeys(lines)).encode())
    except OSError as error:
        raise _unwritable(request.run, error) from error
    trained.write(request.out)


def _unwritable(run: Path, error: OSError) -> RunError:
    return RunError(f"{error.filename or run}: cannot be written ({error.strerror})")


def _written(run: Path) -> list[str]:
    file = run / WRITTEN_FILE
    return file.read_text(encoding="utf-8").split() if file.exists() else []


def _check(request: TrainRequest, *, resume: bool) -> None:
    if resume:
        if not checkpoints(request.run):
            raise RunError(f"{request.run}: no checkpoint to resume from; start the training again, without --resume")
        check_out(request)
        return
    # A run without a checkpoint, for instance because a folder held too few photos, has nothing to lose and may be started again.
    if checkpoints(request.run):
        # The usual run folder goes with --out. With another --run alone, the next training would ask for another --out as well.
        other = "--out" if request.run == request.out.with_suffix(".run") else "--run folder"
        raise RunError(f"{request.run}: holds another run; resume it with --resume {request.run}, or give another {other}")
    if request.out.exists():  # the training before this one may have taken an hour
        raise RunError(f"{request.out}: exists already; give another --out, or move it away")
    # Photos are looked for at any depth: a run's contact sheets would be among them the next time.
    run = request.run.resolve()
    for folder in (request.identity.resolve(), request.faces.resolve()):
        if run.is_relative_to(folder):
            raise RunError(
                f"{request.run}: the run folder must not lie inside a folder of photos ({folder}): its contact sheets would be taken for "
                "photos. Give an --out, or a --run, somewhere else"
            )
