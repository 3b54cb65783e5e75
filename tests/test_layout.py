"""The house: imports point one way, public names are listed, files stay small."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"bitflow": ROOT / "pipeline" / "bitflow", "bitflow_hil": ROOT / "hil" / "bitflow_hil"}

# From the ground up; a module may import its own floor and those below. `nn`, `learn` and `importers` stand beside the
# way down that a network takes.
FLOORS = (
    ("_version", "errors"),
    ("bits", "resources"),
    ("files",),
    ("geometry",),
    ("accumulation",),
    ("steps", "packed"),
    ("ir",),
    ("lower", "nn"),
    ("check", "importers", "learn", "emit", "show"),
    ("project", "deploy", "bitflow_hil"),
    ("api",),
    ("", "cli"),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
TORCH_ROOMS = {"nn", "learn", "importers"}
FILE_LINES = 400
LIBRARY_LINES = 5300  # with the assembly of three kinds of cores, and what makes an input of a camera's frame
# Files with a larger budget, each with its reason.
RAISED = {
    "mpy_module/bitflow_module.c": 480,  # one binding for three builds, with its tables
}


def modules() -> Iterator[tuple[str, Path]]:
    for folder in PACKAGES.values():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            if "_resources" not in parts:
                yield ".".join(part for part in parts if part != "__init__"), path


MODULES = dict(modules())


def imported(path: Path) -> Iterator[tuple[str, bool]]:
    """Names of modules that a file imports, and whether that happens as soon as it is imported itself.

    Imports for the type checker alone are left out.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    within = {
        kind: {id(inner) for node in ast.walk(tree) if test(node) for inner in ast.walk(node)}
        for kind, test in {
            "types": lambda node: isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test),
            "function": lambda node: isinstance(node, ast.FunctionDef),
        }.items()
    }
    for node in ast.walk(tree):
        if id(node) in within["types"] or not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [name if (name := f"{node.module}.{found}") in MODULES else str(node.module) for found in names]
        for name in names:
            yield name, id(node) not in within["function"]


def room(module: str) -> str:
    package, _, rest = module.partition(".")
    return package if package != "bitflow" else rest.partition(".")[0]


@pytest.mark.parametrize("module", MODULES)
def test_imports_must_point_down(module: str) -> None:
    here = FLOOR_OF[room(module)]
    for name, _ in imported(MODULES[module]):
        if name.partition(".")[0] in PACKAGES and not (module.startswith("bitflow_hil") and name == "bitflow"):
            assert FLOOR_OF[room(name)] <= here, f"{module} imports {name}, which stands above it"


@pytest.mark.parametrize("module", MODULES)
def test_torch_must_stay_in_its_rooms(module: str) -> None:
    names = {name.partition(".")[0] for name, _ in imported(MODULES[module])}
    assert "torch" not in names or room(module) in TORCH_ROOMS
    eager = {name.partition(".")[0] for name, now in imported(MODULES[module]) if now}
    assert "bitflow_hil" not in eager or room(module) == "bitflow_hil", "device commands import it when they run"


@pytest.mark.parametrize("module", [name for name in MODULES if not name.rpartition(".")[2].startswith("_")])
def test_public_names_must_be_listed_sorted_and_true(module: str) -> None:
    found = importlib.import_module(module)
    if not hasattr(found, "__all__"):
        assert MODULES[module].name == "__init__.py", f"{module} has no __all__"
        return
    names = list(found.__all__)
    # The linter's order: constants, classes, then the rest.
    order = sorted(names, key=lambda name: (not name.isupper(), not name[:1].isupper(), name))
    assert sorted(names) == sorted(set(names)), "a name is listed twice"
    assert names in (order, sorted(names))
    for name in names:
        value = getattr(found, name)
        if (
            not name.startswith("pytest_")
            and callable(value)
            and getattr(value, "__module__", "").startswith("bitflow")
        ):
            assert value.__doc__, f"{module}.{name} has no docstring"


@pytest.mark.parametrize("module", ["bitflow", "bitflow.cli.app"])
def test_importing_must_not_bring_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_files_must_stay_within_their_budgets() -> None:
    library = sorted((ROOT / "firmware" / "lib" / "bitflow").rglob("*.[ch]"))
    binding = sorted((ROOT / "mpy_module").rglob("*.[ch]"))
    counted = (*MODULES.values(), *library, *binding)
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in counted}
    total = sum(lines[path] for path in library)
    print(f"C library: {total} of {LIBRARY_LINES} lines; largest file: {max(lines.values())}")
    assert total <= LIBRARY_LINES
    names = {str(path.relative_to(ROOT)): count for path, count in lines.items()}
    large = {name: count for name, count in names.items() if count > RAISED.get(name, FILE_LINES)}
    assert not large, f"longer than {FILE_LINES} lines: {large}"
