"""The doctor, with patients in all states: what is broken is faked, and the row must say what it is and what mends it."""

from __future__ import annotations

import ast
import dataclasses
import errno
import importlib
import importlib.metadata
import importlib.util
import json
import platform
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from stylswap import weights
from stylswap.errors import WeightsFileError
from stylswap.faces import detect
from stylswap.jobs import diagnosis, doctor, doctor_machine
from stylswap.jobs.diagnosis import Diagnosis, Row
from stylswap.jobs.doctor import diagnose
from stylswap.jobs.swapper import Swapper
from stylswap.photo import from_array

GIB = 2**30


def _rows(check: str = "") -> dict[str, Row]:
    """Rows by name, of all but the self-test, or of one check with whatever it throws."""
    if not check:
        return {row.name: row for row in diagnose(self_test=False).rows}
    found = next(one for one in doctor._checks("cpu", True) if one.name == check)
    return {row.name: row for row in doctor._examined(found, [])}


def _raise(error: BaseException) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> Any:
        raise error

    return call


# ---- as a whole ---------------------------------------------------------------------------------------------------------------------


def test_this_installation_is_healthy() -> None:
    seen: list[Row] = []
    found = diagnose(device="cpu", on_row=seen.append)
    assert found.rows == tuple(seen)
    assert [row for row in found.rows if row.status == "error"] == [] and found.healthy
    names = [row.name for row in found.rows]
    assert len(set(names)) == len(names)
    wanted = ["python", "packages", "extra heic", "extra provenance", "torch", "processor", "torchvision", "dlib", "dlib's models"]
    assert [name for name in names if name in wanted] == wanted
    assert names[-5:] == ["data folder", "cache folder", "temporary folder", "memory", "self-test"]
    assert "the face changed, nothing around it did" in found.rows[-1].found
    assert json.loads(json.dumps(found.as_json()))["rows"][0] == dataclasses.asdict(found.rows[0])


def test_warnings_are_no_errors() -> None:
    rows = (Row("a", "ok", ""), Row("b", "warning", ""))
    assert Diagnosis(rows).healthy and Diagnosis(rows).as_json()["healthy"] is True
    assert not Diagnosis((*rows, Row("c", "error", ""))).healthy


def test_without_torch_the_other_rows_are_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = diagnose()
    rows = {row.name: row for row in found.rows}
    assert not found.healthy
    assert rows["torch"].status == "error" and "ModuleNotFoundError" in rows["torch"].found
    assert rows["torch"].mend == "pip install --force-reinstall torch torchvision"
    for name in ("graphics", "torchvision", "dlib's models", "self-test"):
        assert rows[name] == Row(name, "warning", "not looked at: torch must work first")
    assert rows["dlib"].status == rows["data folder"].status == rows["weights"].status == "ok"


@pytest.mark.parametrize(
    "error", [RuntimeError("first\nsecond"), OSError(errno.EIO, "broken"), ImportError(), ValueError(""), KeyError("x")]
)
def test_whatever_a_check_throws_is_a_row(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("check_processor", "check_graphics", "check_folders", "check_memory"):
        monkeypatch.setattr(doctor, name, _raise(error))
    for name in ("_check_python", "_check_packages", "_check_extras", "_check_torchvision", "_check_dlib", "_check_dlib_models"):
        monkeypatch.setattr(doctor, name, _raise(error))
    monkeypatch.setattr(doctor, "_check_weights", _raise(error))
    rows = diagnose().rows
    assert [row.status for row in rows].count("error") == 8
    assert all(type(error).__name__ in row.found and "\n" not in row.found and row.mend for row in rows if row.status == "error")


def test_nothing_heavy_is_imported_before_its_row() -> None:
    for module in (doctor, doctor_machine, diagnosis):
        body = ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body
        names = {name.name for node in body if isinstance(node, ast.Import) for name in node.names}
        names |= {node.module or "" for node in body if isinstance(node, ast.ImportFrom)}
        ours = {name for name in names if name.startswith("stylswap")}
        assert ours <= {"stylswap.jobs.diagnosis", "stylswap.jobs.doctor_machine"}
        assert {name.partition(".")[0] for name in names - ours} <= set(sys.stdlib_module_names) and names


# ---- what is installed --------------------------------------------------------------------------------------------------------------


def test_a_python_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "python_version", lambda: "3.9.1")
    row = _rows("python")["python"]
    assert row.status == "error" and "3.9.1" in row.found and "asks for >=3.11" in row.found and "install a Python" in row.mend


