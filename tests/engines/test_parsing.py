"""The engine that tunes the face parser: its terms by hand, what it trains and what not, and its average."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from stylswap.data.occluded_faces import OccludedBatch
from stylswap.engines.parsing import TERMS, ParsingEngine, face_or_not, soft_cross_entropy
from stylswap.errors import ShapeError
from stylswap.features.parsing import CLASSES, FACE_CLASSES, FaceParser
from stylswap.networks import bisenet
from stylswap.training.loop import Loop

SIDE = 32
WEIGHTS = {"network": {"classes": 1.0, "face": 2.0}}


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> FaceParser:
    """The same network with few channels."""
    for name, width in (("_WIDTHS", (8, 8, 16, 16)), ("_CONTEXT", 8), ("_FUSED", 16)):
        monkeypatch.setattr(bisenet, name, width)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FaceParser(bisenet.BiSeNet(), side=SIDE, border_px=0)


def batch(seed: int = 0) -> OccludedBatch:
    """Noise, dark where it is to be skin and bright where not."""
    generator = torch.Generator().manual_seed(seed)
    bright = (torch.arange(SIDE) >= SIDE // 2).float().expand(2, 3, SIDE, SIDE)
    classes = torch.zeros(2, len(CLASSES), SIDE // 2, SIDE // 2)
    classes[:, 0, :, SIDE // 4 :] = 1
    classes[:, 1, :, : SIDE // 4] = 1
    return OccludedBatch((0.6 * bright + 0.4 * torch.rand(2, 3, SIDE, SIDE, generator=generator)), classes)


def one_class(name: str, batch_size: int = 1) -> Tensor:
    wanted = torch.zeros(batch_size, len(CLASSES), 2, 2)
    wanted[:, CLASSES.index(name)] = 1
    return wanted


def test_cross_entropy_by_hand() -> None:
    uniform = torch.zeros(3, 4, 2, 2).log_softmax(dim=1)
    wanted = torch.rand(3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    wanted = wanted / wanted.sum(dim=1, keepdim=True)
    torch.testing.assert_close(soft_cross_entropy(uniform, wanted), torch.full((3,), math.log(4)))
    answers = torch.tensor([0.5, 0.25, 0.25]).log().view(1, 3, 1, 1)
    assert float(soft_cross_entropy(answers, torch.tensor([0.5, 0.5, 0.0]).view(1, 3, 1, 1))) == pytest.approx(1.5 * math.log(2))
    least = soft_cross_entropy(wanted.log(), wanted)
    assert (soft_cross_entropy((wanted + 0.1).log() - math.log(1.4), wanted) > least).all()


def test_face_or_not_by_hand() -> None:
    uniform = torch.zeros(1, 19, 2, 2).log_softmax(dim=1)
    for name in CLASSES:
        share = 9 / 19 if name in FACE_CLASSES else 10 / 19
        assert float(face_or_not(uniform, one_class(name))) == pytest.approx(-math.log(share), rel=1e-5)
    half = torch.cat([one_class("nose"), one_class("hair")], dim=2)  # (1, 19, 4, 2): half face, half not
    expected = -(math.log(9 / 19) + math.log(10 / 19)) / 2
    assert float(face_or_not(uniform.repeat(1, 1, 2, 1), half)) == pytest.approx(expected, rel=1e-5)


def test_terms_are_refused_other_shapes() -> None:
    for term in (soft_cross_entropy, face_or_not):
        with pytest.raises(ShapeError):
            term(torch.zeros(1, 19, 2, 2), torch.zeros(1, 19, 2, 3))


@pytest.mark.parametrize("term", [soft_cross_entropy, face_or_not])
def test_gradients_are_right_and_stay_finite(term) -> None:  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 19, 2, 2, generator=generator, dtype=torch.float64).requires_grad_()
    wanted = torch.rand(2, 19, 2, 2, generator=generator, dtype=torch.float64).softmax(dim=1)
    assert torch.autograd.gradcheck(lambda logits: term(logits.log_softmax(dim=1), wanted), (logits,))
    sure = (200 * one_class("skin")).requires_grad_()  # quite sure, and wrong
    value = term(sure.log_softmax(dim=1), one_class("hair"))
    value.sum().backward()
    assert value.isfinite().all()
    assert sure.grad is not None
    assert sure.grad.isfinite().all()


def test_only_the_wanted_terms_are_computed(parser: FaceParser) -> None:
    engine = ParsingEngine(parser)
    assert set(engine.terms(batch(), ["face"])) == {"face"}
    terms = engine.terms(batch(), TERMS)
    assert set(terms) == TERMS == engine.term_names["network"]
    answers = parser(batch().images)  # at the crop's side; the terms' cells are twice as large
    assert all(term.shape == (2,) and term.isfinite().all() for term in terms.values())
    rough = -(batch().classes.repeat_interleave(2, 2).repeat_interleave(2, 3) * answers.log()).sum(dim=1).mean(dim=(1, 2))
    torch.testing.assert_close(terms["classes"], rough, rtol=0.02, atol=0)


def test_the_first_layers_and_the_given_parser_stay(parser: FaceParser) -> None:
    before = {name: tensor.clone() for name, tensor in parser.network.state_dict().items()}
    engine = ParsingEngine(parser)
    Loop(engine, WEIGHTS, gradient_norm=1.0).step(batch(), 1e-3)
    after = engine.trained["network"].state_dict()
    fixed = {name for name in before if name.startswith(("resnet.stem.", "resnet.stages.0."))}
    assert fixed
    assert {name for name in before if torch.equal(before[name], after[name])} == fixed
    assert all(torch.equal(tensor, before[name]) for name, tensor in parser.network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in [*parser.parameters(), *engine.averaged.parameters()])


def test_the_average_by_hand(parser: FaceParser) -> None:
    engine = ParsingEngine(parser)
    loop = Loop(engine, WEIGHTS, gradient_norm=1.0)
    start = parser.network.to_classes.weight.clone()
    averaged, trained = engine.averaged.network.to_classes.weight, engine.trained["network"].to_classes.weight
    engine.follow(0)
    assert torch.equal(averaged, start), "nothing has been trained yet"
    loop.step(batch(), 1e-3)
    engine.follow(1)
    first = start * 2 / 11 + trained.detach() * 9 / 11
    torch.testing.assert_close(averaged, first)
    loop.step(batch(1), 1e-3)
    engine.follow(10_000)
    torch.testing.assert_close(averaged, first * 0.98 + trained.detach() * 0.02)


def test_the_loop_teaches_it_and_a_resumed_loop_goes_on_bit_for_bit(parser: FaceParser) -> None:
    def fresh() -> tuple[ParsingEngine, Loop]:
        engine = ParsingEngine(parser)
        return engine, Loop(engine, WEIGHTS, gradient_norm=1.0)

    engine, loop = fresh()
    ticks = []
    for step in range(12):
        engine.follow(step)
        ticks.append(loop.step(batch(step), 5e-3))
    state = {name: tensor.clone() for name, tensor in loop.state().items()}
    engine.follow(12)
    after = loop.step(batch(12), 5e-3)
    assert after.terms["network.classes"] < 0.5 * ticks[0].terms["network.classes"]
    again_engine, again = fresh()
    again.load_state(state)
    again_engine.follow(12)
    assert again.step(batch(12), 5e-3).terms == after.terms
    assert all(torch.equal(*pair) for pair in zip(engine.averaged.parameters(), again_engine.averaged.parameters(), strict=True))
