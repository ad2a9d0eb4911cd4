"""The gradients of the style engine."""

from __future__ import annotations

import pytest
import torch

from stylswap.data.faceset import FaceSet
from stylswap.engines.style import TERMS, StyleEngine
from stylswap.features.vgg import VGG
from stylswap.training.loop import Loop
from tests.engines.style_case import (
    ALL_ON,
    ROWS,
    Watched,
    make,
    network,
    parameters,
)


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
