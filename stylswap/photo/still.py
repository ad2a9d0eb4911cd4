"""BMP and GIF: read through Pillow, written as PNG, since neither can carry the mark."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin

from stylswap.photo.coding import Metadata
from stylswap.photo.photo import Photo, make_photo
from stylswap.photo.png import default_coding


def decode_bmp(data: bytes) -> Photo:
    """Read a BMP.

    Raises:
        Exception: Whatever the decoder raises for damaged data.
    """
    with BmpImagePlugin.BmpImageFile(BytesIO(data)) as picture:
        picture.load()
        mode = {"1": "L", "L": "L", "RGBA": "RGBA"}.get(picture.mode, "RGB")
        resolution = picture.info.get("dpi")
        metadata = Metadata(dpi=resolution if resolution and min(resolution) >= 1 else None)
        return make_photo(np.array(picture.convert(mode)), default_coding(metadata), metadata)


def decode_gif(data: bytes) -> Photo:
    """Read a GIF of one frame.

    Raises:
        ValueError: If it is an animation.
        Exception: Whatever the decoder raises for damaged data.
    """
    with GifImagePlugin.GifImageFile(BytesIO(data)) as picture:
        if picture.is_animated:
            raise ValueError("it is an animation; stylswap edits still photos, so save the frame you want as a photo of its own")
        picture.load()
        mode = "RGBA" if "transparency" in picture.info else "RGB"
        return make_photo(np.array(picture.convert(mode)), default_coding(Metadata()), Metadata())
