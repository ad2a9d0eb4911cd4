"""What happens to a portrait between the light and the file: framing, tone curve, exposure, blur, noise, compression.

Applied to grey crops on which a network learns to see light, so that equal pixels are no clue.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import pi, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.shapes import check_shapes

BLOCK = 8  # pixels of JPEG's blocks


@dataclass(frozen=True)
class Degradation:
    """How much of each; all figures are the largest, drawn evenly from zero or from both sides of it.

    Attributes:
        shift: Of the framing, as a share of the side.
        turn_deg: Of the framing.
        zoom: Of the framing, as a share.
        gamma: Range of the logarithm of the tone curve's exponent.
        exposure: Range of the factor.
        blur: Share of the crops that are blurred.
        noise: Standard deviation.
        quantisation: Step of the coarsest compression.
    """

    shift: float = 0.025
    turn_deg: float = 3.0
    zoom: float = 0.05
    gamma: tuple[float, float] = (-0.35, 0.5)
    exposure: tuple[float, float] = (0.6, 1.4)
    blur: float = 0.5
    noise: float = 0.03
    quantisation: float = 0.06

    def __call__(self, grey: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade each crop in its own way, (M, 1, S, S) -> (M, 1, S, S) in [0, 1]."""
        count = check_shapes(grey=(grey, "M 1 S S"))["M"]
        draw = torch.rand(count, 9, generator=generator)[..., None, None, None]
        grey = self._reframed(grey, draw[:, :4])
        exponent = torch.exp(self.gamma[0] + (self.gamma[1] - self.gamma[0]) * draw[:, 4])
        exposure = self.exposure[0] + (self.exposure[1] - self.exposure[0]) * draw[:, 5]
        grey = (grey.clamp(1e-4, 1.0) ** exponent * exposure).clamp(0.0, 1.0)
        grey = torch.where(draw[:, 6] < self.blur, _blurred(grey), grey)
        grey = grey + self.noise * draw[:, 7] * torch.randn(grey.shape, generator=generator)
        if grey.shape[-1] % BLOCK == 0:
            grey = quantised(grey, (self.quantisation * draw[:, 8]).clamp_min(1 / 255))
        return grey.clamp(0.0, 1.0)

    def _reframed(self, grey: Tensor, draw: Tensor) -> Tensor:
        swing = 2.0 * draw[..., 0, 0, 0] - 1.0  # (M, 4)
        angle = self.turn_deg * pi / 180 * swing[:, 0]
        scale = 1.0 + self.zoom * swing[:, 1]
        cosine, sine = scale * torch.cos(angle), scale * torch.sin(angle)
        shift = 2.0 * self.shift * swing[:, 2:]
        rows = torch.stack([torch.stack([cosine, -sine, shift[:, 0]], -1), torch.stack([sine, cosine, shift[:, 1]], -1)], dim=1)
        grid = F.affine_grid(rows, list(grey.shape), align_corners=False)
        return F.grid_sample(grey, grid, padding_mode="border", align_corners=False)


def quantised(grey: Tensor, step: Tensor) -> Tensor:
    """Blocks of 8 x 8 cosine coefficients rounded to steps that grow with frequency, as JPEG does.

    Args:
        grey: (M, 1, S, S), S a multiple of 8.
        step: Of the lowest frequency, (M, 1, 1, 1); the highest has about four times as much.

    Returns:
        (M, 1, S, S).
    """
    side = check_shapes(grey=(grey, "M 1 S S"), step=(step, "M 1 1 1"))["S"]
    basis = _cosines()
    cells = side // BLOCK
    blocks = grey.view(-1, cells, BLOCK, cells, BLOCK).transpose(2, 3)  # (M, cells, cells, 8, 8)
    table = step[..., None] * (1.0 + (torch.arange(BLOCK)[:, None] + torch.arange(BLOCK)) * (3.0 / 14.0))
    rounded = torch.round(basis @ blocks @ basis.T / table) * table
    restored = basis.T @ rounded @ basis
    return restored.transpose(2, 3).reshape(grey.shape)


@cache
def _cosines() -> Tensor:
    """Orthonormal cosine transform, (8, 8)."""
    line = torch.arange(BLOCK, dtype=torch.float32)
    rows = sqrt(2 / BLOCK) * torch.cos(pi / BLOCK * (line + 0.5) * line[:, None])
    rows[0] *= sqrt(0.5)
    return rows


def _blurred(grey: Tensor) -> Tensor:
    line = grey.new_tensor([0.25, 0.5, 0.25])
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, (line[:, None] * line)[None, None])
