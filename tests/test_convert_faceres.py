"""FaceRes' weights: converted against the original graph, operation by operation; the file that ships; what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from stylswap import convert
from stylswap.convert.faceres import faceres_to_folded, layout, read_faceres
from stylswap.errors import WeightsFileError
from stylswap.networks.mobilenet import MobileNet
from stylswap.weights import weights_path

HALVING = (2, 4, 6, 12)  # blocks, counted from 1


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """What the original holds, by its names, drawn at random; activations stay at about 1."""
    generator = torch.Generator().manual_seed(0)
    drawn: dict[str, Tensor] = {}
    for name, shape in layout():
        if name.endswith(("kernel", "merged_input")):
            side, inputs = shape[0] if len(shape) == 4 else 1, 1 if "dw" in name else shape[-2]
            gain = 0.02 if name.startswith("conv1/") else (2 / (inputs * side * side)) ** 0.5
            drawn[name] = (torch.randn(shape, generator=generator) * gain).half()
        elif name.endswith("mul"):
            drawn[name] = (torch.rand(shape, generator=generator) + 0.5).half()
        else:
            drawn[name] = (torch.rand(shape, generator=generator) - 0.5).half()
    return drawn


def original(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """The original graph, operation by operation, in float64."""

    def convolution(cells: Tensor, weight: Tensor, *, stride: int = 1, groups: int = 1) -> Tensor:
        """With TensorFlow's SAME: what is odd of the padding goes to the end."""
        total = max((-(-cells.shape[-1] // stride) - 1) * stride + weight.shape[-1] - cells.shape[-1], 0)
        padded = F.pad(cells, (total // 2, total - total // 2) * 2)
        return F.conv2d(padded, weight, stride=stride, groups=groups)

    def cut_off(cells: Tensor, bias: str) -> Tensor:
        return (cells + state[bias].double()[:, None, None]).clamp(0, 6)

    def point(cells: Tensor, name: str, *, stride: int = 1) -> Tensor:
        weight = state[f"{name}/convolution/merged_input"].double().permute(3, 2, 0, 1)
        return cut_off(convolution(cells, weight, stride=stride), f"{name}_bn/batchnorm_1/sub")

    mean = torch.tensor([103.939, 116.779, 123.68], dtype=torch.float64)
    cells = point(images[:, [2, 1, 0]] * 255 - mean[:, None, None], "conv1", stride=2)
    for block in range(1, 14):
        name = f"conv_dw_{block}"
        weight = state[f"{name}/depthwise_kernel"].double().permute(2, 3, 0, 1)
        seen = convolution(cells, weight, stride=2 if block in HALVING else 1, groups=len(weight))
        cells = cut_off(seen * state[f"{name}_bn/batchnorm_1/mul"].double()[:, None, None], f"{name}_bn/batchnorm_1/sub")
        cells = point(cells, f"conv_pw_{block}")
    return cells.mean(dim=(2, 3))


def test_the_converted_network_is_the_original_one(state: dict[str, Tensor]) -> None:
    network = MobileNet().double()
    network.load_state_dict({name: tensor.double() for name, tensor in faceres_to_folded(state).items()})
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        expected, seen = original(state, images), network(images)
    assert expected.std() > 0.1
    assert (expected[0] - expected[1]).abs().max() > 0.02
    # The depthwise weights are rounded once more, after the product.
    torch.testing.assert_close(seen, expected, rtol=0, atol=2e-3 * float(expected.abs().max()))


def test_the_file_that_ships_says_what_the_original_says() -> None:
    """Some of the 1,024 numbers that TensorFlow.js 4.22.0 makes of this image with the original two files."""
    channel, row, column = torch.meshgrid(torch.arange(3.0), torch.arange(224.0), torch.arange(224.0), indexing="ij")
    image = 0.5 + 0.4 * torch.sin(0.05 * (channel + 1) * column + 0.07 * row + channel)
    network = MobileNet()
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(weights_path("faceres")).items()})
    with torch.no_grad():
        features = network(image[None])[0]
    assert not features[:7].any()
    torch.testing.assert_close(features[[7, 10, 11]], torch.tensor([2.5935881, 0.0204597, 0.0282196]), rtol=0, atol=0.005)
    assert float(features.norm()) == pytest.approx(12.832197, abs=0.01)
    assert int(features.argmax()) == 198
    assert float(features[198]) == pytest.approx(5.233455, abs=0.01)


def test_equal_input_gives_equal_bytes(state: dict[str, Tensor]) -> None:
    again = faceres_to_folded(dict(reversed(state.items())))
    assert convert.pack(faceres_to_folded(state), {}) == convert.pack(again, {})


def test_arrays_are_read_in_their_order(tmp_path: Path, state: dict[str, Tensor]) -> None:
    content = b"".join(tensor.numpy().astype("<f2").tobytes() for tensor in state.values()) + np.array([1, 2], dtype="<i4").tobytes()
    assert len(content) == 6_978_814  # as the file in the package
    (tmp_path / "faceres.bin").write_bytes(content)
    read = read_faceres(tmp_path / "faceres.bin")
    assert list(read) == list(state)
    assert all(torch.equal(read[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("content", [b"", b"{}", bytes(6_978_813)])
def test_a_file_of_another_size_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "faceres.bin").write_bytes(content)
    with pytest.raises(WeightsFileError, match=rf"should have 6978814 bytes, got {len(content)}"):
        read_faceres(tmp_path / "faceres.bin")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("conv1/convolution/merged_input", None, r"conv1/convolution/merged_input must have shape \(any, any, any, any\), got None"),
        ("conv_pw_3_bn/batchnorm_1/sub", torch.zeros(3), r"conv_pw_3_bn/batchnorm_1/sub must have shape \(128\), got \(3,\)"),
        ("conv_dw_2/depthwise_kernel", torch.zeros(3, 3, 64, 2), r"\(any, any, any, 1\), got \(3, 3, 64, 2\)"),
        ("conv_dw_2_bn/batchnorm_1/mul", torch.full((64,), 1e6), r"blocks\.1\.look\.convolution\.weight does not fit into float16"),
    ],
)
def test_another_network_is_refused(state: dict[str, Tensor], key: str, value: Tensor | None, message: str) -> None:
    changed = {name: tensor for name, tensor in state.items() if name != key}
    with pytest.raises(WeightsFileError, match=message):
        faceres_to_folded(changed if value is None else {**changed, key: value})
