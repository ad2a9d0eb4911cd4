"""What a study is asked to do, and its rows as tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from stylswap.errors import UsageError
from stylswap.jobs.judges import Judges
from stylswap.jobs.study_spec import StudySpec, Variant
from stylswap.jobs.study_variant import ROW_FILE, VariantTask


@dataclass(frozen=True)
class StudyRequest:
    """What to run.

    Attributes:
        spec: The study.
        out: Its folder; finished rows in it are not done again.
        command: What the report says it was made with.
        jobs: Rows at a time.
        device: As in `pick_device`.
        only: Groups to run; empty: all. The tables hold whatever is finished.
        consent: Who allowed the faces of identities whose folder has no ``identity.toml``.
    """

    spec: StudySpec
    out: Path
    command: str = ""
    jobs: int = 1
    device: str = "auto"
    only: tuple[str, ...] = ()
    consent: str | None = None

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise UsageError(f"jobs must be at least 1, got {self.jobs}")
        groups = {variant.group for variant in self.spec.variant}
        unknown = sorted(set(self.only) - groups)
        if unknown:
            raise UsageError(f"the study has no group {', '.join(unknown)}; it has {', '.join(sorted(groups))}")


def row_of(task: VariantTask) -> dict[str, Any] | None:
    """What a task left, done or failed; None where it left nothing or was of another variant."""
    try:
        row: dict[str, Any] = json.loads((task.folder / ROW_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return row if row.get("fingerprint") == task.fingerprint else None


def tasks_of(request: StudyRequest, variants: Sequence[Variant] | None = None) -> list[VariantTask]:
    """The rows without training, one pair for each identity, then the variants."""
    spec = request.spec
    variants = spec.variant if variants is None else variants
    threads = max(torch.get_num_threads() // request.jobs, 1)
    names = dict.fromkeys(spec.identity_of(variant) for variant in variants)
    every = [*((None, name) for name in names), *((variant, spec.identity_of(variant)) for variant in variants)]
    judges = Judges.present()
    return [VariantTask(spec, variant, name, request.out, request.device, threads, judges, request.consent) for variant, name in every]
