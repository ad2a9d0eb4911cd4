"""The lighting network as a frozen critic: which light is on this face?

The file of weights is one safetensors file; the network's settings and what it was trained on stand in its header as JSON.
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
from stylswap.networks.siamese import LightingNetwork
from stylswap.shapes import check_shapes
from stylswap.weights import weights_path

WEIGHTS_NAME: Final = "lighting"
HEADER_KEY: Final = "stylswap-lighting"
REC709: Final = (0.2126, 0.7152, 0.0722)


class LightingCritic(nn.Module):
    """Features of the light on faces. Its parameters never train; gradients flow to the images.

    Args:
        network: With its weights; taken over, frozen.

    Reference:
        korshunova2017, section 3.3.
    """

    def __init__(self, network: LightingNetwork) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval()
        self.luminance: Tensor
        self.register_buffer("luminance", torch.tensor(REC709).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def load(cls, *, device: torch.device | str = "cpu") -> LightingCritic:
        """The network that ships with stylswap.

        Raises:
            WeightsFileError: If its file is missing or damaged.
        """
        return cls(read_lighting(weights_path(WEIGHTS_NAME))).to(device)

    def forward(self, images: Tensor) -> Tensor:
        """Features of aligned crops.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].

        Returns:
            (B, D), unit length.

        Raises:
            ShapeError: If the images are not square RGB.
        """
        check_shapes(images=(images, "B 3 S S"))
        features: Tensor = self.network((images * self.luminance).sum(dim=1, keepdim=True))
        return features


def read_lighting(path: Path) -> LightingNetwork:
    """A lighting network from its file.

    Raises:
        WeightsFileError: If it cannot be read, or holds something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[HEADER_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        network = LightingNetwork(**header["network"])
        network.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError, SettingsError) as error:
        raise WeightsFileError(f"{path} holds no lighting network of this version: {error}") from error
    return network


def lighting_bytes(network: LightingNetwork, facts: dict[str, Any]) -> bytes:
    """The content of a weights file.

    Args:
        network: Its weights are written as they are.
        facts: What it was trained on, and how; JSON types.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    header = json.dumps({"network": network.settings(), **facts}, sort_keys=True)
    return save(tensors, metadata={HEADER_KEY: header})
