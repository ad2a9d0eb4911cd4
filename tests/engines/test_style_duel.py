"""The style engine against its discriminator: phases, real faces, resumption."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch

from stylswap.data.faceset import FaceSet
from stylswap.engines.style import TERMS, StyleEngine
from stylswap.engines.style_options import StyleOptions
from stylswap.losses.adversarial import discriminator_hinge, face_cells
from stylswap.losses.weigh import Ramp
from stylswap.training.loop import Loop, Tick
from tests.engines.style_case import (
    ALL_ON,
    NUM_FACES,
    ROWS,
    Watched,
    make,
    nearest,
    opponent,
    parameters,
)


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


def test_faces_that_come_one_by_one_are_real_in_turn(critic: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    engine = make(critic, input_set, identity_set)
    for rows, steps in (((0,), ([False], [True], [False])), ((0, 4, 7), ([False, True, False], [True, False, True]))):
        faces = input_set.batch(rows).faces
        for step, wanted in enumerate(steps):
            images, _ = engine.real_faces(rows, faces, faces.masks, step=step)
            assert [torch.equal(image, face) for image, face in zip(images, faces.images, strict=True)] == wanted
