"""Who looks at training faces for what covers them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from stylswap.data.faceset import FaceSet
from stylswap.data.occluded_inputs import KeptCache, with_parsed_occluders
from stylswap.faces.segment import WIDE_OUTLINE, LandmarkSegmenter
from stylswap.features.parsing import WEIGHTS_NAME, FaceParser, Glasses, ParsingSegmenter
from stylswap.jobs.device import pick_precision
from stylswap.storage import faces_folder
from stylswap.weights import weights_entry

# Of the area that is kept, as a share of the crop's side: up to the thing itself. A mask that is pasted by keeps further away.
KEPT_MARGIN: Final = 0.0
KEPT_SOFTNESS: Final = 0.008


@dataclass(frozen=True)
class OccluderFinder:
    """Looks for what covers the faces of prepared photos, by the face parser that swaps use; see `with_parsed_occluders`.

    Attributes:
        device: Where the parser runs.
        glasses: See `ParsingSegmenter`. ``"rims"`` counts what shows through a clear lens as face, as drawn glasses do.
        weights: The parser's, see `FaceParser.load`.
        outline: Of the faces' masks, within which it looks.
    """

    device: torch.device | str = "cpu"
    glasses: Glasses = "rims"
    weights: str = WEIGHTS_NAME
    outline: LandmarkSegmenter = WIDE_OUTLINE

    def find(self, faces: FaceSet, *, cache: Path | None = None, on_photo: Callable[[int, int], None] | None = None) -> FaceSet:
        """The faces with `kept_u8`.

        Args:
            faces: Prepared by this version, with masks of `outline`.
            cache: As in `make_preparer`. The parser is not even loaded where all faces are known.
            on_photo: Called with (done, all) after each face.

        Raises:
            WeightsFileError: If the parser's weights are missing.
        """
        precision = pick_precision("auto", torch.device(self.device))
        segmenters: list[ParsingSegmenter] = []

        def parse(images: Tensor, landmarks: Tensor) -> Tensor:
            if not segmenters:
                parser = FaceParser.load(name=self.weights, device=self.device, precision=precision)
                segmenters.append(ParsingSegmenter(parser, self.outline, glasses=self.glasses, margin=KEPT_MARGIN, softness=KEPT_SOFTNESS))
            return segmenters[0].segment(images.to(self.device), landmarks)

        facts = [weights_entry(self.weights).sha256, precision, asdict(self.outline), self.glasses, KEPT_MARGIN, KEPT_SOFTNESS]
        known = KeptCache(cache or faces_folder(), json.dumps(facts, sort_keys=True))
        return with_parsed_occluders(faces, parse, cache=known, on_face=on_photo)
