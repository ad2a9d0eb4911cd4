"""Face parsing: which pixels of a crop are face, and which are hair, glasses, a hand, a hat?

`FaceParser` is the frozen network, `ParsingSegmenter` makes face masks of it: the landmarks' mask without what lies in front of the face.

Why these numbers: docs/decisions/0010-parsing.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from scipy import ndimage
from torch import Tensor, nn

from stylswap.errors import SettingsError, WeightsFileError, did_you_mean
from stylswap.faces.eyes import around_eyes, between_eyes
from stylswap.faces.segment import FACE_OUTLINE, WIDE_OUTLINE, LandmarkSegmenter
from stylswap.features.rims import rims
from stylswap.features.vgg import Precision
from stylswap.networks.bisenet import CELL_PX, SIDE_MULTIPLE, BiSeNet
from stylswap.shapes import check_shapes
from stylswap.weights import weights_path

WEIGHTS_NAME: Final = "parsing-occluders"
BASE_NAME: Final = "parsing"
OUTLINE: Final = replace(WIDE_OUTLINE, softness=0.01)
BELIEVED: Final = replace(FACE_OUTLINE, softness=0.01)
CLASSES: Final = (
    "background", "skin", "left_brow", "right_brow", "left_eye", "right_eye", "glasses", "left_ear", "right_ear", "earring",
    "nose", "mouth", "upper_lip", "lower_lip", "neck", "necklace", "cloth", "hair", "hat",
)  # fmt: skip
"""What the parser tells apart. "Left" is the left side of the picture; "mouth" is what shows between the lips."""
FACE_CLASSES: Final = ("skin", "left_brow", "right_brow", "left_eye", "right_eye", "nose", "mouth", "upper_lip", "lower_lip")

Glasses = Literal["keep", "rims", "swap"]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

_MEAN: Final = (0.485, 0.456, 0.406)  # of ImageNet's colours, in [0, 1]
_SPREAD: Final = (0.229, 0.224, 0.225)

BORDER_PARTS: Final = 12
"""On each side the parser does not look at one of so many parts of a crop, and continues the labels of the nearest pixels there."""
_WORN: Final = 0.3  # share of these areas from which on glasses sit on the nose, not in the hair


class FaceParser(nn.Module):
    """Which of 19 classes does each pixel of an aligned crop show? Its parameters never train.

    Args:
        network: With its weights; taken over, frozen.
        side: What crops are brought to, in pixels. The network learned on whole heads of 512 px, whose faces are as large as ours at 384.
        border_px: How much of that, on each side, the network does not look at; the labels of the nearest pixels go on there. None: 32 px
            of 384, and nothing where a twelfth does not fit the network's cells.
        precision: What the network computes in. ``bfloat16`` takes half the time on a processor that has instructions for it, and gives
            the same labels in all but 2 of 10,000 pixels.

    Raises:
        SettingsError: If `precision` is neither, or a size does not fit the network's cells.

    Reference:
        yu2018.
    """

    def __init__(self, network: BiSeNet, *, side: int = 384, border_px: int | None = None, precision: Precision = "float32") -> None:
        super().__init__()
        if precision not in get_args(Precision):
            raise SettingsError(f"Unknown precision '{precision}'.{did_you_mean(precision, get_args(Precision))}")
        if border_px is None:
            border_px = side // BORDER_PARTS
            if side % (BORDER_PARTS * CELL_PX) or (side - 2 * border_px) % SIDE_MULTIPLE:
                border_px = 0
        looked_at = side - 2 * border_px
        if border_px < 0 or border_px % CELL_PX or looked_at < SIDE_MULTIPLE or looked_at % SIDE_MULTIPLE:
            expected = f"a border of {CELL_PX} px times n, and a side of {SIDE_MULTIPLE} px times n without the borders"
            raise SettingsError(f"The face parser needs {expected}; got a side of {side} and a border of {border_px} px.")
        self.side, self.border_px = side, border_px
        self._dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.network = network.requires_grad_(False).eval().to(self._dtype).to(memory_format=torch.channels_last)
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(_SPREAD).view(1, 3, 1, 1), persistent=False)
        self.eval()

    @classmethod
    def load(
        cls, *, name: str = WEIGHTS_NAME, side: int = 384, device: torch.device | str = "cpu", precision: Precision = "float32"
    ) -> FaceParser:
        """The network that ships with stylswap, or the one that it was tuned from.

        Args:
            name: Of the weights: `WEIGHTS_NAME`, or `BASE_NAME`, which has to be fetched first.
            side: See the class.
            device: Where it runs.
            precision: See the class.

        Raises:
            WeightsFileError: If its file is missing or damaged.
            SettingsError: If `precision` is neither, or `side` does not fit the network's cells.
        """
        path = weights_path(name)
        network = BiSeNet()
        try:
            network.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
        except RuntimeError as error:
            raise WeightsFileError(f"{path} holds no face parser of this version: {error}") from error
        return cls(network, side=side, precision=precision).to(device)

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities of the classes for every pixel.

        Args:
            images: Aligned crops, (B, 3, S, S) RGB in [0, 1].

        Returns:
            (B, 19, S, S) in [0, 1], in the order of `CLASSES`, 1 in sum over them.

        Raises:
            ShapeError: If the images are not square RGB.
        """
        return enlarged(self.logits(images), int(images.shape[-1])).softmax(dim=1)

    def logits(self, images: Tensor) -> Tensor:
        """Logits of cells, (B, 19, side / 8, side / 8) float32; see `forward`."""
        size = check_shapes(images=(images, "B 3 S S"))["S"]
        images = images.float()
        if size != self.side:
            size_px = (self.side, self.side)
            images = F.interpolate(images, size=size_px, mode="bilinear", antialias=size > self.side, align_corners=False)
        seen = slice(self.border_px, self.side - self.border_px)
        normalised = (images[..., seen, seen] - self.mean) / self.spread
        logits: Tensor = self.network(normalised.to(self._dtype, memory_format=torch.channels_last))
        return F.pad(logits.float(), (self.border_px // CELL_PX,) * 4, mode="replicate")


def enlarged(cells: Tensor, size: int) -> Tensor:
    """Cells (B, C, h, h) as pixels (B, C, size, size); the outer cells lie on the outer pixels, as in the parser's training."""
    return F.interpolate(cells, size=(size, size), mode="bilinear", align_corners=True)


@dataclass(frozen=True, eq=False)
class ParsedMasks:
    """Face masks, and what was found in front of the faces.

    Attributes:
        masks: (B, 1, S, S) in [0, 1], 1 = face.
        occluded_share: What of the landmarks' mask is left to the photo, in [0, 1], for each face.
        has_glasses: Whether glasses cover the eyes, for each face.
        used_parsing: False where the parser found next to no face, and the mask is the landmarks' alone; for each face.
    """

    masks: Tensor
    occluded_share: tuple[float, ...]
    has_glasses: tuple[bool, ...]
    used_parsing: tuple[bool, ...]


class _ParsedMask(NamedTuple):
    """One face of `ParsedMasks`; the mask is (S, S)."""

    mask: FloatArray
    occluded_share: float
    has_glasses: bool
    used_parsing: bool


@dataclass(frozen=True, eq=False)
class ParsingSegmenter:
    """The landmarks' mask without what lies in front of the face. Lengths are shares of the crop's side.

    Attributes:
        parser: The network.
        outline: The landmarks' mask, within which the parser decides.
        unparsed: The mask where the parser is not believed, and the area that the share of occluders refers to.
        glasses: What becomes of glasses: ``"keep"`` leaves them to the photo with the eyes behind them; ``"rims"`` leaves their rims
            and swaps what is seen through clear lenses; ``"swap"`` paints over them.
        margin: How far from an occluder the mask begins.
        softness: How long it then takes to its full height.
        smallest: Pieces of face, and holes in it that neither reach its edge nor are glasses, are the parser's mistakes up to this area,
            a share of the crop's.
        least_face: Where less than this share of the landmarks' mask is face, the parser is not believed.
    """

    parser: FaceParser
    outline: LandmarkSegmenter = OUTLINE
    unparsed: LandmarkSegmenter = BELIEVED
    glasses: Glasses = "keep"
    margin: float = 0.002
    softness: float = 0.012
    smallest: float = 0.002
    least_face: float = 0.1

    def __post_init__(self) -> None:
        if self.glasses not in get_args(Glasses):
            raise SettingsError(f"Unknown rule for glasses '{self.glasses}'.{did_you_mean(self.glasses, get_args(Glasses))}")

    @classmethod
    def load(cls, *, device: torch.device | str = "cpu", precision: Precision = "float32", glasses: Glasses = "keep") -> ParsingSegmenter:
        """With the network that ships with stylswap; see `FaceParser.load`."""
        return cls(FaceParser.load(device=device, precision=precision), glasses=glasses)

    def segment(self, images: Tensor, landmarks: Tensor) -> Tensor:
        """Masks (B, 1, S, S) in [0, 1] for crops (B, 3, S, S) with landmarks (B, 68, 2)."""
        return self.parse(images, landmarks).masks

    def parse(self, images: Tensor, landmarks: Tensor) -> ParsedMasks:
        """Masks, and what was found in front of the faces.

        Args:
            images: Aligned crops, (B, 3, S, S) RGB in [0, 1]; 256 px show all that the parser makes use of.
            landmarks: In pixels of the crops, (B, 68, 2).

        Returns:
            A mask for each crop. It does not depend on the crops beside it: they go through the network one by one.

        Raises:
            ShapeError: If the shapes do not fit together.
        """
        check_shapes(images=(images, "B 3 S S"), landmarks=(landmarks, "B 68 2"))
        faces = [self._one(image, points) for image, points in zip(images, landmarks, strict=True)]
        masks = torch.from_numpy(np.stack([face.mask for face in faces])).float()[:, None].to(images.device)
        shares, glasses, used = zip(*(face[1:] for face in faces), strict=True)
        return ParsedMasks(masks, shares, glasses, used)

    def _one(self, image: Tensor, points: Tensor) -> _ParsedMask:
        outline, unparsed = (
            shape.segment(image[None], points[None])[0, 0].cpu().double().numpy() for shape in (self.outline, self.unparsed)
        )
        landmarks = points.detach().cpu().double().numpy()
        size, inside = len(outline), outline > 0
        face, spectacles = self._labels(image)
        windows = around_eyes(landmarks, size)
        worn = bool(windows.any() and spectacles[windows].mean() > _WORN)
        middle = unparsed > 0
        if not middle.any() or (face & middle).sum() < self.least_face * middle.sum():
            return _ParsedMask(unparsed, 0.0, worn, False)
        face = _mended(face, spectacles, inside, round(self.smallest * size * size))
        if worn and self.glasses != "swap":
            # The parser sometimes sees an eye and not the lens in front of it, and seldom sees the bridge.
            spectacles = self._stays(spectacles | (windows & face), image, face) | between_eyes(landmarks, size)
        visible = face if self.glasses == "swap" else face & ~spectacles
        distance = ndimage.distance_transform_edt(visible) if not visible.all() else np.full_like(outline, size)
        ramp = np.clip((distance / size - self.margin) / max(self.softness, 1e-6), 0.0, 1.0)
        mask = outline * (3.0 - 2.0 * ramp) * ramp**2  # without a kink at either end
        return _ParsedMask(mask, 1.0 - float(np.minimum(mask, unparsed).sum() / max(unparsed.sum(), 1e-6)), worn, True)

    def _stays(self, whole: BoolArray, image: Tensor, face: BoolArray) -> BoolArray:
        """What of the glasses that somebody wears, (S, S) with both eyes, stays the photo's."""
        return whole if self.glasses == "keep" else rims(image.detach().permute(1, 2, 0).cpu().double().numpy(), whole, face & ~whole)

    def _labels(self, image: Tensor) -> tuple[BoolArray, BoolArray]:
        """Which pixels of a crop are face or glasses, and which are glasses, both (S, S)."""
        with torch.inference_mode():
            logits = self.parser.logits(image[None])
            glasses = logits[:, [CLASSES.index("glasses")]]
            face = _together(logits, FACE_CLASSES)
            others = _together(logits, [name for name in CLASSES if name not in (*FACE_CLASSES, "glasses")])
            # Sums and differences of logits, not of probabilities: enlarged, they keep a sharp edge.
            odds = torch.cat([torch.logaddexp(face, glasses) - others, glasses - face], dim=1)
            face_or_glasses, glasses_not_face = (enlarged(odds, int(image.shape[-1]))[0] > 0).cpu().numpy()
        return face_or_glasses, face_or_glasses & glasses_not_face


def _together(logits: Tensor, names: Sequence[str]) -> Tensor:
    """The logit of some classes taken as one, (B, 1, h, h)."""
    return logits[:, [CLASSES.index(name) for name in names]].logsumexp(dim=1, keepdim=True)


def _mended(face: BoolArray, spectacles: BoolArray, inside: BoolArray, smallest: int) -> BoolArray:
    """`face` without the parser's small mistakes.

    Args:
        face: Face or glasses, (S, S).
        spectacles: Glasses, (S, S).
        inside: The landmarks' mask, (S, S).
        smallest: See `ParsingSegmenter`, in pixels.
    """
    face = face & ~(_small_pieces(face & inside, smallest))
    holes = inside & ~face
    edge = inside & ~ndimage.binary_erosion(inside)
    return face | _small_pieces(holes, smallest, but_not=edge | ndimage.binary_dilation(spectacles))


def _small_pieces(area: BoolArray, largest: int, *, but_not: BoolArray | None = None) -> BoolArray:
    """The connected pieces of an area that have at most `largest` pixels and touch nothing of `but_not`."""
    pieces, count = ndimage.label(area)
    small = np.bincount(pieces.ravel(), minlength=count + 1) <= largest
    small[0] = False
    if but_not is not None:
        small[np.unique(pieces[but_not])] = False
    return np.asarray(small[pieces])
