"""What the report of a swap is made of. A section is None where there is nothing to say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from stylswap.report.bars import Bar, BarCharts, Bars, Histogram
from stylswap.report.compare import Comparisons
from stylswap.report.gallery import Gallery
from stylswap.report.page import Group, Groups, Notes, Part, Section, Table
from stylswap.report.records import FaceRecord, PhotoRecord
from stylswap.report.swap_pictures import comparison, tile
from stylswap.report.swap_run import SwapRecords
from stylswap.report.training import MOST_ROWS

# What a report of thousands of photos shows of each kind; the journal has all of it.
MOST_TILES: Final = 24
MOST_GROUPS: Final = 40
MOST_NAMES: Final = 20
MOST_LISTED: Final = 200
MOST_STAGES: Final = 12
# Less than this of a face that something covers is a strand of hair.
LEAST_COVERED: Final = 0.02

STATUS_WORDS: Final = {"swapped": "swapped", "no_face": "no face", "skipped": "skipped", "failed": "failed"}


def reasons(photos: SwapRecords) -> Section | None:
    """Photos that were not swapped, by reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for record in photos.all:
        if record.status != "swapped" or record.reason:
            key = (STATUS_WORDS.get(record.status, record.status), _reason(record))
            found.setdefault(key, []).append(photos.name(record))
        for reason in record.left_out if record.status != "skipped" else ():  # a skipped photo's reason names its faces
            found.setdefault(("face left", _without_figures(reason)), []).append(photos.name(record))
    if not found:
        return None
    ranked = sorted(found.items(), key=lambda item: (item[0][0] == "face left", -len(item[1]), item[0]))
    groups = [Group(kind, reason, len(names), tuple(names[:MOST_NAMES])) for (kind, reason), names in ranked[:MOST_GROUPS]]
    if rest := ranked[MOST_GROUPS:]:
        names = [name for _, some in rest for name in some]
        groups.append(Group("other", f"{len(rest):,} further reasons", len(names), tuple(names[:MOST_NAMES])))
    sentence = "Photos that were not swapped, and faces that were left as they are, by reason. A line opens with a click and says which."
    return Section("What was not swapped, and why", sentence, (Groups(tuple(groups)),))


def _reason(record: PhotoRecord) -> str:
    """The reason without the photo's own name, so that equal reasons are one."""
    return _without_figures(record.reason.removeprefix(record.photo).lstrip(" :,")) or "no reason was given"


def _without_figures(reason: str) -> str:
    """Reasons that differ in what was measured, given in brackets, are one: the photos' own lines have the figures."""
    return re.sub(r" \([^()]*\d[^()]*\)", "", reason)


def pairs(photos: SwapRecords, most: int) -> Section | None:
    """Swapped photos before and after, the worst seams first, at most `most`."""
    swapped = photos.of("swapped")
    if not swapped:
        return None
    # Sorting keeps the order of the run among those without a figure.
    ranked = sorted(swapped, key=lambda record: -record.worst.seam if record.worst and record.worst.seam is not None else float("inf"))
    shown = ranked[: max(most, 0)]
    pairs = [comparison(record, photos.name(record), size_limit_mp=photos.run.size_limit_mp) for record in shown]
    order = (
        "Worst seams first. 0 means that the edge of the swapped face is as smooth as the input is there."
        if ranked[0].worst
        else "The journal holds no seam figures: in the order of the run."
    )
    hidden = len(swapped) - len(shown)
    left = f"{hidden:,} of {len(swapped):,} swapped photos are not shown." if hidden else "All swapped photos are shown."
    sentence = f"{order} Drag the line, or use the arrow keys. {left}"
    return Section("Before and after", sentence, (Comparisons(tuple(pairs)),) if pairs else ())


def charts(photos: SwapRecords) -> Section | None:
    """Seam figures and seconds."""
    seams = tuple(face.seam for _, face in photos.faces if face.seam is not None)
    each = tuple(sum(record.seconds.values()) for record in photos.new if record.seconds)
    stages: Counter[str] = Counter()
    for record in photos.new:
        stages.update(record.seconds)
    drawn: list[Histogram | Bars] = [Histogram("Seam figures", seams, "faces by seam figure")] if seams else []
    if each:
        total = sum(stages.values()) or 1.0
        bars = tuple(_stage_bar(stage, seconds, total, len(each)) for stage, seconds in list(stages.items())[:MOST_STAGES])
        drawn += [
            Bars("Seconds by stage", f"{total / len(each):.2f} s a photo", bars),
            Histogram("Seconds a photo", each, "photos by seconds"),
        ]
    if not drawn:
        return None
    sentence = "Seconds are those of the workers, which add up to more than the clock's where several work at once."
    return Section("Seams and time", sentence if each else "", (BarCharts(tuple(drawn)),))


