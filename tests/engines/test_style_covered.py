"""What covers a face asks for nothing in the style engine, and is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from stylswap.data.faceset import FaceSet, RowBatch
from stylswap.engines.style import StyleEngine
from stylswap.engines.style_options import StyleOptions
from stylswap.engines.style_pass import StylePass
from tests.engines.style_case import (
    NUM_FACES,
    ROWS,
    Watched,
    make,
)


def slope(engine: StyleEngine, batch: RowBatch, name: str, layers: tuple[str, ...] = ()) -> Tensor:
    """Gradient of one term to the output, (3, S, S), for one face of the batch."""
    output = (batch.faces.images * 0.7 + 0.1234).requires_grad_()
    (gradient,) = torch.autograd.grad(getattr(StylePass(engine, batch, layers, output), name).sum(), output)
    return gradient[0]


# Pixels of the output that a term still sees from outside of the area that is kept: the critic's field, or none.
FIELD_PX = {"style": 12, "luminance": 0, "chrominance": 0, "identity": 0, "residual": 0, "expression": 0, "adversarial": 0}


@pytest.mark.parametrize("name", sorted(FIELD_PX))
def test_nothing_is_asked_of_what_must_stay(critic: Watched, input_set: FaceSet, identity_set: FaceSet, name: str) -> None:
    layers = ("relu3_1",)
    engine = make(critic, input_set, identity_set, style=StyleOptions(layers, NUM_FACES))
    kept = torch.zeros(1, 1, 64, 64)
    kept[..., :32] = 1
    free, covered = input_set.batch([0]), RowBatch(input_set.faces([0]), (0,), kept)
    edge = 32 - FIELD_PX[name]
    assert slope(engine, free, name, layers)[..., :edge].abs().max() > 0, "else it never asked anything there"
    gradient = slope(engine, covered, name, layers)
    assert gradient[..., :edge].abs().max() == 0
    assert gradient[..., 32:].abs().max() > 0
    whole = RowBatch(input_set.faces([0]), (0,), torch.ones(1, 1, 64, 64))
    assert slope(engine, whole, name, layers).abs().max() == 0


def test_what_must_stay_is_the_keep_terms(critic: Watched, covered_set: FaceSet, identity_set: FaceSet) -> None:
    everywhere = replace(identity_set, masks_u8=torch.full_like(identity_set.masks_u8, 255))
    engine = make(critic, covered_set, everywhere)
    gradient = slope(engine, covered_set.batch([0]), "keep")
    assert gradient[:, 40:, :32].abs().min() > 0
    assert gradient[:, :40].abs().max() == gradient[:, :, 32:].abs().max() == 0
    mirrored = slope(engine, covered_set.batch([6]), "keep")
    assert mirrored[:, 40:, 32:].abs().min() > 0 == mirrored[:, :, :32].abs().max()


def test_what_no_photo_shows_is_the_keep_terms(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    below = identity_set.masks_u8.clone()
    below[..., :16, :] = 0  # hair
    engine = make(critic, input_set, replace(identity_set, masks_u8=below))
    batch = input_set.batch([0])
    pixels = StylePass(engine, batch, ()).never_shown
    top = (..., slice(0, 10), slice(None))  # above the brows
    assert pixels[top].max() > 0, "else nothing was tested"
    assert torch.allclose(pixels[top], batch.faces.masks[top], atol=0.05)
    output = engine.trained["network"](batch.faces.images)
    wanted = ((output - batch.faces.images).square().mean(1, keepdim=True) * pixels).sum() / pixels.sum()
    assert torch.allclose(engine.terms(batch, {"keep"})["keep"], wanted)


def test_covered_eyes_of_the_identity_are_not_asked_of_the_input(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    nowhere = replace(identity_set, masks_u8=torch.zeros_like(identity_set.masks_u8))
    batch = input_set.batch([0])
    pixels = StylePass(make(critic, input_set, nowhere), batch, ()).never_shown
    assert pixels.max() > 0.9
    for eye in (slice(36, 42), slice(42, 48)):
        across, down = batch.faces.landmarks[0, eye].mean(dim=0).round().int().tolist()
        assert pixels[0, 0, down, across] < 0.25


def test_where_the_parser_did_not_look_no_photo_is_sure_to_show_a_face(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    full = torch.full_like(identity_set.masks_u8, 255)
    parsed = replace(identity_set, masks_u8=full, kept_u8=torch.zeros_like(full))
    wanted = torch.zeros(NUM_FACES, 1, 64, 64)
    wanted[..., 5:-5, 5:-5] = 1.0  # without a twelfth of the side
    assert torch.equal(make(critic, input_set, parsed).style_masks(ROWS[0]), wanted)
    unparsed = make(critic, input_set, replace(identity_set, masks_u8=full)).style_masks(ROWS[0])
    assert torch.equal(unparsed, torch.ones_like(wanted))
