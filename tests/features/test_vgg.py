from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from skimage import data
from torch import Tensor, nn

from stylswap import weights
from stylswap.errors import SettingsError, ShapeError, WeightsFileError
from stylswap.features.vgg import LAYERS, VGG

POSITION = {"relu3_1": 17, "relu4_1": 30, "relu4_2": 33}  # in the nn.Sequential of the AdaIN network


@pytest.fixture(scope="module")
def vgg() -> VGG:
    return VGG.load()


@pytest.fixture(scope="module")
def photos() -> Tensor:
    """A face, a whole photo, cloth: (3, 3, 96, 96)."""
    astronaut = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 255
    parts = (astronaut[:, :, 20:220, 130:330], astronaut, astronaut[:, :, 300:428, 200:328])
    return torch.cat([F.interpolate(part, size=(96, 96), mode="area") for part in parts])


def original(state: dict[str, Tensor]) -> nn.Sequential:
    """The published network, written down anew from its list of layers; keys of `state` are positions in it."""
    layers: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
    inputs = 3
    for outputs in (64, 64, "pool", 128, 128, "pool", 256, 256, 256, 256, "pool", 512, 512):
        if outputs == "pool":
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
        else:
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(inputs, outputs, 3), nn.ReLU()]
            inputs = outputs
    network = nn.Sequential(*layers).requires_grad_(False)
    network.load_state_dict({key: value.float() for key, value in state.items() if int(key.split(".")[0]) < len(layers)})
    return network


def features_of(network: nn.Sequential, images: Tensor) -> dict[str, Tensor]:
    features = {}
    for position, layer in enumerate(network):
        images = layer(images)
        features |= {name: images for name, wanted in POSITION.items() if wanted == position}
    return features


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return ((actual - expected).norm() / expected.norm()).item()


def test_layers_and_shapes(vgg):
    features = vgg(torch.rand(2, 3, 36, 49), LAYERS)  # an odd side is rounded up at every pooling
    assert tuple(features) == LAYERS
    sides = {"1": (36, 49), "2": (18, 25), "3": (9, 13), "4": (5, 7)}
    channels = {"1": 64, "2": 128, "3": 256, "4": 512}
    for name, cells in features.items():
        assert cells.shape == (2, channels[name[4]], *sides[name[4]])
        assert cells.dtype == torch.float32
        assert cells.min() >= 0


def test_it_computes_what_the_published_layers_compute(vgg, photos):
    tensors = load_file(weights.weights_path("vgg19-relu4_2"))
    names = ("colour", *(f"conv{layer[4:]}" for layer in LAYERS))
    positions = dict(zip(names, (0, 2, 5, 9, 12, 16, 19, 22, 25, 29, 32), strict=True))
    network = original({f"{positions[key.split('.')[0]]}.{key.split('.')[1]}": value for key, value in tensors.items()})
    images = photos[:, :, :75, :50].clone().requires_grad_()
    expected = features_of(network, images)
    (expected_gradient,) = torch.autograd.grad(sum(cells.square().mean() for cells in expected.values()), images)
    actual = vgg(images, tuple(POSITION))
    (gradient,) = torch.autograd.grad(sum(cells.square().mean() for cells in actual.values()), images)
    for name in POSITION:
        assert relative_error(actual[name].detach(), expected[name].detach()) < 1e-5
    assert relative_error(gradient, expected_gradient) < 1e-3


def test_parity_with_the_full_precision_artefact(vgg, photos):
    path = os.environ.get("STYLSWAP_VGG_ARTEFACT")
    if not path:
        pytest.skip("STYLSWAP_VGG_ARTEFACT does not name vgg_normalized.pth")
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == weights.weights_entry("vgg19-relu4_2").artefact.member_sha256
    expected = features_of(original(torch.load(path, weights_only=True)), photos)
    actual = vgg(photos, tuple(POSITION))
    errors = {name: relative_error(actual[name], expected[name]) for name in POSITION}
    print(errors)
    assert max(errors.values()) < 2e-3


