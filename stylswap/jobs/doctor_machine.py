"""What the doctor looks at in the machine: processor, graphics cards, memory, folders. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from stylswap.jobs.diagnosis import Row

_GIB: Final = 2**30
_LITTLE_MEMORY_GIB, _LITTLE_DISK_GIB = 2.0, 1.0
_NVIDIA, _DISPLAY = "0x10de", "0x03"  # vendor and class of a PCI device
_PCI_DEVICES: Final = Path("/sys/bus/pci/devices")
_CONTROL_GROUP: Final = Path("/sys/fs/cgroup")
_PROBE_BYTES: Final = 2**16
_PLAIN_PROCESSORS: Final = ("DEFAULT", "NO AVX")  # what torch calls one without vector instructions that it has code for


def check_processor() -> Iterator[Row]:
    """The build, threads and instruction sets of torch, and whether it can calculate."""
    import torch

    from stylswap.jobs.device import pick_precision

    built_for = f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {torch.version.hip}" if torch.version.hip else ""
    yield Row("torch", "ok", f"{torch.__version__}, built for {built_for or 'the processor only'}")
    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    capability = torch.backends.cpu.get_cpu_capability()
    bfloat16 = pick_precision("auto", torch.device("cpu")) == "bfloat16"
    found = f"{threads} threads on {cores} cores, {capability}, bfloat16 {'in hardware' if bfloat16 else 'not in hardware'}"
    if wrong := _miscalculation("cpu"):
        yield Row("processor", "error", f"{found}; {wrong}", "pip install --force-reinstall torch")
    elif capability in _PLAIN_PROCESSORS:
        yield Row("processor", "warning", found, "it lacks AVX2: everything is several times slower than it could be on another one")
    elif threads < cores and os.environ.get("OMP_NUM_THREADS"):
        yield Row("processor", "ok", found, f"OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']} keeps torch from using all cores")
    else:
        yield Row("processor", "ok", found)


def check_graphics() -> Iterator[Row]:
    """Each graphics card, with a small calculation on it; or why there is none that torch can use."""
    import torch

    with warnings.catch_warnings(record=True) as said:  # torch warns of a driver that is too old
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    if available:
        for number in range(torch.cuda.device_count()):
            yield _card(f"cuda:{number}")
    elif torch.backends.mps.is_available():
        wrong = _miscalculation("mps")
        mend = "use --device cpu, and update macOS and torch"
        yield Row("mps", "error", wrong, mend) if wrong else Row("mps", "ok", "Apple's graphics calculate as they should")
    elif seen := _nvidia_card():
        yield _unused_card(seen, "; ".join(str(one.message).splitlines()[0] for one in said))
    else:
        yield Row("graphics", "ok", "no card that torch could use; the processor does the work")


def check_memory() -> Row:
    """Free memory."""
    free, total = _memory_bytes()
    if total is None:
        return Row("memory", "ok", "this system does not tell how much there is")
    if free is None:
        return Row("memory", "ok", f"{total / _GIB:.1f} GiB")
    found = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB free"
    if free < _LITTLE_MEMORY_GIB * _GIB:
        return Row("memory", "warning", found, "close other programs; a training takes about 2 GiB, large photos some hundred MB each")
    return Row("memory", "ok", found)


def check_folders() -> Iterator[Row]:
    """Whether the user's folders can be written, and the free space on their disks."""
    from stylswap.storage import cache_folder, data_folder

    home = "set STYLSWAP_HOME to a folder that can be written"
    yield _folder("data folder", data_folder(), home)
    yield _folder("cache folder", cache_folder(), home)
    yield _folder("temporary folder", Path(tempfile.gettempdir()), "set TMPDIR (on Windows TEMP) to a folder that can be written")


def _folder(name: str, folder: Path, mend: str) -> Row:
    # A folder that is not there yet is made when it is needed: what is above it counts.
    there = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(bytes(_PROBE_BYTES))
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Row(name, "error", f"{folder} cannot be written: {error.strerror or error}", mend)
    found = f"{folder}{'' if there == folder else ' (not made yet)'}, {free / _GIB:.1f} GiB free"
    if free < _LITTLE_DISK_GIB * _GIB:
        return Row(name, "warning", found, f"make room on that disk, or {mend}")
    return Row(name, "ok", found)


