"""Alignment: photo <-> crop, for images, points and masks.

Convention:
    Pixel centres are at integers, (0, 0) is the centre of the top-left pixel. A matrix is named after both frames and acts on columns
    (x, y, 1): ``crop_point = crop_from_photo @ photo_point``. Matrices are (3, 3) float64 so that they can be inverted and multiplied.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError, ShapeError, did_you_mean
from stylswap.faces.landmarks import POINT_SETS
from stylswap.shapes import Rect, check_shapes

FloatArray = npt.NDArray[np.float64]

MODELS: Final = ("affine", "similarity")


@cache
def _unit_reference() -> FloatArray:
    text = resources.files("stylswap.faces").joinpath("reference_shape.txt").read_text(encoding="utf-8")
    shape: FloatArray = np.loadtxt(text.splitlines(), dtype=np.float64)
    shape.setflags(write=False)
    return shape


def reference_shape(size: int) -> FloatArray:
    """The 68 points that every face is aligned to, (68, 2), in pixels of a crop of side `size`.

    The mean shape of near-frontal faces, left-right symmetric; brows to chin fill 60 % of the crop's height. It is shipped as numbers in
    the unit square and made by ``scripts/make_reference.py``.
    """
    return _unit_reference() * size - 0.5  # the unit square spans the outer edges of the pixels, whose centres are at integers


def crop_from_photo(
    landmarks: FloatArray, reference: FloatArray, *, model: str = "similarity", points: str = "inner"
) -> FloatArray:
    """The least-squares transform that takes a face's landmarks to the reference shape.

    Args:
        landmarks: The 68 points in the photo, (68, 2).
        reference: The 68 points in the crop, (68, 2), see `reference_shape`.
        model: ``"affine"`` (6 degrees of freedom, the paper's) or ``"similarity"`` (scale, turn and shift, never a mirror).
        points: ``"all"`` 68 (the paper's) or the 51 ``"inner"`` ones, without the jaw.

    Returns:
        (3, 3) float64.

    Raises:
        SettingsError: If `model` or `points` is not known.
        ShapeError: If the landmarks coincide, so that no transform exists.

    Reference:
        korshunova2017, section 3.1 (affine, all points); umeyama1991 (similarity).
    """
    check_shapes(landmarks=(landmarks, "68 2"), reference=(reference, "68 2"))
    if points not in POINT_SETS:
        raise SettingsError(f"unknown point set '{points}'.{did_you_mean(points, POINT_SETS)}")
    if model not in MODELS:
        raise SettingsError(f"unknown alignment model '{model}'.{did_you_mean(model, MODELS)}")
    chosen = POINT_SETS[points]
    seen, wanted = landmarks[chosen].astype(np.float64), reference[chosen]
    if not np.isfinite(seen).all():
        raise ShapeError("landmarks must be 68 finite points; they hold numbers that are not finite")
    seen_mean, wanted_mean = seen.mean(axis=0), wanted.mean(axis=0)
    centred, wanted = seen - seen_mean, wanted - wanted_mean
    if (centred**2).sum() < 1e-9:
        raise ShapeError("landmarks must be 68 different points; they coincide, so no transform exists")
    linear = _affine(centred, wanted) if model == "affine" else _similarity(centred, wanted)
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = wanted_mean - linear @ seen_mean
    return matrix


def _affine(seen: FloatArray, wanted: FloatArray) -> FloatArray:
    solution, _, rank, _ = np.linalg.lstsq(seen, wanted, rcond=None)
    if rank < 2:
        raise ShapeError("landmarks must not lie on one line for an affine fit; use model='similarity'")
    return np.asarray(solution.T)


def _similarity(seen: FloatArray, wanted: FloatArray) -> FloatArray:
    # In the plane the least-squares turn and scale have a closed form: fit w = (a + ib) z over the complex numbers.
    squares = (seen**2).sum()
    a = (seen * wanted).sum() / squares
    b = (seen[:, 0] * wanted[:, 1] - seen[:, 1] * wanted[:, 0]).sum() / squares
    return np.array([[a, -b], [b, a]])


def transform_points(matrix: FloatArray, points: FloatArray) -> FloatArray:
    """Points (..., N, 2) through a (3, 3) affine matrix."""
    check_shapes(matrix=(matrix, "3 3"))
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2])


def grid_from_pixels(points: Tensor, height: int, width: int) -> Tensor:
    """Pixel coordinates (..., 2) as `grid_sample` coordinates with ``align_corners=False``.

    The only place where the two conventions meet: -1 and 1 are the outer edges of the border pixels.
    """
    size = points.new_tensor([width, height])
    return (2.0 * points + 1.0) / size - 1.0


def inverse(matrix: FloatArray) -> FloatArray:
    """The way back: photo_from_crop of a crop_from_photo, (3, 3)."""
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def resized(matrix: FloatArray, from_size: int, to_size: int) -> FloatArray:
    """The same crop in pixels of another size.

    Both crops span one square: their outer edges, at -0.5 and size - 0.5, coincide, not the centres of their corner pixels.

    Args:
        matrix: crop_from_photo of a crop of side `from_size`, (3, 3).
        from_size: Side in pixels.
        to_size: The other side in pixels.

    Returns:
        crop_from_photo of the crop of side `to_size`, (3, 3).

    Raises:
        ShapeError: If a size is not at least 1.
    """
    check_shapes(matrix=(matrix, "3 3"))
    if min(from_size, to_size) < 1:
        raise ShapeError(f"sides of crops must be at least 1 pixel, got {from_size} and {to_size}")
    ratio = to_size / from_size
    other_from_crop = np.array([[ratio, 0.0, (ratio - 1) / 2], [0.0, ratio, (ratio - 1) / 2], [0.0, 0.0, 1.0]])
    return np.asarray(other_from_crop @ matrix, dtype=np.float64)


def scale_of(matrix: FloatArray) -> float:
    """How many times longer a length is after the transform: the square root of the area factor."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))


def shifted(top: float, left: float) -> FloatArray:
    """photo_from_region for a region whose first pixel is at (top, left)."""
    matrix = np.eye(3)
    matrix[:2, 2] = (left, top)
    return matrix


def warp(
    image: Tensor, to_from_image: FloatArray, size: tuple[int, int], *, mode: str = "bilinear", padding: str = "border"
) -> Tensor:
    """Move an image or a mask into another frame.

    When the transform shrinks, the image is first resampled with an anti-aliasing filter to about the wanted resolution, so that no
    detail folds into false patterns.

    Args:
        image: (C, H, W).
        to_from_image: (3, 3), takes points of the image to points of the new frame.
        size: (height, width) of the new frame.
        mode: ``"bilinear"`` or ``"bicubic"`` (sharper when enlarging; clamp the result yourself).
        padding: Beyond the image: ``"border"`` repeats its edge, ``"zeros"`` is 0 (masks).

    Returns:
        (C, height, width), the image's dtype and device.

    Raises:
        ShapeError: If a shape is off or the matrix cannot be inverted.
    """
    check_shapes(image=(image, "C H W"), to_from_image=(to_from_image, "3 3"))
    scale = scale_of(to_from_image) if np.isfinite(to_from_image).all() else 0.0
    if scale < 1e-9:
        raise ShapeError(f"to_from_image must be invertible; its area factor is {scale}")
    if scale < 1.0:
        image, image_from_smaller = _shrink(image, scale)
        to_from_image = to_from_image @ image_from_smaller
    image_from_to = inverse(to_from_image)
    height, width = size
    # Row by row and column by column in double precision, then added: a table of all points in it would take most of the time.
    matrix = torch.from_numpy(np.ascontiguousarray(image_from_to))
    across = torch.arange(width, dtype=torch.float64)[:, None] * matrix[:2, 0]  # (width, 2)
    down = torch.arange(height, dtype=torch.float64)[:, None] * matrix[:2, 1] + matrix[:2, 2]  # (height, 2)
    origin = grid_from_pixels(torch.zeros(2, dtype=torch.float64), int(image.shape[1]), int(image.shape[2]))
    columns = grid_from_pixels(across, int(image.shape[1]), int(image.shape[2])) - origin
    rows = grid_from_pixels(down, int(image.shape[1]), int(image.shape[2]))
    grid = rows.to(image)[:, None] + columns.to(image)[None]  # (height, width, 2)
    return F.grid_sample(image[None], grid[None], mode=mode, padding_mode=padding, align_corners=False)[0]


def _shrink(image: Tensor, scale: float) -> tuple[Tensor, FloatArray]:
    """The image at about `scale` of its resolution, anti-aliased, and image_from_smaller."""
    height, width = int(image.shape[1]), int(image.shape[2])
    small_height, small_width = max(round(height * scale), 1), max(round(width * scale), 1)
    smaller = F.interpolate(image[None], size=(small_height, small_width), mode="bilinear", antialias=True, align_corners=False)[0]
    ratio_y, ratio_x = height / small_height, width / small_width
    image_from_smaller = np.array([[ratio_x, 0.0, (ratio_x - 1) / 2], [0.0, ratio_y, (ratio_y - 1) / 2], [0.0, 0.0, 1.0]])
    return smaller, image_from_smaller


def rect_of_crop(photo_from_crop: FloatArray, size: int, *, margin_px: int = 2) -> Rect:
    """The smallest rectangle of the photo that holds a crop of side `size`, with a margin; may reach beyond the photo."""
    corners = np.array([[-0.5, -0.5], [size - 0.5, -0.5], [-0.5, size - 0.5], [size - 0.5, size - 0.5]])
    return rect_of_points(transform_points(photo_from_crop, corners), margin_px=margin_px)


def rect_of_points(points: FloatArray, *, margin_px: int = 0) -> Rect:
    """The smallest rectangle of whole pixels that holds points (N, 2), with a margin."""
    left, top = np.floor(points.min(axis=0)).astype(int) - margin_px
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + margin_px
    return Rect(int(top), int(left), int(bottom - top + 1), int(right - left + 1))
