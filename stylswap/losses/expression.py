"""The expression term: mouth, eyes and brows must stay where the input has them."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from stylswap.shapes import check_shapes

# The groups of the 68 points; see `stylswap.faces.landmarks`.
_BROWS: Final = slice(17, 27)
_NOSE: Final = slice(27, 36)
_LEFT_EYE: Final = slice(36, 42)
_RIGHT_EYE: Final = slice(42, 48)
_EYES: Final = slice(36, 48)
_MOUTH: Final = slice(48, 68)


def expression(output: Tensor, input_: Tensor, *, mouth: float = 1.0, eyes: float = 1.0, brows: float = 1.0, nose: float = 1.0) -> Tensor:
    """Mean squared distance between the inner landmarks of output and input, in squared distances between the input's eyes.

    Pose counts: a head that turned has moved its points. The jaw does not: it is the person's, and lies at the mask's edge.

    Args:
        output: Landmarks of the output crops as a critic sees them, (B, 68, 2) in pixels.
        input_: Landmarks of the input crops as the same critic sees them, so that its own errors drop out, (B, 68, 2). Constants.
        mouth: Weight of each point of the mouth.
        eyes: Of the eyes.
        brows: Of the brows.
        nose: Of the nose.

    Returns:
        Weighted mean over the 51 points, (B,). 0.001: points lie 3 % of the distance between the eyes away.

    Raises:
        ShapeError: If B differs or there are not 68 points.

    Reference:
        Not from the paper. Landmark terms are common in reenactment, for instance nirkin2019 (FSGAN).

    Differs from the paper:
        The paper keeps the expression by the content term alone, which also holds on to the input's person.
    """
    check_shapes(output=(output, "B 68 2"), input_=(input_, "B 68 2"))
    weights = output.new_zeros(68)
    weights[_BROWS], weights[_NOSE], weights[_EYES], weights[_MOUTH] = brows, nose, eyes, mouth
    between = input_[:, _RIGHT_EYE].mean(dim=1) - input_[:, _LEFT_EYE].mean(dim=1)  # (B, 2)
    scale = between.square().sum(dim=1).clamp_min(1.0)  # eyes less than a pixel apart are no eyes
    moved = (output - input_).square().sum(dim=2)  # (B, 68)
    return torch.mv(moved, weights) / weights.sum().clamp_min(1e-6) / scale


def point_distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean distance between landmarks, for teaching a network to find them.

    Args:
        found: (B, N, 2).
        wanted: (B, N, 2).

    Returns:
        (B,), in the points' unit.

    Raises:
        ShapeError: If B or N differ.
    """
    check_shapes(found=(found, "B N 2"), wanted=(wanted, "B N 2"))
    return (found - wanted).square().sum(dim=2).add(1e-10).sqrt().mean(dim=1)  # a root at 0 has no gradient
