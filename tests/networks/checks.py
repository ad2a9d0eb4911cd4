"""What is asked of every network that only infers, whatever it draws or says."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def check_faces_are_apart(network: nn.Module, images: Tensor) -> None:
    """A face's answer does not depend on the one beside it."""
    with torch.no_grad():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def check_gradient_reaches_everything(network: nn.Module, images: Tensor) -> None:
    """Every weight has a say, and every image."""
    seen = images.clone().requires_grad_()
    parameters = dict(network.named_parameters())
    gradients = torch.autograd.grad(network(seen).square().mean(), [seen, *parameters.values()])
    assert [name for name, gradient in zip(["image", *parameters], gradients, strict=True) if not gradient.abs().max() > 0] == []
