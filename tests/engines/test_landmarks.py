"""The engine that teaches landmarks: one term, one phase, and it learns."""

import torch

from stylswap.data.faceset import FaceSet
from stylswap.data.landmark_faces import LandmarkBatches
from stylswap.engines.landmarks import TERMS, LandmarkEngine
from stylswap.networks.landmarks import LandmarkNetwork, build_landmark_network
from stylswap.training.loop import Loop


def network() -> LandmarkNetwork:
    return build_landmark_network(seed=1, side=32, widths=(8, 8, 16, 16))


def test_the_term_is_the_mean_distance_in_shares_of_the_crop(input_set: FaceSet) -> None:
    engine = LandmarkEngine(network())
    batch = LandmarkBatches(input_set, 3)(0)
    values = engine.terms(batch, TERMS)["distance"]
    far = (engine.trained["network"](batch.images) - batch.landmarks).norm(dim=2)
    torch.testing.assert_close(values, far.mean(dim=1), atol=1e-4, rtol=1e-3)
    assert engine.term_names == {"network": TERMS}
    assert engine.terms(batch, set()) == {}


def test_all_of_the_network_is_trained_and_nothing_else() -> None:
    engine = LandmarkEngine(network())
    (phase,) = engine.phases
    assert [id(one) for one in phase.parameters] == [id(one) for one in engine.trained.parameters()]
    assert list(engine.trained) == ["network"]
    assert engine.trained.training


def test_some_steps_bring_the_points_nearer(input_set: FaceSet) -> None:
    batches = LandmarkBatches(input_set, 4)
    runs = []
    for _ in range(2):
        loop = Loop(LandmarkEngine(network()), {"network": {"distance": 100.0}}, gradient_norm=10.0)
        runs.append([loop.step(batches(step), 5e-3).terms["network.distance"] for step in range(40)])
    assert runs[0] == runs[1], "equal engines take equal steps"
    assert sum(runs[0][-4:]) < 0.6 * sum(runs[0][:4])