def _miscalculation(device: str) -> str:
    """What is wrong with a product of matrices and a convolution on a device; "" when nothing is."""
    import torch

    try:
        ones = torch.ones(64, 64, device=device)
        product = float((ones @ ones).mean())
        convolved = float(torch.nn.functional.conv2d(ones[None, None], ones[None, None, :3, :3])[0, 0, 30, 30])
    except Exception as error:  # a driver's answer can be any exception
        return f"{device} does not calculate: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    if (product, convolved) != (64.0, 9.0):
        return f"{device} calculates wrongly: 64 and 9 expected, {product:g} and {convolved:g} came"
    return ""


def _card(device: str) -> Row:
    import torch

    facts = torch.cuda.get_device_properties(device)
    found = f"{facts.name}, {facts.total_memory / _GIB:.0f} GiB"
    if wrong := _miscalculation(device):
        mend = "the card may be too old or too new for this build of torch, or busy; until that is mended use --device cpu"
        return Row(device, "error", f"{found}; {wrong}", mend)
    bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return Row(device, "ok", f"{found}, bfloat16 {'in hardware' if bfloat16 else 'not in hardware'}")


def _unused_card(seen: str, said: str) -> Row:
    """The machine has a card, and torch does not see it: why, and what to do."""
    import torch

    if torch.version.cuda is None:
        mend = "install a CUDA build of torch: its installation page gives the command for this machine's driver"
        return Row("graphics", "warning", f"{seen} is not used: this torch is built for the processor only", mend)
    mend = (
        f"install or update NVIDIA's driver, one that knows CUDA {torch.version.cuda}; a container must be started with access to the card"
    )
    return Row("graphics", "warning", f"{seen} is not used: {said or _reason_of_cuda()}", mend)


def _reason_of_cuda() -> str:
    import torch

    try:
        torch.cuda.init()
    except Exception as error:
        return str(error).splitlines()[0]
    return "torch sees no card"


def _nvidia_card() -> str:
    """What the system itself says of an NVIDIA card, "" when it knows none; torch is not asked."""
    program = shutil.which("nvidia-smi")
    if program is not None:
        try:
            done = subprocess.run([program, "-L"], check=False, capture_output=True, text=True, timeout=20)
            lines = (done.stdout + done.stderr).strip().splitlines()
            if lines and (done.returncode == 0 or "river" in lines[0]):  # "Driver/library version mismatch"
                return lines[0].partition(" (UUID")[0]
        except (OSError, subprocess.TimeoutExpired):
            pass
    for device in sorted(_PCI_DEVICES.glob("*")):
        try:
            if (device / "vendor").read_text().strip() == _NVIDIA and (device / "class").read_text().startswith(_DISPLAY):
                return f"an NVIDIA card ({device.name})"
        except OSError:
            continue
    return ""


def _memory_bytes() -> tuple[int | None, int | None]:
    """Free and whole memory, None for what the system does not tell; in a container its limit counts."""
    if sys.platform == "win32":
        return _memory_of_windows()
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kib = {line.partition(":")[0]: int(line.split()[1]) for line in lines if len(line.split()) > 1}
        free, total = kib["MemAvailable"] * 1024, kib["MemTotal"] * 1024
    except (OSError, KeyError, ValueError):
        names = getattr(os, "sysconf_names", {})
        return None, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in names else None
    try:
        limit, used = (int((_CONTROL_GROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        kept = dict(line.split() for line in (_CONTROL_GROUP / "memory.stat").read_text().splitlines())
        used -= int(kept["inactive_file"])  # files in memory that give way
    except (OSError, ValueError, KeyError):  # no container, or one without a limit ("max")
        return free, total
    return max(min(free, limit - used), 0), min(total, limit)


def _memory_of_windows() -> tuple[int | None, int | None]:
    import ctypes

    class Memory(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong), *((f"n{i}", ctypes.c_ulonglong) for i in range(7))]

    memory: Any = Memory(length=ctypes.sizeof(Memory))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(memory)):  # type: ignore[attr-defined, unused-ignore]
        return None, None
    return memory.n1, memory.n0