def _stage_bar(stage: str, seconds: float, total: float, num_photos: int) -> Bar:
    label = stage if len(stage) <= 10 else f"{stage[:9]}…"
    return Bar(label, seconds, f"{seconds / num_photos:.3f} s, {100 * seconds / total:.0f} %")


def without_face(photos: SwapRecords) -> Section | None:
    """Photos in which no face was found."""
    records = photos.of("no_face")
    if not records:
        return None
    shown, hidden = records[:MOST_TILES], [photos.name(record) for record in records[MOST_TILES:]]
    tiles = tuple(tile(record, photos.name(record), size_limit_mp=photos.run.size_limit_mp) for record in shown)
    parts: list[Part] = [Gallery(tiles)]
    if hidden:
        parts.append(Groups((Group("no face", "photos that are not shown above", len(hidden), tuple(hidden[:MOST_LISTED])),)))
    sentence = (
        "No face was found in them, and nothing was written for them. Is there one? Then it may be very small, turned away or covered."
    )
    return Section("Photos without a face", sentence, tuple(parts))


def poses(photos: SwapRecords) -> Section | None:
    """Faces with a warning on their pose, the most turned first."""
    turned = [(record, face) for record, face in photos.faces if face.warning]
    if not turned:
        return None
    turned.sort(key=lambda pair: -max(abs(pair[1].yaw_deg or 0.0), abs(pair[1].pitch_deg or 0.0)))
    rows = [
        (_who(photos, record, face), *(_degrees(angle) for angle in (face.yaw_deg, face.pitch_deg, face.roll_deg)), face.warning)
        for record, face in turned
    ]
    columns = ("photo", "yaw", "pitch", "roll", "")
    sentence = "Swapped, but look at them: the further a head is turned beyond the identity's photos, the more the network has to guess."
    return Section("Heads turned far", sentence, (_table(columns, rows, "faces beyond the identity's photos"),))


def covered(photos: SwapRecords) -> Section | None:
    """Faces of which something stayed the photo's, and faces whose masks came from the landmarks."""
    if not photos.faces:
        return None
    if not photos.run.parsing:
        off = (
            "Face parsing was off: masks came from the landmarks alone, so hands, glasses and hair in front of a face were painted over. "
            "It is off with --mask landmarks, and where its weights are missing."
        )
        return Section("What covers faces", "", (Notes((off,)),))
    faces = [(record, face) for record, face in photos.faces if (face.occluded_share or 0.0) >= LEAST_COVERED or face.glasses]
    faces.sort(key=lambda pair: -(pair[1].occluded_share or 0.0))
    parts: list[Part] = []
    if faces:
        rows = [(_who(photos, record, face), _percent(face.occluded_share), "glasses" if face.glasses else "") for record, face in faces]
        parts.append(_table(("photo", "stayed the photo's", ""), rows, "faces of which something stayed the photo's"))
    if unparsed := [photos.name(record) for record, face in photos.faces if face.parsed is False]:
        label = "faces that parsing could not read: their masks come from the landmarks, and cover whatever is in front"
        parts.append(Groups((Group("landmarks", label, len(unparsed), tuple(unparsed[:MOST_LISTED])),)))
    if not parts:
        return None
    sentence = "Hands, glasses, hair and hats in front of a face stay as they were. The share is that of the face's mask."
    return Section("What covers faces", sentence, tuple(parts))


def failures(photos: SwapRecords) -> Section | None:
    """Photos that failed."""
    rows = [(photos.name(record), _reason(record)) for record in photos.of("failed")]
    if not rows:
        return None
    sentence = "Nothing was written for them. The same command again tries them once more."
    return Section("Failed photos", sentence, (_table(("photo", "reason"), rows, "failed photos"),))


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], what: str) -> Table:
    """At most `MOST_LISTED` rows, folded where there are more than a glance takes in."""
    shown = list(rows[:MOST_LISTED])
    if more := len(rows) - len(shown):
        shown.append((f"and {more:,} more, in the journal", *("" for _ in columns[1:])))
    return Table(columns, tuple(shown), f"{len(rows):,} {what}" if len(rows) > MOST_ROWS else "")


def _who(photos: SwapRecords, record: PhotoRecord, face: FaceRecord) -> str:
    found = max(record.faces_found or 0, len(record.faces))
    return f"{photos.name(record)}, face {face.number} of {found}" if found > 1 else photos.name(record)


def _degrees(angle: float | None) -> str:
    return "–" if angle is None else f"{angle:.0f}°"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"
