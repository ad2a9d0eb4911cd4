"""Which head poses an identity's photos cover, and whether another face's pose lies beyond them.

A network that was trained on frontal photos has never seen the side of the nose: what it draws there is made up. Training mirrors every
photo, so yaw to one side covers the other, too. Roll is not judged: alignment turns every face upright.

Convention:
    Yaw is counted without its sign. Pitch is positive when the face looks down, as in `stylswap.faces.landmarks.Pose`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from stylswap.errors import IdentityFileError
from stylswap.faces.landmarks import Pose

# So many photos must reach a pose: a single one may be a face that the predictor misjudged.
REACHED_BY: Final = 2
# A pose is known to some degrees only, and what was learned at 30 degrees still holds a little further.
TOLERANCE_DEG: Final = 5.0
CELL_DEG: Final = 10
# Identity files of version 0.1.0 hold a histogram of yaw and nothing else. Their angles were measured on a head whose nose was too flat,
# and came out too large: at 10 degrees of the old kind the median of 1398 generated and real faces is 5.8, at 30 it is 18.2.
_OLD_YAW_SCALE: Final = 0.6


def coverage_of(poses: Sequence[Pose]) -> dict[str, Any]:
    """A small summary of the poses of an identity's photos, for the identity file.

    Args:
        poses: One for each photo, mirror images left out.

    Returns:
        JSON types: ``photos``, their number; ``yaw_deg``, how far to a side they reach; ``pitch_deg``, how far up (the lower number) and
        down; ``cells``, the number of photos in squares of ``cell_deg`` degrees, named after their lower corner, "yaw,pitch". The reaches
        are those of at least `REACHED_BY` photos, where there are twice as many. Empty where there are no poses.
    """
    if not poses:
        return {}
    last = REACHED_BY - 1 if len(poses) >= 2 * REACHED_BY else 0  # of a handful each counts
    pitches = sorted(pose.pitch_deg for pose in poses)
    cells = Counter(_cell(pose, CELL_DEG) for pose in poses)
    return {
        "photos": len(poses),
        "yaw_deg": round(sorted((abs(pose.yaw_deg) for pose in poses), reverse=True)[last], 1),
        "pitch_deg": [round(pitches[last], 1), round(pitches[-1 - last], 1)],
        "cell_deg": CELL_DEG,
        "cells": {f"{yaw * CELL_DEG},{pitch * CELL_DEG}": count for (yaw, pitch), count in sorted(cells.items())},
    }


def stored_coverage(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The coverage that an identity file holds.

    Args:
        summary: ``IdentityFile.data["identity"]``. Where it has no ``poses``, as in files of version 0.1.0, its histogram of yaw is used.

    Returns:
        As from `coverage_of`; of a histogram only ``yaw_deg``, and that only where its outer bins are empty; empty where nothing is known.

    Raises:
        IdentityFileError: If what is there cannot be read.
    """
    if "poses" in summary:
        if not isinstance(summary["poses"], Mapping):
            raise IdentityFileError(f"the identity file's pose coverage cannot be read (got {summary['poses']!r}); the file is damaged")
        return dict(summary["poses"])
    try:
        counts: Counter[float] = Counter()
        for name, count in dict(summary.get("yaw_deg") or {}).items():
            low, high = (float(edge) for edge in name.split(".."))
            counts[max(abs(low), abs(high))] += int(count)
    except (TypeError, ValueError, AttributeError) as error:
        raise IdentityFileError(f"the identity file's histogram of yaw cannot be read ({error}); the file is damaged") from error
    reached = [edge for edge in counts if sum(more for other, more in counts.items() if other >= edge) >= REACHED_BY]
    if not reached or max(reached) == max(counts):
        return {}  # how far into the outermost bin nobody wrote down
    return {"yaw_deg": round(max(reached) * _OLD_YAW_SCALE, 1)}


def beyond(pose: Pose, coverage: Mapping[str, Any]) -> str:
    """Why a pose lies beyond what an identity's photos cover.

    Args:
        pose: Of the face to be edited.
        coverage: See `coverage_of` and `stored_coverage`. What it does not hold is not judged.

    Returns:
        A reason for the user, "" where the pose is covered or nothing is known.

    Raises:
        IdentityFileError: If the coverage cannot be read.
    """
    try:
        return _too_far(pose, coverage) or _far_from_all(pose, coverage)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise IdentityFileError(f"the identity file's pose coverage cannot be read ({error!r}); the file is damaged") from error


def _too_far(pose: Pose, coverage: Mapping[str, Any]) -> str:
    if "yaw_deg" in coverage and abs(pose.yaw_deg) > coverage["yaw_deg"] + TOLERANCE_DEG:
        return f"yaw {abs(pose.yaw_deg):.0f}° is beyond the identity's photos (up to {coverage['yaw_deg']:.0f}°)"
    if "pitch_deg" in coverage:
        up, down = coverage["pitch_deg"]
        if not up - TOLERANCE_DEG <= pose.pitch_deg <= down + TOLERANCE_DEG:
            where = "down" if pose.pitch_deg > 0 else "up"
            return f"pitch {pose.pitch_deg:.0f}° ({where}) is beyond the identity's photos ({up:.0f}° to {down:.0f}°)"
    return ""


def _far_from_all(pose: Pose, coverage: Mapping[str, Any]) -> str:
    """Each angle alone may be covered and the two together by no photo."""
    if "cells" not in coverage:
        return ""
    yaw, pitch = _cell(pose, coverage["cell_deg"])
    filled = {tuple(round(float(edge) / coverage["cell_deg"]) for edge in name.split(",")) for name in coverage["cells"]}
    if any(abs(yaw - near_yaw) <= 1 and abs(pitch - near_pitch) <= 1 for near_yaw, near_pitch in filled):
        return ""
    return f"no photo of the identity is near yaw {abs(pose.yaw_deg):.0f}° with pitch {pose.pitch_deg:.0f}°"


def _cell(pose: Pose, cell_deg: float) -> tuple[int, int]:
    return math.floor(abs(pose.yaw_deg) / cell_deg), math.floor(pose.pitch_deg / cell_deg)
