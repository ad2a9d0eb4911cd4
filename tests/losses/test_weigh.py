"""The place where weights multiply, and the check of their names."""

import math

import pytest
import torch

from stylswap.errors import ShapeError, WeightError
from stylswap.losses import check_weights, wanted, weigh
from stylswap.losses.weigh import Ramp, check_ramps, ever_wanted, weights_at

NAMES = frozenset({"style", "content", "lighting", "smoothness"})
WEIGHTS = {"content": 1.0, "style": 25.0, "lighting": 0.0, "smoothness": 2}


def test_by_hand() -> None:
    terms = {"content": torch.tensor([1.0, 3.0]), "style": torch.tensor([0.5, 0.0]), "smoothness": torch.tensor([0.0, 0.25])}
    total, values = weigh(terms, WEIGHTS)
    assert total.shape == ()
    assert total.item() == pytest.approx(2 + 25 * 0.25 + 2 * 0.125)
    assert {name: value.item() for name, value in values.items()} == {"content": 2, "style": 0.25, "smoothness": 0.125}


def test_gradient_is_the_weight_over_the_number_of_faces() -> None:
    content, style = torch.ones(4, requires_grad=True), torch.ones(4, requires_grad=True)
    total, values = weigh({"content": content, "style": style}, {"content": 1.0, "style": 80.0})
    assert not any(value.requires_grad for value in values.values())
    total.backward()
    assert content.grad is not None
    assert style.grad is not None
    assert content.grad.tolist() == [0.25] * 4
    assert style.grad.tolist() == [20] * 4


def test_the_order_of_the_terms_does_not_change_the_total() -> None:
    terms = {name: torch.rand(5, generator=torch.Generator().manual_seed(i)) for i, name in enumerate(sorted(NAMES))}
    weights = {name: 1 / 3 + i for i, name in enumerate(sorted(NAMES))}
    backwards = dict(reversed(terms.items()))
    assert weigh(terms, weights).total == weigh(backwards, dict(reversed(weights.items()))).total


def test_a_term_without_weight_is_reported_but_does_not_reach_the_total() -> None:
    lighting = torch.tensor([math.nan, 1.0], requires_grad=True)
    content = torch.tensor([1.0, 1.0], requires_grad=True)
    total, values = weigh({"lighting": lighting, "content": content}, {"lighting": 0, "content": 2})
    assert total.item() == 2
    assert values["lighting"].isnan()
    total.backward()
    assert lighting.grad is None


def test_terms_and_weights_must_have_the_same_names() -> None:
    ones = torch.ones(2)
    with pytest.raises(WeightError, match=r"'contents' has no weight. Did you mean 'content'\?"):
        weigh({"contents": ones}, WEIGHTS)
    with pytest.raises(WeightError, match="no value came for smoothness, style"):
        weigh({"content": ones}, WEIGHTS)
    with pytest.raises(WeightError, match="nothing to minimise"):
        weigh({"content": ones}, {"content": 0.0})


@pytest.mark.parametrize("wrong", [torch.ones(()), torch.ones(3), torch.ones(2, 1)])
def test_terms_must_be_one_number_per_face(wrong: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match="style must be"):
        weigh({"content": torch.ones(2), "style": wrong}, {"content": 1.0, "style": 1.0})


def test_wanted_are_the_terms_with_a_positive_weight() -> None:
    assert wanted(WEIGHTS) == {"content", "style", "smoothness"}
    assert wanted({"content": 0}) == frozenset()


def test_ever_wanted_are_also_the_terms_of_falling_ramps() -> None:
    ramps = {"content": (0.2, 0.5, 3.0), "style": [0.0, 0.5, 0.0]}
    assert ever_wanted({"content": 0.0, "style": 0.0, "keep": 1.0}, ramps) == {"content", "keep"}


