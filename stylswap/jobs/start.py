"""A training that starts from a network that has learned another identity: most of what it can do, it can do for everybody.

Or from a smaller network that has learned this one, and is grown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from stylswap.errors import IdentityFileError, SettingsError
from stylswap.identity_file import IdentityFile, read_identity_file
from stylswap.networks import GrownNetwork, ResidualNetwork, SwapNetwork
from stylswap.weights import list_weights, weights_path

BASE: Final = "base"


def start_from(network: SwapNetwork, start: str) -> None:
    """Give a network the weights of an identity file's network.

    A grown network takes those of a grown one, or, for its base, those of a residual one. Then its branch stays as it was drawn: the
    same as `stylswap.networks.grow` makes of that seed.

    Args:
        network: Fresh.
        start: An identity file, or the name of one that ships; ``"base"`` is made for this.

    Raises:
        IdentityFileError: If there is no such file or name, or its network is another one.
    """
    shipped = [entry.name for entry in list_weights() if entry.kind in ("identity", BASE)]
    path = weights_path(start) if start in shipped else Path(start)
    if not path.is_file():
        raise IdentityFileError(
            f"network.start: '{start}' is neither an identity file nor one of {', '.join(shipped)}; \"\" starts from nothing"
        )
    identity = read_identity_file(path)
    taker = _taker(network, identity)
    try:
        taker.load_state_dict(dict(identity.tensors))
    except RuntimeError as error:
        theirs = f"{identity.network['name']} {identity.network['options']}"
        raise IdentityFileError(
            f"network.start: the network of {path.name} ({theirs}) is not the one that is to be trained ({taker.name} "
            f'{taker.settings()}); give network.name and network.options as there, or network.start = ""'
        ) from error


def freeze_base(network: SwapNetwork, start: str) -> None:
    """Train only what was added to the network that this one was grown from.

    Args:
        network: With the weights that it starts from.
        start: Where these came from.

    Raises:
        SettingsError: If the network has no base, or its base has learned nothing.

    Reference:
        korshunova2017, section 3.1: the branches that are there already are kept fixed.
    """
    if not isinstance(network, GrownNetwork):
        raise SettingsError(f"network.freeze_base: the network '{network.name}' has no base to freeze; '{GrownNetwork.name}' has")
    if not start:
        raise SettingsError("network.freeze_base: without network.start the base has learned nothing, and would never learn anything")
    network.freeze_base()


def _taker(network: SwapNetwork, identity: IdentityFile) -> SwapNetwork:
    """Of the network, what the weights of an identity file are for."""
    if isinstance(network, GrownNetwork) and identity.network["name"] == ResidualNetwork.name:
        return network.base
    return network
