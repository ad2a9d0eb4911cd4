"""Who judges in the style engine: which of them look, at what, and how often."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.data.faceset import FaceSet
from stylswap.engines.style import TERMS, Judges, StyleEngine
from stylswap.engines.style_options import ExpressionOptions
from stylswap.errors import SettingsError
from stylswap.faces.detail import finished
from stylswap.faces.landmarks import MOUTH
from stylswap.training.loop import Loop
from tests.engines.style_case import (
    LANDMARKS,
    RECOGNISER,
    ROWS,
    Watched,
    judges,
    make,
    nearest,
    network,
)

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
def test_a_term_without_its_judge_is_refused(critic: Watched, input_set: FaceSet, identity_set: FaceSet, name: str, message: str) -> None:
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
    pasted = engine.judged(batch)
    mirrored = [torch.equal(image, one.flip(2)) for images in seen for image, one in zip(images, pasted, strict=True)]
    plain = [torch.equal(image, one) for images in seen for image, one in zip(images, pasted, strict=True)]
    assert all(one != other for one, other in zip(mirrored, plain, strict=True))
    assert any(mirrored) == (unsteady > 0)
    assert any(plain)


@pytest.mark.parametrize("finish", [False, True])
def test_judges_look_at_faces_as_they_are_told(critic: Watched, covered_set: FaceSet, identity_set: FaceSet, finish: bool) -> None:
    """As drawn, or as photos show them; in front of what stays as it is."""
    recognised: list[Tensor] = []
    found: list[Tensor] = []

    def recognise(images: Tensor, landmarks: Tensor) -> Tensor:
        recognised.append(images.detach())
        return F.normalize(F.adaptive_avg_pool2d(images, 4).flatten(1), dim=1)

    def landmarks(images: Tensor) -> Tensor:
        found.append(images.detach())
        return LANDMARKS(images)

    engine = make(critic, covered_set, identity_set, judges=judges(recognisers=[recognise], landmarks=landmarks), finished=finish)
    batch = covered_set.batch(ROWS)
    with torch.no_grad():
        output = engine.network(batch.faces.images)
    shown = finished(output) if finish else output
    expected = torch.lerp(batch.faces.images, shown, batch.faces.masks * (1.0 - batch.kept))
    recognised.clear()
    engine.terms(batch, {"identity", "expression"})
    for seen in (recognised[0], found[-1], engine.judged(batch)):  # inputs are looked at first
        assert torch.allclose(seen, expected, atol=1e-5)


def test_all_others_look_at_what_was_drawn(critic: Watched, covered_set: FaceSet, identity_set: FaceSet) -> None:
    batch, others = covered_set.batch(ROWS), TERMS - {"identity", "residual", "expression"}
    drawn, shown = (make(critic, covered_set, identity_set, finished=finish) for finish in (False, True))
    before, after = (engine.terms(batch, TERMS) for engine in (drawn, shown))
    assert {name for name in TERMS if torch.equal(before[name], after[name])} == others
    hinges = [engine.discriminator_terms(batch, {"hinge"})["hinge"] for engine in (drawn, shown)]
    assert torch.equal(*hinges)


def test_the_landmark_critic_looks_at_output_and_input_in_the_same_cut(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
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
