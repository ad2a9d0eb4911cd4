"""Read photos as people have them, and write them back with everything kept.

The only home of `uint8` and of (H, W, C) in stylswap. What is kept and what is not is written in
docs/decisions/0003-photo-codecs.md.
"""

from stylswap.photo.photo import Photo, from_array
from stylswap.photo.read import PHOTO_SUFFIXES, list_photos, read_photo
from stylswap.photo.write import encode_photo, jpeg_bytes, output_name, photo_bytes, png_bytes, write_photo, write_photo_bytes, write_png

__all__ = [
    "PHOTO_SUFFIXES",
    "Photo",
    "encode_photo",
    "from_array",
    "jpeg_bytes",
    "list_photos",
    "output_name",
    "photo_bytes",
    "png_bytes",
    "read_photo",
    "write_photo",
    "write_photo_bytes",
    "write_png",
]
