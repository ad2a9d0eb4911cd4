"""The only place where a weight multiplies a term."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from stylswap.errors import WeightError, did_you_mean
from stylswap.shapes import check_shapes


class Weighed(NamedTuple):
    """What a step minimises, and what it reports.

    Attributes:
        total: Mean over faces of the weighted sum of the terms, a scalar with a gradient.
        values: Mean over faces of each term, unweighted, detached scalars. They stay on their device: reading them waits for it.
    """

    total: Tensor
    values: dict[str, Tensor]


class Ramp(NamedTuple):
    """A weight that changes along a training: `initial` up to `start`, its own value from `full` on, a straight line between them.

    Attributes:
        start: Share of the training where it begins to change, in [0, 1].
        full: Share of the training from which it has its own value, in [`start`, 1]; equal to `start` for a jump.
        initial: The weight before. 0 keeps the term off until `start`; above the weight itself, the ramp falls.
    """

    start: float
    full: float
    initial: float = 0.0


def ever_wanted(weights: Mapping[str, float], ramps: Mapping[str, Sequence[float]]) -> frozenset[str]:
    """The terms that have a weight at some time of a training.

    Args:
        weights: Weight of each term.
        ramps: As of `Ramp`, by term.
    """
    at_first = {name for name, (_, _, initial) in ramps.items() if initial > 0}
    return frozenset(at_first | {name for name, weight in weights.items() if weight > 0})


def check_weights(weights: Mapping[str, float], term_names: Collection[str], owner: str = "style") -> None:
    """Check before the first batch that weights and terms have the same names, and that the weights are usable.

    Args:
        weights: Weight of each term; 0 switches a term off.
        term_names: The terms that exist.
        owner: The engine they belong to, for the message.

    Raises:
        WeightError: If a weight names no term, a term has no weight, or a weight is negative or no finite number.
    """
    listing = ", ".join(sorted(term_names))
    for name, weight in weights.items():
        if name not in term_names:
            hint = did_you_mean(name, term_names)  # names a close one, or lists them all, which the message does already
            hint = f".{hint}" if "Did you mean" in hint else ""
            raise WeightError(f"{owner} has no term '{name}'; it has {listing}{hint}")
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise WeightError(f"{owner}: the weight of '{name}' must be a number, got {weight!r}")
        if not math.isfinite(weight) or weight < 0:
            raise WeightError(f"{owner}: the weight of '{name}' must be 0 or a positive finite number, got {weight}")
    missing = sorted(set(term_names) - set(weights))
    if missing:
        raise WeightError(f"{owner} needs a weight for {', '.join(missing)}; give 0 to switch a term off")


def check_ramps(ramps: Mapping[str, Ramp], term_names: Collection[str], owner: str = "style") -> None:
    """Check before the first batch that ramps belong to terms, and that they are usable.

    Args:
        ramps: Of some of the terms.
        term_names: The terms that exist.
        owner: The engine they belong to, for the message.

    Raises:
        WeightError: If a ramp names no term, its shares are not 0 <= start <= full <= 1, or its initial weight is negative or no finite
            number.
    """
    for name, ramp in ramps.items():
        if name not in term_names:
            raise WeightError(f"{owner} has no term '{name}' to ramp.{did_you_mean(name, term_names)}")
        if not 0.0 <= ramp.start <= ramp.full <= 1.0:
            raise WeightError(f"{owner}: the ramp of '{name}' must have 0 <= start <= full <= 1, got {ramp.start} and {ramp.full}")
        if not (math.isfinite(ramp.initial) and ramp.initial >= 0):
            raise WeightError(f"{owner}: the initial weight of '{name}' must be 0 or a positive finite number, got {ramp.initial}")


def weights_at(weights: Mapping[str, float], ramps: Mapping[str, Ramp], progress: float) -> dict[str, float]:
    """The weights at one point of a training.

    Args:
        weights: Weight of each term, at the end.
        ramps: Of those terms whose weight changes.
        progress: Share of the training, in [0, 1].

    Returns:
        Weight of each term. Without a ramp, and from a ramp's `full` on, exactly the one that was given.
    """
    current = dict(weights)
    for name, (start, full, initial) in ramps.items():
        if progress < full:
            along = max(progress - start, 0.0) / (full - start) if full > start else 0.0
            current[name] = initial + (weights[name] - initial) * along
    return current


def wanted(weights: Mapping[str, float]) -> frozenset[str]:
    """The names of the terms that are to be computed at all: those with a positive weight."""
    return frozenset(name for name, weight in weights.items() if weight > 0)


def weigh(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Weighed:
    """Weigh the terms of one batch and add them up.

    A term whose weight is 0 is reported but not added: not even a term that is not a number reaches the total.

    Args:
        terms: Each term by name, (B,), unweighted.
        weights: Weight of each term; those with weight 0 may be absent from `terms`.

    Returns:
        The total and the unweighted values.

    Raises:
        WeightError: If a term has no weight, a term with a positive weight is absent, or no term has a positive weight.
        ShapeError: If the terms are not (B,) with one B.
    """
    check_shapes(**{name: (term, "B") for name, term in terms.items()})
    for name in terms:
        if name not in weights:
            raise WeightError(f"the term '{name}' has no weight.{did_you_mean(name, weights)}")
    names = wanted(weights)
    absent = sorted(names - set(terms))
    if absent:
        raise WeightError(f"no value came for {', '.join(absent)}, though the weight is positive")
    if not names:
        raise WeightError("no term has a positive weight: there is nothing to minimise")
    total = torch.stack([weights[name] * terms[name].mean() for name in sorted(names)]).sum()
    return Weighed(total, {name: term.detach().mean() for name, term in terms.items()})
