"""Choices of the style engine's terms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StyleOptions:
    """Choices of the style term; see `stylswap.losses.style.patch_style`.

    Attributes:
        layers: Of the critic.
        num_faces: N, style faces chosen for each input.
        point_weights: Weight of each of the 68 points in that choice; None weighs all alike. A smile moves few points: weighed alike,
            head pose decides, and a closed mouth is shown mostly open ones.
        radius: Cells around the same cell that are searched.
        patch: Side of a patch in cells.
        softness: Temperature of a soft minimum; 0 for the best match alone.
        features: Weight of the cells at mouth, eyes and brows; that of the others is 1.
        copies: How often each photo of the identity is there, under another lamp each time; see `stylswap.engines.style_faces.lit_alike`.
    """

    layers: tuple[str, ...] = ("relu3_1", "relu4_1")
    num_faces: int = 16
    point_weights: tuple[float, ...] | None = None
    radius: int = 0
    patch: int = 1
    softness: float = 0.0
    features: float = 1.0
    copies: int = 1


@dataclass(frozen=True)
class ExpressionOptions:
    """Choices of the expression term.

    Attributes:
        mouth: Weight of each point of the mouth; that of the others is 1.
    """

    mouth: float = 1.0


@dataclass(frozen=True)
class ContentOptions:
    """Choices of the content term.

    Attributes:
        layers: Of the critic; their distances are averaged.
        features: Weight of the cells at mouth, eyes and brows; that of the others is 1.
    """

    layers: tuple[str, ...] = ("relu4_2",)
    features: float = 1.0
