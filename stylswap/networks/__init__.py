"""Network architectures: from aligned crops to output crops, (B, 3, S, S) RGB in [0, 1].

`NETWORKS` names them, and `build_network` builds one from its name and settings, which is what an identity file records.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType

from stylswap.errors import SettingsError, did_you_mean
from stylswap.networks.blocks import Setting, SwapNetwork, weights_from
from stylswap.networks.grown import GrownNetwork, grow
from stylswap.networks.pyramid import PyramidNetwork, grow_pyramid
from stylswap.networks.residual import ResidualNetwork

__all__ = [
    "NETWORKS",
    "GrownNetwork",
    "PyramidNetwork",
    "ResidualNetwork",
    "Setting",
    "SwapNetwork",
    "build_network",
    "grow",
    "grow_pyramid",
]

NETWORKS: Mapping[str, type[SwapNetwork]] = MappingProxyType({kind.name: kind for kind in (PyramidNetwork, ResidualNetwork, GrownNetwork)})


def build_network(name: str, *, seed: int = 0, **settings: object) -> SwapNetwork:
    """Build a network with fresh weights.

    Equal arguments give equal weights, on the CPU; the global random state is left as it was.

    Args:
        name: A key of `NETWORKS`.
        seed: What the weights are drawn from.
        **settings: What the network's class takes, for instance what another network's `settings()` returned.

    Returns:
        The network, in training mode, as float32 on the CPU.

    Raises:
        SettingsError: If there is no such network, or it has no such setting, or cannot take its value.

    Example:
        >>> network = build_network("residual", blocks=2)
        >>> same_shape = build_network(network.name, **network.settings())
    """
    if name not in NETWORKS:
        raise SettingsError(f"there is no network '{name}'.{did_you_mean(name, NETWORKS)}")
    kind = NETWORKS[name]
    known = inspect.signature(kind).parameters
    for setting in settings:
        if setting not in known:
            raise SettingsError(f"{name} has no setting '{setting}'.{did_you_mean(setting, known)}")
    with weights_from(seed):
        return kind(**settings)
