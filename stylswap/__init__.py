"""stylswap: feed-forward face swapping by style transfer."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from stylswap.version import __version__

if TYPE_CHECKING:
    from stylswap.config import Settings, load_settings
    from stylswap.errors import StylswapError
    from stylswap.identity_file import IdentityCard
    from stylswap.jobs.choose import FaceChoice
    from stylswap.jobs.run_folder import TrainRequest
    from stylswap.jobs.swap import SwapRequest, SwapSummary, swap_photos
    from stylswap.jobs.swap_options import SwapOptions
    from stylswap.jobs.swapped import Swapped
    from stylswap.jobs.swapper import Swapper
    from stylswap.jobs.train import train
    from stylswap.photo import Photo, read_photo, write_photo

__all__ = [
    "FaceChoice",
    "IdentityCard",
    "Photo",
    "Settings",
    "StylswapError",
    "SwapOptions",
    "SwapRequest",
    "SwapSummary",
    "Swapped",
    "Swapper",
    "TrainRequest",
    "__version__",
    "load_settings",
    "read_photo",
    "swap_photos",
    "train",
    "write_photo",
]

# Where each public name lives. It is imported at its first use: torch takes seconds, and the doctor must come in where torch is broken.
_HOMES: Final = {
    "FaceChoice": "jobs.choose",
    "IdentityCard": "identity_file",
    "Photo": "photo",
    "Settings": "config",
    "StylswapError": "errors",
    "SwapOptions": "jobs.swap_options",
    "SwapRequest": "jobs.swap",
    "SwapSummary": "jobs.swap",
    "Swapped": "jobs.swapped",
    "Swapper": "jobs.swapper",
    "TrainRequest": "jobs.run_folder",
    "load_settings": "config",
    "read_photo": "photo",
    "swap_photos": "jobs.swap",
    "train": "jobs.train",
    "write_photo": "photo",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'stylswap' has no attribute '{name}'")
    return getattr(importlib.import_module(f"stylswap.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
