"""The engine that teaches a face parser what may lie in front of a face."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from typing import Final

import torch
from torch import Tensor, nn

from stylswap.data.occluded_faces import OccludedBatch
from stylswap.engines.phase import Phase
from stylswap.features.parsing import CLASSES, FACE_CLASSES, FaceParser, enlarged
from stylswap.shapes import check_shapes

TERMS: Final = frozenset({"classes", "face"})

_FACE: Final = [CLASSES.index(name) for name in FACE_CLASSES]
_SURE: Final = 1e-5  # no answer is surer than this: a logarithm of 0 has no gradient
_SLOWEST: Final = 0.98  # of the average: the last 50 steps make most of it


class ParsingEngine:
    """What is trained, and the loss terms. The network's stem and first stage stay as they are: edges and colours are what they were.

    Args:
        parser: To start from, in float32; it is copied and stays as it is.
        device: Where everything runs.

    Attributes:
        averaged: The parser with the moving average of the weights, see `follow`; frozen.

    Reference:
        yu2018.

    Differs from the paper:
        Soft answers instead of one class for each pixel, no auxiliary heads, and no mining of hard pixels.
    """

    def __init__(self, parser: FaceParser, *, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self._parser, self.averaged = (deepcopy(parser).to(self._device) for _ in range(2))
        network = self._parser.network
        fixed = {id(parameter) for part in (network.resnet.stem, network.resnet.stages[0]) for parameter in part.parameters()}
        trained = [parameter for parameter in network.parameters() if id(parameter) not in fixed]
        for parameter in trained:
            parameter.requires_grad_(True)
        # The average is not trained, but a training that goes on needs it.
        self.trained = nn.ModuleDict({"network": network, "averaged": self.averaged.network})
        self.phases: Sequence[Phase[OccludedBatch]] = (Phase("network", tuple(trained), self.terms),)
        self.term_names: Mapping[str, frozenset[str]] = {"network": TERMS}

    def terms(self, batch: OccludedBatch, names: Collection[str]) -> dict[str, Tensor]:
        """The wanted terms, (B,) each, unweighted."""
        wanted = batch.classes.to(self._device)
        logits = self._parser.logits(batch.images.to(self._device))  # (B, 19, h, h)
        log_answers = enlarged(logits, int(wanted.shape[-1])).log_softmax(dim=1)  # (B, 19, T, T)
        found: dict[str, Tensor] = {}
        if "classes" in names:
            found["classes"] = soft_cross_entropy(log_answers, wanted)
        if "face" in names:
            found["face"] = face_or_not(log_answers, wanted)
        return found

    def follow(self, step: int) -> None:
        """Bring the average nearer to the trained weights; to be called once after each step.

        Args:
            step: How many steps have been taken. The first ones count for more, so that the start is forgotten.
        """
        keep = min(_SLOWEST, (step + 1) / (step + 10))
        with torch.no_grad():
            for average, current in zip(self.averaged.network.parameters(), self._parser.network.parameters(), strict=True):
                average.lerp_(current, 1 - keep)


def soft_cross_entropy(log_answers: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy with probabilities as the truth, a mean over cells.

    Args:
        log_answers: Logarithms of the classes' probabilities, (B, C, H, W).
        wanted: Probabilities, (B, C, H, W), 1 in sum over the classes. Constants.

    Returns:
        (B,), in nats; never below the entropy of what is wanted.

    Raises:
        ShapeError: If the shapes differ.
    """
    check_shapes(log_answers=(log_answers, "B C H W"), wanted=(wanted, "B C H W"))
    return -(wanted * log_answers).sum(dim=1).mean(dim=(1, 2))


def face_or_not(log_answers: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy of the one question that a face mask asks: is it face, whichever part of it?

    Args:
        log_answers: Logarithms of the probabilities of `CLASSES`, (B, 19, H, W).
        wanted: Their probabilities, (B, 19, H, W). Constants.

    Returns:
        (B,), in nats, a mean over cells.

    Raises:
        ShapeError: If the shapes differ.
    """
    check_shapes(log_answers=(log_answers, "B C H W"), wanted=(wanted, "B C H W"))
    answer = log_answers[:, _FACE].exp().sum(dim=1).clamp(_SURE, 1 - _SURE)  # (B, H, W)
    face = wanted[:, _FACE].sum(dim=1)
    return -(face * answer.log() + (1 - face) * (1 - answer).log()).mean(dim=(1, 2))
