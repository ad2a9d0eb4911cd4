"""The terms of face recognisers: they should take the output for the identity, and not for the input's own person."""

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


def residual(output_features: Tensor, input_features: Tensor, identity_features: Tensor) -> Tensor:
    """How much more the output is like the input's own person than the identity is.

    Args:
        output_features: Of the output crops, (B, D), unit length.
        input_features: Of the input crops, (B, D), unit length. Constants.
        identity_features: The mean direction of the identity's photos, (D,), unit length. A constant.

    Returns:
        The cosine of output and input above that of identity and input, (B,), in [0, 2]; 0: no more of the input's person than the
        identity shares with it. Nobody is asked to be less alike than the two people are.

    Raises:
        ShapeError: If B or D differ.

    Reference:
        Not from the paper.

    Differs from the paper:
        The paper has no word against the input's person.
    """
    check_shapes(
        output_features=(output_features, "B D"), input_features=(input_features, "B D"), identity_features=(identity_features, "D")
    )
    likeness = (output_features * input_features).sum(dim=1)
    return (likeness - input_features @ identity_features).clamp_min(0)
