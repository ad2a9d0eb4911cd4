"""Checkpoints: safetensors, written under a temporary name, synced, renamed; the last good one survives a crash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from stylswap.errors import RunError
from stylswap.storage import write_atomically

KEPT: Final = 2


def save_checkpoint(run: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Path:
    """Write ``checkpoint-<step>.safetensors`` and remove all but the newest two.

    Args:
        run: The run folder.
        tensors: See `Loop.state`.
        header: JSON-able facts; must hold ``step``.
    """
    path = run / f"checkpoint-{header['step']:06d}.safetensors"
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(contiguous, metadata={"stylswap": json.dumps(header)}))
    for old in checkpoints(run)[:-KEPT]:
        if old != path:
            old.unlink(missing_ok=True)
    return path


def refuse_checkpoints(run: Path) -> None:
    """For the start of a new training: steps of an older one would outlive its own, and be what a resumption goes on from.

    Raises:
        RunError: If the folder holds checkpoints.
    """
    if checkpoints(run):
        raise RunError(f"{run}: holds another training; go on with it by --resume, remove it, or give another --out")


def checkpoints(run: Path) -> list[Path]:
    """The run's checkpoints, oldest first."""
    found = {path: path.stem.removeprefix("checkpoint-") for path in run.glob("checkpoint-*.safetensors")}
    return sorted((path for path, step in found.items() if step.isdigit()), key=lambda path: int(found[path]))


def load_checkpoint(run: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of the newest checkpoint that can be read.

    Raises:
        RunError: If there is none.
    """
    for path in reversed(checkpoints(run)):
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads((file.metadata() or {})["stylswap"])
                return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118 - not a dict
        except (SafetensorError, OSError, KeyError, ValueError):
            continue  # damaged, for instance by a full disk: the one before it is kept for this
    raise RunError(f"{run}: no readable checkpoint to resume from; start a new training without --resume")
