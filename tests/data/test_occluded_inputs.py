"""Faces with something in front of them: drawn, and found by a parser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stylswap.data import occluded_inputs
from stylswap.data.augment import with_random_lights
from stylswap.data.faceset import FaceSet
from stylswap.data.occluded_inputs import KeptCache, with_occluders, with_parsed_occluders
from stylswap.errors import SettingsError, ShapeError

# ---- drawn ones


def kept_of(faces: FaceSet) -> torch.Tensor:
    assert faces.kept_u8 is not None
    return faces.kept_u8


def test_a_share_of_the_faces_comes_again_with_something_in_front(input_set: FaceSet) -> None:
    count = len(input_set)
    more = with_occluders(input_set, 0.5, seed=3)
    assert len(more) == count + round(0.5 * count)
    assert torch.equal(more.images_u8[:count], input_set.images_u8)
    assert more.images_u8.dtype == kept_of(more).dtype == torch.uint8
    assert not kept_of(more)[:count].any(), "nobody looked at the photos"
    originals = [input_set.names.index(name) for name in more.names[count:]]
    assert originals == sorted(set(originals)), "no face twice"
    assert torch.equal(more.landmarks[count:], input_set.landmarks[originals])
    assert torch.equal(more.masks_u8[count:], input_set.masks_u8[originals])
    assert more.poses[count:] == tuple(input_set.poses[row] for row in originals)
    assert (kept_of(more)[count:].amax(dim=(1, 2, 3)) > 128).all(), "something is in front of each"


def test_the_picture_is_another_where_something_was_drawn(input_set: FaceSet) -> None:
    count = len(input_set)
    more = with_occluders(input_set, 1.0, seed=1)
    moved = (more.images_u8[count:].int() - input_set.images_u8.int()).abs().amax(dim=1, keepdim=True)
    solid = kept_of(more)[count:] > 250
    # A thing may have the colour of what it hides; most of it has not.
    assert float((moved[solid] > 4).float().mean()) > 0.8
    # Beside it there is at most its shadow, and no picture gets brighter by a shadow.
    beside = (kept_of(more)[count:] == 0).expand(-1, 3, -1, -1)
    assert int((more.images_u8[count:].int() - input_set.images_u8.int())[beside].max()) <= 1


def test_the_drawings_follow_from_the_seed(input_set: FaceSet) -> None:
    more, again, other = (with_occluders(input_set, 1.0, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(more.images_u8, again.images_u8)
    assert torch.equal(kept_of(more), kept_of(again))
    assert not torch.equal(more.images_u8, other.images_u8)
    fewer = with_occluders(input_set, 0.5, seed=3)
    for row in range(len(input_set), len(fewer)):
        same = len(input_set) + input_set.names.index(fewer.names[row])
        assert torch.equal(kept_of(fewer)[row], kept_of(more)[same])


def test_the_global_random_state_is_left_alone(input_set: FaceSet) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    with_occluders(input_set, 0.5, seed=9)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_covered_a_face_before_stays_covered(input_set: FaceSet) -> None:
    count = len(input_set)
    corner = torch.zeros_like(input_set.masks_u8)
    corner[..., :20, :20] = 200
    alone, both = (kept_of(with_occluders(faces, 1.0, seed=2)) for faces in (input_set, replace(input_set, kept_u8=corner)))
    assert torch.equal(both[:count], corner)
    expected = 1 - (1 - alone[count:] / 255) * (1 - corner / 255)
    assert float((both[count:] / 255 - expected).abs().max()) < 1 / 255


def test_two_things_hide_what_either_hides(input_set: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occluded_inputs, "chosen_kinds", lambda *_: ["half", "half"])
    size = input_set.size
    half = torch.full((1, size, size), 0.5)
    monkeypatch.setattr(occluded_inputs, "draw_thing", lambda kind, image, *_: (image * 0.5, half))
    more = with_occluders(input_set, 1.0, seed=0)
    assert torch.equal(kept_of(more)[len(input_set) :], torch.full((len(input_set), 1, size, size), 191, dtype=torch.uint8))  # 3/4
    expected = (input_set.images_u8.float() / 4).round()
    assert torch.equal(more.images_u8[len(input_set) :].float(), expected)


def test_relit_faces_can_be_covered_and_covered_ones_relit(input_set: FaceSet) -> None:
    count = len(input_set)
    first = with_occluders(with_random_lights(input_set, 0.5, seed=0), 0.5, seed=0)
    second = with_random_lights(with_occluders(input_set, 0.5, seed=0), 1.0, seed=0)
    assert len(first) == count + count // 2 + round(0.5 * (count + count // 2))
    assert torch.equal(kept_of(second), kept_of(second)[: len(second) // 2].repeat(2, 1, 1, 1))


def test_a_share_of_nothing_adds_nothing(input_set: FaceSet) -> None:
    assert with_occluders(input_set, 0.0, seed=0) is input_set


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_is_a_share(input_set: FaceSet, share: float) -> None:
    with pytest.raises(SettingsError, match=r"must be in \[0, 1\], got"):
        with_occluders(input_set, share, seed=0)


# ---- those of the photos


class LeftHalf:
    """A parser that sees a face in the left half only; counts the faces it was asked about."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, images: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
        assert images.shape[1:] == (3, *images.shape[-2:])
        assert landmarks.shape == (len(images), 68, 2)
        self.calls += len(images)
        masks = torch.zeros(len(images), 1, *images.shape[-2:])
        masks[..., : images.shape[-1] // 2] = 1
        return masks


def test_what_the_parser_takes_from_the_mask_is_kept(input_set: FaceSet) -> None:
    seen: list[tuple[int, int]] = []
    found = with_parsed_occluders(input_set, LeftHalf(), on_face=lambda done, total: seen.append((done, total)))
    middle = input_set.size // 2
    assert kept_of(found).dtype == torch.uint8
    assert not kept_of(found)[..., :middle].any()
    assert torch.equal(kept_of(found)[..., middle:], input_set.masks_u8[..., middle:])
    assert torch.equal(found.images_u8, input_set.images_u8)
    assert seen == [(number, len(input_set)) for number in range(1, len(input_set) + 1)]
    mirrored = found.batch(range(len(found), found.num_rows))
    assert not mirrored.kept[..., middle:].any(), "the face is in the right half of the mirror image"
    assert torch.equal(mirrored.kept[..., :middle], mirrored.faces.masks[..., :middle])


def test_a_parser_that_sees_all_or_nothing(input_set: FaceSet) -> None:
    all_face = with_parsed_occluders(input_set, lambda images, _: torch.ones(len(images), 1, *images.shape[-2:]))
    assert not kept_of(all_face).any()
    no_face = with_parsed_occluders(input_set, lambda images, _: torch.zeros(len(images), 1, *images.shape[-2:]))
    assert torch.equal(kept_of(no_face), input_set.masks_u8)
    faint = with_parsed_occluders(input_set, lambda images, _: torch.full((len(images), 1, *images.shape[-2:]), 0.4))
    assert int(kept_of(faint).max()) == 153  # 0.6


def test_drawn_things_stay_kept(input_set: FaceSet) -> None:
    drawn = with_occluders(input_set, 1.0, seed=0)
    alone, both = with_parsed_occluders(replace(drawn, kept_u8=None), LeftHalf()), with_parsed_occluders(drawn, LeftHalf())
    assert torch.equal(kept_of(both), torch.maximum(kept_of(drawn), kept_of(alone)))


def test_a_face_is_parsed_once(input_set: FaceSet, tmp_path: Path) -> None:
    parse, cache = LeftHalf(), KeptCache(tmp_path / "not yet there", "left half")
    first = with_parsed_occluders(input_set, parse, cache=cache)
    assert parse.calls == len(input_set)
    again = with_parsed_occluders(input_set.subset([3, 0]), parse, cache=cache)
    assert parse.calls == len(input_set)
    assert torch.equal(kept_of(again), kept_of(first)[[3, 0]])
    with_parsed_occluders(input_set, parse, cache=replace(cache, parser="another"))
    assert parse.calls == 2 * len(input_set)


@pytest.mark.parametrize("name", ["images_u8", "masks_u8", "landmarks"])
def test_another_crop_of_the_same_photo_is_another_face(input_set: FaceSet, tmp_path: Path, name: str) -> None:
    cache = KeptCache(tmp_path, "left half")
    changed = getattr(input_set, name).clone()
    changed[1].flatten()[0] += 1
    moved = replace(input_set, **{name: changed})
    same = [cache.path(moved, row) == cache.path(input_set, row) for row in range(len(input_set))]
    assert same == [row != 1 for row in range(len(input_set))]
    # What the photo is called and what was kept before do not matter.
    renamed = replace(input_set, names=("x",) * len(input_set), kept_u8=input_set.masks_u8)
    assert cache.path(renamed, 0) == cache.path(input_set, 0)


def test_a_damaged_record_is_made_anew(input_set: FaceSet, tmp_path: Path) -> None:
    parse, cache = LeftHalf(), KeptCache(tmp_path, "left half")
    first = with_parsed_occluders(input_set, parse, cache=cache)
    cache.path(input_set, 2).write_bytes(b"damaged")
    again = with_parsed_occluders(input_set, parse, cache=cache)
    assert parse.calls == len(input_set) + 1
    assert torch.equal(kept_of(again), kept_of(first))


@pytest.mark.parametrize("shape", [(1, 64, 64), (1, 3, 64, 64), (1, 1, 32, 32)])
def test_masks_of_another_shape_are_refused(input_set: FaceSet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        with_parsed_occluders(input_set, lambda *_: torch.ones(shape))
