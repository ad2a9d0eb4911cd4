"""The terms of the style engine, on crops of 64 px: their values against the losses, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.data.faceset import FaceSet, RowBatch
from stylswap.engines.style import TERMS, StyleEngine
from stylswap.engines.style_options import ContentOptions, StyleOptions
from stylswap.errors import SettingsError
from stylswap.faces.batch import FaceBatch
from stylswap.faces.segment import feature_areas
from stylswap.features.vgg import VGG
from stylswap.losses.adversarial import face_cells
from stylswap.losses.colour import chrominance
from stylswap.losses.content import content
from stylswap.losses.expression import expression
from stylswap.losses.luminance import luminance
from stylswap.losses.smoothness import smoothness
from stylswap.losses.style import patch_style
from tests.engines.style_case import (
    LANDMARKS,
    LIGHT,
    NUM_FACES,
    RECOGNISER,
    ROWS,
    Watched,
    judges,
    make,
    nearest,
    network,
    opponent,
)


def test_every_term_is_one_finite_number_a_face(engine: StyleEngine, covered_set: FaceSet) -> None:
    batch = covered_set.batch(ROWS)
    terms = engine.terms(batch, TERMS)
    assert terms.keys() == TERMS == engine.term_names["network"]
    hinge = engine.discriminator_terms(batch, engine.term_names["discriminator"])
    assert hinge.keys() == {"hinge"}
    for name, values in {**terms, **hinge}.items():
        assert values.shape == (3,), name
        assert torch.isfinite(values).all(), name
        assert (values > 0).all() or name == "adversarial", name


def test_an_untrained_network_changes_nothing(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    engine = make(critic, input_set, identity_set, net=network())
    batch = input_set.batch(ROWS)
    terms = engine.terms(batch, TERMS)
    assert (terms["content"] < 1e-5).all(), "no more than the rounding to float16"
    for name in ("luminance", "chrominance", "lighting", "keep"):
        assert torch.equal(terms[name], torch.zeros(3)), name
    assert (terms["expression"] < 1e-10).all(), "the inputs' landmarks were looked for one by one"
    assert torch.equal(terms["smoothness"], smoothness(batch.faces.images))
    assert (terms["style"] > 0.05).all()


def test_the_terms_are_those_of_the_losses(engine: StyleEngine, input_set: FaceSet, identity_set: FaceSet, vgg: VGG) -> None:
    batch = input_set.batch(ROWS)
    terms = engine.terms(batch, TERMS)
    output = engine.trained["network"](batch.faces.images)
    layers = ("relu3_1", "relu4_1", "relu4_2")
    with torch.no_grad():
        features, own = vgg(output, layers), vgg(batch.faces.images, layers)
        wanted = []
        for number, row in enumerate(ROWS):
            photos = identity_set.faces(nearest(input_set, identity_set, row))
            styles = vgg(photos.images, layers)
            distances = []
            for layer in layers[:2]:
                mask = F.interpolate(batch.faces.masks[number : number + 1], size=features[layer].shape[-2:], mode="area")
                shown = F.interpolate(photos.masks, size=features[layer].shape[-2:], mode="area")[None]
                distances.append(patch_style(features[layer][number : number + 1], styles[layer][None], mask=mask, shown=shown))
            wanted.append(torch.stack(distances).mean())
    assert torch.allclose(terms["style"], torch.stack(wanted), rtol=2e-3)
    assert torch.allclose(terms["content"], (features["relu4_2"] - own["relu4_2"]).square().mean(dim=(1, 2, 3)), rtol=2e-3)
    assert torch.allclose(terms["luminance"], luminance(output, batch.faces.images, mask=batch.faces.masks))
    assert torch.allclose(terms["smoothness"], smoothness(output))
    assert torch.allclose(terms["lighting"], (LIGHT(output) - LIGHT(batch.faces.images)).square().sum(dim=1), atol=1e-6)
    own = [identity_set.faces([row]) for row in range(len(identity_set))]  # without their mirror images
    mean = F.normalize(torch.cat([RECOGNISER(face.images, face.landmarks) for face in own]).mean(dim=0), dim=0)
    masks = batch.faces.masks
    images, points = masks * output + (1 - masks) * batch.faces.images, batch.faces.landmarks
    seen = RECOGNISER(images, points)
    others = [input_set.faces([row]) for row in range(len(input_set))]
    strangers = torch.cat([1 - RECOGNISER(face.images, face.landmarks) @ mean for face in others])
    assert strangers.max() > 1.5 * strangers.min(), "else any one of them would do"
    assert torch.allclose(terms["identity"], (1 - seen @ mean) / strangers.mean(), atol=1e-5)
    photos = input_set.faces([row % len(input_set) for row in ROWS])  # not their mirror images
    before = RECOGNISER(photos.images, photos.landmarks)
    over = ((seen * before).sum(dim=1) - before @ mean).clamp_min(0)
    assert torch.allclose(terms["residual"], over / strangers.mean(), atol=1e-5)
    assert torch.allclose(terms["expression"], expression(LANDMARKS(images), LANDMARKS(batch.faces.images)), rtol=1e-3, atol=1e-7)
    assert torch.allclose(terms["chrominance"], chrominance(output, batch.faces.images, mask=masks))
    logits = opponent(engine).eval()(images)
    cells = face_cells(masks, logits)
    assert torch.allclose(terms["adversarial"], -(logits * cells).sum(dim=(1, 2, 3)) / cells.sum(dim=(1, 2, 3)), atol=1e-5)


def test_who_a_covered_or_relit_face_is_its_photo_says(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    # Row 6 is face 0 once more, under a hand so to speak: of the recogniser nobody may ask to look like someone under a hand.
    again = input_set.subset([0, 1, 2, 3, 4, 5, 0])
    images = again.images_u8.clone()
    images[6, :, 30:] = 128
    engine = make(critic, replace(again, images_u8=images), identity_set)
    face = input_set.faces([0])
    wanted = RECOGNISER(face.images, face.landmarks)
    for rows in ((0,), (6,), (7,), (13,)):  # the photo, the covered one, and their mirror images
        (seen,) = engine.input_faces(rows)
        torch.testing.assert_close(seen, wanted, atol=1e-5, rtol=0)
    assert (engine.input_faces((1,))[0] - wanted).norm() > 0.1


def test_several_recognisers_count_alike(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    def other(images: Tensor, landmarks: Tensor) -> Tensor:
        return F.normalize(F.adaptive_avg_pool2d(images, 4).flatten(1), dim=1)  # its strangers are near: the sum alone would not hear it

    names = ("identity", "residual")
    first, second, both = (
        make(critic, input_set, identity_set, judges=judges(recognisers=some)).terms(input_set.batch(ROWS), names)
        for some in ([RECOGNISER], [other], [RECOGNISER, other])
    )
    for name in names:
        assert torch.allclose(both[name], (first[name] + second[name]) / 2, atol=1e-6)
    assert second["identity"].mean() > 0.5, "a stranger is 1 for everyone"


def test_the_nearest_are_not_the_same_for_all(input_set: FaceSet, identity_set: FaceSet) -> None:
    chosen = [tuple(nearest(input_set, identity_set, row)) for row in range(input_set.num_rows)]
    assert len(set(chosen)) > 1, "else the tests of choice and of batches could not fail"


@pytest.mark.parametrize("rows", [(7, 0, 4), (0, 0), (11, 1, 2, 3)])
def test_a_face_does_not_see_the_others_of_its_batch(engine: StyleEngine, input_set: FaceSet, rows: tuple[int, ...]) -> None:
    together = engine.terms(input_set.batch(rows), TERMS)
    for number, row in enumerate(rows):
        alone = engine.terms(input_set.batch([row]), TERMS)
        for name in TERMS:
            assert together[name][number].item() == pytest.approx(alone[name].item(), rel=1e-4), name


def test_another_face_in_a_row_is_another_number(engine: StyleEngine, input_set: FaceSet) -> None:
    # The rows say which styles are looked up: a face under a wrong row must differ, or the lookup would not matter.
    batch = input_set.batch(ROWS)
    wrong = RowBatch(batch.faces, (ROWS[1], ROWS[2], ROWS[0]))
    right, wrong_terms = engine.terms(batch, {"style", "content"}), engine.terms(wrong, {"style", "content"})
    assert not torch.allclose(right["content"], wrong_terms["content"], rtol=0.1)
    assert not torch.allclose(right["style"], wrong_terms["style"], rtol=1e-3)


def test_what_the_mask_leaves_out_does_not_count(engine: StyleEngine, critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    batch = input_set.batch(ROWS)
    nothing = RowBatch(FaceBatch(batch.faces.images, batch.faces.landmarks, torch.zeros_like(batch.faces.masks)), batch.rows)
    terms = engine.terms(nothing, TERMS)
    for name in ("style", "luminance", "chrominance", "detail", "adversarial"):
        assert torch.equal(terms[name], torch.zeros(3)), name
    assert (terms["expression"] < 1e-10).all()
    assert (terms["content"] > 0).all(), "the content of the whole picture stays"
    unchanged = make(critic, input_set, identity_set, net=network()).terms(batch, {"identity"})["identity"]
    assert torch.allclose(terms["identity"], unchanged, atol=1e-5), "what is drawn where nothing is pasted convinces nobody"


def test_the_numbers_do_not_depend_on_the_cache(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    roomy, tight = (make(critic, input_set, identity_set, cache_bytes=size) for size in (2**30, 0))
    for engine in (roomy, tight):
        engine.terms(input_set.batch((4, 0)), TERMS)
    one, two = (engine.terms(input_set.batch(ROWS), TERMS) for engine in (roomy, tight))
    assert all(torch.equal(one[name], two[name]) for name in TERMS)


# ---- mouth, eyes and brows


def test_features_count_more_where_the_options_say_so(critic: Watched, vgg: VGG, input_set: FaceSet, identity_set: FaceSet) -> None:
    batch, net, layers = input_set.batch(ROWS), network(moved=True), ("relu3_1",)
    options = {"style": StyleOptions(layers, NUM_FACES, features=5.0), "content": ContentOptions(layers, features=0.5)}
    terms = make(critic, input_set, identity_set, net=net, **options).terms(batch, {"style", "content"})
    areas = feature_areas(batch.faces.landmarks, 64)  # (B, 1, 16, 16), as relu3_1
    with torch.no_grad():
        features, own = vgg(net(batch.faces.images), layers)["relu3_1"], vgg(batch.faces.images, layers)["relu3_1"]
        faces = [identity_set.faces(nearest(input_set, identity_set, row)) for row in ROWS]
        styles = torch.stack([vgg(photos.images, layers)["relu3_1"] for photos in faces])
        shown = torch.stack([F.interpolate(photos.masks, size=(16, 16), mode="area") for photos in faces])
    mask = F.interpolate(batch.faces.masks, size=(16, 16), mode="area") * (1 + 4 * areas)
    assert torch.allclose(terms["style"], patch_style(features, styles, mask=mask, shown=shown), rtol=2e-3)
    assert torch.allclose(terms["content"], content(features, own, mask=1 - 0.5 * areas), rtol=2e-3)


def test_the_options_of_the_style_term_reach_it(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    def style(**options: float) -> Tensor:
        made = make(critic, input_set, identity_set, style=StyleOptions(num_faces=NUM_FACES, **options))  # type: ignore[arg-type]
        return made.terms(input_set.batch(ROWS), {"style"})["style"].detach()

    hard = style()
    assert (style(softness=0.05) > hard * 1.01).all(), "further candidates have a share"
    assert (style(radius=1) < hard * 0.99).all(), "more candidates, a nearer one among them"


# ---- refusals


def test_more_style_faces_than_photos_are_refused(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    options = StyleOptions(num_faces=identity_set.num_rows + 1)
    with pytest.raises(SettingsError, match=f"number of photos of the identity, {identity_set.num_rows}, got {options.num_faces}"):
        StyleEngine(network(), critic, input_set, identity_set, style=options)


def test_crops_of_two_sizes_are_refused(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    half = replace(identity_set, images_u8=identity_set.images_u8[..., ::2, ::2], masks_u8=identity_set.masks_u8[..., ::2, ::2])
    with pytest.raises(SettingsError, match="crops of one size, got 32 and 64 px"):
        make(critic, input_set, half)


def test_many_inputs_choose_as_a_few_do(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    # The choice goes through the inputs in parts; 600 rows are more than one.
    many = input_set.subset([row % len(input_set) for row in range(300)])
    engine, few = make(critic, many, identity_set), make(critic, input_set, identity_set)
    rows: Sequence[int] = (0, 299, 300, 599)
    wanted = few.terms(input_set.batch([0, 299 % 6, 6, 6 + 299 % 6]), {"style"})["style"]
    assert torch.allclose(engine.terms(many.batch(rows), {"style"})["style"], wanted)
