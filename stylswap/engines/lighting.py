"""The engine that trains the lighting network on pairs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from stylswap.data.light_pairs import LightPairs
from stylswap.engines.phase import Phase
from stylswap.losses.lighting import classification, contrastive
from stylswap.networks.siamese import LightingNetwork

TERMS = frozenset({"contrastive", "classification"})


class LightingEngine:
    """What is trained, and the loss terms.

    Args:
        network: Moved to the device.
        margin: Of the contrastive term.
        device: Where everything runs.

    Reference:
        korshunova2017, section 3.3; hadsell2006.
    """

    def __init__(self, network: LightingNetwork, *, margin: float = 1.0, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self._network = network.to(self._device).train()
        self._margin = margin
        self.trained = nn.ModuleDict({"network": self._network})
        self.phases: Sequence[Phase[LightPairs]] = (Phase("network", tuple(self._network.parameters()), self.terms),)
        self.term_names: Mapping[str, frozenset[str]] = {"network": TERMS}

    def terms(self, batch: LightPairs, names: Collection[str]) -> dict[str, Tensor]:
        """The wanted terms, (P,) each, unweighted. Every face goes through the network once, however many pairs it is in."""
        features = self._network(batch.images.to(self._device))  # (M, D)
        first, second = features[batch.first.to(self._device)], features[batch.second.to(self._device)]
        same = batch.same.to(self._device)
        found: dict[str, Tensor] = {}
        if "contrastive" in names:
            found["contrastive"] = contrastive(first, second, same, margin=self._margin)
        if "classification" in names:
            found["classification"] = classification(self._network.same_light_logit(first, second), same)
        return found