def test_weights_that_fit_pass() -> None:
    check_weights(WEIGHTS, NAMES)
    check_weights({}, [])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({**WEIGHTS, "lightning": 1.0}, "style has no term 'lightning'; it has content, lighting, smoothness, style. "
                                        "Did you mean 'lighting'?"),
        ({**WEIGHTS, "xyz": 1.0}, "style has no term 'xyz'; it has content, lighting, smoothness, style"),
        ({"content": 1.0, "style": 1.0}, "style needs a weight for lighting, smoothness; give 0 to switch a term off"),
        ({**WEIGHTS, "style": -1.0}, "style: the weight of 'style' must be 0 or a positive finite number, got -1.0"),
        ({**WEIGHTS, "style": math.nan}, "style: the weight of 'style' must be 0 or a positive finite number, got nan"),
        ({**WEIGHTS, "style": math.inf}, "style: the weight of 'style' must be 0 or a positive finite number, got inf"),
        ({**WEIGHTS, "style": "80"}, "style: the weight of 'style' must be a number, got '80'"),
        ({**WEIGHTS, "style": True}, "style: the weight of 'style' must be a number, got True"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(WeightError) as caught:
        check_weights(weights, NAMES)
    assert str(caught.value) == message


def test_the_message_names_the_owner() -> None:
    with pytest.raises(WeightError, match=r"^morph has no term"):
        check_weights({"x": 1.0}, ["content"], owner="morph")


# ---- ramps


@pytest.mark.parametrize(
    ("progress", "style", "content"),
    [(0.0, 0.0, 4.0), (0.2, 0.0, 3.4), (0.3, 6.25, 3.1), (0.4, 12.5, 2.8), (0.6, 25.0, 2.2), (0.8, 25.0, 1.6), (1.0, 25.0, 1.0)],
)
def test_ramps_rise_and_fall_along_a_straight_line(progress: float, style: float, content: float) -> None:
    ramps = {"style": Ramp(0.2, 0.6), "content": Ramp(0.0, 1.0, initial=4.0)}
    found = weights_at(WEIGHTS, ramps, progress)
    assert found == pytest.approx({**WEIGHTS, "style": style, "content": content})
    assert WEIGHTS["style"] == 25.0, "the weights that were given stay"
    assert ("style" in wanted(found)) == (progress > 0.2)


def test_a_ramp_of_no_length_is_a_jump() -> None:
    assert [weights_at({"style": 2.0}, {"style": Ramp(0.5, 0.5, 1.0)}, share)["style"] for share in (0.0, 0.499, 0.5, 1.0)] == [1, 1, 2, 2]
    assert weights_at({"style": 2.0}, {"style": Ramp(0.0, 0.0)}, 0.0) == {"style": 2.0}


def test_a_weight_can_fall_to_nothing() -> None:
    ramps = {"content": Ramp(0.0, 0.5, initial=2.0)}
    assert [weights_at({"content": 0.0}, ramps, share)["content"] for share in (0.0, 0.25, 0.5, 0.9)] == [2, 1, 0, 0]


def test_ends_are_exact() -> None:
    ramps = {"style": Ramp(0.1, 0.7, initial=0.3)}
    assert weights_at({"style": 1 / 3}, ramps, 0.7)["style"] == 1 / 3
    assert weights_at({"style": 1 / 3}, ramps, 0.1)["style"] == 0.3
    assert weights_at(WEIGHTS, {}, 0.5) == WEIGHTS


@pytest.mark.parametrize(
    ("ramp", "message"),
    [
        (Ramp(-0.1, 0.5), "0 <= start <= full <= 1, got -0.1 and 0.5"),
        (Ramp(0.5, 1.5), "0 <= start <= full <= 1, got 0.5 and 1.5"),
        (Ramp(0.5, 0.4), "0 <= start <= full <= 1, got 0.5 and 0.4"),
        (Ramp(math.nan, 0.5), "0 <= start <= full <= 1, got nan and 0.5"),
        (Ramp(0.0, 0.5, -1.0), "initial weight of 'style' must be 0 or a positive finite number, got -1.0"),
        (Ramp(0.0, 0.5, math.inf), "initial weight of 'style' must be 0 or a positive finite number, got inf"),
    ],
)
def test_ramps_that_do_not_fit_are_refused(ramp: Ramp, message: str) -> None:
    with pytest.raises(WeightError, match=message):
        check_ramps({"style": ramp}, NAMES)


def test_a_ramp_of_no_term_is_refused() -> None:
    check_ramps({"style": Ramp(0.0, 1.0)}, NAMES)
    with pytest.raises(WeightError, match=r"morph has no term 'styl' to ramp\. Did you mean 'style'"):
        check_ramps({"styl": Ramp(0.0, 1.0)}, NAMES, owner="morph")
