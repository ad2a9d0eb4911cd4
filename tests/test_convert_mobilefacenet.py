"""MobileFaceNet's weights: converted against the original graph, operation by operation; the file that ships; what is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from stylswap import convert
from stylswap.convert.mobilefacenet import mobilefacenet_to_folded
from stylswap.convert.tflite_file import read_tflite
from stylswap.errors import WeightsFileError
from stylswap.networks.mobilefacenet import MobileFaceNet
from stylswap.weights import weights_path

GROUPS = {"2": (5, 128, 64), "3": (1, 256, 128), "4": (6, 256, 128), "5": (1, 512, 128), "6": (2, 256, 128)}
BLOCKS = [
    (f"Conv2d_{group}_InvResBlock_{number}", inner, outputs, 2 if number == 0 and group in "235" else 1)
    for group, (count, inner, outputs) in GROUPS.items()
    for number in range(count)
]
TOP, INNER = "MobileFaceNet", "MobileFaceNet/MobileFaceNet"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """What the original holds, by its names, drawn at random; activations stay at about 1."""
    generator = torch.Generator().manual_seed(0)
    drawn: dict[str, Tensor] = {}
    numbers = {"Conv": 0, "SeparableConv2d": 0}

    def numbered(kind: str) -> str:
        numbers[kind] += 1
        return f"{TOP}/{kind}" if numbers[kind] == 1 else f"{TOP}/{kind}_{numbers[kind] - 1}"

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) - 0.5

    def point(weights: str, scope: str, outputs: int, inputs: int, *, side: int = 1, slope: bool = False) -> None:
        gain = (inputs * side * side) ** -0.5
        drawn[f"{weights}/weights/read"] = torch.randn(outputs, side, side, inputs, generator=generator) * gain
        drawn[f"{scope}/Conv2D_bias"] = uniform(outputs)
        if slope:
            drawn[f"{scope}/mul"] = uniform(outputs)

    def depth(weights: str, scope: str, channels: int, *, side: int = 3, slope: bool = True) -> None:
        drawn[f"{weights}/depthwise_weights/read"] = torch.randn(1, side, side, channels, generator=generator) / side
        drawn[f"{scope}/depthwise_bias"] = uniform(channels)
        if slope:
            drawn[f"{scope}/mul"] = uniform(channels)

    point(f"{TOP}/Conv2d_0", f"{INNER}/Conv2d_0", 64, 3, side=3, slope=True)
    depth(numbered("SeparableConv2d"), f"{INNER}/SeparableConv2d", 64)
    point(numbered("Conv"), f"{INNER}/Conv", 64, 64)
    inputs = 64
    for block, inner, outputs, _ in BLOCKS:
        point(numbered("Conv"), f"{INNER}/{block}/Conv", inner, inputs, slope=True)
        depth(numbered("SeparableConv2d"), f"{INNER}/{block}/SeparableConv2d", inner)
        point(numbered("Conv"), f"{INNER}/{block}/Conv_1", outputs, inner)
        inputs = outputs
    point(f"{TOP}/Conv2d_7", f"{INNER}/Conv2d_7", 512, inputs, slope=True)
    depth(f"{TOP}/Logits/SeparableConv2d", f"{TOP}/Logits/SeparableConv2d", 512, side=7, slope=False)
    point(f"{TOP}/Logits/Conv", f"{TOP}/Logits/Conv", 512, 512)
    point(f"{TOP}/Logits/LinearConv1x1", f"{TOP}/Logits/LinearConv1x1", 192, 512)
    return drawn


def original(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """The original graph, operation by operation, in the precision of the state."""
    order = [key.removesuffix("/read").rsplit("/", 1)[0] for key in state if key.endswith("/read")]
    weights = iter(order)

    def same(cells: Tensor, side: int, stride: int) -> Tensor:
        """TensorFlow's SAME: what is odd of the padding goes to the end."""
        total = max((-(-cells.shape[-1] // stride) - 1) * stride + side - cells.shape[-1], 0)
        return F.pad(cells, (total // 2, total - total // 2) * 2)

    def convolution(cells: Tensor, scope: str, *, stride: int = 1, depthwise: bool = False, padded: bool = True) -> Tensor:
        name = next(weights)
        if depthwise:
            weight, bias = state[f"{name}/depthwise_weights/read"].permute(3, 0, 1, 2), state[f"{scope}/depthwise_bias"]
        else:
            weight, bias = state[f"{name}/weights/read"].permute(0, 3, 1, 2), state[f"{scope}/Conv2D_bias"]
        cells = same(cells, weight.shape[-1], stride) if padded else cells
        cells = F.conv2d(cells, weight, bias, stride=stride, groups=len(weight) if depthwise else 1)
        slope = state.get(f"{scope}/mul")
        return cells if slope is None else F.relu(cells) + slope[:, None, None] * (cells - cells.abs())

    cells = convolution((images * 255 - 127.5) * 0.0078125, f"{INNER}/Conv2d_0", stride=2)
    cells = convolution(cells, f"{INNER}/SeparableConv2d", depthwise=True)
    cells = convolution(cells, f"{INNER}/Conv")
    for block, _, _, stride in BLOCKS:
        inside = convolution(cells, f"{INNER}/{block}/Conv")
        inside = convolution(inside, f"{INNER}/{block}/SeparableConv2d", stride=stride, depthwise=True)
        inside = convolution(inside, f"{INNER}/{block}/Conv_1")
        cells = inside + cells if stride == 1 else inside
    cells = convolution(cells, f"{INNER}/Conv2d_7")
    cells = convolution(cells, f"{TOP}/Logits/SeparableConv2d", depthwise=True, padded=False)
    cells = convolution(convolution(cells, f"{TOP}/Logits/Conv"), f"{TOP}/Logits/LinearConv1x1")
    return cells.flatten(start_dim=1)


def test_the_converted_network_is_the_original_one(state: dict[str, Tensor]) -> None:
    network = MobileFaceNet().double()
    network.load_state_dict({name: tensor.double() for name, tensor in mobilefacenet_to_folded(state).items()})
    images = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    # The last matrix is rounded after the two were multiplied: only the others can be rounded beforehand.
    rounded = {key: (tensor if "Logits/" in key or tensor.ndim == 1 else tensor.half()).double() for key, tensor in state.items()}
    with torch.no_grad():
        expected, seen = original(rounded, images), network(images)
    assert expected.std() > 0.1
    torch.testing.assert_close(seen, expected, rtol=0, atol=2e-3 * float(expected.abs().max()))


def test_the_file_that_ships_says_what_the_original_says() -> None:
    """The first and the largest of the 192 numbers that LiteRT 2.3.0 (`ai-edge-litert`) makes of this image with `MobileFaceNet.tflite`."""
    channel, row, column = torch.meshgrid(torch.arange(3.0), torch.arange(112.0), torch.arange(112.0), indexing="ij")
    image = 0.5 + 0.4 * torch.sin(0.05 * (channel + 1) * column + 0.07 * row + channel)
    network = MobileFaceNet()
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(weights_path("mobilefacenet")).items()})
    with torch.no_grad():
        features = network(image[None])[0]
    golden = torch.tensor([0.18105933, 0.4572189, 0.35346043, -0.14115979, -1.1510718, 0.24925168, 0.59112203, 4.038563])
    torch.testing.assert_close(features[:8], golden, rtol=0, atol=0.02)  # float16 weights
    assert float(features.norm()) == pytest.approx(21.542051, abs=0.05)
    assert int(features.abs().argmax()) == 151
    assert float(features[151]) == pytest.approx(-6.979092, abs=0.03)


def test_equal_input_gives_equal_bytes(state: dict[str, Tensor]) -> None:
    again = mobilefacenet_to_folded(dict(reversed(state.items())))
    assert convert.pack(mobilefacenet_to_folded(state), {}) == convert.pack(again, {})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (f"{TOP}/Conv_3/weights/read", None, r"Conv_3/weights/read must have shape \(any, any, any, any\), got None"),
        (f"{INNER}/Conv/Conv2D_bias", torch.zeros(3), r"Conv/Conv2D_bias must have shape \(64\), got \(3,\)"),
        (f"{TOP}/SeparableConv2d/depthwise_weights/read", torch.zeros(2, 3, 3, 64), r"\(1, any, any, any\), got \(2, 3, 3, 64\)"),
        (f"{INNER}/Conv2d_7/mul", torch.zeros(512, 1), r"Conv2d_7/mul must have shape \(any\), got \(512, 1\)"),
        (f"{TOP}/Logits/LinearConv1x1/weights/read", torch.zeros(192, 1, 1, 9), r"\(any, 1, 1, 512\), got \(192, 1, 1, 9\)"),
        (f"{TOP}/Conv/weights/read", torch.full((64, 1, 1, 64), 1e6), r"mix\.weight does not fit into float16: it reaches 1e\+06"),
    ],
)
def test_another_network_is_refused(state: dict[str, Tensor], key: str, value: Tensor | None, message: str) -> None:
    changed = {name: tensor for name, tensor in state.items() if name != key}
    with pytest.raises(WeightsFileError, match=message):
        mobilefacenet_to_folded(changed if value is None else {**changed, key: value})


# ---- the file format -----------------------------------------------------------------------------------------------------------

# What a flatbuffer is made of: a number of four bytes, a list of numbers (how many, their bytes), a list of tables, a table by field.
Node = int | tuple[int, bytes] | list["Node"] | dict[int, "Node"]


def put(file: bytearray, node: Node) -> int:
    """Append a list or a table, and behind it what it points to; returns where it begins."""
    file.extend(b"\0" * (-len(file) % 4))
    children: list[tuple[int, Node]] = []
    if isinstance(node, tuple):
        start = len(file)
        file.extend(struct.pack("<I", node[0]) + node[1])
    elif isinstance(node, list):
        start = len(file)
        file.extend(struct.pack("<I", len(node)) + bytes(4 * len(node)))
        children = [(start + 4 + 4 * position, child) for position, child in enumerate(node)]
    else:
        assert isinstance(node, dict)
        offsets = {field: 4 + 4 * position for position, field in enumerate(node)}
        listed = [offsets.get(field, 0) for field in range(max(node) + 1)]
        fields = struct.pack(f"<HH{len(listed)}H", 4 + 2 * len(listed), 4 + 4 * len(node), *listed)
        fields += b"\0" * (-len(fields) % 4)
        start = len(file) + len(fields)
        file.extend(fields + struct.pack("<i", len(fields)) + bytes(4 * len(node)))
        for field, child in node.items():
            if isinstance(child, int):
                struct.pack_into("<I", file, start + offsets[field], child)
            else:
                children.append((start + offsets[field], child))
    for place, child in children:
        struct.pack_into("<I", file, place, put(file, child) - place)
    return start


def small_model(*, kind: int = 0, shape: tuple[int, ...] = (2, 3)) -> bytes:
    """A model of one graph: a tensor without content, and six constants from 0 to 5 called `weight`, float32 by kind 0."""
    sizes = (len(shape), struct.pack(f"<{len(shape)}i", *shape))
    tensors: Node = [{0: sizes, 2: 0, 3: (5, b"input")}, {0: sizes, 1: kind, 2: 1, 3: (6, b"weight")}]
    content = struct.pack("<6i" if kind == 2 else "<6f", *range(6))
    file = bytearray(struct.pack("<I4s", 0, b"TFL3"))
    struct.pack_into("<I", file, 0, put(file, {0: 3, 2: [{0: tensors}], 4: [{0: (0, b"")}, {0: (len(content), content)}]}))
    return bytes(file)


@pytest.mark.parametrize(("kind", "dtype"), [(0, torch.float32), (2, torch.int32)])
def test_constants_of_a_tflite_file(tmp_path: Path, kind: int, dtype: torch.dtype) -> None:
    (tmp_path / "small.tflite").write_bytes(small_model(kind=kind))
    read = read_tflite(tmp_path / "small.tflite")
    assert list(read) == ["weight"]
    assert torch.equal(read["weight"], torch.arange(6, dtype=dtype).reshape(2, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not say TFL3 at byte 4"),
        (b"no model at all", "does not say TFL3 at byte 4"),
        (small_model()[:60], "requires a buffer"),
        (small_model()[:-4], "a list of 24 begins"),
        (small_model(kind=5), "a constant has type 5, read are 0, 1, 2, 3, 4, 9"),
        (small_model(shape=(2, 4)), "cannot reshape array of size 6"),
    ],
)
def test_no_tflite_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "face.tflite").write_bytes(content)
    with pytest.raises(WeightsFileError, match=rf"face\.tflite cannot be read as a TensorFlow Lite model: .*{message}"):
        read_tflite(tmp_path / "face.tflite")
