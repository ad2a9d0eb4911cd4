"""The style engine with the real critic, on crops of 64 px."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.data.faceset import FaceSet, RowBatch
from stylswap.engines.style import TERMS, StyleEngine, StyleOptions, StyleRenderer
from stylswap.errors import SettingsError
from stylswap.faces.batch import FaceBatch
from stylswap.features.lighting import LightingCritic
from stylswap.features.recogniser import Recogniser
from stylswap.features.vgg import VGG
from stylswap.losses.luminance import luminance
from stylswap.losses.smoothness import smoothness
from stylswap.losses.style import patch_style
from stylswap.networks import build_network
from stylswap.training.loop import Loop

NUM_FACES = 3
ROWS = (0, 4, 7)  # of six faces; 7 is the mirror image of 1
ALL_ON = {"network": {"content": 1.0, "style": 25.0, "identity": 5.0, "lighting": 2.0, "luminance": 20.0, "smoothness": 0.3}}


LIGHT = LightingCritic.load()
RECOGNISER = Recogniser.load("dlib")


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


@pytest.fixture
def engine(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> StyleEngine:
    return make(critic, input_set, identity_set)


def make(critic: Watched, inputs: FaceSet, identity: FaceSet, *, net: nn.Module | None = None, **more: object) -> StyleEngine:
    judges = {"light": LIGHT, "recogniser": RECOGNISER, **more}
    return StyleEngine(net or network(moved=True), critic, inputs, identity, style=StyleOptions(num_faces=NUM_FACES), **judges)


def nearest(inputs: FaceSet, identity: FaceSet, row: int) -> list[int]:
    """Brute force: the identity's rows, mirror images among them, by the distance of their landmarks."""
    own = inputs.faces([row]).landmarks[0].numpy()
    distances = [float(((identity.faces([other]).landmarks[0].numpy() - own) ** 2).sum()) for other in range(identity.num_rows)]
    return list(np.argsort(distances, kind="stable")[:NUM_FACES])


# ---- values


def test_every_term_is_one_finite_number_a_face(engine: StyleEngine, input_set: FaceSet) -> None:
    terms = engine.terms(input_set.batch(ROWS), TERMS)
    assert terms.keys() == TERMS == engine.term_names["network"]
    for name, values in terms.items():
        assert values.shape == (3,), name
        assert torch.isfinite(values).all(), name
        assert (values > 0).all(), name


