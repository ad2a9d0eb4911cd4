"""stylswap: feed-forward face swapping by style transfer."""

from stylswap.config import Settings, load_settings
from stylswap.errors import StylswapError
from stylswap.identity_file import IdentityCard
from stylswap.jobs.run_folder import TrainRequest
from stylswap.jobs.swap import SwapSummary, swap_photos
from stylswap.jobs.swapper import SwapOptions, Swapped, Swapper
from stylswap.jobs.train import train
from stylswap.photo import Photo, read_photo, write_photo
from stylswap.version import __version__

__all__ = [
    "IdentityCard",
    "Photo",
    "Settings",
    "StylswapError",
    "SwapOptions",
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
