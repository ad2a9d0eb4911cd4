"""What was typed behind `stylswap train`, as what the job takes."""

from __future__ import annotations

import argparse
from typing import Any, Final

from stylswap.errors import UsageError

# They say which faces are trained on.
_FACES: Final = ("training.held_out", "training.relit_inputs", "training.occluded_inputs")


def settings_of(options: argparse.Namespace) -> Any:
    """The settings of a verb that takes some, `Settings`.

    Raises:
        SettingsError: If one does not fit.
    """
    from stylswap.config import load_settings

    short = [f"{name}={value}" for name in ("size", "seed") if (value := getattr(options, name)) is not None]
    return load_settings(options.config, [*options.set, *short])


def request_of(options: argparse.Namespace) -> Any:
    """What to train, a `TrainRequest`.

    Args:
        options: Of `train`.

    Raises:
        UsageError: If something is missing, or cannot change on ``--resume``.
        SettingsError: If a setting does not fit.
        ConsentError: If it is not known who consented.
        RunError: If there is nothing to resume.
    """
    from stylswap.identity_file import read_card
    from stylswap.jobs.run_folder import TrainRequest, request_from_run

    if options.resume is not None:
        _refuse_with_resume(options)
        return request_from_run(options.resume, minutes=options.minutes, device=options.device, overrides=options.set)
    missing = [f"--{name}" for name in ("identity", "faces", "out") if getattr(options, name) is None]
    if missing:
        raise UsageError(f"train needs {', '.join(missing)} (or --resume RUN_DIR); see `stylswap train --help`")
    if options.out.is_dir() or not options.out.name:
        raise UsageError(f"--out {options.out} is a folder; give the identity file to write, for instance alice.safetensors")
    out = options.out if options.out.suffix == ".safetensors" else options.out.with_name(options.out.name + ".safetensors")
    card = read_card(options.identity, name=options.name, consent=options.consent, note=options.consent_note)
    run, device = options.run_folder or out.with_suffix(".run"), options.device or "auto"
    return TrainRequest(options.identity, options.faces, out, card, settings_of(options), run, options.minutes, device)


def _refuse_with_resume(options: argparse.Namespace) -> None:
    names = ("identity", "faces", "out", "run_folder", "consent", "consent_note", "name", "config", "size", "seed")
    given = [f"--{name.removesuffix('_folder').replace('_', '-')}" for name in names if getattr(options, name) is not None]
    keys = {text: text.partition("=")[0].strip() for text in options.set}
    given += [f"--set {text}" for text, key in keys.items() if not key.startswith("training.") or key in _FACES]
    if given:
        raise UsageError(
            f"{', '.join(given)} cannot change on --resume: the run goes on as it was started (--set training.* may, but for "
            f"{', '.join(_FACES)})"
        )
