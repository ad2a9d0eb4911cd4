"""The landmark network as a frozen critic: where do the 68 points of this crop lie, and which pixels put them there?

dlib's predictor gives no gradient, so a small network was taught to answer as it does. It is for training; landmarks that a figure or
an alignment rests on come from `stylswap.faces.detect`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from stylswap.errors import SettingsError, WeightsFileError
from stylswap.networks.landmarks import LandmarkNetwork
from stylswap.weights import weights_path

WEIGHTS_NAME: Final = "landmarks"
HEADER_KEY: Final = "stylswap-landmarks"


class LandmarkCritic(nn.Module):
    """The 68 points of aligned crops. Its parameters never train; gradients flow to the images.

    Args:
        network: With its weights; taken over, frozen.
    """

    def __init__(self, network: LandmarkNetwork) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    @classmethod
    def load(cls, *, device: torch.device | str = "cpu") -> LandmarkCritic:
        """The network that ships with stylswap.

        Raises:
            WeightsFileError: If its file is missing or damaged.
        """
        return cls(read_landmark_network(weights_path(WEIGHTS_NAME))).to(device)

    def forward(self, images: Tensor) -> Tensor:
        """The points of aligned crops.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].

        Returns:
            (B, 68, 2), x then y, in pixels of the crop.

        Raises:
            ShapeError: If the images are not square RGB.
        """
        shares: Tensor = self.network(images.float().contiguous(memory_format=torch.channels_last))
        return shares * images.shape[-1] - 0.5


def read_landmark_network(path: Path) -> LandmarkNetwork:
    """A landmark network from its file.

    Raises:
        WeightsFileError: If it cannot be read, or holds something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[HEADER_KEY])
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a dict
        network = LandmarkNetwork(**header["network"])
        network.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError, SettingsError) as error:
        raise WeightsFileError(f"{path} holds no landmark network of this version: {error}") from error
    return network


def landmark_bytes(network: LandmarkNetwork, facts: dict[str, Any]) -> bytes:
    """The content of a weights file; the weights are rounded to float16.

    Args:
        network: What is written.
        facts: What it was trained on, and how; JSON types.
    """
    tensors = {name: tensor.detach().cpu().half().contiguous() for name, tensor in network.state_dict().items()}
    return save(tensors, metadata={HEADER_KEY: json.dumps({"network": network.settings(), **facts}, sort_keys=True)})
