"""Small tables of means for documents."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_markdown(table: dict[str, dict[str, Any]]) -> str:
    """The table for a document."""
    columns = list(next(iter(table.values())))
    lines = [f"| | {' | '.join(column.replace('_', ' ') for column in columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in table.items():
        values = ["–" if np.isnan(row[column]) else f"{row[column]:.3f}" for column in columns]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines)
