"""Face recognisers that gradients pass through: who is it, and which pixels make it so?

For training, and for judging what was trained with another one: none is a judge of what it taught. dlib's came with dlib's models,
`mobilefacenet` and `faceres` ship with stylswap, and `sface` has to be fetched: `stylswap weights fetch sface`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from stylswap.errors import SettingsError, ShapeError, WeightsFileError, did_you_mean
from stylswap.faces.align import warp
from stylswap.faces.detect import dlib_model_path
from stylswap.faces.landmarks import LEFT_EYE, RIGHT_EYE
from stylswap.features import chip, dlib_file
from stylswap.networks import sface
from stylswap.networks.dlib_resnet import DlibResNet
from stylswap.networks.mobilefacenet import MobileFaceNet
from stylswap.networks.mobilenet import MobileNet
from stylswap.networks.sface import SFace
from stylswap.shapes import check_shapes
from stylswap.weights import weights_path

FloatArray = npt.NDArray[np.float64]

FIVE_POINTS: Final = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
"""Left eye, right eye, tip of the nose, left and right corner of the mouth in an aligned face, (5, 2) in pixels."""

# FaceRes was trained at 224 px, with a detector's boxes. At 160 px it costs half, and tells people apart as well.
_LARGER_SIDE_PX: Final = 160

_NOSE_TIP: Final = 30
_MOUTH_CORNERS: Final = (48, 54)


class Alignment(NamedTuple):
    """How a recogniser wants its faces.

    Attributes:
        face_from_image: The matrix (3, 3) for landmarks (68, 2), both in pixels.
        side_px: Of an aligned face.
    """

    face_from_image: Callable[[FloatArray], FloatArray]
    side_px: int


class RecogniserKind(NamedTuple):
    """One that there is.

    Attributes:
        network: Made with its weights: takes aligned faces (B, 3, side_px, side_px) RGB in [0, 1], makes (B, D) of them. The call raises
            a `WeightsFileError` where the weights are missing, damaged or of something else.
        alignment: Of these faces.
    """

    network: Callable[[], nn.Module]
    alignment: Alignment


class Recogniser(nn.Module):
    """Who is it? Its parameters never train; gradients flow to the images.

    Args:
        network: With its weights, see `RECOGNISERS`; taken over, frozen.
        alignment: What the network expects; None for the five points.

    Reference:
        deng2019, the five points.
    """

    def __init__(self, network: nn.Module, alignment: Alignment | None = None) -> None:
        super().__init__()
        self.alignment = alignment or FIVE_POINT_ALIGNMENT
        self.network = network.requires_grad_(False).eval()
        self.eval()

    @classmethod
    def load(cls, name: str = "sface", *, device: torch.device | str = "cpu") -> Recogniser:
        """A recogniser with its weights.

        Args:
            name: Out of `RECOGNISERS`.
            device: Where it runs.

        Raises:
            SettingsError: If there is no such recogniser.
            WeightsFileError: If its file is missing or damaged; the message says how to get it.
        """
        if name not in RECOGNISERS:
            raise SettingsError(f"There is no face recogniser '{name}'.{did_you_mean(name, RECOGNISERS)}")
        kind = RECOGNISERS[name]
        return cls(kind.network(), kind.alignment).to(device)

    def forward(self, images: Tensor, landmarks: Tensor) -> Tensor:
        """One direction for each face; the cosine between two says how alike they are.

        An autocast region around the call has no effect.

        Args:
            images: Crops or photos that hold a face, (B, 3, H, W) RGB in [0, 1].
            landmarks: Of these faces, (B, 68, 2) in pixels of the images. They are constants: no gradient goes through them.

        Returns:
            (B, D) float32, unit length.

        Raises:
            ShapeError: If the shapes do not fit together, or landmarks coincide or are not finite.
        """
        with torch.autocast(images.device.type, enabled=False):
            features = self.network(aligned_faces(images, landmarks, self.alignment))
            return F.normalize(features, dim=1)


def aligned_faces(images: Tensor, landmarks: Tensor, alignment: Alignment | None = None) -> Tensor:
    """What recognisers look at: faces moved so that their points lie where all faces have them.

    Args:
        images: (B, 3, H, W) in [0, 1]. Beyond them their edge goes on: that is nearer to a whole photo than black.
        landmarks: (B, 68, 2) in pixels of the images; constants.
        alignment: Which points, and where; None for `FIVE_POINTS` in 112 px.

    Returns:
        (B, 3, side_px, side_px) float32, in [0, 1]. Gradients pass to the images.

    Raises:
        ShapeError: If the shapes do not fit together, or landmarks coincide or are not finite.
    """
    check_shapes(images=(images, "B 3 H W"), landmarks=(landmarks, "B 68 2"))
    points = landmarks.detach().cpu().double().numpy()
    face_from, side_px = alignment or FIVE_POINT_ALIGNMENT
    pairs = zip(images.float(), points, strict=True)
    return torch.stack([warp(image, face_from(shape), (side_px, side_px), padding="border") for image, shape in pairs])


def face_from_image(landmarks: FloatArray) -> FloatArray:
    """The least-squares turn, scale and shift that take a face to `FIVE_POINTS`.

    Args:
        landmarks: (68, 2) in pixels.

    Returns:
        (3, 3).

    Raises:
        ShapeError: If the five points coincide or are not finite.
    """
    check_shapes(landmarks=(landmarks, "68 2"))
    eyes = [landmarks[eye].mean(axis=0) for eye in (LEFT_EYE, RIGHT_EYE)]
    seen = np.stack([*eyes, landmarks[_NOSE_TIP], *(landmarks[corner] for corner in _MOUTH_CORNERS)])  # (5, 2)
    # In the plane a turn with a scale is a complex factor.
    z, w = (points @ np.array([1.0, 1.0j]) for points in (seen, FIVE_POINTS))
    centred = z - z.mean()
    squares = float((np.abs(centred) ** 2).sum())
    if not np.isfinite(squares) or squares < 1e-9:
        raise ShapeError(f"eyes, nose and corners of the mouth must be five different, finite points, got {seen.tolist()}")
    factor = np.vdot(centred, w - w.mean()) / squares
    shift = w.mean() - factor * z.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag], [0.0, 0.0, 1.0]])


def _with_weights(name: str, network: nn.Module) -> nn.Module:
    path = weights_path(name)
    try:
        network.load_state_dict({key: tensor.float() for key, tensor in load_file(path).items()})
    except (RuntimeError, SafetensorError) as error:
        raise WeightsFileError(f"{path} holds no face recogniser '{name}' of this version: {error}") from error
    return network


def _dlib_resnet() -> nn.Module:
    network = DlibResNet()
    network.load_state_dict(dlib_file.read_dlib_resnet(dlib_model_path(dlib_file.FILE)))
    return network


FIVE_POINT_ALIGNMENT: Final = Alignment(face_from_image, sface.SIDE_PX)
CHIP_ALIGNMENT: Final = Alignment(chip.chip_from_image, chip.SIDE_PX)
LARGER_CHIP_ALIGNMENT: Final = Alignment(partial(chip.chip_from_image, side_px=_LARGER_SIDE_PX), _LARGER_SIDE_PX)

RECOGNISERS: Final[Mapping[str, RecogniserKind]] = {
    "sface": RecogniserKind(lambda: _with_weights("sface", SFace()), FIVE_POINT_ALIGNMENT),
    "mobilefacenet": RecogniserKind(lambda: _with_weights("mobilefacenet", MobileFaceNet()), FIVE_POINT_ALIGNMENT),
    "dlib": RecogniserKind(_dlib_resnet, CHIP_ALIGNMENT),
    "faceres": RecogniserKind(lambda: _with_weights("faceres", MobileNet()), LARGER_CHIP_ALIGNMENT),
}
"""All that there are, by name.

Their cosines are not on one scale. SFace's and MobileFaceNet's spread not far from 0 for strangers, 0.2 and 0.13 between generated faces,
where photos of one person have 0.57 and 0.62; dlib's learned distances, not angles, and its features share a large common part: strangers
have a cosine of about 0.87, photos of one person one of about 0.94. FaceRes' features are never negative: 0.4 and 0.7.

Nor are they independent: SFace and MobileFaceNet want the same alignment, and learned, as far as is said, from the same kind of photos.
Over pairs of strangers their cosines correlate by 0.67, dlib's and MobileFaceNet's by 0.73, dlib's and SFace's by 0.54. FaceRes:
docs/decisions/0027.
"""