def _versions(monkeypatch: pytest.MonkeyPatch, **others: str | None) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        found = others.get(name.replace("-", "_"), "")
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found or real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_packages_that_are_too_old_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _rows("packages")["packages"].found
    _versions(monkeypatch, torch="2.3.0", scipy=None)
    rows = _rows("packages")
    assert rows["package torch"].status == rows["package scipy"].status == "error"
    assert rows["package torch"].found.startswith("torch 2.3.0 is installed; stylswap asks for torch>=")
    assert rows["package torch"].mend == f"pip install '{rows['package torch'].found.rpartition(' ')[2]}'"
    assert rows["package scipy"].found.startswith("scipy is not installed")
    assert "scipy" in before and "scipy" not in rows["packages"].found and "numpy" in rows["packages"].found


def test_builds_for_a_device_are_versions_too(monkeypatch: pytest.MonkeyPatch) -> None:
    _versions(monkeypatch, torch="99.1.0+cpu", torchvision="99.0.0a0+git123")
    assert set(_rows("packages")) == {"packages"}


def test_a_checkout_that_was_never_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("requires", "metadata", "version"):
        monkeypatch.setattr(importlib.metadata, name, _raise(importlib.metadata.PackageNotFoundError("stylswap")))
    assert _rows("python")["python"].status == "ok"
    row = _rows("packages")["packages"]
    assert row.status == "warning" and "not installed" in row.found and "pip install -e ." in row.mend
    assert _rows("extras")["extra heic"].status == "ok"


def test_extras_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    rows = _rows("extras")
    assert rows["extra heic"] == Row("extra heic", "ok", "not installed: HEIC photos cannot be read", "pip install 'stylswap[heic]'")
    assert rows["extra provenance"].mend == "pip install 'stylswap[provenance]'"


def test_an_extra_that_does_not_load_or_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    _versions(monkeypatch, pillow_heif="99.0")
    monkeypatch.setattr(importlib, "import_module", _raise(ImportError("libheif.so: no such file")))
    row = _rows("extras")["extra heic"]
    assert (row.status, row.mend) == ("warning", "from the checkout: pip install --force-reinstall '.[heic]'")
    assert row.found.endswith("but it cannot be loaded: libheif.so: no such file")
    _versions(monkeypatch, pillow_heif="0.1")
    row = _rows("extras")["extra heic"]
    assert row.status == "warning" and "pillow-heif 0.1 is installed; stylswap asks for" in row.found


def test_without_packaging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    row = _rows("packages")["packages"]
    assert (row.status, row.mend) == ("error", "pip install packaging")


# ---- torch, cards, torchvision ------------------------------------------------------------------------------------------------------


def test_the_small_calculation() -> None:
    assert doctor_machine._miscalculation("cpu") == ""
    assert doctor_machine._miscalculation("meta").startswith("meta does not calculate: ")
    assert doctor_machine._miscalculation("nowhere").startswith("nowhere does not calculate: ")


def test_a_processor_that_calculates_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.functional, "conv2d", lambda image, kernel: image[..., :31, :31] * 8)
    row = _rows("torch")["processor"]
    assert row.status == "error" and "64 and 9 expected, 64 and 8 came" in row.found and "reinstall torch" in row.mend


def test_a_processor_without_vectors_and_threads_that_are_kept_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    row = _rows("torch")["processor"]
    assert row.status == "ok" and "on 64 cores" in row.found and row.mend.startswith("OMP_NUM_THREADS=1 keeps")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    row = _rows("torch")["processor"]
    assert row.status == "warning" and "AVX2" in row.mend


def _no_device(monkeypatch: pytest.MonkeyPatch, card: str, cuda: str | None) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(doctor_machine, "_nvidia_card", lambda: card)


