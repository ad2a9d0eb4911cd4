"""Which device computes."""

from __future__ import annotations

import torch

from stylswap.errors import DeviceError, did_you_mean

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
