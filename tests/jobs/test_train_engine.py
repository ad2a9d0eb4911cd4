"""From settings to engine and loop: what is wanted is there, and nothing else is even loaded."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from stylswap.config import Settings, load_settings
from stylswap.data.faceset import FaceSet
from stylswap.engines import style as style_engine
from stylswap.errors import SettingsError, WeightError
from stylswap.features.landmarks import LandmarkCritic
from stylswap.features.lighting import LightingCritic
from stylswap.features.recogniser import Recogniser
from stylswap.jobs import train_engine
from stylswap.jobs.device import pick_optimiser
from stylswap.jobs.inner_distance import InnerDistance
from stylswap.jobs.light_distance import LightDistance
from stylswap.jobs.train_engine import Networks, batches_of, build_engine, build_judges, build_loop, build_networks, training_inputs
from stylswap.losses.weigh import Ramp
from stylswap.training.loop import Loop
from tests.jobs.conftest import TINY

CPU = torch.device("cpu")
OFF = [f"loss.weights.{name}=0" for name in sorted(style_engine.TERMS - {"smoothness"})]
PLAIN = (*TINY, *OFF, "loss.style.lit_alike=false", "loss.recognisers=['dlib']")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what is loaded."""
    names: list[str] = []

    def watch(kind: Any) -> None:
        real = kind.load

        def load(*name: str, **options: object) -> Any:
            names.append(" ".join((kind.__name__, *name)))
            return real(*name, **options)

        monkeypatch.setattr(getattr(train_engine, kind.__name__), "load", load)

    for kind in (LandmarkCritic, LightingCritic, Recogniser):
        watch(kind)
    real = train_engine.build_discriminator
    monkeypatch.setattr(train_engine, "build_discriminator", lambda **options: names.append("discriminator") or real(**options))
    return names


@pytest.fixture(scope="module")
def networks() -> Networks:
    return build_networks(load_settings(None, TINY), CPU)


Make = Any


@pytest.fixture
def make(networks: Networks, input_set: FaceSet, identity_set: FaceSet) -> Make:
    """An engine and its settings, from overrides."""

    def made(*overrides: str) -> tuple[style_engine.StyleEngine, Settings]:
        settings = load_settings(None, [*PLAIN, *overrides])
        judged = networks._replace(judges=build_judges(settings, CPU))
        return build_engine(settings, judged, input_set, identity_set, CPU), settings

    return made


def ramps_of(loop: Loop) -> dict[str, dict[str, Ramp]]:
    return loop._ramps


# ---- critics


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        ([], []),
        (["loss.weights.keep=1", "loss.weights.luminance=1", "loss.weights.chrominance=1"], []),
        (["loss.weights.lighting=1"], ["LightingCritic"]),
        (["loss.style.lit_alike=true"], ["LightingCritic"]),
        (["loss.weights.identity=1"], ["Recogniser dlib"]),
        (["loss.weights.residual=1", "loss.recognisers=['dlib', 'mobilefacenet']"], ["Recogniser dlib", "Recogniser mobilefacenet"]),
        (["loss.weights.expression=1"], ["LandmarkCritic"]),
        (["loss.weights.adversarial=1"], ["discriminator"]),
        (["loss.ramps.expression=[0.2, 0.4, 1]"], ["LandmarkCritic"]),
        (["loss.ramps.expression=[0.2, 0.4, 0]"], []),
    ],
)
def test_only_wanted_critics_are_loaded(loaded: list[str], make: Make, overrides: list[str], wanted: list[str]) -> None:
    engine, _ = make(*overrides)
    assert loaded == wanted
    assert ("discriminator" in engine.trained) == ("discriminator" in wanted)


def test_the_engine_hears_of_every_choice(make: Make) -> None:
    engine, _ = make(
        "loss.style.layers=['relu3_1']",
        "loss.style.num_faces=5",
        "loss.style.mouth_weight=7",
        "loss.style.eyes_weight=3",
        "loss.style.jaw_weight=0.25",
        "loss.style.radius=1",
        "loss.style.softness=0.1",
        "loss.style.features_weight=2",
        "loss.content.layers=['relu3_1', 'relu4_2']",
        "loss.content.features_weight=0.5",
    )
    style, content = engine.style, engine.content
    assert (style.layers, style.num_faces, style.radius, style.patch) == (("relu3_1",), 5, 1, 1)
    assert (style.softness, style.features, style.copies) == (0.1, 2.0, 1)
    weights = style.point_weights
    assert weights is not None
    assert [weights[point] for point in (0, 16, 17, 30, 36, 47, 48, 67)] == [0.25, 0.25, 1, 1, 3, 3, 7, 7]
    assert (content.layers, content.features) == (("relu3_1", "relu4_2"), 0.5)


