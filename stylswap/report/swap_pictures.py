"""The pictures of a swap's report: faces before and after, and photos without a face. Only what is shown is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stylswap.photo import Photo
from stylswap.report.compare import Comparison
from stylswap.report.gallery import Thumbnail, Tile, open_photo, photo_thumbnail
from stylswap.report.records import FaceRecord, PhotoRecord
from stylswap.shapes import Rect

PAIR_PX: Final = 320
TILE_PX: Final = 200
# Around the faces, in parts of their size: hair and neck belong to the picture, and so does the edge of what was pasted.
MARGIN: Final = 0.4
# Where the faces spread over more than so many times the worst one, only that one is shown: its edge could not be seen.
MOST_SPREAD: Final = 3.0
LEAST_PX: Final = 16

Box = tuple[float, float, float, float]


def comparison(record: PhotoRecord, name: str, *, size_limit_mp: float) -> Comparison:
    """A swapped photo before and after: its faces, or the one with the worst seam where they are far apart."""
    worst = record.worst or (record.faces[0] if record.faces else None)
    box, alone = _shown_box(record.faces, worst)
    before, after = (open_photo(Path(path), size_limit_mp=size_limit_mp) for path in (record.photo, record.output or ""))
    if record.output is None:
        after = "no output is named"
    alike = isinstance(before, Photo) and isinstance(after, Photo) and (before.height, before.width) == (after.height, after.width)
    # Of two photos of different sizes all is shown: a box in one says nothing about the other.
    box = box if alike or isinstance(before, str) or isinstance(after, str) else None
    mark = f"seam {worst.seam:.2f}" if worst is not None and worst.seam is not None else ""
    return Comparison(_crop(before, box), _crop(after, box), name, mark, _lines(record, worst, alone))


def tile(record: PhotoRecord, name: str, *, size_limit_mp: float) -> Tile:
    """A whole photo."""
    photo = open_photo(Path(record.photo), size_limit_mp=size_limit_mp)
    return Tile(photo if isinstance(photo, str) else photo_thumbnail(photo, longest_px=TILE_PX), name)


def square_around(box: Box, height: int, width: int) -> Rect:
    """A square around a box with a margin, moved into the photo; a narrow photo takes from the margin, and only then from the square.

    Args:
        box: Left, top, right, bottom.
        height: Of the photo.
        width: Of the photo.
    """
    left, top, right, bottom = box
    box_side = max(right - left, bottom - top)
    side = max(round(min(box_side * (1 + 2 * MARGIN), max(box_side, min(height, width)))), LEAST_PX)
    rows, columns = min(side, height), min(side, width)
    first_row = min(max(round((top + bottom - rows) / 2), 0), height - rows)
    first_column = min(max(round((left + right - columns) / 2), 0), width - columns)
    return Rect(first_row, first_column, rows, columns)


def _shown_box(faces: Sequence[FaceRecord], worst: FaceRecord | None) -> tuple[Box | None, bool]:
    """The box of what is shown, None for all of the photo; and whether it is the worst face alone."""
    boxes = [face.box for face in faces if face.box is not None]
    if not boxes:
        return None, False
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    union = (min(lefts), min(tops), max(rights), max(bottoms))
    if worst is not None and worst.box is not None and _side(union) > MOST_SPREAD * _side(worst.box):
        return worst.box, True
    return union, False


def _side(box: Box) -> float:
    return max(box[2] - box[0], box[3] - box[1])


def _crop(photo: Photo | str, box: Box | None) -> Thumbnail | str:
    if isinstance(photo, str):
        return photo
    rect = square_around(box, photo.height, photo.width) if box is not None else None
    return photo_thumbnail(photo, rect, longest_px=PAIR_PX)


def _lines(record: PhotoRecord, face: FaceRecord | None, alone: bool) -> tuple[str, ...]:
    lines = []
    if len(record.faces) > 1:
        shown = f"face {face.number} is shown" if alone and face is not None else "the figure is that of the worst"
        lines.append(f"{len(record.faces)} faces; {shown}")
    if face is not None:
        joined = [f"blend {face.blend}" if face.blend else "", f"colour {face.colour}" if face.colour not in ("", "none") else ""]
        pose = "" if face.yaw_deg is None else f"yaw {face.yaw_deg:.0f}°"
        lines.append(" · ".join(part for part in (*joined, pose) if part))
        lines.append(face.warning)
    lines.append("from an earlier run" if record.cached else "")
    return tuple(line for line in lines if line)
