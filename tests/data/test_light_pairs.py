"""Pairs: seeded, resumable, of strangers, from both sources; degradation; the file of lit faces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from stylswap.data.degrade import Degradation, quantised
from stylswap.data.faceset import FaceSet
from stylswap.data.light_pairs import (
    DIFFERENT_DEG,
    NEAR_DEG,
    LightPairs,
    RelitPairs,
    YalePairs,
    choose_pairs,
    near_pairs_of_lights,
    step_generator,
)
from stylswap.data.lit_faces import LitFaces, read_lit_faces
from stylswap.data.relight import angles_between_deg, direction
from stylswap.errors import FaceSetError, ShapeError
from stylswap.faces.align import crop_from_photo, reference_shape, transform_points
from stylswap.faces.batch import Face
from tests.lit import ANGLES, find, write_lit_file


@pytest.fixture(scope="module")
def lit(tmp_path_factory: pytest.TempPathFactory) -> LitFaces:
    return read_lit_faces(write_lit_file(tmp_path_factory.mktemp("lit") / "lit.npz"), 32, find=find)


def equal(first: LightPairs, second: LightPairs) -> bool:
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in ("images", "first", "second", "same"))


def test_a_file_of_lit_faces_is_read_and_split(lit: LitFaces) -> None:
    assert lit.images_u8.shape == (6 * len(ANGLES), 32, 32)
    assert lit.num_guessed == 0
    assert len(lit.light_directions) == len(ANGLES)
    torch.testing.assert_close(lit.directions, direction(lit.azimuth_deg, lit.elevation_deg))
    assert set(lit.of_people([2, 5]).people.tolist()) == {2, 5}


def test_every_person_is_aligned_even_without_landmarks(tmp_path: Path) -> None:
    path = write_lit_file(tmp_path / "lit.npz", num_people=3)
    calls: list[int] = []

    def sometimes(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64] | None:
        calls.append(1)
        return None if len(calls) == 2 else find(picture)

    lit = read_lit_faces(path, 32, find=sometimes)
    assert len(calls) == 3, "once a person: the head does not move"
    assert lit.num_guessed == 1
    torch.testing.assert_close(lit.images_u8, read_lit_faces(path, 32, find=find).images_u8)
    with pytest.raises(FaceSetError, match="no face was found"):
        read_lit_faces(path, 32, find=lambda _: None)


def test_our_own_landmarks_align_a_tight_picture(tmp_path: Path, photo_u8: npt.NDArray[np.uint8], face: Face) -> None:
    top, left = (int(face.landmarks[17:, axis].min()) - 25 for axis in (1, 0))
    grey = photo_u8[..., 1][max(top, 0) :, max(left, 0) :][:192, :168]
    landmarks = face.landmarks - [max(left, 0), max(top, 0)]
    path = tmp_path / "lit.npz"
    numbers = {"person": np.array([1]), "azimuth_deg": np.array([0]), "elevation_deg": np.array([0])}
    np.savez(path, images=grey[None], **numbers)
    got = read_lit_faces(path, 64).images_u8.float()
    expected = read_lit_faces(path, 64, find=lambda _: landmarks).images_u8.float()
    middle = slice(18, 46)
    agreement = torch.corrcoef(torch.stack([got[0, middle, middle].flatten(), expected[0, middle, middle].flatten()]))[0, 1]
    assert agreement > 0.9
    matrix = crop_from_photo(landmarks, reference_shape(64))
    assert np.abs(transform_points(matrix, landmarks)[17:] - reference_shape(64)[17:]).mean() < 4


@pytest.mark.parametrize("broken", ["text", "lacks", "float", "lengths"])
def test_other_files_are_refused(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "lit.npz"
    arrays = {name: np.zeros(2) for name in ("person", "azimuth_deg", "elevation_deg")}
    if broken == "text":
        path.write_text("no arrays")
    elif broken == "lacks":
        np.savez(path, images=np.zeros((2, 8, 8), np.uint8))
    elif broken == "float":
        np.savez(path, images=np.zeros((2, 8, 8)), **arrays)
    else:
        np.savez(path, images=np.zeros((3, 8, 8), np.uint8), **arrays)
    with pytest.raises(ShapeError if broken == "lengths" else FaceSetError):
        read_lit_faces(path, 32, find=find)


def test_pairs_are_of_strangers_and_half_have_equal_light() -> None:
    angles = torch.tensor([0.0, 10.0, 30.0, 90.0])
    lights = torch.arange(4).repeat_interleave(4)
    people = torch.tensor([0, 1, 2, 3] * 3 + [0, 0, 1, 1])
    directions = direction(angles, torch.zeros(4))[lights]
    first, second, same = choose_pairs(directions, lights, people, torch.Generator().manual_seed(0))
    assert (people[first] != people[second]).all()
    assert same.mean() == 0.5
    assert torch.equal(lights[first] == lights[second], same > 0)
    angle = angles_between_deg(directions, directions)[first, second]
    assert (angle[same == 0] >= DIFFERENT_DEG).all()
    near = (same == 0) & (angle < NEAR_DEG)
    assert near.sum() >= (same == 0).sum() // 2
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == len(first), "no pair twice"


def test_second_lights_are_near_but_different() -> None:
    lights = near_pairs_of_lights(13, torch.Generator().manual_seed(1))
    angle = angles_between_deg(lights.directions, lights.directions)[torch.arange(0, 12, 2), torch.arange(1, 12, 2)]
    assert angle.min() >= DIFFERENT_DEG - 0.1
    assert angle.max() <= NEAR_DEG + 0.1
    assert torch.equal(lights.ambient[0:12:2], lights.ambient[1::2])


def test_a_batch_of_lit_faces_follows_from_seed_and_step(lit: LitFaces) -> None:
    maker = YalePairs(lit, num_lights=4, num_people=3, seed=5)
    batch = maker(3)
    assert equal(batch, YalePairs(lit, num_lights=4, num_people=3, seed=5)(3))
    assert not torch.equal(batch.images, maker(4).images)
    assert not torch.equal(batch.images, replace(maker, seed=6)(3).images)
    assert batch.images.shape == (12, 1, 32, 32)
    assert 0 <= batch.images.min() <= batch.images.max() <= 1
    assert {0.0, 1.0} == set(batch.same.tolist())


def test_one_person_gives_no_pairs(lit: LitFaces) -> None:
    with pytest.raises(FaceSetError, match="1 people"):
        YalePairs(lit.of_people([1]))(0)


def test_a_batch_of_relit_faces_follows_from_seed_and_step(input_set: FaceSet) -> None:
    maker = RelitPairs(input_set, size=32, num_lights=4, num_people=3, seed=5)
    batch = maker(3)
    assert equal(batch, RelitPairs(input_set, size=32, num_lights=4, num_people=3, seed=5)(3))
    assert not torch.equal(batch.images, maker(4).images)
    assert batch.images.shape == (12, 1, 32, 32)
    assert batch.images.isfinite().all()
    assert 0 <= batch.images.min() <= batch.images.max() <= 1
    assert 0 < batch.same.mean() < 1


def test_the_mirror_image_of_a_relit_face_has_the_mirrored_light(input_set: FaceSet) -> None:
    maker = RelitPairs(input_set, size=32)
    lights = near_pairs_of_lights(2, torch.Generator().manual_seed(2))
    mirrored = replace(lights, directions=lights.directions * torch.tensor([-1.0, 1.0, 1.0]))
    plain = maker.relit([0, 1], lights)
    turned = maker.relit([len(input_set), len(input_set) + 1], mirrored)
    assert (plain - turned.flip(-1)).abs().mean() < 0.01


def test_degradation_is_seeded_and_spares_what_it_is_told_to() -> None:
    grey = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    one, two = (Degradation()(grey, step_generator(1, 2)) for _ in range(2))
    assert torch.equal(one, two)
    assert 0 <= one.min() <= one.max() <= 1
    assert (one[0] - grey[0]).abs().mean() > 0.01
    none = Degradation(shift=0, turn_deg=0, zoom=0, gamma=(0, 0), exposure=(1, 1), blur=0, noise=0, quantisation=0)
    assert (none(grey, step_generator(1, 2)) - grey).abs().max() < 0.02


def test_quantisation_keeps_flat_blocks_and_drops_fine_detail() -> None:
    flat = torch.full((1, 1, 16, 16), 0.5)
    torch.testing.assert_close(quantised(flat, torch.full((1, 1, 1, 1), 0.25)), flat, atol=1e-5, rtol=0)
    fine = flat + 0.004 * ((torch.arange(16)[:, None] + torch.arange(16)) % 2)
    assert quantised(fine, torch.full((1, 1, 1, 1), 0.25)).std() < 1e-5
    noise = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(quantised(noise, torch.full((2, 1, 1, 1), 1e-4)), noise, atol=1e-3, rtol=0)