def test_few_photos_offer_what_they_have(networks: Networks, input_set: FaceSet, identity_set: FaceSet) -> None:
    settings = load_settings(None, [*PLAIN, "loss.style.num_faces=16"])
    engine = build_engine(settings, networks, input_set, identity_set.subset([0, 3]), CPU)
    assert engine.style.num_faces == 4, "two photos and their mirror images"


def test_photos_lit_alike_are_there_under_several_lamps(make: Make) -> None:
    assert make("loss.style.lit_alike=true")[0].style.copies > 1


# ---- the loop


def test_the_discriminator_begins_with_the_term_that_hears_it(make: Make) -> None:
    engine, settings = make("loss.weights.adversarial=2")
    ramps = ramps_of(build_loop(engine, settings))
    start, full, before = Settings().loss.ramps["adversarial"]
    assert ramps["network"] == {"adversarial": Ramp(start, full, before)}
    assert ramps["discriminator"] == {"hinge": Ramp(start, start)}
    loop = build_loop(*make("loss.weights.adversarial=2", "loss.ramps.adversarial=[0, 0, 0]"))
    assert ramps_of(loop) == {"network": {"adversarial": Ramp(0.0, 0.0)}, "discriminator": {"hinge": Ramp(0.0, 0.0)}}


def test_a_ramp_for_one_term_leaves_the_others_theirs(make: Make) -> None:
    loop = build_loop(*make("loss.weights.adversarial=2", "loss.ramps.content=[0, 0.5, 3]"))
    start, full, before = Settings().loss.ramps["adversarial"]
    assert ramps_of(loop)["network"] == {"adversarial": Ramp(start, full, before), "content": Ramp(0.0, 0.5, 3.0)}


def test_a_discriminator_that_is_heard_from_the_start_learns_from_the_start(make: Make) -> None:
    loop = build_loop(*make("loss.weights.adversarial=0", "loss.ramps.adversarial=[0.5, 0.8, 1.0]"))
    assert ramps_of(loop)["discriminator"] == {"hinge": Ramp(0.0, 0.0)}


def test_terms_come_and_go_with_their_ramps(make: Make, input_set: FaceSet) -> None:
    ramps = ["loss.ramps.adversarial=[0.4, 0.6, 0]", "loss.ramps.luminance=[0.5, 0.5, 3]"]
    engine, settings = make("loss.weights.adversarial=0.1", *ramps)
    loop, batch = build_loop(engine, settings), input_set.batch((0, 3))

    def present(progress: float) -> set[str]:
        return {name.split(".")[1] for name in loop.step(batch, 1e-5, progress).terms}

    assert present(0.39) == {"smoothness", "luminance"}
    assert present(0.45) == {"smoothness", "luminance", "adversarial", "hinge"}
    assert present(0.5) == present(1.0) == {"smoothness", "adversarial", "hinge"}


def test_a_ramp_of_a_term_that_is_off_is_no_wish_for_it(make: Make) -> None:
    engine, settings = make("loss.ramps.style=[0.1, 0.2, 0]")
    assert ramps_of(build_loop(engine, settings)) == {"network": {}}


def test_an_average_is_kept_where_the_settings_want_one(make: Make, input_set: FaceSet) -> None:
    for decay, kept in ((0.0, False), (0.9, True)):
        loop = build_loop(*make(f"training.average={decay}"))
        assert any(name.startswith("average.network.") for name in loop.state()) == kept
        for _ in range(2):  # SOAP only looks at a first gradient
            loop.step(input_set.batch((0, 1)), 1e-2)
        own = loop.engine.trained["network"].state_dict()
        assert all(torch.equal(tensor, own[name]) for name, tensor in loop.averaged().items()) == (not kept)


SOAP = "exp_avg exp_avg_sq GG Q"


@pytest.mark.parametrize(("optimiser", "of_network"), [("adam", "step exp_avg exp_avg_sq"), ("soap", SOAP), ("auto", SOAP)])
def test_the_network_has_the_optimiser_that_is_asked_for(make: Make, input_set: FaceSet, optimiser: str, of_network: str) -> None:
    overrides = ("loss.weights.adversarial=1", "loss.ramps.adversarial=[0, 0, 0]", f"training.optimiser={optimiser}")
    loop = build_loop(*make(*overrides))
    loop.step(input_set.batch((0, 3)), 1e-3)
    names = [name.split(".") for name in loop.state() if name.startswith("optimiser.")]
    assert {name[3] for name in names if name[1] == "network" and len(name) > 3} == set(of_network.split())
    assert {name[3] for name in names if name[1] == "discriminator"} == {"step", "exp_avg", "exp_avg_sq"}, "Adam's, always"


