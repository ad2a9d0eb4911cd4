"""The lighting term, and the terms that train the lighting network. All see features, never a network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError
from stylswap.shapes import check_shapes


def lighting(output_features: Tensor, input_features: Tensor) -> Tensor:
    """Squared distance of the lighting network's features between output and input.

    Args:
        output_features: Of the output crops, (B, D), unit length.
        input_features: Of the input crops, (B, D), unit length. Constants in training.

    Returns:
        (B,), in [0, 4]; 0: the same light.

    Raises:
        ShapeError: If B or D differ.

    Reference:
        korshunova2017, equation 6.

    Differs from the paper:
        The features have unit length; the paper's had not, and its weight of 1e-22 is not to be copied.
    """
    check_shapes(output_features=(output_features, "B D"), input_features=(input_features, "B D"))
    return (output_features - input_features).square().sum(dim=1)


def contrastive(first: Tensor, second: Tensor, same: Tensor, *, margin: float = 1.0) -> Tensor:
    """Equal lights together, different lights at least a margin apart.

    Args:
        first: Features, (P, D).
        second: Features, (P, D).
        same: 1 where the light is the same, else 0, (P,).
        margin: Distance beyond which a pair of different lights costs nothing; at most 2 for features of unit length.

    Returns:
        (P,).

    Raises:
        ShapeError: If P or D differ.
        SettingsError: If the margin is not positive.

    Reference:
        hadsell2006, equation 4.

    Differs from the paper:
        Without the factor 1/2.
    """
    check_shapes(first=(first, "P D"), second=(second, "P D"), same=(same, "P"))
    if margin <= 0:
        raise SettingsError(f"margin must be positive, got {margin}")
    squared = (first - second).square().sum(dim=1)
    distance = (squared + 1e-8).sqrt()  # a root at 0 has no gradient
    return same * squared + (1 - same) * (margin - distance).clamp_min(0.0).square()


def classification(logit: Tensor, same: Tensor) -> Tensor:
    """Cross-entropy of the answer "same light".

    Args:
        logit: Above 0 means the same, (P,).
        same: 1 or 0, (P,).

    Returns:
        (P,).

    Raises:
        ShapeError: If P differs.

    Reference:
        korshunova2017, section 3.3.

    Differs from the paper:
        The paper does not say which loss its network was trained with.
    """
    check_shapes(logit=(logit, "P"), same=(same, "P"))
    return F.binary_cross_entropy_with_logits(logit, same, reduction="none")
