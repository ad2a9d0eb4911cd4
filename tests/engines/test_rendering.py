"""A network in use."""

from __future__ import annotations

import torch
from torch import nn

from stylswap.data.faceset import FaceSet
from stylswap.engines.rendering import StyleRenderer
from stylswap.networks import build_network


def _network() -> nn.Module:
    """A small one, untrained: it gives back what it gets."""
    return build_network("residual", seed=1, widths=[8, 16, 16], blocks=1)


def test_a_rendered_face_is_a_picture(input_set: FaceSet) -> None:
    network = _network()
    last = network.get_submodule("to_change")
    nn.init.normal_(last.weight, std=0.02, generator=torch.Generator().manual_seed(2))
    nn.init.constant_(last.bias, 0.9)
    faces = input_set.faces([0, 1, 2])
    images, masks = StyleRenderer(network.train()).render(faces)
    assert network.training, "a network in training is left in training"
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert masks is None
    assert images.shape == faces.images.shape
    assert images.is_contiguous()
    assert not images.requires_grad
    assert images.min() >= 0
    assert images.max() == 1


def test_an_untrained_network_renders_its_input(input_set: FaceSet) -> None:
    faces = input_set.faces([0, 8])
    assert torch.equal(StyleRenderer(_network()).render(faces).images, faces.images)
