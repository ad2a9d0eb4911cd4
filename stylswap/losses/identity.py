"""The identity term: a face recogniser should take the output for the identity."""

from __future__ import annotations

from torch import Tensor

from stylswap.shapes import check_shapes


def identity(output_features: Tensor, identity_features: Tensor) -> Tensor:
    """Cosine distance between the outputs and the identity, as a face recogniser sees them.

    Args:
        output_features: Of the output crops, (B, D), unit length.
        identity_features: The mean direction of the identity's photos, (D,), unit length. A constant.

    Returns:
        (B,), in [0, 2]; 0: the recogniser sees the identity's mean.

    Raises:
        ShapeError: If D differs.

    Reference:
        Not from the paper. chen2020 (SimSwap) and li2019 (FaceShifter) train with such a term.

    Differs from the paper:
        The paper's only word about identity is the style loss, whose features know objects and textures.
    """
    check_shapes(output_features=(output_features, "B D"), identity_features=(identity_features, "D"))
    return 1.0 - output_features @ identity_features
