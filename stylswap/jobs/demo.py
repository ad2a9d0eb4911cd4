"""The demo: swap the example photos with the shipped identity, train a fresh one, swap again, leave a report."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import skimage.data

from stylswap.config import Settings, load_settings
from stylswap.errors import RunError, SettingsError, StylswapError
from stylswap.examples import examples_path
from stylswap.identity_file import read_card
from stylswap.jobs.demo_report import FRESH_OUT, PHOTOS, RUN, SHIPPED_OUT, Demonstrated, Swaps, write_demo_report
from stylswap.jobs.photo_worker import PhotoResult
from stylswap.jobs.run_folder import RUN_FILE, SETTINGS_FILE, TrainRequest
from stylswap.jobs.swap import SwapRequest, swap_photos
from stylswap.jobs.swapper import Swapper
from stylswap.jobs.train import TrainEvents, train
from stylswap.photo import from_array, list_photos, write_photo
from stylswap.report import REPORT_FILE
from stylswap.training.session import JOURNAL_FILE

SHIPPED: Final = "ada"
DEMO_SETTINGS: Final = ("network.start=base",)
FRESH_FILE: Final = "ada-fresh.safetensors"
# Says of a folder that a demo made it, so that the next one may replace what is there.
MARKER: Final = ".stylswap-demo"
_MADE: Final = (PHOTOS, SHIPPED_OUT, FRESH_OUT, RUN, FRESH_FILE, REPORT_FILE)
# What a training leaves in its run folder.
_RUN_FILES: Final = (RUN_FILE, SETTINGS_FILE, JOURNAL_FILE, "prepare.json", REPORT_FILE, "sheet-*.png", "checkpoint-*.safetensors")

OnSwapped = Callable[[PhotoResult, int, int], None]


def demo(
    out: Path,
    *,
    minutes: float = 2.0,
    device: str = "auto",
    on_photo: OnSwapped | None = None,
    events: TrainEvents | None = None,
    identity: str | Path = SHIPPED,
    settings: Settings | None = None,
) -> Path:
    """See it work. A second demo in the same folder replaces what the first one made, and nothing else.

    Args:
        out: Folder for the outputs; made when missing.
        minutes: Length of the fresh training; 0: none.
        device: As in `pick_device`.
        on_photo: As in `swap_photos`.
        events: As in `train`.
        identity: The trained identity to show, a name or a file.
        settings: Of the fresh training; None: the defaults, begun from `base`: in two minutes nothing else gets anywhere.

    Returns:
        The path of the report.

    Raises:
        SettingsError: If `minutes` is not a number from 0 on.
        RunError: If `out` holds something that a demo would overwrite and that no demo made.
        StylswapError: If the examples or the identity are missing, or `out` cannot be written.
        KeyboardInterrupt: After Ctrl-C; the report shows what was done until then.
    """
    if not (minutes >= 0 and math.isfinite(minutes)):
        raise SettingsError(f"minutes must be a number from 0 on, got {minutes}")
    photos = _prepare_folder(out)
    shipped = _swap(identity, photos, out / SHIPPED_OUT, device, on_photo)
    trained, train_seconds, fresh = None, 0.0, None
    if minutes > 0 and not shipped.summary.interrupted:
        began = time.monotonic()
        trained = train(_request(out, minutes, device, settings or load_settings(overrides=DEMO_SETTINGS)), events)
        train_seconds = time.monotonic() - began
        if trained.out is not None:
            fresh = _swap(trained.out, photos, out / FRESH_OUT, device, on_photo)
    shown = Demonstrated(photos, str(identity), shipped, fresh, trained, train_seconds)
    write_demo_report(out / REPORT_FILE, shown)
    if shown.interrupted:
        raise KeyboardInterrupt
    return out / REPORT_FILE


def _prepare_folder(out: Path) -> list[Path]:
    """Make the folder, remove an earlier demo's training, and copy the photos, so that inputs and outputs lie side by side."""
    if not (out / MARKER).exists() and (taken := [name for name in _MADE if (out / name).exists()]):
        raise RunError(f"{out}: holds {', '.join(taken)}, which no demo made and the demo would overwrite; give another --out")
    try:
        (out / PHOTOS).mkdir(parents=True, exist_ok=True)
        (out / MARKER).touch()
        for path in [path for pattern in _RUN_FILES for path in (out / RUN).glob(pattern)]:
            path.unlink()
        (out / FRESH_FILE).unlink(missing_ok=True)  # a training replaces no identity file
        return _copy_photos(out / PHOTOS)
    except OSError as error:
        raise StylswapError(f"{error.filename or out}: the demo cannot write there ({error.strerror or error})") from error


def _copy_photos(folder: Path) -> list[Path]:
    """The example photos and scikit-image's astronaut."""
    copies = []
    for photo in list_photos(examples_path("photos")):
        copies.append(folder / photo.name)
        shutil.copyfile(photo, copies[-1])
    astronaut = folder / "astronaut.png"
    pixels = skimage.data.astronaut()  # type: ignore[no-untyped-call, unused-ignore]
    write_photo(from_array(pixels), astronaut, mark=None)
    return [*copies, astronaut]


def _swap(identity: str | Path, photos: list[Path], out: Path, device: str, on_photo: OnSwapped | None) -> Swaps:
    began = time.monotonic()
    swapper = Swapper.load(identity, device=device)
    loading_seconds = time.monotonic() - began
    summary = swap_photos(swapper, SwapRequest(photos, out, force=True, report=False), on_photo=on_photo)
    # Once more in memory, for the bare crops, which no output file holds.
    done = [result.photo for result in summary.results if result.status == "swapped"]
    outputs = {photo: swapped.faces[0].output for photo, swapped in zip(done, swapper.swap_many(done), strict=True) if swapped.faces}
    return Swaps(summary, tuple(outputs.get(result.photo) for result in summary.results), loading_seconds)


def _request(out: Path, minutes: float, device: str, settings: Settings) -> TrainRequest:
    folder = examples_path("ada")
    card = read_card(folder)
    return TrainRequest(folder, examples_path("faces"), out / FRESH_FILE, card, settings, out / RUN, minutes, device)
