"""The style engine with the real critic, on crops of 64 px."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.data.faceset import FaceSet, RowBatch
from stylswap.engines.style import TERMS, Judges, StyleEngine
from stylswap.engines.style_options import ContentOptions, ExpressionOptions, StyleOptions
from stylswap.engines.style_pass import StylePass
from stylswap.errors import SettingsError
from stylswap.faces.batch import FaceBatch
from stylswap.faces.landmarks import MOUTH
from stylswap.faces.segment import feature_areas
from stylswap.features.landmarks import LandmarkCritic
from stylswap.features.lighting import LightingCritic
from stylswap.features.recogniser import Recogniser
from stylswap.features.vgg import VGG
from stylswap.losses.adversarial import discriminator_hinge, face_cells
from stylswap.losses.colour import chrominance
from stylswap.losses.content import content
from stylswap.losses.expression import expression
from stylswap.losses.luminance import luminance
from stylswap.losses.smoothness import smoothness
from stylswap.losses.style import patch_style
from stylswap.losses.weigh import Ramp
from stylswap.networks import build_network
from stylswap.networks.discriminator import PatchDiscriminator, build_discriminator
from stylswap.training.loop import Loop, Tick

NUM_FACES = 3
ROWS = (0, 4, 7)  # of six faces; 7 is the mirror image of 1
STRONG = {"content": 1.0, "style": 25.0, "identity": 5.0, "residual": 2.0, "expression": 50.0, "keep": 10.0, "lighting": 2.0}
FAINT = {"luminance": 20.0, "chrominance": 20.0, "smoothness": 0.3, "adversarial": 0.2, "detail": 2.0}
ALL_ON = {"network": {**STRONG, **FAINT}, "discriminator": {"hinge": 1.0}}
UNSIGNED = TERMS - {"adversarial"}

LIGHT = LightingCritic.load()
RECOGNISER = Recogniser.load("dlib")
LANDMARKS = LandmarkCritic.load()


class Watched:
    """A critic that remembers the layers it was asked for, and of how many images."""

    def __init__(self, critic: VGG) -> None:
        self.critic = critic
        self.asked: list[tuple[int, tuple[str, ...]]] = []

    def __call__(self, images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        self.asked.append((len(images), tuple(layers)))
        features: dict[str, Tensor] = self.critic(images, layers)
        return features


@pytest.fixture(scope="module")
def vgg() -> VGG:
    return VGG.load()


@pytest.fixture
def critic(vgg: VGG) -> Watched:
    return Watched(vgg)


def network(*, moved: bool = False) -> nn.Module:
    """A small one; `moved` away from the identity that it starts as."""
    net = build_network("residual", seed=1, widths=[8, 16, 16], blocks=1)
    if moved:
        last = net.get_submodule("to_change")
        nn.init.normal_(last.weight, std=0.02, generator=torch.Generator().manual_seed(2))
        nn.init.constant_(last.bias, 0.03)
    return net


@pytest.fixture(scope="module")
def covered_set(input_set: FaceSet) -> FaceSet:
    """The inputs, each with something in front of the left half of its lower face."""
    kept = torch.zeros_like(input_set.masks_u8)
    kept[..., 40:, :32] = 255
    return replace(input_set, kept_u8=kept)


@pytest.fixture
def engine(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> StyleEngine:
    return make(critic, input_set, identity_set)


def judges(**changes: object) -> Judges:
    """All of them, with a discriminator of its own for each engine."""
    return replace(Judges(LIGHT, [RECOGNISER], LANDMARKS, build_discriminator(seed=3, widths=[8, 8, 8])), **changes)


def make(critic: Watched, inputs: FaceSet, identity: FaceSet, *, net: nn.Module | None = None, **more: object) -> StyleEngine:
    more = {"style": StyleOptions(num_faces=NUM_FACES), "judges": judges(), **more}
    return StyleEngine(net or network(moved=True), critic, inputs, identity, **more)  # type: ignore[arg-type]


def opponent(engine: StyleEngine) -> PatchDiscriminator:
    discriminator = engine.trained["discriminator"]
    assert isinstance(discriminator, PatchDiscriminator)
    return discriminator


def nearest(inputs: FaceSet, identity: FaceSet, row: int) -> list[int]:
    """Brute force: the identity's rows, mirror images among them, by the distance of their landmarks."""
    own = inputs.faces([row]).landmarks[0].numpy()
    distances = [float(((identity.faces([other]).landmarks[0].numpy() - own) ** 2).sum()) for other in range(identity.num_rows)]
    return list(np.argsort(distances, kind="stable")[:NUM_FACES])


