"""stylswap: feed-forward face swapping by style transfer."""

from stylswap.errors import StylswapError
from stylswap.jobs.run_folder import TrainRequest
from stylswap.jobs.swap import SwapSummary, swap_photos
from stylswap.jobs.swapper import SwapOptions, Swapped, Swapper
from stylswap.jobs.train import train
from stylswap.photo import Photo, read_photo, write_photo
from stylswap.version import __version__

__all__ = [
    "Photo",
    "StylswapError",
    "SwapOptions",
    "SwapSummary",
    "Swapped",
    "Swapper",
    "TrainRequest",
    "__version__",
    "read_photo",
    "swap_photos",
    "train",
    "write_photo",
]
