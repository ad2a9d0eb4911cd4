"""One optimiser's turn in a step; every engine offers one or more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Generic, NamedTuple, TypeVar

from torch import Tensor, nn

Batch = TypeVar("Batch")


class Phase(NamedTuple, Generic[Batch]):
    """One optimiser's turn in a step.

    Attributes:
        name: Of the phase; prefixes its terms in the journal.
        parameters: What this turn changes.
        terms: Wanted names -> one number per face or pair, (B,) each, unweighted.
        rate: Factor of the learning rate in this turn; a discriminator may learn faster than its opponent.
        betas: Adam's; SOAP has its own. A first one of 0.5 suits phases that work against each other: an opponent's last steps say
            little of its next.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    terms: Callable[[Batch, Collection[str]], dict[str, Tensor]]
    rate: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