@pytest.mark.parametrize(("device", "picked"), [("cpu", "soap"), ("cuda", "soap"), ("mps", "adam")])
def test_auto_takes_soap_where_torch_knows_eigenvectors(device: str, picked: str) -> None:
    assert pick_optimiser("auto", torch.device(device)) == picked
    assert pick_optimiser("adam", torch.device(device)) == "adam"


def test_ramps_that_cannot_be_are_refused(make: Make) -> None:
    with pytest.raises(SettingsError, match=r"loss.ramps: there is no term 'expresion'.* Did you mean 'expression'"):
        make("loss.ramps.expresion=[0.1, 0.2, 0]")
    with pytest.raises(WeightError, match="0 <= start <= full <= 1"):
        build_loop(*make("loss.ramps.smoothness=[0.6, 0.2, 0]"))


def test_landmarks_are_held_where_the_settings_say(make: Make, input_set: FaceSet) -> None:
    on = ["loss.weights.expression=2", "loss.inner=0.02"]
    for overrides, held in (
        (on, {"network.expression"}),
        ([*on, "loss.inner=0"], set()),
        (["loss.inner=0.02"], set()),  # the term is off
    ):
        loop = build_loop(*make(*overrides))
        assert loop.step(input_set.batch((0, 1)), 1e-5).held.keys() == held


def test_what_is_held_is_what_the_predictor_sees(make: Make, input_set: FaceSet) -> None:
    engine, settings = make("loss.weights.expression=2", "loss.inner=0.02")
    batch = input_set.batch((0, 1))
    held = build_loop(engine, settings).step(batch, 0.0).held["network.expression"]
    assert held.weight == 2
    assert held.measured == InnerDistance(engine)(batch)


@pytest.mark.parametrize(
    ("overrides", "held"),
    [
        (["loss.weights.luminance=200", "loss.light=0.05"], {"network.luminance"}),
        (["loss.weights.luminance=200", "loss.light=0"], set()),
        (["loss.light=0.05"], set()),  # the term is off
        (
            ["loss.weights.luminance=200", "loss.light=0.05", "loss.weights.expression=2", "loss.inner=0.02"],
            {"network.luminance", "network.expression"},
        ),
    ],
)
def test_light_is_held_where_the_settings_say(make: Make, input_set: FaceSet, overrides: list[str], held: set[str]) -> None:
    engine, settings = make(*overrides)
    batch = input_set.batch((0, 1))
    ticked = build_loop(engine, settings).step(batch, 0.0).held
    assert ticked.keys() == held
    if "network.luminance" in held:
        assert ticked["network.luminance"] == (200.0, LightDistance(engine)(batch))


@pytest.mark.parametrize("finished", [True, False])
def test_judges_see_what_the_settings_say(make: Make, finished: bool) -> None:
    engine, _ = make(f"loss.finished={str(finished).lower()}")
    assert engine.finished is finished


# ---- faces


def test_inputs_are_relit_then_occluded(input_set: FaceSet) -> None:
    settings = load_settings(None, [*PLAIN, "training.relit_inputs=0.5", "training.occluded_inputs=0.5"])
    faces = training_inputs(input_set, settings)
    assert len(faces) == 6 + 3 + 4, "half of 6, and half of 9"
    assert torch.equal(faces.images_u8[:6], input_set.images_u8)
    assert faces.kept_u8 is not None
    assert [bool(one.any()) for one in faces.kept_u8] == [False] * 9 + [True] * 4
    bare = load_settings(None, [*PLAIN, "training.relit_inputs=0", "training.occluded_inputs=0"])
    assert training_inputs(input_set, bare) is input_set


@pytest.mark.parametrize("even", ["true", "false"])
def test_batches_follow_from_the_step(input_set: FaceSet, even: str) -> None:
    def rows(seed: int) -> list[tuple[int, ...]]:
        settings = load_settings(None, [*PLAIN, f"training.even_yaw={even}", f"seed={seed}", "training.batch_size=3"])
        batches = [batches_of(input_set, settings)(step) for step in range(6)]
        assert [batch.step for batch in batches] == list(range(6))
        return [batch.rows for batch in batches]

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)
    assert all(len(some) == 3 for some in rows(1))
