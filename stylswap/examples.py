"""The example data: generated people, in a checkout as `examples/`, in an installed wheel as `stylswap/_examples/`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from stylswap.errors import StylswapError, did_you_mean

EXAMPLES: Final = ("ada", "faces", "photos")

_PACKAGE: Final = Path(__file__).resolve().parent


def examples_path(name: str, *, package: Path = _PACKAGE) -> Path:
    """The folder of one example.

    Args:
        name: ``"ada"``, one identity's photos with her identity card; ``"faces"`` to train on; ``"photos"`` to swap into.
        package: The folder of the package `stylswap`.

    Raises:
        StylswapError: If there is no such example, or this installation came without it.
    """
    if name not in EXAMPLES:
        raise StylswapError(f"there is no example '{name}'.{did_you_mean(name, EXAMPLES)}")
    places = [package / "_examples" / name, package.parent / "examples" / name]
    for folder in places:
        if folder.is_dir():
            return folder
    raise StylswapError(f"the example '{name}' is missing: neither {places[0]} nor {places[1]} is there. Reinstall stylswap.")
