"""The engine that teaches the landmark network."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from stylswap.data.landmark_faces import LandmarkFaces
from stylswap.engines.phase import Phase
from stylswap.losses.expression import point_distance
from stylswap.networks.landmarks import LandmarkNetwork

TERMS = frozenset({"distance"})


class LandmarkEngine:
    """What is trained, and the only loss term.

    Args:
        network: Moved to the device.
        device: Where everything runs.
    """

    def __init__(self, network: LandmarkNetwork, *, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self._network = network.to(self._device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.trained = nn.ModuleDict({"network": self._network})
        self.phases: Sequence[Phase[LandmarkFaces]] = (Phase("network", tuple(self._network.parameters()), self.terms),)
        self.term_names: Mapping[str, frozenset[str]] = {"network": TERMS}

    def terms(self, batch: LandmarkFaces, names: Collection[str]) -> dict[str, Tensor]:
        """The mean distance of the 68 points, (B,), in shares of the crop."""
        if "distance" not in names:
            return {}
        images = batch.images.to(self._device).contiguous(memory_format=torch.channels_last)
        return {"distance": point_distance(self._network(images), batch.landmarks.to(self._device))}
