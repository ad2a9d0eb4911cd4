"""Shapes with letters, and rectangles.

`check_shapes` binds letters across tensors, so that one line at the edge of a public function says, and enforces, how its arguments
fit together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from stylswap.errors import ShapeError


class HasShape(Protocol):
    """A tensor or an array."""

    @property
    def shape(self) -> Sequence[int]:
        """Size of each axis."""
        ...


def check_shapes(**named: tuple[HasShape, str]) -> dict[str, int]:
    """Check tensors against patterns of letters and numbers; equal letters must be equal sizes.

    Args:
        **named: For each argument its value and its pattern, for instance ``output=(output, "B C H W")``. A token is a letter, which
            is bound at its first use, a number, or ``_`` for any size.

    Returns:
        The size bound to each letter.

    Raises:
        ShapeError: If the number of axes or a size differs. The message shows the pattern and the shape, and where the letter
            was bound.

    Example:
        >>> import numpy as np
        >>> check_shapes(a=(np.zeros((2, 3)), "B N"), b=(np.zeros((2, 5)), "B M"))
        {'B': 2, 'N': 3, 'M': 5}
    """
    bound: dict[str, int] = {}
    bound_by: dict[str, str] = {}
    for name, (value, pattern) in named.items():
        tokens, shape = pattern.split(), tuple(value.shape)
        text = f"{name} must be ({', '.join(tokens)}), got {shape}"
        if len(tokens) != len(shape):
            raise ShapeError(f"{text}: {len(tokens)} axes expected, {len(shape)} came")
        for token, size in zip(tokens, shape, strict=True):
            if token == "_":
                continue
            if token.isdigit():
                if int(token) != size:
                    raise ShapeError(f"{text}: {token} expected, {size} came")
            elif bound.setdefault(token, size) != size:
                raise ShapeError(f"{text}: {token} = {bound[token]} in {bound_by[token]}, {size} here")
            else:
                bound_by.setdefault(token, name)
    return bound


class Rect(NamedTuple):
    """A rectangle of whole pixels: rows top .. top + height - 1, columns left .. left + width - 1."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """First row below the rectangle."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """First column to the right of the rectangle."""
        return self.left + self.width

    def clipped(self, height: int, width: int) -> Rect:
        """The part of this rectangle that lies inside a photo of the given size; may be empty (height or width 0)."""
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.bottom, height), min(self.right, width)
        return Rect(top, left, max(bottom - top, 0), max(right - left, 0))

    @property
    def is_empty(self) -> bool:
        """True when there is no pixel in it."""
        return self.height <= 0 or self.width <= 0
