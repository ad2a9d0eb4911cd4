"""The forehead in the frame of the head: heights above the brows, and how far up a mask may reach.

The unit is the way from the bottom of the nose to the brows, as for `stylswap.faces.segment.LandmarkSegmenter.forehead`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stylswap.errors import SettingsError
from stylswap.faces.landmarks import BROWS
from stylswap.shapes import check_shapes

FloatArray = npt.NDArray[np.float64]

_NOSE_BOTTOM: Final = 33
_FALL: Final = 0.35  # a hairline falls towards the temples: by so much, one unit from the middle
_SOFTNESS: Final = 0.12  # over so much of a forehead a mask ends; where it ended at once, the line would be seen


class HeadFrame(NamedTuple):
    """Where the brows are, and which way is up.

    Attributes:
        brows: Their centre, (2,) in pixels.
        up: One unit up, (2,).
    """

    brows: FloatArray
    up: FloatArray

    @classmethod
    def of(cls, landmarks: FloatArray) -> HeadFrame:
        """The frame of one face, from its landmarks (68, 2)."""
        brows = landmarks[BROWS].mean(axis=0)
        return cls(brows, brows - landmarks[_NOSE_BOTTOM])

    @property
    def right(self) -> FloatArray:
        """One unit across, (2,)."""
        return np.array([-self.up[1], self.up[0]])

    def points(self, across: FloatArray, height: FloatArray) -> FloatArray:
        """Pixels (P, 2) of P places, given in units across the middle and above the brows, (P,) each."""
        return np.asarray(self.brows + across[:, None] * self.right + height[:, None] * self.up)


def hairline_over(across: float, height: float) -> float:
    """The height over the middle of the head of a hairline that has some height beside it."""
    return height + _FALL * across**2


def below_hairline(landmarks: Tensor, size: int, height: float) -> Tensor:
    """What of a mask may stay below a hairline: 1 up to 0.12 units below it, then falling to 0. The brows always stay.

    Args:
        landmarks: (B, 68, 2) in pixels of crops.
        size: Side of the crops in pixels, S.
        height: Of the hairline over the middle of the head, in units.

    Returns:
        (B, 1, S, S) in [0, 1].

    Raises:
        ShapeError: If there are not 68 points.
        SettingsError: If the height is no finite number.
    """
    check_shapes(landmarks=(landmarks, "B 68 2"))
    if not np.isfinite(height):
        raise SettingsError(f"the height of a hairline must be a finite number, got {height}")
    rows, columns = np.mgrid[:size, :size]
    pixels = np.stack([columns, rows], axis=-1).astype(np.float64)  # (S, S, 2) as x, y
    masks = []
    for points in landmarks.detach().cpu().double().numpy():
        frame = HeadFrame.of(points)
        above, across = ((pixels - frame.brows) @ axis / max(float(frame.up @ frame.up), 1e-6) for axis in (frame.up, frame.right))
        ends = np.maximum(height - _FALL * across**2, _SOFTNESS)  # never in the brows, and without a step beside them
        room = np.clip((ends - above) / _SOFTNESS, 0.0, 1.0)
        masks.append(room**2 * (3.0 - 2.0 * room))
    return torch.from_numpy(np.stack(masks)).float()[:, None].to(landmarks.device)
