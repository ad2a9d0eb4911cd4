"""What the demo's report shows."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import Tensor

from stylswap.errors import PhotoError
from stylswap.examples import examples_path
from stylswap.jobs.swap import SwapSummary
from stylswap.jobs.train import Trained
from stylswap.photo import list_photos, read_photo
from stylswap.report import (
    Card,
    Commands,
    Figures,
    Picture,
    PictureRow,
    Pictures,
    Section,
    Table,
    duration,
    loss_section,
    write_report,
)
from stylswap.training.journal import Journal
from stylswap.training.session import JOURNAL_FILE

# The folders of a demo below its `out`.
PHOTOS: Final = "photos"
SHIPPED_OUT: Final = "swapped-shipped"
FRESH_OUT: Final = "swapped-fresh"
RUN: Final = "train"
IDENTITY_SHOWN: Final = 8
IDENTITY_PX: Final = 160
PHOTO_PX: Final = 320


@dataclass(frozen=True, eq=False)
class Swaps:
    """One identity in all photos.

    Attributes:
        summary: A result for each photo, in order.
        crops: The network's bare output for each photo, (3, S, S), or None where nothing was swapped.
        loading_seconds: Of loading the identity; detectors are loaded at the first photo.
    """

    summary: SwapSummary
    crops: tuple[Tensor | None, ...]
    loading_seconds: float

    @property
    def photos_a_second(self) -> float:
        """Reading, finding faces, rendering, blending and writing; loading the network excluded."""
        return len(self.summary.results) / max(self.summary.seconds, 1e-9)


@dataclass(frozen=True, eq=False)
class Demonstrated:
    """Everything that a demo did.

    Attributes:
        photos: The inputs.
        identity: The shipped identity's name, or a file.
        shipped: Its swaps.
        fresh: The swaps of the identity that was trained in the demo, if it was.
        trained: What came out of that training.
        train_seconds: Of the training, preparation included.
    """

    photos: list[Path]
    identity: str
    shipped: Swaps
    fresh: Swaps | None
    trained: Trained | None
    train_seconds: float

    @property
    def interrupted(self) -> bool:
        """True when Ctrl-C ended some part of it."""
        swaps = [self.shipped] if self.fresh is None else [self.shipped, self.fresh]
        return any(part.summary.interrupted for part in swaps) or (self.trained is not None and self.trained.interrupted)


def write_demo_report(path: Path, shown: Demonstrated) -> None:
    """Write the demo's report: people, photos, losses, timings, what to do next.

    Raises:
        StylswapError: If it cannot be written, or the examples are missing.
    """
    sections = [_identity(), _comparison(shown)]
    if shown.trained is not None:
        sections.append(loss_section(Journal(shown.trained.run / JOURNAL_FILE).read()))
    state = " It was interrupted: some parts are missing." if shown.interrupted else ""
    write_report(
        path,
        title="stylswap: a demo",
        lead=f"One small network for one face, put into any photo in a single pass. Every swap below was made on this machine.{state}",
        figures=_figures(shown),
        sections=[*sections, _timings(shown), _next(path.parent, shown)],
    )


def _figures(shown: Demonstrated) -> Figures:
    swapped = shown.shipped.summary.counts["swapped"]
    cards = [
        Card("photos swapped", f"{swapped} of {len(shown.photos)}", f"with the identity {Path(shown.identity).stem}"),
        Card("photos a second", f"{shown.shipped.photos_a_second:.1f}", "from file to file"),
    ]
    if shown.trained is not None:
        cards.append(Card("fresh training", duration(shown.trained.seconds), f"{shown.trained.steps} steps"))
    return Figures(tuple(cards))


def _identity() -> Section:
    photos = list_photos(examples_path("ada"))
    some = photos[:: max(len(photos) // IDENTITY_SHOWN, 1)][:IDENTITY_SHOWN]
    sentence = (
        f"This is ada, she does not exist: a face generator made the {len(photos)} photos that she is learned from. Every face "
        "below is given her identity; pose, expression and light are to stay the photo's own."
    )
    return Section("The identity", sentence, (Pictures((PictureRow(tuple(_picture(photo, "ada", IDENTITY_PX) for photo in some)),)),))


def _comparison(shown: Demonstrated) -> Section:
    name = Path(shown.identity).stem
    columns = ["input", f"{name}: the network's output", f"{name}: final photo"]
    if shown.fresh is not None and shown.trained is not None:
        columns.append(f"trained here in {duration(shown.trained.seconds)}: final photo")
    rows = tuple(_row(shown, index, photo) for index, photo in enumerate(shown.photos))
    folders = f"{SHIPPED_OUT}/ and {FRESH_OUT}/" if shown.fresh is not None else f"{SHIPPED_OUT}/"
    sentence = (
        f"The inputs lie in {PHOTOS}/, the results in {folders}. Nobody in the inputs exists, but for the astronaut: "
        "Eileen Collins, photographed by NASA, public domain, from scikit-image."
    )
    return Section("The photos", sentence, (Pictures(rows, tuple(columns)),))


def _row(shown: Demonstrated, index: int, photo: Path) -> PictureRow:
    cells = [_picture(photo, "the input"), _crop(shown.shipped, index), _final(shown.shipped, index)]
    if shown.fresh is not None:
        cells.append(_final(shown.fresh, index))
    return PictureRow(tuple(cells), photo.name)


def _crop(swaps: Swaps, index: int) -> Picture | str:
    crop = swaps.crops[index] if index < len(swaps.crops) else None
    return Picture(crop, "the network's output", PHOTO_PX) if crop is not None else "nothing swapped"


def _final(swaps: Swaps, index: int) -> Picture | str:
    if index >= len(swaps.summary.results):
        return "interrupted"
    result = swaps.summary.results[index]
    return _picture(result.output, "swapped") if result.output is not None else result.reason


def _picture(path: Path, shows: str, widest_px: int = PHOTO_PX) -> Picture | str:
    try:
        return Picture(read_photo(path).image(), f"{path.name}, {shows}", widest_px)
    except PhotoError as error:
        return str(error)


def _timings(shown: Demonstrated) -> Section:
    rows = _swap_rows(Path(shown.identity).stem, shown.shipped)
    if shown.trained is not None:
        other = duration(max(shown.train_seconds - shown.trained.seconds, 0.0))
        rows.append(("fresh: find and align the faces, set up, save", other, "aligned faces are kept for the next time"))
        each = f"{shown.trained.seconds / shown.trained.steps:.2f} s a step" if shown.trained.steps else ""
        rows.append((f"fresh: train {shown.trained.steps} steps", duration(shown.trained.seconds), each))
    if shown.fresh is not None:
        rows += _swap_rows("fresh", shown.fresh)
    sentence = "By the clock on this machine, whatever else it was doing. Swapping includes loading the face detectors."
    return Section("Where the time went", sentence, (Table(("part", "time", ""), tuple(rows)),))


def _swap_rows(name: str, swaps: Swaps) -> list[tuple[str, str, str]]:
    count = len(swaps.summary.results)
    return [
        (f"{name}: load the network", duration(swaps.loading_seconds), ""),
        (f"{name}: swap {count} photos", duration(swaps.summary.seconds), f"{swaps.photos_a_second:.1f} photos a second"),
    ]


def _next(out: Path, shown: Demonstrated) -> Section:
    faces = shlex.quote(str(examples_path("faces")))
    lines = [
        "# your photos, the identity from above",
        f"stylswap swap --identity {shlex.quote(shown.identity)} YOUR_PHOTOS --out swapped/",
        "",
        "# your own identity: 30 to 300 photos of one person who agreed to it",
        f"stylswap train --identity PHOTOS_OF_ONE_PERSON --faces {faces} --out alice.safetensors --consent self --minutes 10",
        "stylswap swap --identity alice.safetensors YOUR_PHOTOS --out swapped/",
    ]
    if shown.trained is not None:
        lines += [
            "",
            "# more time for the identity that was trained here",
            f"stylswap train --resume {shlex.quote(str(out / RUN))} --minutes 20",
        ]
    sentence = "Only swap faces of people who agreed to it. Every result carries a machine-readable mark that says it was swapped."
    return Section("Next, with your own photos", sentence, (Commands(tuple(lines)),))
