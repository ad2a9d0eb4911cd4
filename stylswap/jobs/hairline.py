"""How far up the forehead of an identity its own photos go."""

from __future__ import annotations

from typing import Final

import torch

from stylswap.data.faceset import FaceSet
from stylswap.faces.landmarks import Pose
from stylswap.features.forehead import forehead_height
from stylswap.features.parsing import FaceParser
from stylswap.jobs.device import pick_precision

MOST_FACES: Final = 24  # more do not move a quartile, and each is parsed once more
MOST_TURNED_DEG: Final = 20.0  # turned or bowed heads show another hairline


def forehead_of(identity: FaceSet, device: torch.device) -> float | None:
    """Where swaps of this identity should end, from some of its frontal photos; of all of them where none is frontal.

    Args:
        identity: Its photos.
        device: Where the face parser runs.

    Returns:
        See `stylswap.features.forehead.forehead_height`.

    Raises:
        WeightsFileError: If the parser's weights are missing.
    """
    frontal = [row for row, pose in enumerate(identity.poses) if _is_frontal(pose)] or list(range(len(identity)))
    rows = [frontal[place * len(frontal) // MOST_FACES] for place in range(MOST_FACES)] if len(frontal) > MOST_FACES else frontal
    parser = FaceParser.load(device=device, precision=pick_precision("auto", device))
    faces = identity.faces(rows).to(device)
    return forehead_height(parser, faces.images, faces.landmarks)


def _is_frontal(pose: Pose) -> bool:
    return abs(pose.yaw_deg) <= MOST_TURNED_DEG and abs(pose.pitch_deg) <= MOST_TURNED_DEG
