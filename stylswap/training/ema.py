"""A running average of a module's weights: it lags behind the training, and does not tremble with it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from stylswap.errors import SettingsError, TrainingError


class Average:
    """Exponential moving average of a module's parameters; buffers are taken as they are.

    Adversarial phases circle around where they ought to settle, and the last step is somewhere on the circle. The average is near its
    centre.

    Reference:
        polyak1992; yazici2019, for adversarial training.

    Differs from the paper:
        The decay warms up, so that the first weights, drawn at random, are soon forgotten in a short training.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Begin with the weights as they are.

        Args:
            module: On its device, in its memory layout.
            decay: Share of the average that a step keeps, in (0, 1); 1 / (1 - decay) steps are remembered.

        Raises:
            SettingsError: If `decay` is outside (0, 1).
        """
        if not 0.0 < decay < 1.0:
            raise SettingsError(f"the decay of an average must be above 0 and below 1, got {decay}")
        self._module = module
        self._decay = decay
        self._tensors = {name: tensor.clone() for name, tensor in module.state_dict().items()}

    @torch.no_grad()
    def update(self, steps_before: int) -> None:
        """Move towards the module's present weights.

        Args:
            steps_before: Number of updates before this one, t. The decay is at most (1 + t) / (10 + t).
        """
        decay = min(self._decay, (1 + steps_before) / (10 + steps_before))
        # A tensor under two names is a parameter under both.
        parameters = {name for name, _ in self._module.named_parameters(remove_duplicate=False)}
        for name, tensor in self._module.state_dict().items():
            if name in parameters:
                self._tensors[name].lerp_(tensor, 1.0 - decay)
            else:
                self._tensors[name].copy_(tensor)

    def state(self) -> dict[str, Tensor]:
        """The averaged `state_dict`. Not copies: the next update changes them."""
        return dict(self._tensors)

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from a `state`. Values are copied into the memory layout of here, where the same kernels round in the same way.

        Raises:
            TrainingError: If the tensors belong to another module.
        """
        shapes = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        if found != shapes:
            wrong = min(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name))
            raise TrainingError(
                f"the average belongs to another network: '{wrong}' is {found.get(wrong, 'missing')}, expected {shapes.get(wrong, 'none')}"
            )
        for name, tensor in tensors.items():
            self._tensors[name].copy_(tensor)
