"""The lighting engine: its terms, and that the loop makes it better."""

import torch

from stylswap.data.light_pairs import LightPairs
from stylswap.engines.lighting import TERMS, LightingEngine
from stylswap.networks.siamese import build_lighting_network
from stylswap.training.loop import Loop

NETWORK = {"side": 16, "widths": (4, 8), "features": 8}


def ramps(seed: int) -> LightPairs:
    """Noise lit from the left or from the right."""
    generator = torch.Generator().manual_seed(seed)
    lights = torch.arange(8) % 2
    ramp = torch.linspace(0.2, 0.8, 32)
    images = torch.where(lights[:, None, None, None] == 0, ramp, ramp.flip(0)).expand(8, 1, 32, 32)
    images = images + 0.3 * torch.rand(8, 1, 32, 32, generator=generator)
    first, second = torch.triu_indices(8, 8, offset=1)
    return LightPairs(images, first, second, (lights[first] == lights[second]).float())


def test_only_the_wanted_terms_are_computed() -> None:
    engine = LightingEngine(build_lighting_network(**NETWORK))
    batch = ramps(0)
    assert set(engine.terms(batch, ["contrastive"])) == {"contrastive"}
    terms = engine.terms(batch, TERMS)
    assert set(terms) == TERMS == engine.term_names["network"]
    assert all(term.shape == batch.same.shape for term in terms.values())


def test_the_loop_teaches_it_and_a_resumed_loop_goes_on_bit_for_bit() -> None:
    def fresh() -> Loop:
        weights = {"network": {"contrastive": 1.0, "classification": 0.5}}
        return Loop(LightingEngine(build_lighting_network(seed=1, **NETWORK)), weights, gradient_norm=5.0)

    loop = fresh()
    ticks = [loop.step(ramps(step), 3e-3) for step in range(20)]
    state = {name: tensor.clone() for name, tensor in loop.state().items()}
    after = loop.step(ramps(20), 3e-3)
    assert after.terms["network.contrastive"] < 0.3 * ticks[0].terms["network.contrastive"]
    again = fresh()
    again.load_state(state)
    assert again.step(ramps(20), 3e-3).terms == after.terms