@pytest.mark.parametrize("cuda", [None, "13.2"])
def test_no_card_is_nothing_to_mend(cuda: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    _no_device(monkeypatch, "", cuda)
    row = _rows("graphics")["graphics"]
    assert (row.status, row.mend) == ("ok", "") and "processor" in row.found


def test_a_card_and_a_torch_for_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    _no_device(monkeypatch, "GPU 0: NVIDIA H200", None)
    row = _rows("graphics")["graphics"]
    assert row.status == "warning" and row.found.startswith("GPU 0: NVIDIA H200 is not used") and "processor only" in row.found
    assert "install a CUDA build of torch" in row.mend
    assert "processor only" in _rows("torch")["torch"].found


def test_a_card_without_a_driver_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    _no_device(monkeypatch, "GPU 0: NVIDIA H200", "13.2")

    def available() -> bool:
        warnings.warn("CUDA initialization: The NVIDIA driver on your system is too old (found 11040)\nmore", UserWarning, stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", available)
    row = _rows("graphics")["graphics"]
    assert row.status == "warning" and row.found.endswith("driver on your system is too old (found 11040)")
    assert "driver, one that knows CUDA 13.2" in row.mend
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", _raise(RuntimeError("Found no NVIDIA driver on your system.")))
    assert _rows("graphics")["graphics"].found.endswith("is not used: Found no NVIDIA driver on your system.")


def test_cards_that_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(name="H200", total_memory=139 * GIB))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(doctor_machine, "_miscalculation", lambda device: "no kernel image" if device == "cuda:1" else "")
    rows = _rows("graphics")
    assert rows["cuda:0"] == Row("cuda:0", "ok", "H200, 139 GiB, bfloat16 in hardware")
    assert rows["cuda:1"].status == "error" and rows["cuda:1"].found == "H200, 139 GiB; no kernel image"
    assert "--device cpu" in rows["cuda:1"].mend


@pytest.mark.parametrize(("wrong", "status"), [("", "ok"), ("mps does not calculate", "error")])
def test_apples_graphics(wrong: str, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _no_device(monkeypatch, "", None)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(doctor_machine, "_miscalculation", lambda device: wrong)
    row = _rows("graphics")["mps"]
    assert row.status == status and bool(row.mend) == bool(wrong)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for nvidia-smi is a shell script")
@pytest.mark.parametrize(
    ("script", "seen"),
    [
        ("echo 'GPU 0: NVIDIA H200 (UUID: GPU-1-2)'", "GPU 0: NVIDIA H200"),
        (
            "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18",
            "Failed to initialize NVML: Driver/library version mismatch",
        ),
        ("exit 9", ""),
    ],
)
def test_what_the_system_says_of_cards(script: str, seen: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor_machine, "_PCI_DEVICES", tmp_path / "none")
    assert doctor_machine._nvidia_card() == seen


def test_a_card_on_the_bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor_machine, "_PCI_DEVICES", tmp_path)
    for name, vendor, kind in (("0000:00:01.0", "0x8086", "0x030000"), ("0000:00:02.0", "0x10de", "0x020000"), ("0000:00:03.0", "", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")
    (tmp_path / "0000:00:04.0").mkdir()
    assert doctor_machine._nvidia_card() == ""
    (tmp_path / "0000:00:02.0" / "class").write_text("0x030200\n")
    assert doctor_machine._nvidia_card() == "an NVIDIA card (0000:00:02.0)"


def test_a_torchvision_for_another_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torchvision.__version__ in _rows("torchvision")["torchvision"].found
    for nms in (_raise(RuntimeError("operator torchvision::nms does not exist")), lambda *_: torch.tensor([0, 1])):
        monkeypatch.setattr(torch.ops.torchvision, "nms", nms)
        row = _rows("torchvision")["torchvision"]
        assert row.status == "error" and "torchvision::nms" in row.found and "they belong together" in row.mend
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert _rows("torchvision")["torchvision"].status == "error"


# ---- dlib, weights ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said", "found", "mend"),
    [
        (-4, "", "instructions that this processor does not have", "--no-binary"),
        (0xC000001D, "", "instructions that this processor does not have", "--no-binary"),
        (1, "Traceback\nModuleNotFoundError: No module named 'dlib'\n", "ModuleNotFoundError: No module named 'dlib'", "dlib-bin"),
        (-11, "", "ends the program with -11", "dlib-bin"),
    ],
)
def test_a_dlib_that_breaks(code: int, said: str, found: str, mend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, code, "", said))
    row = _rows("dlib")["dlib"]
    assert row.status == "error" and found in row.found and mend in row.mend


def test_a_dlib_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", _raise(subprocess.TimeoutExpired("python", 120)))
    assert "TimeoutExpired" in _rows("dlib")["dlib"].found


def test_models_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "3 files" in _rows("dlib's models")["dlib's models"].found
    monkeypatch.setattr(detect, "_MODEL_PACKAGE", "no_such_package_at_all")
    row = _rows("dlib's models")["dlib's models"]
    assert row.status == "error" and "dlib's models are missing" in row.found and "face_recognition_models" in row.mend


def test_weights_that_are_damaged_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {entry.name: entry for entry in weights.list_weights()}
    report = [(entries["vgg19-relu4_2"], "missing"), (entries["ada"], "damaged"), (entries["lighting"], "ok")]
    monkeypatch.setattr(weights, "verify_weights", lambda: report)
    rows = _rows("weights")
    assert rows["weights"].found == "1 of 3 verified: lighting"
    assert rows["weights vgg19-relu4_2"].status == "error" and rows["weights vgg19-relu4_2"].found.endswith("is missing")
    assert rows["weights vgg19-relu4_2"].mend == "stylswap weights fetch vgg19-relu4_2"
    assert rows["weights ada"].found.endswith("is damaged")
    assert rows["weights ada"].mend == "from the checkout: pip install --force-reinstall ."
    found = {row.name: row for row in diagnose().rows}
    assert found["self-test"].status == "warning" and "weights ada" in found["self-test"].found
    monkeypatch.setattr(weights, "verify_weights", _raise(WeightsFileError("No weights/manifest.toml")))
    row = _rows("weights")["weights"]
    assert row.status == "error" and "manifest.toml" in row.found and "reinstall" in row.mend


# ---- folders, memory ----------------------------------------------------------------------------------------------------------------


def test_folders_are_not_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STYLSWAP_HOME", str(tmp_path / "a" / "b"))
    rows = _rows("folders")
    assert rows["data folder"].found.startswith(f"{tmp_path / 'a' / 'b'} (not made yet), ")
    assert rows["cache folder"].status == "ok" and list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("STYLSWAP_HOME", str(tmp_path / "file"))
    row = _rows("folders")["data folder"]
    assert row.status == "error" and "cannot be written" in row.found and "STYLSWAP_HOME" in row.mend


def test_a_disk_that_is_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STYLSWAP_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=GIB // 2))
    row = _rows("folders")["data folder"]
    assert row.status == "warning" and "0.5 GiB free" in row.found and "make room" in row.mend
    monkeypatch.setattr(doctor_machine.tempfile, "TemporaryFile", _raise(OSError(errno.ENOSPC, "No space left on device")))
    assert {row.status for row in _rows("folders").values()} == {"error"}


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    free, total = doctor_machine._memory_bytes()
    assert total is not None and total > GIB // 2 and (free is None or 0 <= free <= total)
    for known, status in (((GIB, 8 * GIB), "warning"), ((4 * GIB, 8 * GIB), "ok"), ((None, 8 * GIB), "ok"), ((None, None), "ok")):
        monkeypatch.setattr(doctor_machine, "_memory_bytes", lambda known=known: known)
        row = _rows("memory")["memory"]
        assert row.status == status and bool(row.mend) == (status == "warning")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="control groups are Linux's")
