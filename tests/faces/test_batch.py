"""A face and a batch of faces hold together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from stylswap.errors import ShapeError
from stylswap.faces.batch import Face, FaceBatch


def batch(count: int = 5, size: int = 8) -> FaceBatch:
    generator = torch.Generator().manual_seed(0)
    shapes = ((count, 3, size, size), (count, 68, 2), (count, 1, size, size))
    return FaceBatch(*(torch.rand(shape, generator=generator) for shape in shapes))


def test_size_and_number() -> None:
    faces = batch(5, 8)
    assert (len(faces), faces.size) == (5, 8)


def test_a_slice_takes_the_same_rows_of_everything() -> None:
    faces = batch()
    some = faces[1:3]
    assert len(some) == 2
    for name in ("images", "landmarks", "masks"):
        assert torch.equal(getattr(some, name), getattr(faces, name)[1:3])
    assert len(faces[5:]) == 0


def test_moving_keeps_the_values() -> None:
    faces = batch().to("meta")
    assert {tensor.device.type for tensor in (faces.images, faces.landmarks, faces.masks)} == {"meta"}
    same = batch().to(torch.device("cpu"))
    assert torch.equal(same.masks, batch().masks)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("images", (5, 1, 8, 8), "images must be"),
        ("images", (5, 3, 8, 9), "S = 8 in images, 9 here"),
        ("landmarks", (4, 68, 2), "B = 5 in images, 4 here"),
        ("landmarks", (5, 2, 68), "landmarks must be"),
        ("masks", (5, 8, 8), "masks must be"),
        ("masks", (5, 1, 16, 16), "S = 8 in images, 16 here"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        dataclasses.replace(batch(), **{name: torch.zeros(shape)})


def test_a_face_needs_its_points() -> None:
    with pytest.raises(ShapeError, match=r"landmarks must be \(68, 2\), got \(5, 2\)"):
        Face(np.zeros((5, 2)), (0, 0, 1, 1), 1.0, "hog")


@pytest.mark.parametrize(("box", "area"), [((-2.0, 1.0, 3.0, 5.0), 20.0), ((3.0, 1.0, 2.0, 5.0), 0.0), ((3.0, 5.0, 2.0, 1.0), 0.0)])
def test_the_area_of_the_box(box: tuple[float, float, float, float], area: float) -> None:
    assert Face(np.zeros((68, 2)), box, 1.0, "hog").area_px == area


def test_faces_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch().images = torch.zeros(1)  # type: ignore[misc]
