"""Every exception that stylswap raises on purpose.

    StylswapError
    |- ShapeError            tensors that do not fit together (also a ValueError)
    |- UsageError            a request that contradicts itself (also a ValueError)
    |- SettingsError         an unknown or impossible setting (also a ValueError)
    |- WeightError           a loss weight for a term that does not exist (also a ValueError)
    |- PhotoError            a photo that cannot be read or written
    |- WeightsFileError      network weights that are missing or damaged
    |- IdentityFileError     an identity file that is missing, damaged or too new
    |- FaceSetError          a folder of photos that cannot be used for training
    |- ConsentError          training without a word on who allowed it
    |- RunError              a run folder that cannot be resumed
    |- TrainingError         a training that cannot go on
    `- DeviceError           a device that was asked for and is not there

A photo or a face that fails is a value (see `stylswap.jobs.swap.PhotoResult`), not an exception; exceptions are for calls that cannot
be carried out. Every message says what was expected, what came, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StylswapError(Exception):
    """Base class: catch this to catch everything that stylswap raises on purpose."""


class ShapeError(StylswapError, ValueError):
    """Tensors or arrays whose shapes do not fit the call."""


class UsageError(StylswapError, ValueError):
    """A request that contradicts itself, or asks for nothing."""


class SettingsError(StylswapError, ValueError):
    """A setting that does not exist or a value that it cannot take."""


class WeightError(StylswapError, ValueError):
    """A loss weight that names no term of the engine, or a term without a weight."""


class PhotoError(StylswapError):
    """A photo that cannot be read, decoded or written."""


class WeightsFileError(StylswapError):
    """A file of network weights that is missing or does not match its sha256."""


class IdentityFileError(StylswapError):
    """An identity file that is missing, damaged, or written by a newer version."""


class FaceSetError(StylswapError):
    """A folder of photos that holds nothing, or too little, to train on."""


class ConsentError(StylswapError):
    """Training was asked for without a statement of who consented, and how."""


class RunError(StylswapError):
    """A run folder that cannot be resumed."""


class TrainingError(StylswapError):
    """A training that cannot go on, for instance because its losses are no longer numbers."""


class DeviceError(StylswapError):
    """A device that was asked for by name and is not available."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: " Did you mean 'style'?", or the known names when none is close.

    Args:
        word: What was given.
        known: The names that exist.
    """
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" Known: {', '.join(names)}."