def test_channels_are_normalised(vgg, photos):
    cells = vgg(photos, ["relu4_2"])["relu4_2"]
    assert 0.7 < cells.mean().item() < 1.6
    assert 0.5 < cells.mean(dim=(0, 2, 3)).median().item() < 2.0


def test_each_subset_of_layers_gives_equal_values(vgg, photos):
    everything = vgg(photos[:, :, :32, :32], LAYERS)
    for wanted in (["relu2_2"], {"relu4_1", "relu1_1"}, ("relu3_1", "relu3_1")):
        features = vgg(photos[:, :, :32, :32], wanted)
        assert set(features) == set(wanted)
        assert all(torch.equal(cells, everything[name]) for name, cells in features.items())


def test_nothing_deeper_than_wanted_is_computed(vgg):
    ran: list[int] = []
    handles = [layer.register_forward_hook(lambda *_, i=i: ran.append(i)) for i, layer in enumerate(vgg.convolutions)]
    assert vgg(torch.rand(1, 3, 16, 16), []) == {}
    assert ran == []
    vgg(torch.rand(1, 3, 16, 16), ["relu2_1"])
    assert ran == [0, 1, 2]
    for handle in handles:
        handle.remove()


def test_gradients_reach_the_images_and_not_the_parameters(vgg):
    images = torch.rand(2, 3, 16, 16, requires_grad=True)
    vgg(images, ["relu4_2"])["relu4_2"][0].sum().backward()
    assert images.grad[0].abs().sum() > 0
    assert images.grad[1].abs().sum() == 0  # each face has its own
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in vgg.parameters())
    assert not vgg.training


def test_parameters_are_float32_in_memory_and_copies():
    state = load_file(weights.weights_path("vgg19-relu4_2"))
    network = VGG(state)
    state["conv1_1.bias"].zero_()
    assert network.convolutions[0].bias.abs().sum() > 0
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_bfloat16_is_close_and_autocast_changes_nothing(vgg, photos):
    images = photos[:, :, :48, :48]
    expected = vgg(images, POSITION)
    with torch.autocast("cpu", torch.bfloat16):
        assert all(torch.equal(cells, expected[name]) for name, cells in vgg(images, POSITION).items())
    for name, cells in VGG.load(precision="bfloat16")(images, POSITION).items():
        assert cells.dtype == torch.float32
        assert 0 < relative_error(cells, expected[name]) < 0.02


def test_wrong_calls_are_refused(vgg):
    images = torch.rand(1, 3, 16, 16)
    with pytest.raises(SettingsError, match=r"no layer 'relu4_3'\. Did you mean 'relu"):
        vgg(images, ["relu4_3"])
    with pytest.raises(SettingsError, match=r"Unknown precision 'float16'\. Did you mean 'bfloat16'"):
        VGG.load(precision="float16")
    with pytest.raises(SettingsError, match=r"floating point in \[0, 1\], got torch\.uint8"):
        vgg(images.byte(), ["relu1_1"])
    with pytest.raises(ShapeError, match="4 axes expected"):
        vgg(images[0], ["relu1_1"])
    with pytest.raises(ShapeError, match="at least 9 px high and wide for relu4_1, got"):
        vgg(images[:, :, :8], ["relu4_1", "relu1_1"])
    assert vgg(images[:, :, :9, :9], ["relu4_2"])["relu4_2"].shape == (1, 512, 2, 2)


def test_wrong_weights_are_refused(tmp_path, monkeypatch):
    with pytest.raises(WeightsFileError, match=r"not the weights .*VGG-19: colour\.weight and colour\.bias missing"):
        VGG({})
    manifest = (weights.packaged_folder() / "manifest.toml").read_text()
    (tmp_path / "manifest.toml").write_text(manifest)
    (tmp_path / "vgg19-relu4_2.safetensors").write_bytes(b"version https")
    monkeypatch.setattr(weights, "packaged_folder", lambda: tmp_path)
    monkeypatch.setenv("STYLSWAP_HOME", str(tmp_path / "home"))
    with pytest.raises(WeightsFileError, match="'vgg19-relu4_2' are damaged"):
        VGG.load()
