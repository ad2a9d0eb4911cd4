"""Batches of occluded faces: seeded, and the answers wanted are the drawn thing's own where it lies and the old ones elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from stylswap.data.faceset import FaceSet
from stylswap.data.occluded_faces import OTHER_CLASS, OWN_CLASS, SHARES, OccludedFaces, draw_blob, photographed, shares_without
from stylswap.data.occluders import KINDS, draw_occluder
from stylswap.errors import SettingsError, ShapeError
from stylswap.features.parsing import CLASSES

NAMES = ("background", "skin", "glasses", "hair", "hat")


@pytest.fixture
def maker(input_set: FaceSet) -> OccludedFaces:
    """Any answers, of cells as coarse as the parser's."""
    answers = torch.randn(input_set.num_rows, len(NAMES), 6, 6, generator=torch.Generator().manual_seed(0))
    return OccludedFaces(input_set, answers, NAMES, batch_size=3, seed=5)


def occluded(maker: OccludedFaces, row: int, *kinds: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    return maker.occluded(row, kinds, np.random.default_rng(seed), torch.Generator().manual_seed(seed))


def hidden_cells(alpha: Tensor) -> Tensor:
    """Means of 2 x 2 pixels."""
    return (alpha[:, ::2, ::2] + alpha[:, 1::2, ::2] + alpha[:, ::2, 1::2] + alpha[:, 1::2, 1::2]) / 4


def test_every_kind_can_be_drawn_and_every_class_exists() -> None:
    assert set(SHARES) == {*KINDS, "blob", "none"}
    assert set(OWN_CLASS) <= set(KINDS)
    assert {*OWN_CLASS.values(), OTHER_CLASS} <= set(CLASSES)


def test_a_batch_follows_from_seed_and_step(maker: OccludedFaces) -> None:
    batch, again = maker(3), replace(maker)(3)
    assert torch.equal(batch.images, again.images)
    assert torch.equal(batch.classes, again.classes)
    assert not torch.equal(batch.images, maker(4).images)
    assert not torch.equal(batch.images, replace(maker, seed=6)(3).images)
    assert batch.images.shape == (3, 3, 64, 64)
    assert batch.classes.shape == (3, len(NAMES), 32, 32)
    for values in (batch.images, batch.classes):
        assert values.dtype == torch.float32
        assert 0 <= float(values.min()) <= float(values.max()) <= 1 + 1e-6
    torch.testing.assert_close(batch.classes.sum(dim=1), torch.ones(3, 32, 32))


def test_a_face_alone_keeps_its_answers(maker: OccludedFaces, input_set: FaceSet) -> None:
    logits = torch.arange(len(NAMES)).float()
    same = replace(maker, answers=logits.view(1, -1, 1, 1).expand(input_set.num_rows, -1, 6, 6))
    row = len(input_set) + 1  # a mirrored one
    image, classes = occluded(same, row, "none")
    assert torch.equal(image, input_set.images_u8[1].flip(-1).float() / 255)
    torch.testing.assert_close(classes, logits.softmax(0).view(-1, 1, 1).expand(-1, 32, 32))


def test_answers_are_enlarged_from_the_first_pixel_to_the_last(maker: OccludedFaces) -> None:
    """The outer cells lie on the outer pixels, as in the parser: a straight line from cell to cell is one from pixel to pixel."""
    answers = torch.zeros_like(maker.answers)
    answers[:, 1] = torch.linspace(0, 2, 6)
    _, classes = occluded(replace(maker, answers=answers), 4, "none")
    torch.testing.assert_close((classes[1] / classes[0]).log(), torch.linspace(0, 2, 32).expand(32, -1))


@pytest.mark.parametrize("kind", KINDS)
def test_where_a_thing_lies_its_own_class_is_wanted(maker: OccludedFaces, kind: str) -> None:
    face = maker.faces.faces([2])
    alpha = draw_occluder(kind, face.images[0], face.landmarks[0], torch.Generator().manual_seed(4)).alpha
    hidden = hidden_cells((alpha > 0.015).float() if kind == "glasses" else alpha)
    _, before = occluded(maker, 2, "none")
    image, classes = occluded(maker, 2, kind, seed=4)
    own = torch.zeros(len(NAMES), 1, 1)
    own[NAMES.index(kind if kind in NAMES else "background")] = 1
    assert float(hidden.max()) > 0.9
    assert (hidden == 0).any()
    torch.testing.assert_close(classes, before + hidden * (own - before))
    assert not torch.equal(image, face.images[0])


def test_of_two_things_the_last_is_in_front(maker: OccludedFaces) -> None:
    hat, mask = NAMES.index("hat"), NAMES.index("background")
    hat_alone, nothing = occluded(maker, 0, "hat", seed=1)[1], occluded(maker, 0, "none")[1]
    both = occluded(maker, 0, "hat", "mask", seed=1)[1]
    # What the mask leaves of the hat is what it leaves of every class but its own.
    left = (1 - both[mask]) / (1 - hat_alone[mask]).clamp_min(1e-6)
    seen = hat_alone[mask] < 0.99
    torch.testing.assert_close(both[hat][seen], (hat_alone[hat] * left)[seen])
    assert float(left[seen].min()) < 0.01
    assert float(hat_alone[hat].max()) > 0.99 > float(nothing[hat].max())


def test_only_the_kinds_that_have_a_share_come(maker: OccludedFaces) -> None:
    hats = replace(maker, shares={"hat": 1.0}, answers=torch.zeros_like(maker.answers))(0)
    assert (hats.classes[:, NAMES.index("hat")].amax(dim=(1, 2)) > 0.99).all()
    assert float(hats.classes[:, NAMES.index("glasses")].max()) <= 0.2 + 1e-6
    alone = replace(maker, shares={"none": 1.0}, answers=torch.zeros_like(maker.answers))(0)
    torch.testing.assert_close(alone.classes, torch.full_like(alone.classes, 0.2))


def test_kinds_come_by_their_shares_and_sometimes_two_at_once(maker: OccludedFaces) -> None:
    many = replace(maker, batch_size=120, answers=torch.zeros_like(maker.answers), shares={"hat": 3.0, "glasses": 1.0})(0).classes
    hats, glasses = (many[:, NAMES.index(name)].amax(dim=(1, 2)) > 0.9 for name in ("hat", "glasses"))
    assert (hats | glasses).all()
    assert 0.65 < float(hats.float().mean()) < 0.95, "0.75 of one thing, and 0.94 of two"
    assert 0.01 < float((hats & glasses).float().mean()) < 0.15, "0.15 have two things, 0.38 of them different ones"


def test_a_blob_is_a_piece_of_the_other_picture(maker: OccludedFaces) -> None:
    landmarks = maker.faces.landmarks[0]
    sizes = []
    for seed in range(8):
        drawn = draw_blob(torch.zeros(3, 64, 64), landmarks, torch.ones(3, 64, 64), np.random.default_rng(seed))
        brightness = float(drawn.image.max())
        assert 0.6 <= brightness <= 1
        torch.testing.assert_close(drawn.image, (brightness * drawn.alpha).expand(3, -1, -1))
        sizes.append(float(drawn.alpha.mean()))
    assert 0.005 < min(sizes) < max(sizes) < 0.6
    assert len(set(sizes)) == len(sizes)
    image, classes = occluded(maker, 0, "blob")
    _, before = occluded(maker, 0, "none")
    moved = (image != maker.faces.faces([0]).images[0]).any(dim=0)
    gained = (classes[0] - before[0]) > 1e-4
    assert gained.any()
    assert not (gained & ~(hidden_cells(moved[None].float())[0] > 0)).any(), "a cell is background now, and nothing was drawn there"


def test_a_camera_stays_within_its_range() -> None:
    grey = torch.full((3, 64, 64), 0.5)
    low, high = 0.5 ** np.exp(0.3) * 0.8 * 0.93, 0.5 ** np.exp(-0.3) * 1.15 * 1.07
    seen = torch.stack([photographed(grey, np.random.default_rng(seed)) for seed in range(20)])
    assert torch.equal(seen[3], photographed(grey, np.random.default_rng(3)))
    assert 0 <= float(seen.min()) <= float(seen.max()) <= 1
    means = seen.mean(dim=(2, 3))
    assert low - 0.01 < float(means.min()) < 0.45
    assert 0.55 < float(means.max()) < high + 0.01
    stripes = (torch.arange(64) % 2).float().expand(3, 64, 64)
    contrast = torch.stack([photographed(stripes, np.random.default_rng(seed)).std() for seed in range(20)])
    assert 0.2 < float((contrast < 0.3).float().mean()) < 0.7, "about 4 of 10 pictures lose their finest lines"


def test_kinds_can_be_left_out() -> None:
    assert set(shares_without(("bar", "none"))) == set(SHARES) - {"bar", "none"}
    with pytest.raises(SettingsError, match=r"'hands'.*hand"):
        shares_without(("hands",))
    with pytest.raises(SettingsError, match="keep at least one"):
        shares_without(tuple(SHARES))


def test_answers_that_do_not_fit_are_refused(maker: OccludedFaces, input_set: FaceSet) -> None:
    with pytest.raises(ShapeError, match="answers to 12 rows in 5 classes"):
        replace(maker, answers=maker.answers[:6])
    with pytest.raises(ShapeError, match="in 4 classes"):
        replace(maker, class_names=NAMES[:4])
    odd = replace(input_set, images_u8=input_set.images_u8[..., 1:, 1:], masks_u8=input_set.masks_u8[..., 1:, 1:])
    with pytest.raises(ShapeError, match="even side"):
        replace(maker, faces=odd)