def test_an_untrained_network_changes_nothing(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    engine = make(critic, input_set, identity_set, net=network())
    batch = input_set.batch(ROWS)
    terms = engine.terms(batch, TERMS)
    assert (terms["content"] < 1e-5).all(), "no more than the rounding to float16"
    assert torch.equal(terms["luminance"], torch.zeros(3))
    assert torch.equal(terms["lighting"], torch.zeros(3))
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
            styles = vgg(identity_set.faces(nearest(input_set, identity_set, row)).images, layers)
            distances = []
            for layer in layers[:2]:
                mask = F.interpolate(batch.faces.masks[number : number + 1], size=features[layer].shape[-2:], mode="area")
                distances.append(patch_style(features[layer][number : number + 1], styles[layer][None], mask=mask))
            wanted.append(torch.stack(distances).mean())
    assert torch.allclose(terms["style"], torch.stack(wanted), rtol=2e-3)
    assert torch.allclose(terms["content"], (features["relu4_2"] - own["relu4_2"]).square().mean(dim=(1, 2, 3)), rtol=2e-3)
    assert torch.allclose(terms["luminance"], luminance(output, batch.faces.images, mask=batch.faces.masks))
    assert torch.allclose(terms["smoothness"], smoothness(output))
    assert torch.allclose(terms["lighting"], (LIGHT(output) - LIGHT(batch.faces.images)).square().sum(dim=1), atol=1e-6)
    own = [identity_set.faces([row]) for row in range(len(identity_set))]  # without their mirror images
    mean = F.normalize(torch.cat([RECOGNISER(face.images, face.landmarks) for face in own]).mean(dim=0), dim=0)
    masks = batch.faces.masks
    seen = RECOGNISER(masks * output + (1 - masks) * batch.faces.images, batch.faces.landmarks)
    assert torch.allclose(terms["identity"], 1 - seen @ mean, atol=1e-5)


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
    assert torch.equal(terms["style"], torch.zeros(3))
    assert torch.equal(terms["luminance"], torch.zeros(3))
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


@pytest.mark.parametrize("names", [{"smoothness"}, {"luminance"}, {"smoothness", "luminance"}])
def test_terms_without_features_run_no_critic(engine: StyleEngine, critic: Watched, input_set: FaceSet, names: set[str]) -> None:
    assert engine.terms(input_set.batch(ROWS), names).keys() == names
    assert critic.asked == []


def test_lighting_without_its_critic_is_refused(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    engine = make(critic, input_set, identity_set, light=None)
    with pytest.raises(SettingsError, match="has no lighting critic"):
        engine.terms(input_set.batch(ROWS), {"lighting"})
    with pytest.raises(SettingsError, match="has no face recogniser"):
        make(critic, input_set, identity_set, recogniser=None).terms(input_set.batch(ROWS), {"identity"})


def test_a_term_asks_for_its_layers_only(engine: StyleEngine, critic: Watched, input_set: FaceSet) -> None:
    engine.terms(input_set.batch(ROWS), {"content"})
    assert critic.asked == [(3, ("relu4_2",)), *[(1, ("relu4_2",))] * 3]
    critic.asked.clear()
    engine.terms(input_set.batch(ROWS), {"style"})
    assert {layers for _, layers in critic.asked} == {("relu3_1", "relu4_1")}
    assert critic.asked.count((3, ("relu3_1", "relu4_1"))) == 1, "one pass for the whole batch"


def test_frozen_features_are_computed_once(engine: StyleEngine, critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    assert critic.asked == [], "nothing before the first step"
    engine.terms(input_set.batch(ROWS), TERMS)
    chosen = {face for row in ROWS for face in nearest(input_set, identity_set, row)}
    assert [count for count, _ in critic.asked].count(1) == len(ROWS) + len(chosen)
    critic.asked.clear()
    engine.terms(input_set.batch(ROWS), TERMS)
    assert [count for count, _ in critic.asked] == [3], "the output only"


def test_one_pass_of_the_network_serves_all_terms(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    passes: list[int] = []
    net = network(moved=True)
    net.register_forward_hook(lambda *_: passes.append(1))
    make(critic, input_set, identity_set, net=net).terms(input_set.batch(ROWS), TERMS)
    assert len(passes) == 1


def test_an_ablation_through_the_loop_never_meets_the_critic(engine: StyleEngine, critic: Watched, input_set: FaceSet) -> None:
    weights = {"network": {"content": 0.0, "style": 0.0, "identity": 0.0, "lighting": 0.0, "luminance": 1.0, "smoothness": 0.1}}
    loop = Loop(engine, weights, gradient_norm=10.0)
    assert loop.step(input_set.batch(ROWS), 1e-3).terms.keys() == {"network.luminance", "network.smoothness"}
    assert critic.asked == []


# ---- gradients


def parameters(engine: StyleEngine) -> Iterator[tuple[str, nn.Parameter]]:
    return engine.trained.named_parameters()


@pytest.mark.parametrize("name", sorted(TERMS))
def test_a_gradient_reaches_all_of_the_network(engine: StyleEngine, input_set: FaceSet, name: str) -> None:
    engine.terms(input_set.batch(ROWS), {name})[name].sum().backward()
    for parameter_name, parameter in parameters(engine):
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


def test_the_critic_is_not_trained(engine: StyleEngine, vgg: VGG, input_set: FaceSet) -> None:
    trained = {id(parameter) for phase in engine.phases for parameter in phase.parameters}
    assert trained == {id(parameter) for _, parameter in parameters(engine)}
    assert not trained & {id(parameter) for parameter in vgg.parameters()}
    assert all(not parameter.requires_grad for parameter in vgg.parameters())
    assert not any("critic" in name or "vgg" in name for name in engine.trained.state_dict())


@pytest.mark.parametrize("name", sorted(TERMS))
def test_the_gradient_is_the_slope(engine: StyleEngine, input_set: FaceSet, name: str) -> None:
    weight = engine.trained["network"].get_submodule("to_change").weight
    batch = input_set.batch(ROWS)
    engine.terms(batch, {name})[name].sum().backward()
    steepest = weight.grad / weight.grad.norm()
    # Features of unit length turn quickly, so the slope of these terms holds over a shorter way.
    step, values = 2e-4 if name in ("lighting", "identity") else 2e-3, []
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


# ---- rendering


def test_a_rendered_face_is_a_picture(input_set: FaceSet) -> None:
    net = network(moved=True)
    nn.init.constant_(net.get_submodule("to_change").bias, 0.9)
    faces = input_set.faces([0, 1, 2])
    images, masks = StyleRenderer(net.train()).render(faces)
    assert net.training, "a network in training is left in training"
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert masks is None
    assert images.shape == faces.images.shape
    assert images.is_contiguous()
    assert not images.requires_grad
    assert images.min() >= 0
    assert images.max() == 1


def test_an_untrained_network_renders_its_input(input_set: FaceSet) -> None:
    faces = input_set.faces([0, 8])
    assert torch.equal(StyleRenderer(network()).render(faces).images, faces.images)
