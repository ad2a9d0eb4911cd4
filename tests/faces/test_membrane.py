"""The membrane's solver by itself; what it does for a face is tested in `test_blend`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stylswap.faces.membrane import solve_membrane


def _exact(difference: Tensor, pull: Tensor, screening: float) -> Tensor:
    """The same equation, pixel by pixel, by elimination."""
    _, height, width = difference.shape
    matrix = torch.zeros(height * width, height * width, dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            here = y * width + x
            matrix[here, here] += pull[y, x].double() + screening
            for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                if 0 <= y + dy < height and 0 <= x + dx < width:
                    matrix[here, here] += 1
                    matrix[here, (y + dy) * width + x + dx] -= 1
    right = (-pull * difference).double().flatten(1)
    return torch.linalg.solve(matrix, right.mT).mT.view_as(difference)


@pytest.mark.parametrize("screening", [0.0, 0.05])
@pytest.mark.parametrize("size", [(5, 4), (13, 17), (20, 9)])
def test_equals_elimination(size: tuple[int, int], screening: float) -> None:
    random = torch.Generator().manual_seed(0)
    difference = torch.rand(2, *size, generator=random) - 0.5
    pull = (torch.rand(size, generator=random) > 0.6).float() * 10
    solved = solve_membrane(difference, pull, screening)
    assert torch.allclose(solved.double(), _exact(difference, pull, screening), atol=2e-3)


def test_a_constant_is_cancelled_everywhere() -> None:
    pull = torch.zeros(12, 12)
    pull[0] = 5.0
    solved = solve_membrane(torch.full((3, 12, 12), 0.25), pull, 0.0)
    assert torch.allclose(solved, torch.full_like(solved, -0.25), atol=1e-3)
