"""The perceptual distance's weights: a pickle that is read without being trusted, and tensors in the right order."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stylswap import convert, weights
from stylswap.convert.lpips import lpips_to_perceptual, read_arrays
from stylswap.errors import WeightsFileError
from stylswap.networks.lpips import BLOCKS, PerceptualNetwork

Tree = dict[str, Any]


def tree() -> Tree:
    """What the archive holds, with numbers that tell where they came from."""
    generator = np.random.default_rng(0)
    trunk: Tree = {}
    inputs = 3
    for channels, count in BLOCKS:
        for _ in range(count):
            kernel = generator.random((3, 3, inputs, channels), dtype=np.float32)
            trunk[f"Conv_{len(trunk)}"] = {"kernel": kernel, "bias": np.full(channels, len(trunk) + 0.1, np.float32)}
            inputs = channels
    heads = {
        f"NetLinLayer_{number}": {"Conv_0": {"kernel": np.full((1, 1, channels, 1), number + 0.5, np.float32)}}
        for number, (channels, _) in enumerate(BLOCKS)
    }
    return {"VGG16_0": trunk, **heads}


@pytest.fixture(scope="module")
def arrays() -> Tree:
    return tree()


def pickled(tmp_path: Path, content: object, protocol: int = 3) -> Path:
    path = tmp_path / "weights.ckpt"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


# ---- the pickle ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back_as_numpy_wrote_them(tmp_path: Path, protocol: int, order: str) -> None:
    first = np.arange(24, dtype=np.float32).reshape(2, 3, 4).copy(order=order)  # type: ignore[call-overload]
    content = {"a": {"b": first, "c": np.float32([1.5]).reshape(1)}, "d": np.zeros((2, 0), np.float32)}
    if protocol == 2:  # numpy then writes bytes by a function of `codecs`
        with pytest.raises(WeightsFileError, match=r"asks for _codecs\.encode"):
            read_arrays(pickled(tmp_path, content, protocol))
        return
    found = read_arrays(pickled(tmp_path, content, protocol))
    np.testing.assert_array_equal(found["a"]["b"].numpy(), first)
    assert found["a"]["c"].tolist() == [1.5]
    assert found["d"].shape == (2, 0)
    assert found["a"]["b"].dtype == torch.float32


def test_the_old_name_of_numpys_helper_is_known(tmp_path: Path) -> None:
    content = pickle.dumps({"a": np.ones(2, np.float32)}, protocol=3)
    path = tmp_path / "old.ckpt"
    path.write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert read_arrays(path)["a"].tolist() == [1.0, 1.0]


class Calls:
    """Pickles into a call of a function; the file `touched` tells whether it ran."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_with_code_in_it_is_refused_and_does_not_run(tmp_path: Path, protocol: int) -> None:
    touched = tmp_path / "touched"
    for call, asked in (
        (Calls(os.mkdir, str(touched)), r"(posix|nt)\.mkdir"),
        (Calls(eval, f"open({str(touched)!r}, 'w')"), r"(builtins|__builtin__)\.eval"),
        (Calls(getattr, np, "save"), r"(builtins|__builtin__)\.getattr"),
        (Calls(np.load, str(touched)), r"numpy\.load"),
    ):
        for content in (call, {"a": call}, {"a": {"b": [call]}}):
            path = tmp_path / "evil.ckpt"
            try:
                path.write_bytes(pickle.dumps(content, protocol=protocol))
            except (pickle.PicklingError, TypeError):
                assert call.call[0] is getattr, "a module cannot be pickled"
                continue
            with pytest.raises(WeightsFileError, match=f"asks for {asked}"):
                read_arrays(path)
    assert not touched.exists()
    pickle.loads(pickle.dumps(Calls(os.mkdir, str(touched))))
    assert touched.exists(), "an ordinary reader runs it"


