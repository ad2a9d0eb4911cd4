"""How far the light of results is from the inputs', by the figure that an evaluation uses."""

from __future__ import annotations

from typing import Final

import numpy as np

from stylswap.data.faceset import RowBatch
from stylswap.jobs.inner_distance import Draws, plain_rows
from stylswap.metrics.light import luminance_correlation

# Of a face in light without any slope, or with few cells in sight, the correlation is anybody's guess; faces have about .06.
FURTHEST: Final = 0.5


class LightDistance:
    """Mean over a batch of one minus the correlation of low-pass luminance before and after.

    The luminance term has a gradient, and counts the brightness of every cell; what is wanted is that light lies where it lay. How much
    weight that takes depends on the identity. Only photos as they are count: under a relit face's strong lamp the correlation is always
    high. The mask is the training's, on the crop; an evaluation looks at the final photo, inside an outline around the landmarks.

    Args:
        engine: Whose results.
    """

    def __init__(self, engine: Draws) -> None:
        self._engine = engine
        self._plain = plain_rows(engine.inputs)

    def __call__(self, batch: RowBatch) -> float:
        """Measure one batch, whose turn it just was; in [0, `FURTHEST`], not a number if no face of it counts."""
        judged, faces = self._engine.judged(batch).float().cpu().clamp(0, 1), batch.faces
        masks = faces.masks * (1.0 - batch.kept)
        correlations = [
            luminance_correlation(before, after, mask)
            for row, before, after, mask in zip(batch.rows, faces.images, judged, masks, strict=True)
            if self._plain[row % len(self._plain)]
        ]
        distances = [min(1.0 - correlation, FURTHEST) for correlation in correlations if np.isfinite(correlation)]
        return float(np.mean(distances)) if distances else float("nan")
