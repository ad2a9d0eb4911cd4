"""The public names are a promise; importing them does nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import stylswap

PACKAGE = Path(stylswap.__file__).parent

PUBLIC = [
    "FaceChoice",
    "IdentityCard",
    "Photo",
    "Settings",
    "StylswapError",
    "SwapOptions",
    "SwapRequest",
    "SwapSummary",
    "Swapped",
    "Swapper",
    "TrainRequest",
    "__version__",
    "load_settings",
    "read_photo",
    "swap_photos",
    "train",
    "write_photo",
]


def test_the_public_names_are_these() -> None:
    assert stylswap.__all__ == PUBLIC


def test_each_is_there_and_documented() -> None:
    for name in PUBLIC:
        thing = getattr(stylswap, name)
        assert isinstance(thing, str) or (thing.__doc__ or "").strip(), name


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_module_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = docstring.partition("\n")[0]
    assert first[-1:] in (".", ":", "?", "!"), f"{path}: the first line of the docstring is no sentence: {first!r}"


def test_importing_the_package_imports_nothing_heavy() -> None:
    """Torch takes seconds, and `stylswap doctor` must come in where torch is broken."""
    script = "import sys, stylswap, stylswap.options; stylswap.options.parser(); assert not {'torch', 'dlib', 'numpy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'stylswap' has no attribute 'Swaper'"):
        stylswap.Swaper  # noqa: B018
    assert set(stylswap.__all__) <= set(dir(stylswap))


WATCHED_IMPORT = """
import sys
seen = []
def watch(event, arguments):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "urllib.", "subprocess.", "os.system")):
        seen.append(event)
    elif event == "open" and str(arguments[0]).endswith((".safetensors", ".dat", ".pth", ".pt")):
        seen.append(f"open {arguments[0]}")
import torch  # before the watch begins: what torch does is torch's
sys.addaudithook(watch)
threads = torch.get_num_threads(), torch.random.initial_seed()
import stylswap, stylswap.cli, stylswap.weights, stylswap.features.vgg
assert not seen, seen
assert "dlib" not in sys.modules, "dlib takes its time; it is imported at first use"
assert threads == (torch.get_num_threads(), torch.random.initial_seed()), "global state was touched"
try:
    open("/nowhere/weights.safetensors")
except FileNotFoundError:
    assert seen, "the watch does not watch"
"""


def test_importing_touches_neither_network_nor_weights() -> None:
    command = [sys.executable, "-W", "error", "-c", WATCHED_IMPORT]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