def test_numpy_itself_cannot_be_called(tmp_path: Path) -> None:
    path = tmp_path / "evil.ckpt"
    path.write_bytes(b"cnumpy\nndarray\n(I4\ntR.")  # numpy.ndarray(4)
    with pytest.raises(WeightsFileError, match="no pickle of arrays: TypeError"):
        read_arrays(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": np.ones(2)}, "kind 'f8'; float32"),
        ({"a": np.ones(2, np.int32)}, "kind 'i4'"),
        ({"a": np.array([None, {}], dtype=object)}, "kind 'O8'"),
        ({"a": np.ones(2, ">f4")}, "byte order '>'"),
        ({"a": 3}, "int at a; arrays are all"),
        ({"a": {"b": [np.ones(2, np.float32)]}}, "list at a/b"),
        ({1: np.ones(2, np.float32)}, "_Array at 1"),
        ([np.ones(2, np.float32)], "must hold a dictionary of arrays, got list"),
    ],
)
def test_anything_but_named_float32_arrays_is_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(WeightsFileError, match=message):
        read_arrays(pickled(tmp_path, content))


def test_a_pickle_that_is_cut_off_or_none_is_refused(tmp_path: Path) -> None:
    path = pickled(tmp_path, {"a": np.ones(9, np.float32)})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WeightsFileError, match=r"weights\.ckpt is no pickle of arrays"):
        read_arrays(path)
    path.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(WeightsFileError, match="is no pickle of arrays"):
        read_arrays(path)
    stream = io.BytesIO()

    class Refers(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            return "elsewhere" if isinstance(obj, str) else None

    Refers(stream).dump({"a": 1})
    path.write_bytes(stream.getvalue())
    with pytest.raises(WeightsFileError, match="outside itself"):
        read_arrays(path)


# ---- the tensors ---------------------------------------------------------------------------------------------------------------


def test_arrays_become_the_networks_state(tmp_path: Path, arrays: Tree) -> None:
    kept = lpips_to_perceptual(read_arrays(pickled(tmp_path, arrays)))
    network = PerceptualNetwork()
    assert {name: tensor.shape for name, tensor in kept.items()} == {name: value.shape for name, value in network.state_dict().items()}
    kernel = arrays["VGG16_0"]["Conv_4"]["kernel"]  # the first of the third block
    weight = kept["blocks.2.0.weight"]
    assert weight.dtype == torch.float16
    assert weight[7, 5, 0, 2] == torch.tensor(kernel[0, 2, 5, 7]).half()
    assert kept["blocks.4.2.bias"].dtype == torch.float32
    assert kept["blocks.4.2.bias"][0] == pytest.approx(12.1)
    assert kept["heads.3.weight"].dtype == torch.float32
    assert kept["heads.3.weight"].unique().tolist() == [3.5]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("VGG16_0", "Conv_12", "bias"), None, r"VGG16_0/Conv_12/bias must have shape \(512,\), got None"),
        (("VGG16_0", "Conv_0", "kernel"), torch.zeros(3, 3, 64, 3), r"must have shape \(3, 3, 3, 64\), got \(3, 3, 64, 3\)"),
        (("VGG16_0", "Conv_0", "kernel"), torch.full((3, 3, 3, 64), 1e6), r"blocks\.0\.0\.weight does not fit into float16"),
        (("NetLinLayer_1", "Conv_0", "kernel"), torch.full((1, 1, 128, 1), -0.1), r"Head 1 holds a weight below 0 \(-0\.1\)"),
        (("NetLinLayer_1",), None, r"NetLinLayer_1/Conv_0/kernel must have shape \(1, 1, 128, 1\), got None"),
    ],
)
def test_a_wrong_tree_is_refused(path: tuple[str, ...], value: object, message: str) -> None:
    changed: Tree = _tensors(tree())
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    with pytest.raises(WeightsFileError, match=message):
        lpips_to_perceptual(changed)


def _tensors(branch: Any) -> Any:
    return {name: _tensors(value) for name, value in branch.items()} if isinstance(branch, dict) else torch.from_numpy(branch)


def test_the_converter_is_the_one_that_the_manifest_names(tmp_path: Path, arrays: Tree) -> None:
    entry = weights.weights_entry("lpips-vgg16")
    assert entry.on_request
    assert entry.artefact is not None
    path = pickled(tmp_path, arrays)
    once = convert.convert_file(entry.artefact.converter, path, {})
    assert once == convert.convert_file(entry.artefact.converter, path, {})
    assert len(once) == pytest.approx(entry.bytes, rel=1e-3)
