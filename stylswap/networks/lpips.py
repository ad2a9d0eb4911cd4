"""VGG-16 with five learned heads: how different do two pictures look, cell by cell?"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.errors import ShapeError
from stylswap.shapes import check_shapes

BLOCKS: Final = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of convolutions of each block; the last layer of each is compared. Block K has 1 / 2^(K-1) of the side."""
LEAST_SIDE_PX: Final = 2 ** (len(BLOCKS) - 1)

_EPSILON: Final = 1e-10  # of the published code, beside the length of a cell's features


class PerceptualNetwork(nn.Module):
    """Two normalised pictures -> how far each cell of one is from the other's, at five depths.

    Reference:
        zhang2018, the variant ``lin``: a trunk that was trained to classify stays as it is, a weight for each channel is learned.
    """

    def __init__(self) -> None:
        super().__init__()
        before = (3, *(channels for channels, _ in BLOCKS))
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(before[block] if number == 0 else channels, channels, 3, padding=1) for number in range(count))
            for block, (channels, count) in enumerate(BLOCKS)
        )
        self.heads = nn.ModuleList(nn.Conv2d(channels, 1, 1, bias=False) for channels, _ in BLOCKS)

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        """Distances of cells, from shallow to deep.

        Args:
            first: (B, 3, H, W), mean and spread of colours taken off; H and W at least 16.
            second: (B, 3, H, W), likewise.

        Returns:
            Five times (B, 1, H // 2^K, W // 2^K), K from 0: the squared difference of both cells' directions, weighed by channels.

        Raises:
            ShapeError: If the shapes differ, or a side is under 16 px.
        """
        sizes = check_shapes(first=(first, "B 3 H W"), second=(second, "B 3 H W"))
        if min(sizes["H"], sizes["W"]) < LEAST_SIDE_PX:
            raise ShapeError(f"pictures must be at least {LEAST_SIDE_PX} px high and wide, got {tuple(first.shape)}")
        cells, distances = torch.cat([first, second]), []
        for depth, (block, head) in enumerate(zip(self.blocks, self.heads, strict=True)):
            if depth:
                cells = F.max_pool2d(cells, kernel_size=2)
            assert isinstance(block, nn.ModuleList)
            for convolution in block:
                cells = F.relu(convolution(cells))
            one, other = _directions(cells).chunk(2)  # (B, C, h, w) each
            distances.append(head((one - other).square()))
        return distances


def _directions(cells: Tensor) -> Tensor:
    """Each cell's features over their length, (B, C, h, w)."""
    directions: Tensor = cells / (torch.linalg.vector_norm(cells, dim=1, keepdim=True) + _EPSILON)
    return directions
