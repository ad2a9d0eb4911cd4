"""Who may import whom: the rooms of CONTRIBUTING.md, read from the code with `ast`.

A room is a package or a module directly below `stylswap`. Within a room imports are free. A room that is missing from the table fails:
give it its line.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

GROUND = "errors shapes names"  # what everybody may use

MAY_IMPORT = {
    # The ground: no faces, no networks.
    "errors": "",
    "shapes": "errors",
    "version": "",
    "names": "",
    "storage": "errors",
    "interrupt": "",
    "examples": "errors",
    "config": GROUND,
    "sheets": GROUND,
    "provenance": "errors",
    "convert": "errors",
    "weights": "errors convert storage",
    "identity_file": f"{GROUND} storage",
    "photo": f"{GROUND} provenance storage",
    "signing": "errors provenance photo",
    "label": f"{GROUND} photo",
    "report": f"{GROUND} photo storage",
    # Pure: tensors and numbers in, tensors and numbers out.
    "faces": GROUND,
    "losses": GROUND,
    "networks": GROUND,
    # The relief is the shape of a face, whose normals tell the light.
    "metrics": f"{GROUND} faces data.relief data.relight",
    # Frozen critics. dlib's descriptor describes a `Face`, and finds its model where the detector finds its own.
    "features": f"{GROUND} weights networks faces",
    # Preparing says who is in a photo, by the settings.
    "data": f"{GROUND} faces photo storage config features.identity",
    # Never each other.
    # `data.faceset`, `data.light_pairs`, `data.occluded_faces`, `data.landmark_faces` for the types of their batches.
    "engines": f"{GROUND} networks features losses faces data.faceset data.light_pairs data.occluded_faces"
    " data.landmark_faces",
    "training": f"{GROUND} losses.weigh storage interrupt",
    # Straight lines that call down.
    "jobs": f"{GROUND} engines training data faces features losses networks photo config storage weights"
    " identity_file provenance signing label sheets examples report version interrupt metrics",
    # The face to the user. `training.session` for the type that its bar shows.
    "progress": "errors jobs training.session",
    "options": "errors version names",
    "swap_arguments": "errors options jobs identity_file label signing",
    "train_arguments": "errors config jobs identity_file",
    "cli": "errors options swap_arguments train_arguments jobs progress weights identity_file",
    # The public names, and nothing else.
    "__init__": "errors version jobs photo config identity_file",
}

# Tools that make what the repository ships reach where they must; the others are the command line, or one job.
SCRIPTS_MAY_IMPORT = {"make_": None, "": "cli jobs data.prepare photo sheets config errors names"}


def modules() -> dict[str, Path]:
    """Every module of stylswap by its dotted name below `stylswap`; `__init__` is the package itself."""
    found = {}
    for path in sorted((CHECKOUT / "stylswap").rglob("*.py")):
        parts = path.relative_to(CHECKOUT / "stylswap").with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """Modules of stylswap that a file imports, anywhere in it, below `stylswap`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("stylswap.") for alias in node.names if alias.name.startswith("stylswap"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "stylswap":
            below = (node.module or "").removeprefix("stylswap").removeprefix(".")
            for alias in node.names:
                name = f"{below}.{alias.name}".removeprefix(".")
                yield name if name in MODULES else below or "__init__"


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def is_allowed(module: str, allowed: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in allowed.split())


def test_the_reader_sees_imports() -> None:
    assert set(imports(MODULES["training.loop"])) == {"errors", "losses.weigh", "training.ema", "training.hold", "training.optimisers"}
    assert "convert" in set(imports(MODULES["weights"])), "an import inside a function, of a module as a name"


def test_every_room_is_in_the_table_and_every_line_has_a_room() -> None:
    assert {room(module) for module in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(name: str) -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, path in MODULES.items()
        if room(module) == name
        for imported in imports(path)
        if room(imported) != name and not is_allowed(imported, MAY_IMPORT[name])
    ]
    assert wrong == []


def test_the_table_has_no_circle() -> None:
    TopologicalSorter({name: [room(word) for word in allowed.split()] for name, allowed in MAY_IMPORT.items()}).prepare()


def test_the_table_keeps_the_promises_of_the_house() -> None:
    below = {name: {room(word) for word in allowed.split()} for name, allowed in MAY_IMPORT.items()}
    assert "training" not in below["engines"]
    assert "engines" not in below["training"]
    assert [name for name, allowed in below.items() if "cli" in allowed] == []
    assert [name for name, allowed in below.items() if "progress" in allowed] == ["cli"]
    callers = {name for name, allowed in below.items() if "jobs" in allowed}
    assert callers == {"cli", "swap_arguments", "train_arguments", "progress", "__init__"}
    for pure in ("faces", "losses", "networks"):
        assert below[pure] <= {"errors", "shapes", "names"}


@pytest.mark.parametrize("script", sorted(path.name for path in (CHECKOUT / "scripts").glob("*.py")))
def test_a_script_calls_the_command_line_or_a_job(script: str) -> None:
    allowed = next(allowed for start, allowed in SCRIPTS_MAY_IMPORT.items() if script.startswith(start))
    if allowed is not None:
        assert [name for name in imports(CHECKOUT / "scripts" / script) if not is_allowed(name, allowed)] == []


def test_imports_are_written_in_full() -> None:
    relative = [
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def _writes_to_the_terminal(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in ("print", "Console")
    return isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr") and ast.unparse(node.value) == "sys"


def test_only_the_command_line_prints() -> None:
    loud = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _writes_to_the_terminal(node)
    }
    assert loud == {"cli"}
