"""How far the predictor that finds the faces sees the landmarks of results from the inputs'."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from stylswap.data.faceset import FaceSet, RowBatch
from stylswap.faces.batch import Face
from stylswap.faces.detect import FaceDetector
from stylswap.jobs.pixels import pixels_u8
from stylswap.metrics.expression import landmark_error

FloatArray = npt.NDArray[np.float64]

# The predictor gives whole pixels, and in a crop of 128 the distances that matter are about one.
VIEW_PX: Final = 512
# A head that is turned further shows the predictor too little: its points jump with anything.
MOST_YAW_DEG: Final = 20.0
# And one that lost a face altogether says nothing of how far its landmarks moved.
FURTHEST: Final = 0.08


class Draws(Protocol):
    """An engine that shows what it drew."""

    @property
    def inputs(self) -> FaceSet:
        """What it draws from."""
        ...

    def judged(self, batch: RowBatch) -> Tensor:
        """What judges see of a batch, (B, 3, S, S); along strong edges it may leave [0, 1]."""
        ...


def plain_rows(faces: FaceSet) -> list[bool]:
    """Which rows are photos as they are, not relit or covered copies: the first row of each name."""
    first = {name: row for row, name in reversed(list(enumerate(faces.names)))}
    return [first[name] == row for row, name in enumerate(faces.names)]


class InnerDistance:
    """Mean distance of the inner landmarks of a batch's results to the inputs', over the distance between the eyes.

    As in an evaluation, but in the crop. The predictor has no gradient; it is only listened to. Only photos as they are count, with heads
    that are hardly turned: of what is covered or relit, and of profiles, the predictor's own errors would be most of the number.

    Args:
        engine: Whose results.
        detector: Holds the predictor.
    """

    def __init__(self, engine: Draws, detector: FaceDetector | None = None) -> None:
        self._engine = engine
        self._detector = detector or FaceDetector(use_cnn=False)
        self._inputs: dict[int, FloatArray] = {}
        plain = zip(plain_rows(engine.inputs), engine.inputs.poses, strict=True)
        self._clear = [row and abs(pose.yaw_deg) <= MOST_YAW_DEG for row, pose in plain]

    def __call__(self, batch: RowBatch) -> float:
        """Measure one batch, whose turn it just was; not a number if no face of it counts."""
        judged = self._engine.judged(batch)
        distances = []
        for row, image, input_, landmarks in zip(batch.rows, judged, batch.faces.images, batch.faces.landmarks, strict=True):
            if not self._clear[row % len(self._clear)]:
                continue
            points = landmarks.double().cpu().numpy()
            if row not in self._inputs:
                self._inputs[row] = self._find(input_, points)
            distances.append(min(landmark_error(self._inputs[row], self._find(image, points)).inner, FURTHEST))
        return float(np.mean(distances)) if distances else float("nan")

    def _find(self, image: Tensor, points: FloatArray) -> FloatArray:
        """(3, S, S) -> (68, 2) in pixels of `VIEW_PX`; the box, from the input's landmarks, is the same before and after."""
        larger = F.interpolate(image[None].float().cpu(), size=(VIEW_PX, VIEW_PX), mode="bilinear", align_corners=False)[0]
        scale = VIEW_PX / image.shape[-1]
        low, high = (points.min(axis=0) + 0.5) * scale, (points.max(axis=0) + 0.5) * scale
        return self._detector.landmarks_in(pixels_u8(larger), Face(points, (low[0], low[1], high[0], high[1]), 1.0, "landmarks")).landmarks