def test_the_limit_of_a_container_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor_machine, "_CONTROL_GROUP", tmp_path)
    (tmp_path / "memory.max").write_text(f"{300 * 2**20}\n")
    (tmp_path / "memory.current").write_text(f"{250 * 2**20}\n")
    (tmp_path / "memory.stat").write_text(f"anon 7\ninactive_file {100 * 2**20}\n")
    assert doctor_machine._memory_bytes() == (150 * 2**20, 300 * 2**20)
    (tmp_path / "memory.max").write_text("max\n")
    assert (doctor_machine._memory_bytes()[1] or 0) > 300 * 2**20


# ---- the self-test ------------------------------------------------------------------------------------------------------------------


def _swap_by(change: Callable[[np.ndarray], np.ndarray], status: str = "swapped") -> Callable[..., Any]:
    def swap(_: Swapper, photo: Any) -> Any:
        faces = [SimpleNamespace(face=SimpleNamespace(box=(80.0, 80.0, 160.0, 160.0)))] if status == "swapped" else []
        return SimpleNamespace(photo=from_array(change(photo.rgb_u8())), status=status, reason="no face found", faces=faces)

    return swap


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda pixels: pixels, "the face changed by 0.0 levels"),
        (lambda pixels: 255 - pixels, "what is around it by up to "),
    ],
)
def test_a_swap_that_does_nothing_or_too_much(change: Any, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Swapper, "swap", _swap_by(change))
    row = _rows("self-test")["self-test"]
    assert row.status == "error" and found in row.found and "reinstall" in row.mend


def test_a_swap_that_finds_no_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Swapper, "swap", _swap_by(lambda pixels: pixels, "no_face"))
    row = _rows("self-test")["self-test"]
    assert row.status == "error" and "was not swapped: no_face, no face found" in row.found


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor, "_checks", lambda device, _: [doctor._Check("self-test", lambda: [doctor._check_swap(device)])])
    row = diagnose(device="cuda").rows[0]
    assert row.status == "error" and "device 'cuda' was asked for" in row.found
    assert "--device auto" in row.mend and "driver" in row.mend and "install" not in row.mend
    assert "--device auto" not in row.found, "said once"
    assert "unknown device 'gpu'" in (row := diagnose(device="gpu").rows[0]).found and "--device auto" in row.mend


def test_what_counts_as_inside_and_around() -> None:
    change = np.zeros((100, 100, 3), int)
    change[40:60, 40:60] = 6
    assert doctor._split(change, (40.0, 40.0, 60.0, 60.0)) == (6.0, 0)
    change[32, 50] = 9  # 8 of 20 px above the box: within reach
    assert doctor._split(change, (40.0, 40.0, 60.0, 60.0))[1] == 0
    change[31, 50] = 7
    assert doctor._split(change, (40.0, 40.0, 60.0, 60.0))[1] == 7
    assert doctor._split(change, (-40.0, -40.0, 200.0, 200.0))[1] == 0
