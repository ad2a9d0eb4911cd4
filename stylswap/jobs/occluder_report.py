"""What a face parser keeps of the things in front of a face, what of the face it gives up for that, and what it costs in time.

Occluders are drawn into photos of faces; each is swapped with the landmarks' mask and with the parser's. The landmarks are those of the
clean photo, so that the masks are compared and not the detections, and once more those that are found in the occluded photo.

What the network leaves of an occluder by itself is measured in the crop, before any mask: output against input.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.data.occluders import KINDS, Occluded, draw_occluder, skin_colour
from stylswap.errors import FaceSetError
from stylswap.faces.detect import FaceDetector
from stylswap.faces.segment import Segmenter
from stylswap.features.parsing import WEIGHTS_NAME, FaceParser, Glasses, ParsingSegmenter
from stylswap.identity_file import IdentityFile, read_identity_file
from stylswap.jobs.device import pick_device, pick_precision
from stylswap.jobs.occluder_bench import BenchCrop, BenchSwap, OccluderBench
from stylswap.jobs.pixels import pixels_u8
from stylswap.jobs.swapper import find_identity
from stylswap.photo import Photo, from_array, list_photos, read_photo
from stylswap.sheets import contact_sheet

FloatArray = npt.NDArray[np.float64]

ALL_KINDS: Final = KINDS
OPAQUE: Final = 0.9  # from this opacity on a pixel is the occluder's
ABSENT: Final = 0.1  # up to this one it is the face's
MOST_MOVED: Final = 8  # of 255, in any channel: nobody sees that such a pixel changed

Table = dict[str, dict[str, float]]


@dataclass
class _Counts:
    """Sums over the photos with one kind of occluder, swapped in one way.

    Attributes:
        at_risk: Occluder pixels inside the landmarks' mask.
        unchanged: Those of them that moved by at most `MOST_MOVED`.
        exact: Those that did not move at all.
        shares: Unchanged over at risk, by photo.
        face: Landmarks' mask beside the occluder, in pixels.
        swapped: What of that is in the mask.
        not_found: Photos in which no face was found.
    """

    at_risk: int = 0
    unchanged: int = 0
    exact: int = 0
    shares: list[float] = field(default_factory=list)
    face: float = 0.0
    swapped: float = 0.0
    not_found: int = 0


@dataclass(frozen=True, eq=False)
class OccluderReport:
    """What was measured.

    Attributes:
        unchanged: By kind of occluder, over all pixels, and the mean of the kinds: shares of the occluder's pixels in the landmarks' mask.
            ``network_alone`` is of the crop's pixels and before pasting, the others are of the finished photo's.
        face: By kind and for the clean photos: share of the face (the landmarks' mask without the occluder) that is swapped.
        milliseconds: By mask, medians.
        num_faces: Faces that each kind was drawn on.
        sheet: Two faces side by side for each kind: occluded, swapped with the landmarks' mask, swapped with the parser's; (3, H, W).
    """

    unchanged: Table
    face: Table
    milliseconds: Table
    num_faces: int
    sheet: Tensor


def report_occluders(
    folder: Path,
    identity: str | Path,
    *,
    weights: str = WEIGHTS_NAME,
    glasses: Glasses = "keep",
    kinds: Sequence[str] = KINDS,
    seed: int = 0,
    on_photo: Callable[[int, int], None] | None = None,
) -> OccluderReport:
    """Measure a face parser.

    Args:
        folder: Photos with one face each that no training saw.
        identity: See `find_identity`.
        weights: The parser's, see `FaceParser.load`.
        glasses: See `ParsingSegmenter`. Lenses drawn clear are no occluders, so ``"rims"`` is judged by the rims, and by dark lenses.
        kinds: Occluders to draw.
        seed: Of the drawings.
        on_photo: Called with (done, all) after each photo.

    Raises:
        FaceSetError: If no face is found in the folder.
        IdentityFileError: If the identity cannot be used.
        WeightsFileError: If the parser's weights are missing.
    """
    file = read_identity_file(find_identity(identity))
    precision = pick_precision("auto", pick_device("cpu"))
    segmenter = ParsingSegmenter(FaceParser.load(name=weights, precision=precision), glasses=glasses)
    return compare_masks(list_photos(folder), file, segmenter, kinds=kinds, seed=seed, on_photo=on_photo)


def compare_masks(
    photos: Sequence[Path],
    identity: IdentityFile,
    parser: Segmenter,
    *,
    kinds: Sequence[str] = KINDS,
    seed: int = 0,
    detector: FaceDetector | None = None,
    on_photo: Callable[[int, int], None] | None = None,
) -> OccluderReport:
    """Measure any segmenter against the landmarks' mask; see `report_occluders`.

    Raises:
        FaceSetError: If no face is found.
    """
    bench = OccluderBench(identity, parser, detector or FaceDetector())
    opened = [read_photo(path) for path in photos]
    faces = [(photo, landmarks) for photo in opened if (landmarks := bench.landmarks(photo)) is not None]
    if not faces:
        raise FaceSetError(f"no face was found in {len(photos)} photos; a folder of photos with one face each was expected")
    skins = [skin_colour(photo.image(), torch.from_numpy(landmarks)) for photo, landmarks in faces]
    counts: dict[tuple[str, str], _Counts] = defaultdict(_Counts)
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    pictures: dict[str, list[Tensor]] = defaultdict(list)
    for number, (photo, landmarks) in enumerate(faces):
        clean = {way: bench.swap(photo, landmarks, way) for way in ("landmarks", "parser")}
        _tally(counts["clean", "parser"], photo, np.zeros_like(clean["parser"].mask), clean["landmarks"], clean["parser"])
        for way, swap in clean.items():
            for step, taken in swap.seconds.items():
                seconds[way, step].append(taken)
        for place, kind in enumerate(kinds):
            generator = torch.Generator().manual_seed(seed * 1_000_003 + number * len(kinds) + place)
            drawn = draw_occluder(kind, photo.image(), torch.from_numpy(landmarks), generator, skin=skins[(number + 1) % len(skins)])
            shown = _measure(bench, drawn, landmarks, {way: counts[kind, way] for way in ("landmarks", "parser", "again", "alone")})
            pictures[kind] += [_square(picture.image()) for picture in shown] if number < 2 else []
        if on_photo:
            on_photo(number + 1, len(faces))
    sheet = contact_sheet([torch.stack(pictures[kind]) for kind in kinds])
    return OccluderReport(_unchanged(counts, kinds), _face(counts, kinds), _milliseconds(seconds), len(faces), sheet)


def _measure(bench: OccluderBench, drawn: Occluded, landmarks: FloatArray, counts: Mapping[str, _Counts]) -> list[Photo]:
    """Swap one occluded photo in every way; returns it, and the results with the landmarks' mask and with the parser's."""
    photo = from_array(pixels_u8(drawn.image))
    alpha = drawn.alpha[0].numpy()
    swaps = {way: bench.swap(photo, landmarks, way) for way in ("landmarks", "parser")}
    for way, swap in swaps.items():
        _tally(counts[way], photo, alpha, swaps["landmarks"], swap)
    _tally_alone(counts["alone"], bench.alone(photo, landmarks, drawn.alpha))
    found = bench.landmarks(photo)
    if found is None:
        counts["again"].not_found += 1
    else:
        _tally(counts["again"], photo, alpha, bench.swap(photo, found, "landmarks"), bench.swap(photo, found, "parser"))
    return [photo, swaps["landmarks"].photo, swaps["parser"].photo]


def _tally(counts: _Counts, photo: Photo, alpha: npt.NDArray[np.float32], plain: BenchSwap, swap: BenchSwap) -> None:
    """Add one photo's figures.

    Args:
        counts: Where to.
        photo: Before the swap.
        alpha: Opacity of the occluder, (H, W).
        plain: The swap with the landmarks' mask, whose area says what is at risk.
        swap: The swap that is judged.
    """
    moved = np.abs(swap.photo.rgb_u8().astype(int) - photo.rgb_u8().astype(int)).max(axis=-1)  # (H, W)
    _tally_moved(counts, moved[(alpha > OPAQUE) & (plain.mask > 0)])
    beside = alpha < ABSENT
    counts.face += float(plain.mask[beside].sum())
    counts.swapped += float(np.minimum(plain.mask, swap.mask)[beside].sum())


def _tally_alone(counts: _Counts, crop: BenchCrop) -> None:
    """Add what the network left of one occluder: as in a photo's figures, but in pixels of the crop, and all of what it made."""
    output_u8, image_u8 = ((picture * 255).round().int() for picture in (crop.output, crop.image))
    moved = (output_u8 - image_u8).abs().amax(dim=0)
    _tally_moved(counts, moved[((crop.alpha > OPAQUE) & (crop.mask > 0))[0]].numpy())


def _tally_moved(counts: _Counts, moved: npt.NDArray[np.integer]) -> None:
    """Add how far the P pixels of one occluder that are at risk moved, of 255, (P,)."""
    if len(moved):
        unchanged = int((moved <= MOST_MOVED).sum())
        counts.at_risk += len(moved)
        counts.unchanged += unchanged
        counts.exact += int((moved == 0).sum())
        counts.shares.append(unchanged / len(moved))


def _together(counts: Iterable[_Counts]) -> _Counts:
    total = _Counts()
    for part in counts:
        for name, value in vars(part).items():
            setattr(total, name, getattr(total, name) + value)
    return total


def _unchanged(counts: Mapping[tuple[str, str], _Counts], kinds: Sequence[str]) -> Table:
    table = {}
    for name, chosen in [*((kind, [kind]) for kind in kinds), ("all", list(kinds))]:
        ways = ("landmarks", "parser", "again", "alone")
        plain, parser, again, alone = (_together(counts[kind, way] for kind in chosen) for way in ways)
        table[name] = {
            "thousand_pixels": plain.at_risk / 1000,
            "network_alone": _share(alone.unchanged, alone.at_risk),
            "landmark_mask": _share(plain.unchanged, plain.at_risk),
            "parser": _share(parser.unchanged, parser.at_risk),
            "parser_exact": _share(parser.exact, parser.at_risk),
            "worst_tenth": float(np.percentile(parser.shares, 10)) if parser.shares else float("nan"),
            "found_again": _share(again.unchanged, again.at_risk),
            "no_face_found": float(again.not_found),
        }
    # Hands and masks hide most, and would be most of the pixels of all.
    columns = table["all"]
    table["mean of kinds"] = {column: float(np.mean([table[kind][column] for kind in kinds])) for column in columns}
    return table


def _face(counts: Mapping[tuple[str, str], _Counts], kinds: Sequence[str]) -> Table:
    return {name: {"face_swapped": _share(counts[name, "parser"].swapped, counts[name, "parser"].face)} for name in ("clean", *kinds)}


def _milliseconds(seconds: Mapping[tuple[str, str], list[float]]) -> Table:
    table: Table = defaultdict(dict)
    for (way, step), taken in seconds.items():
        table[way][step] = 1000 * float(np.median(taken))
    return dict(table)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _square(image: Tensor, side: int = 256) -> Tensor:
    """A picture for the sheet, (3, side, side)."""
    return F.interpolate(image[None], size=(side, side), mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)
