"""Faces with something in front of them that a swap must leave alone: drawn things, and what the photos themselves show.

`FaceSet.kept_u8` says where it is. Both ways fill it: `with_occluders` adds faces, `with_parsed_occluders` looks at those that are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from stylswap.data.faceset import FaceSet
from stylswap.data.occluded_faces import chosen_kinds, draw_thing, shares_without
from stylswap.data.prepare import read_record, record_name, write_record
from stylswap.errors import SettingsError
from stylswap.shapes import check_shapes

# "none" is a lesson for a parser; here it would only be the same face twice.
_SHARES: Final = shares_without(("none",))
# Raise it whenever the same face and parser would give another record; rims and the outline of masks are part of that.
_RECORD_VERSION: Final = 2

# Images (B, 3, S, S) and landmarks (B, 68, 2) -> face masks (B, 1, S, S) in [0, 1].
Parse = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class KeptCache:
    """What was found in front of faces, on disk, so that a face is parsed once.

    A record is found by the aligned face itself, its pixels, landmarks and mask: they follow from the photo and from all settings of the
    crop, also from those that are yet to be invented, and a relit copy is a face of its own.

    Attributes:
        folder: For the records; those of `stylswap.data.prepare.Preparer` may lie beside them.
        parser: Says what makes the masks; another one has another text.
    """

    folder: Path
    parser: str

    def path(self, faces: FaceSet, row: int) -> Path:
        """Where the record of one face is, or would be."""
        face = hashlib.sha256()
        for part in (faces.images_u8[row], faces.masks_u8[row], faces.landmarks[row]):
            face.update(str((part.dtype, tuple(part.shape))).encode() + part.contiguous().numpy().tobytes())
        return self.folder / record_name(["kept", _RECORD_VERSION, face.hexdigest(), self.parser])


def with_occluders(faces: FaceSet, share: float, *, seed: int) -> FaceSet:
    """The faces, and behind them a share of them once more, each with one drawn thing in front of it, now and then two.

    Kinds come as often as in the tuning of the face parser, see `stylswap.data.occluded_faces.SHARES`. A clear lens is hardly kept and
    its rim is: what shows through it is face. A thing's soft shadow lies on the face and is not kept.

    Args:
        faces: M faces.
        share: Of them, in [0, 1].
        seed: Chooses faces and things. A larger share adds to the faces of a smaller one.

    Returns:
        M + round(share * M) faces, the first M as they were; `kept_u8` is the opacity of what was drawn, and of what covered the face
        before. The same set where none is added.

    Raises:
        SettingsError: If the share is not in [0, 1].
    """
    if not 0 <= share <= 1:
        raise SettingsError(f"the share of faces with drawn occluders must be in [0, 1], got {share}")
    rows = sorted(np.random.default_rng(seed).permutation(len(faces))[: round(share * len(faces))].tolist())
    if not rows:
        return faces
    drawn = [_drawn(faces, row, seed) for row in rows]
    again = faces.subset([*range(len(faces)), *rows])
    before = torch.zeros_like(faces.masks_u8) if faces.kept_u8 is None else faces.kept_u8
    return replace(
        again,
        images_u8=torch.cat([faces.images_u8, torch.stack([image for image, _ in drawn])]),
        kept_u8=torch.cat([before, torch.stack([kept for _, kept in drawn])]),
    )


def _drawn(faces: FaceSet, row: int, seed: int) -> tuple[Tensor, Tensor]:
    """One face with things in front of it: picture (3, S, S) and what is kept of it (1, S, S), both bytes."""
    rng = np.random.default_rng((seed, row))
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    batch = faces.batch([row])
    image, visible = batch.faces.images[0], 1 - batch.kept[0]
    for kind in chosen_kinds(_SHARES, rng):
        image, alpha = draw_thing(kind, image, batch.faces.landmarks[0], faces, (rng, generator))
        visible = visible * (1 - alpha)
    return (image * 255).round().byte(), ((1 - visible) * 255).round().clamp(0, 255).byte()


def with_parsed_occluders(
    faces: FaceSet, parse: Parse, *, cache: KeptCache | None = None, on_face: Callable[[int, int], None] | None = None
) -> FaceSet:
    """The same faces, and what covers them in their photos: the part of their masks that a face parser says is not face.

    Args:
        faces: M faces.
        parse: Makes face masks, for instance ``ParsingSegmenter(..., outline=SEGMENTER).segment``: an outline that is softer than that of
            the faces' own masks would count its soft edge as kept. It is not called for faces that `cache` knows.
        cache: Where results are kept.
        on_face: Called with (done, all) after each face.

    Returns:
        The faces with `kept_u8`; what was kept before still is.

    Raises:
        ShapeError: If `parse` gives no masks of the faces' size.
    """
    kept = []
    for row in range(len(faces)):
        kept.append(_found(faces, row, parse, cache))
        if on_face is not None:
            on_face(row + 1, len(faces))
    found = torch.stack(kept) if kept else torch.zeros_like(faces.masks_u8)
    return replace(faces, kept_u8=found if faces.kept_u8 is None else torch.maximum(found, faces.kept_u8))


def _found(faces: FaceSet, row: int, parse: Parse, cache: KeptCache | None) -> Tensor:
    """What covers one face in its photo, (1, S, S) bytes."""
    record = None if cache is None else cache.path(faces, row)
    arrays = None if record is None else read_record(record)
    if arrays is not None:
        return torch.from_numpy(arrays["kept_u8"])
    face = faces.faces([row])
    masks = parse(face.images, face.landmarks).cpu()
    check_shapes(images=(face.images, "B 3 S S"), masks=(masks, "B 1 S S"))
    # Both as bytes: a pixel whose mask was rounded up is not covered for that.
    kept_u8 = (faces.masks_u8[row].int() - (masks[0] * 255).round().int()).clamp(0, 255).byte()
    if record is not None:
        write_record(record, {"kept_u8": kept_u8.numpy()})
    return kept_u8
