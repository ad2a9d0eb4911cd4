"""Which device computes."""

from __future__ import annotations

import torch

from stylswap.errors import DeviceError, did_you_mean
from stylswap.features.vgg import Precision

DEVICES = ("auto", "cpu", "cuda", "mps")


def pick_device(name: str = "auto") -> torch.device:
    """The device of a name; ``auto`` takes the fastest that is there.

    Raises:
        DeviceError: If a device is asked for by name and is not available: better than an hour on the wrong one.
    """
    if name not in DEVICES:
        raise DeviceError(f"unknown device '{name}'.{did_you_mean(name, DEVICES)}")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    if not available[name]:
        there = ", ".join(kind for kind, found in available.items() if found)
        raise DeviceError(f"device '{name}' was asked for, but this machine offers: {there}; use --device auto, or mend its driver")
    return torch.device(name)


def pick_precision(name: str, device: torch.device) -> Precision:
    """The critic's precision; ``auto`` takes bfloat16 only where the hardware has it: emulated, it is 3 to 25 times slower."""
    if name != "auto":
        return "bfloat16" if name == "bfloat16" else "float32"
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type == "cpu":
        capable = torch.backends.mkldnn.is_available() and _cpu_has_bfloat16()
        return "bfloat16" if capable else "float32"
    return "float32"


def pick_optimiser(name: str, device: torch.device) -> str:
    """The network's optimiser; ``auto`` takes SOAP where torch finds eigenvectors and orthogonal bases: not on MPS."""
    if name != "auto":
        return name
    return "adam" if device.type == "mps" else "soap"


def _cpu_has_bfloat16() -> bool:
    capabilities = torch.backends.cpu.get_cpu_capability()
    return "AVX512" in capabilities and bool(torch.cpu._is_avx512_bf16_supported())
