"""What an identity file says of itself, for programs and for people. Not who it is: that is shown on request only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from stylswap.identity_file import IdentityFile
from stylswap.report import duration

DESCRIPTOR: Final = "mean_descriptor"
_NAME_WIDTH: Final = 12


def identity_facts(path: Path, identity: IdentityFile, *, descriptor: bool = False) -> dict[str, Any]:
    """The header of an identity file, and what follows from the file, as JSON types.

    Args:
        path: Where it was read from.
        identity: What was read.
        descriptor: With the identity's mean face descriptor: biometric data, which must not get into logs and bug reports by the way.
    """
    header = identity.header()
    header.pop("reference")  # 136 numbers that nobody reads
    own = {key: value for key, value in header["data"].get("identity", {}).items() if descriptor or key != DESCRIPTOR}
    parameters = sum(tensor.numel() for tensor in identity.tensors.values())
    facts = {**header, "data": {**header["data"], "identity": own}, "parameters": parameters}
    return {"card": facts.pop("card"), "file": str(path), "sha256": identity.sha256, **facts}


def identity_lines(facts: Mapping[str, Any]) -> list[str]:
    """A line for each thing that a person wants to know, who allowed it first.

    Args:
        facts: As from `identity_facts`.
    """
    card, training, network = facts["card"], facts["training"], facts["network"]
    photos = {kind: facts["data"].get(kind, {}).get("photos", "?") for kind in ("identity", "faces")}
    trained = f"{training.get('steps', '?')} steps in {duration(training.get('seconds', 0.0))} on {training.get('device', '?')}"
    descriptor = facts["data"].get("identity", {}).get(DESCRIPTOR)
    lines = {
        "name": card["name"],
        "consent": card["consent"],
        "note": card.get("note") or "-",
        "licence": card.get("licence") or "-",
        "engine": facts["engine"],
        "version": f"stylswap {facts['version'] or '?'}",
        "size": f"{facts['size']} px",
        "network": f"{network['name']}, {facts['parameters']:,} parameters",
        "start": facts["settings"].get("network", {}).get("start") or "from nothing",
        "training": trained,
        "finished": training.get("finished", "?"),
        "photos": f"{photos['identity']} of the identity, {photos['faces']} faces of others",
        "file": facts["file"],
        "sha256": facts["sha256"],
    }
    if descriptor is not None:
        lines["descriptor"] = " ".join(f"{number:.4f}" for number in descriptor)
    return [f"{name:{_NAME_WIDTH}}{_plain(value)}" for name, value in lines.items()]


def _plain(value: Any) -> str:
    """One line without control characters: the file may come from a stranger, and a terminal obeys them."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(str(value).split()))
