"""Optimisers by name, and what they remember as flat, named tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from stylswap.errors import SettingsError, TrainingError, did_you_mean

OPTIMISERS: Final = ("adam", "soap")

SOAP_BETAS: Final = (0.95, 0.95)
# Steps from one look at a weight's eigenbases to the next.
SOAP_FREQUENCY: Final = 10
# Sides of a weight up to which they get a basis of their own; a wider one is left as it is.
SOAP_MAX_SIDE: Final = 512


def build_optimiser(name: str, parameters: Sequence[nn.Parameter], *, betas: tuple[float, float]) -> Optimizer:
    """An optimiser with a learning rate of 0, which the loop sets before each step.

    ``adam`` divides each number of a gradient by the root of its own mean square. ``soap`` does so in the eigenbases of the weight's
    sides: channels out, channels in, rows and columns of a kernel. It looks at a first gradient without a step. A step costs more, and
    fewer are needed; see ``docs/decisions/0029-default-recipe-5.md``.

    Args:
        name: One of `OPTIMISERS`.
        parameters: What it moves.
        betas: Adam's momenta. SOAP has its own.

    Raises:
        SettingsError: If there is no such optimiser.

    Reference:
        kingma2015; vyas2024, as implemented by the package pytorch-optimizer.
    """
    if name == "adam":
        return torch.optim.Adam(parameters, lr=0.0, betas=betas)
    if name == "soap":
        return _soap(parameters)
    raise SettingsError(f"there is no optimiser '{name}'; known are {', '.join(OPTIMISERS)}.{did_you_mean(name, OPTIMISERS)}")


def state_of(optimiser: Optimizer) -> dict[str, Tensor]:
    """What the next step depends on: ``"0.exp_avg"`` of the first parameter, ``"0.Q.1"`` of its second side. Not copies."""
    state: Mapping[str, Any] = optimiser.state_dict()
    tensors: dict[str, Tensor] = {}
    for index, moments in state["state"].items():
        for name, value in moments.items():
            parts = {name: value} if isinstance(value, Tensor) else {f"{name}.{side}": part for side, part in _sides(value)}
            tensors |= {f"{index}.{part}": tensor for part, tensor in parts.items()}
    if tensors and "step" in state["param_groups"][0]:  # SOAP counts for all of them together
        tensors["step"] = torch.tensor(state["param_groups"][0]["step"])
    return tensors


def load_state(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Go on from a `state_of`; values are copied. Without tensors the optimiser begins anew.

    Raises:
        TrainingError: If they belong to another optimiser.
    """
    if not tensors:
        return
    soap = "step" in tensors
    if soap != (not isinstance(optimiser, torch.optim.Adam)):
        wrote, asked = ("soap", "adam") if soap else ("adam", "soap")
        raise TrainingError(f"the checkpoint was written by the optimiser '{wrote}', and '{asked}' cannot go on from there; "
                            f"give --set training.optimiser={wrote}")  # fmt: skip
    for index, parameter in enumerate(p for group in optimiser.param_groups for p in group["params"]):
        own = {name.removeprefix(f"{index}."): value for name, value in tensors.items() if name.startswith(f"{index}.")}
        if own:
            optimiser.state[parameter] = _soap_moments(parameter, own) if soap else _moments(parameter, own)
    if soap:
        for group in optimiser.param_groups:
            group["step"] = int(tensors["step"])


def _sides(value: object) -> list[tuple[int, Tensor]]:
    """Those of a list's entries that are tensors, by their place; SOAP has an empty list for a side without a basis."""
    return [(side, part) for side, part in enumerate(value) if isinstance(part, Tensor)] if isinstance(value, list) else []


def _moments(parameter: nn.Parameter, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    # In the parameter's memory layout: another layout takes another kernel and may round differently.
    return {
        name: torch.empty_like(parameter, requires_grad=False).copy_(value) if value.shape == parameter.shape else value.clone()
        for name, value in tensors.items()
    }


def _soap_moments(parameter: nn.Parameter, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    moments = _moments(parameter, {name: tensors[name] for name in ("exp_avg", "exp_avg_sq")})
    for name in ("GG", "Q"):
        found = (tensors.get(f"{name}.{side}") for side in range(parameter.ndim))
        moments[name] = [[] if part is None else _laid_as(name, part.to(parameter.device)) for part in found]
    return {**moments, "precondition_frequency": SOAP_FREQUENCY, "shampoo_beta": SOAP_BETAS[1]}


def _laid_as(name: str, part: Tensor) -> Tensor:
    """A copy in the memory layout that SOAP has it in: a basis comes column by column from LAPACK."""
    return part.mT.clone(memory_format=torch.contiguous_format).mT if name == "Q" else part.clone(memory_format=torch.contiguous_format)


def _soap(parameters: Sequence[nn.Parameter]) -> Optimizer:
    from pytorch_optimizer import SOAP  # two seconds, and only a training wants them

    class Soap(SOAP):
        """SOAP whose second moments stay in their memory layout: a resumed training must round as one that was never stopped."""

        def get_orthogonal_matrix_qr(self, state: dict[str, Any], *args: Any, **options: Any) -> list[Any]:
            before = state["exp_avg_sq"]
            bases: list[Any] = super().get_orthogonal_matrix_qr(state, *args, **options)
            state["exp_avg_sq"] = torch.empty_like(before).copy_(state["exp_avg_sq"])
            return bases

    optimiser: Optimizer = Soap(
        parameters,
        lr=0.0,
        betas=SOAP_BETAS,
        weight_decay=0.0,
        precondition_frequency=SOAP_FREQUENCY,
        max_precondition_dim=SOAP_MAX_SIDE,
    )
    return optimiser
