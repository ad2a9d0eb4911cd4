"""SFace's weights: folded against unfolded, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap import convert
from stylswap.convert.onnx_file import read_onnx
from stylswap.convert.sface import sface_to_folded
from stylswap.errors import WeightsFileError
from stylswap.networks.sface import BLOCKS, STEM_CHANNELS, SFace


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """What the original holds, by its names, drawn at random; activations stay at about 1."""
    generator = torch.Generator().manual_seed(0)
    drawn: dict[str, Tensor] = {}

    def norm(name: str, channels: int) -> None:
        for part, least in (("gamma", 0.5), ("beta", -0.5), ("moving_mean", -0.5), ("moving_var", 0.001)):
            drawn[f"{name}_{part}"] = torch.rand(channels, generator=generator) + least

    def convolution(name: str, *shape: int) -> None:
        drawn[f"{name}_conv2d_weight"] = torch.randn(shape, generator=generator) * (shape[1] * shape[2] * shape[3]) ** -0.5
        norm(f"{name}_batchnorm", shape[0])
        drawn[f"{name}_relu_gamma"] = torch.rand(shape[0], 1, 1, generator=generator)

    inputs = STEM_CHANNELS
    convolution("conv_1", inputs, 3, 3, 3)
    for number, (outputs, _) in enumerate(BLOCKS, start=2):
        convolution(f"conv_{number}_dw", inputs, 1, 3, 3)
        convolution(f"conv_{number}", outputs, inputs, 1, 1)
        inputs = outputs
    norm("bn1", inputs)
    drawn["pre_fc1_weight"] = torch.randn(128, inputs * 49, generator=generator) * (inputs * 49) ** -0.5
    drawn["pre_fc1_bias"] = torch.rand(128, generator=generator)
    norm("fc1", 128)
    return drawn


def unfolded(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """The original graph, operation by operation, in the precision of the state."""

    def norm(values: Tensor, name: str, epsilon: float) -> Tensor:
        parts = [state[f"{name}_{part}"] for part in ("moving_mean", "moving_var", "gamma", "beta")]
        return F.batch_norm(values, *parts, training=False, eps=epsilon)

    def convolution(cells: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}_conv2d_weight"]
        cells = F.conv2d(cells, weight, stride=stride, padding=weight.shape[-1] // 2, groups=cells.shape[1] // weight.shape[1])
        return F.prelu(norm(cells, f"{name}_batchnorm", 1e-3), state[f"{name}_relu_gamma"].flatten())

    cells = convolution((images * 255 - 127.5) * 0.0078125, "conv_1")
    for number, (_, stride) in enumerate(BLOCKS, start=2):
        cells = convolution(convolution(cells, f"conv_{number}_dw", stride), f"conv_{number}")
    features = norm(cells, "bn1", 2e-5).flatten(1) @ state["pre_fc1_weight"].T + state["pre_fc1_bias"]
    return norm(features, "fc1", 2e-5)


def test_the_folded_network_is_the_unfolded_one(state: dict[str, Tensor]) -> None:
    network = SFace().double()
    network.load_state_dict({name: tensor.double() for name, tensor in sface_to_folded(state).items()})
    images = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        expected, seen = unfolded({name: tensor.double() for name, tensor in state.items()}, images), network(images)
    assert expected.std() > 0.1
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))  # float32 weights


def test_equal_input_gives_equal_bytes(state: dict[str, Tensor]) -> None:
    assert convert.pack(sface_to_folded(state), {}) == convert.pack(sface_to_folded(dict(reversed(state.items()))), {})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("conv_1_conv2d_weight", None, r"conv_1_conv2d_weight must have shape \(any, any, any, any\), got None"),
        ("conv_5_dw_batchnorm_beta", torch.zeros(3), r"conv_5_dw_batchnorm_beta must have shape \(128\), got \(3,\)"),
        ("conv_9_relu_gamma", torch.zeros(512), r"conv_9_relu_gamma must have shape \(512, 1, 1\), got \(512,\)"),
        ("bn1_gamma", torch.zeros(3), r"parts of bn1 must be equally long, got 3, 1024, 1024, 1024"),
        ("pre_fc1_weight", torch.zeros(128, 1025), "multiple of 1024 columns, got 1025"),
    ],
)
def test_another_network_is_refused(state: dict[str, Tensor], key: str, value: Tensor | None, message: str) -> None:
    changed = {name: tensor for name, tensor in state.items() if name != key}
    with pytest.raises(WeightsFileError, match=message):
        sface_to_folded(changed if value is None else {**changed, key: value})


def test_constants_of_an_onnx_file(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx reads the file that SFace is made from; it is in the extra `judges`")
    values = torch.arange(6.0).reshape(2, 3)
    constants = [onnx.numpy_helper.from_array(tensor.numpy(), name) for name, tensor in (("weight", values), ("bias", values[0].half()))]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "small", [], [], constants)), str(tmp_path / "small.onnx"))
    read = read_onnx(tmp_path / "small.onnx")
    assert set(read) == {"weight", "bias"}
    assert torch.equal(read["weight"], values)
    assert read["bias"].dtype == torch.float16
    (tmp_path / "text.onnx").write_bytes(b"no model")
    with pytest.raises(WeightsFileError, match=r"text\.onnx cannot be read as an ONNX model"):
        read_onnx(tmp_path / "text.onnx")


def test_without_onnx_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(WeightsFileError, match=r'face\.onnx is an ONNX file.*`pip install "stylswap\[judges\]"`'):
        read_onnx(tmp_path / "face.onnx")
