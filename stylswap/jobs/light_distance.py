"""How far the light of results is from the inputs', as an evaluation sees it."""

from __future__ import annotations

import numpy as np

from stylswap.data.faceset import RowBatch
from stylswap.jobs.inner_distance import Draws
from stylswap.metrics.light import luminance_correlation


class LightDistance:
    """One minus the mean correlation of a batch's low-pass luminance before and after.

    The luminance term has a gradient, and counts the brightness of every cell; what is wanted is that light lies where it lay. How much
    weight that takes depends on the identity: a face whose own shading is strong needs more. Only photos as they are count, as in an
    evaluation: under a relit face's strong lamp the correlation is always high.

    Args:
        engine: Whose results.
    """

    def __init__(self, engine: Draws) -> None:
        self._engine = engine
        names = engine.inputs.names
        first = {name: row for row, name in reversed(list(enumerate(names)))}  # the first row of a name is the photo itself
        self._plain = [first[name] == row for row, name in enumerate(names)]

    def __call__(self, batch: RowBatch) -> float:
        """Measure one batch, whose turn it just was; not a number if no face of it counts."""
        judged, faces = self._engine.judged(batch).float().cpu().clamp(0, 1), batch.faces
        masks = faces.masks * (1.0 - batch.kept)
        correlations = [
            luminance_correlation(before, after, mask)
            for row, before, after, mask in zip(batch.rows, faces.images, judged, masks, strict=True)
            if self._plain[row % len(self._plain)]
        ]
        known = [one for one in correlations if np.isfinite(one)]
        return 1.0 - float(np.mean(known)) if known else float("nan")
