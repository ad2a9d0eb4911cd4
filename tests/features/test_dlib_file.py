"""dlib's file of numbers: read by hand-written bytes, by the real file, and refused where it is another."""

from __future__ import annotations

import struct
from pathlib import Path

import dlib
import numpy as np
import pytest
import torch

from stylswap.errors import WeightsFileError
from stylswap.faces.detect import dlib_model_path
from stylswap.features.dlib_file import FILE, Layer, layers_of, read_dlib_resnet, weights_of
from stylswap.networks.dlib_resnet import DlibResNet


def whole(number: int) -> bytes:
    """A whole number as dlib writes it."""
    digits = number.to_bytes(max((number.bit_length() + 7) // 8, 1), "little")
    return bytes([len(digits)]) + digits


def tensor(sides: tuple[int, ...], numbers: list[float], version: int = 2) -> bytes:
    return b"".join(map(whole, (version, *sides))) + struct.pack(f"<{len(numbers)}f", *numbers)


def named(name: bytes, *rest: bytes) -> bytes:
    return whole(len(name)) + name + b"".join(rest)


# ---- the format ----------------------------------------------------------------------------------------------------------------


def test_layers_come_in_order_with_their_sides_and_numbers() -> None:
    looks_like_a_name = struct.unpack("<2f", b"\x01\x05con_4\x00")
    content = b"".join(
        [
            b"\x01\x01junk",
            named(b"con_4", tensor((1, 2, 1, 1), list(looks_like_a_name))),
            named(b"relu_110", whole(2)),
            named(b"affine_", tensor((1, 300, 1, 1), [0.5] * 300)),
            named(b"fc_2", whole(128), whole(256), tensor((1, 1, 1, 3), [1.0, -2.0, 0.25])),
        ]
    )
    layers = list(layers_of(content))
    assert [(layer.name, layer.sides) for layer in layers] == [
        ("con_4", (1, 2, 1, 1)),
        ("affine_", (1, 300, 1, 1)),
        ("fc_2", (1, 1, 1, 3)),
    ]
    assert layers[2].numbers.tolist() == [1.0, -2.0, 0.25]
    assert layers[0].numbers.tolist() == list(looks_like_a_name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (named(b"con_4", tensor((1, 1, 1, 2), [1.0])), "does not fit into it"),
        (named(b"con_4", b"\x81\x02" + tensor((1, 1, 1, 1), [1.0])[2:]), "version 2, got -2"),
        (named(b"con_4", tensor((1, 1, 1, 1), [1.0], version=1)), "version 2, got 1"),
        (named(b"con_4", b"\x01\x02\x09"), "whole number at byte 9"),
        (named(b"con_4"), "whole number at byte 7"),
        (named(b"con_4", tensor((0, 1, 1, 1), [])), "does not fit into it"),
    ],
)
def test_damage_is_told(content: bytes, message: str) -> None:
    with pytest.raises(WeightsFileError, match=message):
        list(layers_of(content))


# ---- the real file -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Path:
    return dlib_model_path(FILE)


@pytest.fixture(scope="module")
def layers(real: Path) -> list[Layer]:
    return list(layers_of(real.read_bytes()))


def test_the_network_computes_what_dlib_computes(real: Path) -> None:
    network = DlibResNet()
    network.load_state_dict(read_dlib_resnet(real))
    chips_u8 = np.random.default_rng(0).integers(0, 256, (3, 150, 150, 3), dtype=np.uint8)
    chips_u8[1] = np.linspace(0, 255, 150)[:, None, None].astype(np.uint8)  # a ramp, without colour
    chips_u8[2] = (200, 60, 10)  # one colour: red and blue must not change places
    model = dlib.face_recognition_model_v1(str(real))
    wanted = np.array([np.array(model.compute_face_descriptor(chip_u8)) for chip_u8 in chips_u8])
    with torch.no_grad():
        got = network(torch.from_numpy(chips_u8).permute(0, 3, 1, 2) / 255.0).numpy()
    np.testing.assert_allclose(got, wanted, atol=5e-6)
    assert np.abs(wanted[0] - wanted[2]).max() > 0.05


def test_all_of_its_layers_are_there(layers: list[Layer]) -> None:
    assert len(layers) == 59
    factors_and_shifts = 2 * (7 * 32 + 8 * 64 + 6 * 128 + 8 * 256)
    assert sum(len(layer.numbers) for layer in layers) == 5_607_488 + factors_and_shifts


def test_layers_of_another_network_are_refused(layers: list[Layer]) -> None:
    with pytest.raises(WeightsFileError, match="has 59 layers with weights, got 57"):
        weights_of(layers[2:])
    with pytest.raises(WeightsFileError, match=r"blocks\.0\.first of .* should hold 9248 numbers in 'con_4', got 9247"):
        weights_of([*layers[:2], layers[2]._replace(numbers=layers[2].numbers[1:]), *layers[3:]])


def test_another_file_is_refused(real: Path, tmp_path: Path) -> None:
    changed = bytearray(real.read_bytes())
    changed[5_000_000] ^= 1
    other = tmp_path / "other.dat"
    other.write_bytes(changed)
    with pytest.raises(WeightsFileError, match=r"sha256 should be 55533b28.*`pip install --force-reinstall"):
        read_dlib_resnet(other)
    with pytest.raises(WeightsFileError, match="cannot be read"):
        read_dlib_resnet(tmp_path / "none.dat")
