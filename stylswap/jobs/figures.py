"""The pictures of README and docs: what a swap looks like, and the steps that lead to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from stylswap.data.prepare import cut_crop
from stylswap.errors import FaceSetError
from stylswap.faces.align import inverse, transform_points
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import Pose, head_pose
from stylswap.jobs.pixels import pixels_u8
from stylswap.jobs.swapped import Swapped
from stylswap.jobs.swapper import Swapper
from stylswap.photo import Photo, jpeg_bytes, read_photo, write_photo
from stylswap.provenance import Mark
from stylswap.storage import write_atomically

QUALITY: Final = 88
GAP_PX: Final = 8
TEXT_PX: Final = 22
INK: Final = (32, 32, 32)
DOT: Final = (64, 255, 128)
FINE: Final = 3  # dots and lines are drawn so many times larger, then averaged

EXAMPLE_PX: Final = 288
PIPELINE_PX: Final = 212
ARROW_PX: Final = 26
PAGE_PX: Final = 144
PAGE_COLUMNS: Final = 8


def draw_examples(swapper: Swapper, photos: Sequence[Path], identity: Sequence[Path], path: Path) -> None:
    """Three lines of pictures: inputs, photos of the identity in about the same poses, results.

    Args:
        swapper: With the identity.
        photos: One for each column.
        identity: Photos of the identity; no fewer than `photos`.
        path: The JPEG to write. Like every output it carries the mark.

    Raises:
        FaceSetError: If a photo has no face, or the identity too few.
    """
    swaps = [_swapped(swapper, photo) for photo in photos]
    faces = closest_in_pose([swap.faces[0].pose for swap in swaps], identity)
    lines = {
        "input": [_picture(_original(swap), EXAMPLE_PX) for swap in swaps],
        f"identity: {swapper.identity.card.name}": [_picture(read_photo(face), EXAMPLE_PX) for face in faces],
        "result": [_picture(_result(swap), EXAMPLE_PX) for swap in swaps],
    }
    pitch, line_px = EXAMPLE_PX + GAP_PX, TEXT_PX + GAP_PX + EXAMPLE_PX + GAP_PX
    canvas = Image.new("RGB", (pitch * len(photos) + GAP_PX, line_px * len(lines) + GAP_PX), "white")
    for row, (caption, pictures) in enumerate(lines.items()):
        _text(canvas, (GAP_PX, row * line_px + GAP_PX // 2), caption)
        for column, picture in enumerate(pictures):
            canvas.paste(picture, (GAP_PX + column * pitch, row * line_px + TEXT_PX + GAP_PX))
    _save(canvas, path, swapper.mark)


def draw_page(swapper: Swapper, photos: Sequence[Path], path: Path) -> None:
    """A page of swaps that nobody picked: pairs of lines, photos above and results below. A photo that could not be swapped stays as it is.

    Args:
        swapper: With the identity.
        photos: In the order of the page.
        path: The JPEG to write. Like every output it carries the mark.
    """
    lines = -(-len(photos) // PAGE_COLUMNS)
    pair_px = 2 * PAGE_PX + GAP_PX
    canvas = Image.new("RGB", (PAGE_COLUMNS * PAGE_PX, lines * pair_px - GAP_PX), "white")
    for number, photo in enumerate(photos):
        swap = swapper.swap(photo)
        row, column = divmod(number, PAGE_COLUMNS)
        for line, picture in enumerate((_original(swap), _result(swap))):
            canvas.paste(_picture(picture, PAGE_PX), (column * PAGE_PX, row * pair_px + line * PAGE_PX))
    _save(canvas, path, swapper.mark)


def draw_pipeline(swapper: Swapper, photo: Path, path: Path) -> None:
    """One photo's way through the pipeline: landmarks, aligned crop, network output, mask, final photo.

    Args:
        swapper: With the identity.
        photo: A photo with a face.
        path: The JPEG to write. Like every output it carries the mark.

    Raises:
        FaceSetError: If the photo has no face.
    """
    swap = _swapped(swapper, photo)
    face, original = swap.faces[0], _original(swap)
    crop = cut_crop(original, face.crop_from_photo, swapper.identity.size)
    steps = {
        "1  face, 68 points": _with_crop(_picture(original, PIPELINE_PX), original, swap, swapper.identity.size),
        "2  aligned crop": _picture(crop, PIPELINE_PX),
        "3  network output": _picture(face.output, PIPELINE_PX),
        "4  face mask": _picture(face.mask.expand(3, -1, -1), PIPELINE_PX),
        "5  back in the photo": _picture(_result(swap), PIPELINE_PX),
    }
    pitch = PIPELINE_PX + ARROW_PX
    canvas = Image.new("RGB", (pitch * len(steps) - ARROW_PX + 2 * GAP_PX, TEXT_PX + PIPELINE_PX + 3 * GAP_PX), "white")
    for number, (caption, picture) in enumerate(steps.items()):
        left, top = GAP_PX + number * pitch, TEXT_PX + 2 * GAP_PX
        _text(canvas, (left, GAP_PX // 2), caption)
        canvas.paste(picture, (left, top))
        if number > 0:
            _arrow(canvas, left - ARROW_PX, top + PIPELINE_PX // 2)
    _save(canvas, path, swapper.mark)


def closest_in_pose(poses: Sequence[Pose], photos: Sequence[Path]) -> list[Path]:
    """For each pose the photo whose head is turned most alike; each photo at most once, and those without a face never.

    Raises:
        FaceSetError: If there are fewer photos with a face than poses.
    """
    detector = FaceDetector(use_cnn=False)
    found = {path: detector.detect(read_photo(path).rgb_u8())[:1] for path in photos}
    left = {path: head_pose(faces[0].landmarks) for path, faces in found.items() if faces}
    if len(left) < len(poses):
        raise FaceSetError(f"{len(poses)} photos of the identity are to be shown, and {len(left)} show a face")
    chosen = []
    for pose in poses:
        best = min(left, key=lambda path: abs(left[path].yaw_deg - pose.yaw_deg) + abs(left[path].pitch_deg - pose.pitch_deg))
        chosen.append(best)
        del left[best]
    return chosen


def _swapped(swapper: Swapper, photo: Path) -> Swapped:
    swap = swapper.swap(photo)
    if swap.status != "swapped":
        raise FaceSetError(f"{photo}: {swap.reason}, so there is nothing to show")
    return swap


def _original(swap: Swapped) -> Photo:
    assert swap.original is not None, "_swapped sees to it"
    return swap.original


def _result(swap: Swapped) -> Photo:
    assert swap.photo is not None, "_swapped sees to it"
    return swap.photo


def _picture(image: Photo | torch.Tensor, side_px: int) -> Image.Image:
    """The middle square of a picture, (side_px, side_px)."""
    tensor = image.image() if isinstance(image, Photo) else image
    whole = Image.fromarray(pixels_u8(tensor))
    side, (width, height) = min(whole.size), whole.size
    left, top = (width - side) // 2, (height - side) // 2
    return whole.resize((side_px, side_px), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


def _with_crop(picture: Image.Image, photo: Photo, swap: Swapped, size: int) -> Image.Image:
    """The photo's middle square with the first face's landmarks and the outline of its crop drawn in."""
    face, side = swap.faces[0], min(photo.height, photo.width)
    fine = picture.resize((picture.width * FINE, picture.height * FINE), Image.Resampling.BICUBIC)
    offset = np.array([(photo.width - side) // 2, (photo.height - side) // 2]) - 0.5  # pixel centres are at integers
    scale = fine.width / side
    draw = ImageDraw.Draw(fine)
    edge = np.array([[-0.5, -0.5], [size - 0.5, -0.5], [size - 0.5, size - 0.5], [-0.5, size - 0.5], [-0.5, -0.5]])
    corners = (transform_points(inverse(face.crop_from_photo), edge) - offset) * scale
    draw.line([tuple(corner) for corner in corners.tolist()], fill="white", width=2 * FINE)
    radius = 1.7 * FINE
    for x, y in (face.face.landmarks - offset) * scale:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=DOT)
    return fine.resize(picture.size, Image.Resampling.BOX)


def _arrow(canvas: Image.Image, left: int, middle: int) -> None:
    """An arrow to the right in the space between two pictures."""
    width, height = ARROW_PX * FINE, 16 * FINE
    fine = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(fine)
    tip, back = (width - 5 * FINE, height // 2), width - 13 * FINE
    draw.line([(5 * FINE, tip[1]), (back, tip[1])], fill=INK, width=2 * FINE)
    draw.polygon([tip, (back, tip[1] - 6 * FINE), (back, tip[1] + 6 * FINE)], fill=INK)
    canvas.paste(fine.resize((ARROW_PX, 16), Image.Resampling.BOX), (left, middle - 8))


def _text(canvas: Image.Image, place: tuple[int, int], text: str) -> None:
    font = ImageFont.load_default(size=TEXT_PX * 0.8)
    ImageDraw.Draw(canvas).text(place, text, fill=INK, font=font)


def _save(canvas: Image.Image, path: Path, mark: Mark) -> None:
    image = torch.from_numpy(np.array(canvas)).permute(2, 0, 1).float() / 255
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, jpeg_bytes(image, quality=QUALITY))
    write_photo(read_photo(path), path, mark=mark)  # the same JPEG again, now with the mark