# ---- values


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


def test_what_the_mask_leaves_out_does_not_count(
    engine: StyleEngine, critic: Watched, input_set: FaceSet, identity_set: FaceSet
) -> None:
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


# ---- what is computed


FREE = {"smoothness", "luminance", "chrominance", "keep"}


@pytest.mark.parametrize("names", [*({name} for name in sorted(FREE)), FREE])
def test_terms_without_features_run_no_critic(critic: Watched, input_set: FaceSet, identity_set: FaceSet, names: set[str]) -> None:
    engine = make(critic, input_set, identity_set, judges=Judges())
    assert engine.terms(input_set.batch(ROWS), names).keys() == names
    assert critic.asked == []


WANTED = {
    "lighting": {"light"},
    "identity": {"recognisers"},
    "residual": {"recognisers"},
    "expression": {"landmarks"},
    "adversarial": {"discriminator"},
}
NOBODY = {"light": None, "recognisers": (), "landmarks": None, "discriminator": None}


@pytest.mark.parametrize("name", sorted(WANTED))
def test_a_term_runs_its_own_judge_alone(critic: Watched, input_set: FaceSet, identity_set: FaceSet, name: str) -> None:
    others = {judge: nobody for judge, nobody in NOBODY.items() if judge not in WANTED[name]}
    engine = make(critic, input_set, identity_set, judges=judges(**others))
    assert engine.terms(input_set.batch(ROWS), {name})[name].shape == (3,)
    assert critic.asked == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lighting", "has no lighting critic"),
        ("identity", "has no face recogniser"),
        ("residual", "has no face recogniser"),
        ("expression", "has no landmark critic"),
        ("adversarial", "has no discriminator"),
    ],
)
def test_a_term_without_its_judge_is_refused(
    critic: Watched, input_set: FaceSet, identity_set: FaceSet, name: str, message: str
) -> None:
    engine = make(critic, input_set, identity_set, judges=judges(**{judge: NOBODY[judge] for judge in WANTED[name]}))
    with pytest.raises(SettingsError, match=message):
        engine.terms(input_set.batch(ROWS), {name})


