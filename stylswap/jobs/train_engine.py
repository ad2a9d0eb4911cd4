"""What a training's settings ask for: networks, critics, engine, loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np
import torch

from stylswap.config import LossSettings, Settings, StyleSettings
from stylswap.data.augment import with_light_fan, with_random_lights
from stylswap.data.batches import batch_rows, row_weights, weighted_batch_rows
from stylswap.data.faceset import FaceSet, RowBatch
from stylswap.data.occluded_inputs import with_occluders
from stylswap.engines.critic_size import check_critic_px, reduced
from stylswap.engines.detail import DetailOptions
from stylswap.engines.style import Judges, StyleEngine
from stylswap.engines.style_options import ContentOptions, ExpressionOptions, StyleOptions
from stylswap.errors import SettingsError, did_you_mean
from stylswap.faces.landmarks import EYES, JAW, MOUTH, NUM_LANDMARKS
from stylswap.features.landmarks import LandmarkCritic
from stylswap.features.lighting import LightingCritic
from stylswap.features.recogniser import Recogniser
from stylswap.features.vgg import VGG
from stylswap.jobs.device import pick_optimiser, pick_precision
from stylswap.jobs.inner_distance import InnerDistance
from stylswap.jobs.light_distance import LightDistance
from stylswap.jobs.start import freeze_base, start_from
from stylswap.losses.weigh import Ramp, check_ramps, ever_wanted
from stylswap.networks import SwapNetwork, build_network
from stylswap.networks.discriminator import build_discriminator
from stylswap.training.hold import Level
from stylswap.training.loop import Loop

GIB: Final = 2**30


class Networks(NamedTuple):
    """What a training consists of, before it has seen a photo.

    Attributes:
        network: That is trained.
        critic: Sees content and style.
        judges: All others, as far as a wanted term needs them.
    """

    network: SwapNetwork
    critic: VGG
    judges: Judges


def build_networks(settings: Settings, device: torch.device, *, resume: bool = False) -> Networks:
    """All networks, tried once: what does not fit, or is not there, is refused before an hour of preparing photos.

    Args:
        settings: What is computed.
        device: Where the critic goes.
        resume: A checkpoint will replace the weights: the network that the training once started from is not looked for any more.

    Raises:
        SettingsError: If the settings do not fit together.
        WeightError: If a ramp cannot be used.
        IdentityFileError: If the network to start from cannot be used.
        WeightsFileError: If a critic's weights are missing.
    """
    if not _wanted(settings.loss):
        raise SettingsError("loss.weights: all are 0, and no ramp raises one; nothing would be trained")
    check_ramps(_ramps(settings.loss), settings.loss.weights.model_dump())
    network = build_network(settings.network.name, seed=settings.seed, **settings.network.options)
    if settings.network.start and not resume:
        start_from(network, settings.network.start)
    if settings.network.freeze_base:
        freeze_base(network, settings.network.start)
    check_critic_px(settings.size, settings.loss.critic_px)
    critic = VGG.load(device=device, precision=pick_precision(settings.training.precision, device))
    blank = torch.zeros(1, 3, settings.size, settings.size)
    with torch.inference_mode():
        network(blank)
        loss = settings.loss
        critic(reduced(blank, loss.critic_px).to(device), [*loss.style.layers, *loss.content.layers, *loss.detail.layers])
    return Networks(network, critic, build_judges(settings, device))


def training_inputs(faces: FaceSet, settings: Settings) -> FaceSet:
    """The faces, a share of them once more under a random light, and a share of all those once more with something in front."""
    training = settings.training
    lit = with_random_lights(faces, training.relit_inputs, seed=settings.seed)
    return with_occluders(lit, training.occluded_inputs, seed=settings.seed)


def batches_of(inputs: FaceSet, settings: Settings) -> Callable[[int], RowBatch]:
    """The batch of each step, from 0."""
    size, seed = settings.training.batch_size, settings.seed
    if not settings.training.even_yaw:
        return lambda step: inputs.batch(batch_rows(inputs.num_rows, size, seed=seed, step=step), step=step)
    weights = row_weights(inputs.poses)
    return lambda step: inputs.batch(weighted_batch_rows(weights, size, seed=seed, step=step), step=step)


def build_engine(settings: Settings, networks: Networks, inputs: FaceSet, identity: FaceSet, device: torch.device) -> StyleEngine:
    """The engine, with those critics alone that a wanted term needs.

    Raises:
        SettingsError: If the settings do not fit together.
    """
    style, detail = settings.loss.style, settings.loss.detail
    num_faces = min(style.num_faces, identity.num_rows)  # a few photos offer what they have
    identity, copies = with_light_fan(identity) if style.lit_alike else (identity, 1)
    return StyleEngine(
        networks.network,
        networks.critic,
        inputs,
        identity,
        style=StyleOptions(
            style.layers, num_faces, _point_weights(style), style.radius, style.patch, style.softness, style.features_weight, copies
        ),
        content=ContentOptions(settings.loss.content.layers, settings.loss.content.features_weight),
        expression=ExpressionOptions(settings.loss.expression.mouth_weight),
        detail=DetailOptions(detail.layers, min(detail.num_faces, num_faces), detail.radius),
        critic_px=settings.loss.critic_px,
        unsteady=settings.loss.unsteady,
        finished=settings.loss.finished,
        judges=networks.judges,
        cache_bytes=round(settings.training.cache_gib * GIB),
        device=device,
    )


def build_loop(engine: StyleEngine, settings: Settings) -> Loop:
    """The loop, with weights, ramps, levels and average.

    Raises:
        SettingsError: If a ramp names no term.
        WeightError: If a weight or a ramp cannot be used.
    """
    loss = settings.loss
    weights: dict[str, Mapping[str, float]] = {"network": loss.weights.model_dump()}
    ramps = {"network": _ramps(loss)}
    if "discriminator" in engine.trained:
        weights["discriminator"] = {"hinge": 1.0}
        ramp = ramps["network"].get("adversarial", Ramp(0.0, 0.0))
        begins = ramp.start if ramp.initial == 0 else 0.0  # it learns from the moment that anybody listens to it
        ramps["discriminator"] = {"hinge": Ramp(begins, begins)}
    averages = {"network": settings.training.average}
    levels = {"network": _levels(loss, engine)}
    return Loop(
        engine,
        weights,
        gradient_norm=settings.training.gradient_norm,
        ramps=ramps,
        averages=averages,
        levels=levels,
        optimisers={"network": pick_optimiser(settings.training.optimiser, engine.device)},
    )


def _levels(loss: LossSettings, engine: StyleEngine) -> dict[str, Level]:
    held = {"expression": (loss.inner, InnerDistance), "luminance": (loss.light, LightDistance)}
    return {name: Level(level, measure(engine)) for name, (level, measure) in held.items() if level > 0 and name in _wanted(loss)}


def _ramps(loss: LossSettings) -> dict[str, Ramp]:
    weights = loss.weights.model_dump()
    for name in loss.ramps:
        if name not in weights:
            raise SettingsError(f"loss.ramps: there is no term '{name}'.{did_you_mean(name, weights)}")
    # A ramp of a term that is switched off is no wish for the term.
    return {name: Ramp(*ramp) for name, ramp in loss.ramps.items() if weights[name] > 0 or ramp[2] > 0}


def _wanted(loss: LossSettings) -> frozenset[str]:
    """The terms that have a weight at some time."""
    return ever_wanted(loss.weights.model_dump(), _ramps(loss))


def build_judges(settings: Settings, device: torch.device) -> Judges:
    """Those critics alone that a wanted term needs.

    Raises:
        SettingsError: If there is no such recogniser.
        WeightsFileError: If the weights of one are missing.
    """
    loss = settings.loss

    def wanted(*names: str) -> bool:
        return not _wanted(loss).isdisjoint(names)

    return Judges(
        light=LightingCritic.load(device=device) if loss.style.lit_alike or wanted("lighting") else None,
        recognisers=[Recogniser.load(name, device=device) for name in loss.recognisers] if wanted("identity", "residual") else (),
        landmarks=LandmarkCritic.load(device=device) if wanted("expression") else None,
        discriminator=build_discriminator(seed=settings.seed) if wanted("adversarial") else None,
    )


def _point_weights(style: StyleSettings) -> tuple[float, ...]:
    weights = np.ones(NUM_LANDMARKS)
    weights[MOUTH], weights[EYES], weights[JAW] = style.mouth_weight, style.eyes_weight, style.jaw_weight
    return tuple(weights.tolist())
