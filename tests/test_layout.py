"""The layout: packages in one order, no files in a circle, public names listed, files small."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"bitflow": ROOT / "pipeline" / "bitflow", "bitflow_hil": ROOT / "hil" / "bitflow_hil"}

# From the ground up, as DESIGN.md has it: a module may import those of its own layer and of the layers below it.
LAYERS = (
    ("bitflow._version", "bitflow.errors"),
    ("bitflow.bits", "bitflow.resources"),
    ("bitflow.files", "bitflow.cores", "bitflow.geometry"),
    ("bitflow.maps",),
    ("bitflow.accumulation", "bitflow.boards"),
    ("bitflow.steps", "bitflow.packed"),
    ("bitflow.ir",),
    ("bitflow.nn", "bitflow.lower"),
    ("bitflow.image",),
    ("bitflow.planner",),
    ("bitflow.engines",),
    ("bitflow.emit", "bitflow.synthetic", "bitflow.importers"),
    ("bitflow.learn",),
    ("bitflow.project", "bitflow.show", "bitflow.importers.source"),
    ("bitflow_hil",),
    ("bitflow.deploy",),
    ("bitflow_hil.plugin", "bitflow.api"),
    ("bitflow", "bitflow.cli"),
)
# Inside of packages with packages of their own.
INNER = {
    "bitflow.planner": (
        ("bitflow.planner.kernels.spec",),
        ("bitflow.planner.windows",),
        ("bitflow.planner.planes",),
        ("bitflow.planner.input_sums", "bitflow.planner.patterns"),
        ("bitflow.planner.kernels",),
        ("bitflow.planner",),
    ),
    "bitflow.importers": (
        ("bitflow.importers",),
        ("bitflow.importers.onnx", "bitflow.importers.keras", "bitflow.importers.torch"),
        ("bitflow.importers.source", "bitflow.importers.supported"),
    ),
    "bitflow.learn": (
        ("bitflow.learn.recipe", "bitflow.learn.default_network"),
        ("bitflow.learn.data",),
        ("bitflow.learn.networks",),
        ("bitflow.learn.training",),
        ("bitflow.learn.baselines", "bitflow.learn.search"),
    ),
    "bitflow_hil": (
        ("bitflow_hil.link",),
        ("bitflow_hil.devices",),
        ("bitflow_hil.run",),
        ("bitflow_hil.report",),
        ("bitflow_hil",),
    ),
}
# Packages that only some users install: a module that needs one is imported when it is used.
OPTIONAL = {"torch", "sklearn", "optuna", "onnx", "onnxruntime", "h5py", "matplotlib", "tensorboard", "platformio",
            "serial", "cobs", "mpremote", "yaml", "elftools", "ar", "SCons"}  # fmt: skip
TORCH = ("bitflow.nn", "bitflow.learn", "bitflow.importers")
# pytest loads every plugin in every project: this one imports BitFlow when a test asks for a board.
LATE = {"bitflow_hil.plugin"}
FILE_LINES = 400
LIBRARY_LINES = 6600  # of the C library, without assembly


@dataclass(frozen=True)
class Import:
    """A name that a module imports. eager: as soon as it is imported itself; types: for the type checker alone."""

    name: str
    eager: bool
    types: bool


def modules() -> Iterator[tuple[str, Path]]:
    for folder in PACKAGES.values():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            if "_resources" not in parts:
                yield ".".join(part for part in parts if part != "__init__"), path


MODULES = dict(modules())


@cache
def imports(module: str) -> tuple[Import, ...]:
    """All that a module imports, wherever that stands."""
    path = MODULES[module]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    within = {
        kind: {id(inner) for node in ast.walk(tree) if test(node) for inner in ast.walk(node)}
        for kind, test in {
            "types": lambda node: isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test),
            "function": lambda node: isinstance(node, ast.FunctionDef),
        }.items()
    }
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [name if (name := f"{node.module}.{own}") in MODULES else str(node.module) for own in names]
        types = id(node) in within["types"]
        found += [Import(name, not types and id(node) not in within["function"], types) for name in names]
    return tuple(found)


def own_imports(module: str) -> Iterator[Import]:
    return (one for one in imports(module) if one.name.partition(".")[0] in PACKAGES and one.name in MODULES)


def place(module: str, layers: tuple[tuple[str, ...], ...]) -> int:
    """The layer of the longest name that a module begins with."""
    named = {name: number for number, names in enumerate(layers) for name in names}
    known = max((name for name in named if f"{module}.".startswith(f"{name}.")), key=len)
    assert known != "bitflow" or module == "bitflow", f"{module} is in no layer"
    return named[known]


@pytest.mark.parametrize("module", MODULES)
def test_imports_must_point_down(module: str) -> None:
    for found in own_imports(module):
        assert place(found.name, LAYERS) <= place(module, LAYERS), f"{module} imports {found.name}, which is above it"
        for package, layers in INNER.items():
            both = all(f"{name}.".startswith(f"{package}.") for name in (module, found.name))
            if both and module != package != found.name:
                assert place(found.name, layers) <= place(module, layers), f"{module} imports {found.name}, above it"


def test_no_files_may_import_each_other_in_a_circle() -> None:
    """Imports inside of functions and for the type checker count as well."""
    state: dict[str, int] = {}
    trail: list[str] = []

    def visit(module: str) -> None:
        state[module] = 1
        trail.append(module)
        for found in own_imports(module):
            if found.name == module:
                continue
            circle = [*trail[trail.index(found.name) :], found.name] if state.get(found.name) == 1 else []
            assert not circle, " -> ".join(circle)
            if found.name not in state:
                visit(found.name)
        trail.pop()
        state[module] = 2

    for module in MODULES:
        if module not in state:
            visit(module)


@cache
def needs_optional(module: str) -> bool:
    """Whether importing a module needs a package that only some users install."""
    return any(
        found.name.partition(".")[0] in OPTIONAL or (found.name in MODULES and needs_optional(found.name))
        for found in imports(module)
        if found.eager and found.name != module
    )


@pytest.mark.parametrize("module", MODULES)
def test_imports_inside_functions_must_be_of_what_is_optional(module: str) -> None:
    for found in own_imports(module):
        late = not found.eager
        assert not late or module in LATE or needs_optional(found.name), (
            f"{module} imports {found.name} late, though nothing asks for it"
        )


@pytest.mark.parametrize("module", MODULES)
def test_torch_must_stay_where_networks_are_trained_and_imported(module: str) -> None:
    names = {found.name.partition(".")[0] for found in imports(module) if not found.types}
    assert "torch" not in names or module.startswith(TORCH)


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
def test_importing_must_not_bring_what_is_optional(module: str) -> None:
    code = f"import sys, {module}; print(*{OPTIONAL!r} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_files_must_stay_small() -> None:
    sources = [
        path
        for folder in ("bench", "examples", "firmware", "hil", "mpy_module", "pipeline", "tests")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".c", ".cpp", ".h", ".S", ".j2") and "." not in path.parent.as_posix().split("/")[-1]
    ]
    assert len(sources) > 400
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in sources}
    large = {name: count for name, count in lines.items() if count > FILE_LINES}
    assert not large, f"longer than {FILE_LINES} lines: {large}"
    library = sum(
        count for name, count in lines.items() if name.startswith("firmware/lib/") and name[-2:] in (".c", ".h")
    )
    print(f"C library: {library} of {LIBRARY_LINES} lines; largest file: {max(lines.values())}")
    assert library <= LIBRARY_LINES
