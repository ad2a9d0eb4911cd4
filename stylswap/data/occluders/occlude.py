"""Things in front of a face, drawn: to measure what a face parser keeps, and to train on.

Nothing is taken from outside pictures: shapes, places and colours are drawn by chance, and a hand has the colour of somebody's skin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylswap.data.occluders import held, worn
from stylswap.data.occluders.drawing import FaceFrame, Layer, blurred
from stylswap.data.occluders.stage import Stage
from stylswap.errors import SettingsError, did_you_mean
from stylswap.shapes import check_shapes

_DRAW: Final[dict[str, Callable[[Stage], Layer]]] = {
    "hand": held.hand,
    "glasses": worn.glasses,
    "hair": worn.hair,
    "bar": held.bar,
    "text": held.text,
    "microphone": held.microphone,
    "hat": worn.hat,
    "mask": worn.mask,
}
KINDS: Final = tuple(_DRAW)


class Occluded(NamedTuple):
    """A picture with something in front of the face.

    Attributes:
        image: (3, H, W) in [0, 1].
        alpha: Opacity of the occluder, (1, H, W) in [0, 1]. Where it is 0 the picture may still be darker: things cast a soft shadow.
    """

    image: Tensor
    alpha: Tensor


def draw_occluder(
    kind: str, image: Tensor, landmarks: Tensor, generator: torch.Generator, *, skin: Tensor | None = None
) -> Occluded:
    """Put one occluder in front of a face.

    Args:
        kind: One of `KINDS`.
        image: (3, H, W) RGB in [0, 1].
        landmarks: The face's 68 points in pixels, (68, 2).
        generator: On the CPU. One number is drawn from it; the same state gives the same occluder.
        skin: Colour of a hand, (3,), see `skin_colour`; None takes that of the face.

    Returns:
        The picture and the occluder's opacity, of the image's type and device.

    Raises:
        SettingsError: If the kind is not known.
        ShapeError: If a shape is off.
    """
    sizes = check_shapes(image=(image, "3 H W"), landmarks=(landmarks, "68 2"))
    if kind not in _DRAW:
        raise SettingsError(f"unknown occluder '{kind}'.{did_you_mean(kind, KINDS)}")
    skin = skin_colour(image, landmarks) if skin is None else skin
    check_shapes(skin=(skin, "3"))
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    points = landmarks.detach().cpu().double().numpy()
    frame = FaceFrame.of(points, (sizes["H"], sizes["W"]))
    stage = Stage(frame, frame.points(points), skin.detach().cpu().double().numpy(), rng)
    layer = _DRAW[kind](stage)
    dark = blurred(layer.alpha, 0.12 * frame.unit_px)
    dark = np.pad(dark, ((round(0.07 * frame.unit_px), 0), (0, 0)))[: sizes["H"]]  # the lamp is above
    colour, alpha, shadow = (
        torch.from_numpy(np.ascontiguousarray(part)).to(image) for part in (layer.colour.transpose(2, 0, 1), layer.alpha[None], dark[None])
    )
    shaded = image * (1 - rng.uniform(0.1, 0.4) * shadow.clamp(0, 1))
    return Occluded((shaded * (1 - alpha) + colour).clamp(0, 1), alpha)


def skin_colour(image: Tensor, landmarks: Tensor) -> Tensor:
    """The colour of a face's cheeks, (3,).

    Args:
        image: (3, H, W) RGB in [0, 1].
        landmarks: The face's 68 points in pixels, (68, 2).
    """
    sizes = check_shapes(image=(image, "3 H W"), landmarks=(landmarks, "68 2"))
    cheeks = torch.stack([landmarks[[41, 48, 31]].mean(dim=0), landmarks[[46, 54, 35]].mean(dim=0)])
    reach = max(round(0.1 * float((landmarks[36] - landmarks[45]).norm())), 1)
    patches = []
    for x, y in cheeks.round().long().tolist():
        column, row = min(max(x, 0), sizes["W"] - 1), min(max(y, 0), sizes["H"] - 1)
        patches.append(image[:, max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1].flatten(1))
    return torch.cat(patches, dim=1).median(dim=1).values
