"""How far up the face of an identity reaches: above its hairline there is nothing of it to be seen, and nothing to be swapped."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from stylswap.faces.forehead import HeadFrame, hairline_over
from stylswap.features.parsing import BORDER_PARTS, CLASSES, FACE_CLASSES, FaceParser
from stylswap.shapes import check_shapes

FloatArray = npt.NDArray[np.float64]

_FACE: Final = [CLASSES.index(name) for name in FACE_CLASSES]
_ACROSS: Final = np.linspace(-0.6, 0.6, 13)  # where the hairline is looked for, between the temples
_UPWARDS: Final = np.arange(0.15, 1.3, 0.01)
_ONE_FACE: Final = 0.2  # of an identity: where its hairline hangs low a mask must end below it, single strands aside
_SHOWN: Final = 0.5  # of a photo: half of its forehead higher is enough to see an arc
_ALL_FACES: Final = 0.25  # and so for photos with a fringe or a hat, if there are enough of them
_PLAINLY: Final = 0.05  # where the photo's own hair begins no higher than that above the identity's, it hides it


def forehead_height(parser: FaceParser, images: Tensor, landmarks: Tensor) -> float | None:
    """Where a swap of this person should end: at the hairline, where it hangs low.

    Args:
        parser: Says what is face.
        images: Photos of one person as aligned crops, better frontal ones, (B, 3, S, S) RGB in [0, 1].
        landmarks: In pixels of the crops, (B, 68, 2).

    Returns:
        For `stylswap.faces.forehead.below_hairline`; None where the face reaches out of the crops, and nothing limits a swap.

    Raises:
        ShapeError: If the shapes do not fit together.
    """
    check_shapes(images=(images, "B 3 S S"), landmarks=(landmarks, "B 68 2"))
    heights = [hairline(parser, image, points, _ONE_FACE) for image, points in zip(images, landmarks, strict=True)]
    height = float(np.quantile(heights, _ALL_FACES, method="lower"))
    return None if np.isinf(height) else round(height, 3)


def hairline(parser: FaceParser, image: Tensor, landmarks: Tensor, quantile: float) -> float:
    """The height of the hairline, or whatever ends the forehead, over the middle of the head.

    Args:
        parser: Says what is face.
        image: An aligned crop, (3, S, S) RGB in [0, 1].
        landmarks: In pixels of the crop, (68, 2).
        quantile: A hairline is no circle: of its heights between the temples, this one.

    Returns:
        See `stylswap.faces.forehead`; infinite where it lies beyond the crop.

    Raises:
        ShapeError: If the shapes do not fit together.
    """
    side = check_shapes(image=(image, "3 S S"), landmarks=(landmarks, "68 2"))["S"]
    # The parser does not look at the border of what it is given: with a wider one, the crop is all looked at.
    border = -(-side // (BORDER_PARTS - 2))
    labels = parser(F.pad(image[None], (border,) * 4, mode="replicate")).argmax(dim=1)[0, border:-border, border:-border]
    return _hairline(np.isin(labels.cpu().numpy(), _FACE), landmarks.detach().cpu().double().numpy(), quantile)


def shows_more(parser: FaceParser, image: Tensor, landmarks: Tensor, mask: Tensor, height: float) -> bool:
    """Whether a photo shows plainly more of a forehead than the identity has: hair that the identity's ends with would be seen there.

    Args:
        parser: See `hairline`.
        image: See `hairline`.
        landmarks: See `hairline`.
        mask: What the parser took for face, (1, S, S) in [0, 1]. Where it ends below the crop's border, nobody looks again.
        height: Of the identity, see `forehead_height`.
    """
    ends = _hairline((mask[0] > 0.5).cpu().numpy(), landmarks.detach().cpu().double().numpy(), _SHOWN)
    return ends > height + _PLAINLY and hairline(parser, image, landmarks, _SHOWN) > height + _PLAINLY


def _hairline(face: npt.NDArray[np.bool_], landmarks: FloatArray, quantile: float) -> float:
    """The height of one hairline; infinite where it lies beyond the crop.

    Args:
        face: (S, S).
        landmarks: (68, 2).
        quantile: See `hairline`.
    """
    frame = HeadFrame.of(landmarks)
    heights = []
    for across in _ACROSS:
        points = frame.points(np.full_like(_UPWARDS, across), _UPWARDS).round().astype(int)  # (P, 2)
        inside = ((points >= 0) & (points < len(face))).all(axis=1)
        shown = points[inside]
        ends = np.flatnonzero(~face[shown[:, 1], shown[:, 0]])
        heights.append(hairline_over(across, _UPWARDS[inside][ends[0]]) if len(ends) else np.inf)
    return float(np.quantile(heights, quantile, method="lower"))