def test_without_a_discriminator_there_is_no_phase_for_it(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    engine = make(critic, input_set, identity_set, judges=judges(discriminator=None))
    assert [phase.name for phase in engine.phases] == ["network"]
    assert list(engine.trained) == list(engine.term_names) == ["network"]


@pytest.mark.parametrize("unsteady", [0.0, 0.1])
def test_recognisers_look_at_outputs_from_where_they_are_told(
    critic: Watched, input_set: FaceSet, identity_set: FaceSet, unsteady: float
) -> None:
    seen: list[Tensor] = []

    def recognise(images: Tensor, landmarks: Tensor) -> Tensor:
        seen.append(landmarks)
        return F.normalize(F.adaptive_avg_pool2d(images, 4).flatten(1), dim=1)

    engine = make(critic, input_set, identity_set, judges=judges(recognisers=[recognise]), unsteady=unsteady)
    known = [faces.faces([row]).landmarks for faces in (input_set, identity_set) for row in range(faces.num_rows)]
    assert all(any(torch.equal(points, one) for one in known) for points in seen), "of what is a constant there is one view"
    seen.clear()
    batch = input_set.batch(ROWS)
    for step in (0, 1, 1):
        engine.terms(replace(batch, step=step), {"identity"})
    first, second, again = seen
    assert torch.equal(second, again), "by row and step alone"
    assert torch.equal(first, batch.faces.landmarks) == torch.equal(first, second) == (unsteady == 0.0)


@pytest.mark.parametrize("unsteady", [0.0, 0.1])
def test_recognisers_see_half_of_the_faces_mirrored(critic: Watched, input_set: FaceSet, identity_set: FaceSet, unsteady: float) -> None:
    seen: list[Tensor] = []

    def recognise(images: Tensor, landmarks: Tensor) -> Tensor:
        seen.append(images.detach())
        return F.normalize(F.adaptive_avg_pool2d(images, 4).flatten(1), dim=1)

    engine = make(critic, input_set, identity_set, judges=judges(recognisers=[recognise]), unsteady=unsteady)
    batch = input_set.batch(ROWS)
    seen.clear()
    for step in range(8):
        engine.terms(replace(batch, step=step), {"identity"})
    pasted = engine.pasted(batch)
    mirrored = [torch.equal(image, one.flip(2)) for images in seen for image, one in zip(images, pasted, strict=True)]
    plain = [torch.equal(image, one) for images in seen for image, one in zip(images, pasted, strict=True)]
    assert all(one != other for one, other in zip(mirrored, plain, strict=True))
    assert any(mirrored) == (unsteady > 0)
    assert any(plain)


def test_the_landmark_critic_looks_at_output_and_input_in_the_same_cut(
    critic: Watched, input_set: FaceSet, identity_set: FaceSet
) -> None:
    seen: list[Tensor] = []

    def landmarks(images: Tensor) -> Tensor:
        seen.append(images.detach())
        return LANDMARKS(images)

    still = network()  # gives back what it gets
    engine = make(critic, input_set, identity_set, net=still, judges=judges(landmarks=landmarks), unsteady=0.1)
    batch = input_set.batch(ROWS)
    terms = engine.terms(batch, {"expression"})["expression"]
    assert torch.allclose(terms, torch.zeros(3), atol=1e-9), "nothing moved"
    first, second = seen
    assert torch.equal(first, second)
    assert not torch.allclose(first, batch.faces.images, atol=0.05)


@pytest.mark.parametrize("unsteady", [0.0, 0.1])
def test_the_mouth_weighs_what_it_is_told_to(critic: Watched, input_set: FaceSet, identity_set: FaceSet, unsteady: float) -> None:
    def alike(images: Tensor) -> Tensor:
        # A mouth that moves with the picture's brightness, and nothing else does.
        points = batch.faces.landmarks[:1].repeat(len(images), 1, 1)
        points[:, MOUTH] += images.mean(dim=(1, 2, 3))[:, None, None]
        return points

    batch = input_set.batch(ROWS)
    terms = {}
    for mouth in (1.0, 3.0):
        options = {"judges": judges(landmarks=alike), "unsteady": unsteady, "expression": ExpressionOptions(mouth)}
        terms[mouth] = make(critic, input_set, identity_set, **options).terms(batch, {"expression"})["expression"]
    assert bool((terms[1.0] > 0).all())
    # 20 of the 51 points are the mouth's: 3 * 20 / (3 * 20 + 31) of its distance, for 20 / 51.
    assert torch.allclose(terms[3.0] / terms[1.0], torch.full((3,), 3 * 51 / 91), rtol=1e-4)


def test_style_faces_are_face_where_their_masks_say_so(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    chosen = nearest(input_set, identity_set, ROWS[0])
    engine = make(critic, input_set, identity_set)
    wanted = torch.cat([identity_set.faces([row]).masks for row in chosen])
    assert torch.allclose(engine.style_masks(ROWS[0]), wanted, atol=1e-3)
    nowhere = replace(identity_set, masks_u8=torch.zeros_like(identity_set.masks_u8))
    blind = make(critic, input_set, nowhere)
    assert blind.terms(input_set.batch(ROWS), {"style"})["style"].tolist() == [0.0] * 3


def test_what_the_judges_see_in_the_inputs_is_computed_once(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    seen: list[tuple[str, int]] = []

    def recognise(images: Tensor, landmarks: Tensor) -> Tensor:
        seen.append(("recognise", len(images)))
        return RECOGNISER(images, landmarks)

    def landmarks(images: Tensor) -> Tensor:
        seen.append(("landmarks", len(images)))
        return LANDMARKS(images)

    engine = make(critic, input_set, identity_set, judges=judges(recognisers=[recognise], landmarks=landmarks))
    assert seen == [("recognise", 1)] * (8 + 6), "the identity's photos, and the strangers"
    seen.clear()
    names = {"identity", "residual", "expression"}
    first = engine.terms(input_set.batch(ROWS), names)
    assert sorted(seen) == sorted([("recognise", 3), ("landmarks", 3), *[("recognise", 1), ("landmarks", 1)] * 3])
    seen.clear()
    second = engine.terms(input_set.batch(ROWS), names)
    assert sorted(seen) == [("landmarks", 3), ("recognise", 3)], "the outputs only, and for both terms of the recogniser"
    assert all(torch.equal(first[name], second[name]) for name in names)


def test_a_term_asks_for_its_layers_only(engine: StyleEngine, critic: Watched, input_set: FaceSet) -> None:
    engine.terms(input_set.batch(ROWS), {"content"})
    assert sorted(critic.asked) == [*[(1, ("relu4_2",))] * 3, (3, ("relu4_2",))]
    critic.asked.clear()
    engine.terms(input_set.batch(ROWS), {"style"})
    assert {layers for _, layers in critic.asked} == {("relu3_1", "relu4_1")}
    assert critic.asked.count((3, ("relu3_1", "relu4_1"))) == 1, "one pass for the whole batch"


def test_frozen_features_are_computed_once(engine: StyleEngine, critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    assert critic.asked == [], "nothing before the first step"
    engine.terms(input_set.batch(ROWS), TERMS - {"detail"})
    chosen = {face for row in ROWS for face in nearest(input_set, identity_set, row)}
    assert [count for count, _ in critic.asked].count(1) == len(ROWS) + len(chosen)
    critic.asked.clear()
    engine.terms(input_set.batch(ROWS), TERMS - {"detail"})
    assert [count for count, _ in critic.asked] == [3], "the output only"


def test_one_pass_of_the_network_serves_all_terms(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    passes: list[int] = []
    net = network(moved=True)
    net.register_forward_hook(lambda *_: passes.append(1))
    engine, batch = make(critic, input_set, identity_set, net=net), input_set.batch(ROWS)
    engine.terms(batch, TERMS)
    engine.discriminator_terms(batch, {"hinge"})
    assert len(passes) == 1, "and the discriminator judges what it drew"
    engine.discriminator_terms(input_set.batch(ROWS), {"hinge"})
    assert len(passes) == 2, "but not what it drew of another batch"


def test_an_ablation_through_the_loop_never_meets_the_critic(engine: StyleEngine, critic: Watched, input_set: FaceSet) -> None:
    weights = {**dict.fromkeys(TERMS, 0.0), "luminance": 1.0, "smoothness": 0.1}
    loop = Loop(engine, {"network": weights, "discriminator": {"hinge": 0.0}}, gradient_norm=10.0)
    assert loop.step(input_set.batch(ROWS), 1e-3).terms.keys() == {"network.luminance", "network.smoothness"}
    assert critic.asked == []


# ---- gradients


def parameters(engine: StyleEngine, module: str = "network") -> Iterator[tuple[str, nn.Parameter]]:
    return engine.trained[module].named_parameters()


@pytest.mark.parametrize("name", sorted(TERMS))
def test_a_gradient_reaches_all_of_the_network(engine: StyleEngine, covered_set: FaceSet, name: str) -> None:
    engine.terms(covered_set.batch(ROWS), {name})[name].sum().backward()
    for parameter_name, parameter in parameters(engine):
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


def test_the_critic_is_not_trained(engine: StyleEngine, vgg: VGG, input_set: FaceSet) -> None:
    trained = {id(parameter) for phase in engine.phases for parameter in phase.parameters}
    assert trained == {id(parameter) for module in ("network", "discriminator") for _, parameter in parameters(engine, module)}
    assert not trained & {id(parameter) for parameter in vgg.parameters()}
    assert all(not parameter.requires_grad for parameter in vgg.parameters())
    assert not any("critic" in name or "vgg" in name for name in engine.trained.state_dict())


@pytest.mark.parametrize("name", sorted(TERMS))
def test_the_gradient_is_the_slope(engine: StyleEngine, covered_set: FaceSet, name: str) -> None:
    weight = engine.trained["network"].get_submodule("to_change").weight
    batch = covered_set.batch(ROWS)
    engine.terms(batch, {name})[name].sum().backward()
    steepest = weight.grad / weight.grad.norm()
    # Features of unit length turn quickly, and so do points; a small discriminator has kinks. Their slopes hold over a shorter way.
    short = {"expression": 5e-5, **dict.fromkeys(("lighting", "identity", "residual", "adversarial"), 2e-4)}
    step, values = short.get(name, 2e-3), []
    with torch.no_grad():
        for sign in (1, -1):
            weight += sign * step * steepest
            values.append(float(engine.terms(batch, {name})[name].sum()))
            weight -= sign * step * steepest
    assert float(weight.grad.norm()) == pytest.approx((values[0] - values[1]) / (2 * step), rel=0.02)


def test_a_few_steps_lower_the_style(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    loop = Loop(make(critic, input_set, identity_set, net=network()), ALL_ON, gradient_norm=10.0)
    ticks = [loop.step(input_set.batch(ROWS), 2e-3) for _ in range(8)]
    assert ticks[-1].terms["network.style"] < 0.97 * ticks[0].terms["network.style"]
    assert ticks[-1].total < ticks[0].total


def test_equal_engines_take_equal_steps(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    runs = []
    for _ in range(2):
        loop = Loop(make(critic, input_set, identity_set), ALL_ON, gradient_norm=10.0)
        runs.append([loop.step(input_set.batch(ROWS), 1e-3).total for _ in range(2)])
    assert runs[0] == runs[1]


# ---- what covers a face


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


def test_where_the_parser_did_not_look_no_photo_is_sure_to_show_a_face(
    critic: Watched, input_set: FaceSet, identity_set: FaceSet
) -> None:
    full = torch.full_like(identity_set.masks_u8, 255)
    parsed = replace(identity_set, masks_u8=full, kept_u8=torch.zeros_like(full))
    wanted = torch.zeros(NUM_FACES, 1, 64, 64)
    wanted[..., 5:-5, 5:-5] = 1.0  # without a twelfth of the side
    assert torch.equal(make(critic, input_set, parsed).style_masks(ROWS[0]), wanted)
    unparsed = make(critic, input_set, replace(identity_set, masks_u8=full)).style_masks(ROWS[0])
    assert torch.equal(unparsed, torch.ones_like(wanted))


# ---- mouth, eyes and brows


def test_features_count_more_where_the_options_say_so(
    critic: Watched, vgg: VGG, input_set: FaceSet, identity_set: FaceSet
) -> None:
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


# ---- the discriminator


def gradients(engine: StyleEngine, module: str) -> list[float]:
    return [0.0 if parameter.grad is None else float(parameter.grad.abs().max()) for _, parameter in parameters(engine, module)]


def test_each_phase_trains_its_own_network(engine: StyleEngine, input_set: FaceSet) -> None:
    batch = input_set.batch(ROWS)
    network_phase, discriminator_phase = engine.phases
    before = {name: value.clone() for name, value in opponent(engine).state_dict().items()}
    network_phase.terms(batch, {"adversarial"})["adversarial"].sum().backward()
    assert min(gradients(engine, "network")) > 0
    assert max(gradients(engine, "discriminator")) == 0
    assert all(torch.equal(value, before[name]) for name, value in opponent(engine).state_dict().items()), "its power iteration, too"
    engine.trained.zero_grad()
    discriminator_phase.terms(batch, {"hinge"})["hinge"].sum().backward()
    assert max(gradients(engine, "network")) == 0
    assert min(gradients(engine, "discriminator")) > 0
    assert [{id(one) for one in phase.parameters} for phase in engine.phases] == [
        {id(parameter) for _, parameter in parameters(engine, module)} for module in ("network", "discriminator")
    ]
    assert discriminator_phase.betas[0] == 0.5


def test_real_are_the_nearest_photo_and_the_input_in_turn(critic: Watched, covered_set: FaceSet, identity_set: FaceSet) -> None:
    hidden = torch.zeros_like(identity_set.masks_u8)
    hidden[..., :30, :] = 255
    identity = replace(identity_set, kept_u8=hidden)
    engine, batch = make(critic, covered_set, identity), covered_set.batch(ROWS)
    shown = batch.faces.masks * (1 - batch.kept)
    images, masks = engine.real_faces(ROWS, batch.faces, shown)
    assert torch.equal(images[1], batch.faces.images[1])
    assert torch.equal(masks[1], shown[1])
    for place in (0, 2):
        photo = identity.batch([nearest(covered_set, identity, ROWS[place])[0]])
        assert torch.equal(images[place], photo.faces.images[0])
        assert torch.equal(masks[place], (photo.faces.masks * (1 - photo.kept))[0]), "a hand before a photo is no face either"
    judge = copy.deepcopy(opponent(engine))
    hinge = engine.discriminator_terms(batch, {"hinge"})["hinge"]
    pasted = torch.lerp(batch.faces.images, engine.trained["network"](batch.faces.images), shown)
    real, fake = judge(torch.cat([images, pasted])).chunk(2)
    wanted = discriminator_hinge(real, fake, real_mask=face_cells(masks, real), fake_mask=face_cells(shown, fake))
    assert torch.allclose(hinge, wanted, atol=1e-5)


RAMPS = {"network": {"adversarial": Ramp(0.3, 0.8), "style": Ramp(0.0, 0.5, 50.0)}, "discriminator": {"hinge": Ramp(0.3, 0.3)}}


def a_loop(critic: Watched, inputs: FaceSet, identity: FaceSet) -> Loop:
    engine = make(critic, inputs, identity, style=StyleOptions(("relu3_1",), NUM_FACES))
    quick = {**dict.fromkeys(TERMS, 0.0), "style": 25.0, "keep": 10.0, "expression": 50.0, "luminance": 20.0, "adversarial": 0.2}
    return Loop(engine, {**ALL_ON, "network": quick}, gradient_norm=10.0, ramps=RAMPS, averages={"network": 0.9})


def test_a_resumed_duel_is_the_same_bit_for_bit(critic: Watched, covered_set: FaceSet, identity_set: FaceSet) -> None:
    def run(loop: Loop, steps: range) -> list[Tick]:
        return [loop.step(covered_set.batch((step, step + 5), step=step), 1e-3, step / 6) for step in steps]

    whole = a_loop(critic, covered_set, identity_set)
    ticks = run(whole, range(6))
    assert ["discriminator.hinge" in tick.terms for tick in ticks] == ["network.adversarial" in tick.terms for tick in ticks]
    assert ["discriminator.hinge" in tick.terms for tick in ticks] == [False, False, True, True, True, True]
    first = a_loop(critic, covered_set, identity_set)
    run(first, range(3))
    saved = {name: value.clone() for name, value in first.state().items()}
    second = a_loop(critic, covered_set, identity_set)
    run(second, range(1))  # whatever it did before is gone
    second.load_state(saved)
    again = run(second, range(3, 6))
    assert [tick.terms for tick in again] == [tick.terms for tick in ticks[3:]]
    end, resumed = whole.state(), second.state()
    assert end.keys() == resumed.keys()
    assert any(name.startswith("average.network.") for name in end)
    assert all(torch.equal(end[name], resumed[name]) for name in end)


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
