"""Builds `import bitflow` for MicroPython: the native module, emulated boards with a REPL, and the Unix port.

All of it lies in the user's cache: GNU make cannot work below a path with a space. What was built from the same sources
by the same compiler is not built again.
"""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bitflow import files, resources
from bitflow.boards import Board, boards
from bitflow.cores import ARM
from bitflow.deploy import micropython_source as sources
from bitflow.deploy.micropython_source import Source
from bitflow.emit import codegen
from bitflow.errors import BitflowError, InputError, MissingError
from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork

__all__ = ["ABI", "ARCHITECTURES", "Module", "available", "emulated", "emulated_boards", "module", "unix"]

ABI = "6.3"
"""Of native modules; MicroPython 1.23 to 1.28 have it."""

_ARM = (ARM.compiler, ARM.hint)
_COMPILERS = {
    "x64": ("gcc", "sudo apt-get install gcc libc6-dev, on an x86-64 computer"),
    "armv6m": _ARM,
    "armv7m": _ARM,
    "armv7emsp": _ARM,
    "armv7emdp": _ARM,
    "xtensawin": ("xtensa-esp32-elf-gcc", "Espressif's toolchain for the ESP32"),
    "rv32imc": (
        "riscv64-unknown-elf-gcc",
        "sudo apt-get install gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
    ),
}
ARCHITECTURES = tuple(_COMPILERS)
"""MicroPython's names of the architectures that bitflow.mpy is built for."""

_DOCUMENTS = (".md", ".pyi")  # nothing is built of them
_MACHINES = {"armv7m": "BITFLOW_M3", "armv7emsp": "BITFLOW_M4", "armv7emdp": "BITFLOW_M7"}


@dataclass(frozen=True, slots=True)
class Module:
    """A native module. text_bytes: code and constants, which a device copies to its heap."""

    architecture: str
    path: Path
    text_bytes: int

    @property
    def objects(self) -> Path:
        """The folder of its object files."""
        return self.path.parent / "build" / self.architecture


def available() -> tuple[str, ...]:
    """The architectures whose compiler is here."""
    return tuple(name for name in ARCHITECTURES if _missing(name) is None)


def module(architecture: str) -> Module:
    """Build bitflow.mpy. Raises InputError for an unknown architecture, MissingError where a tool is missing."""
    if architecture not in _COMPILERS:
        raise InputError(f"no architecture {architecture!r}: there are {', '.join(ARCHITECTURES)}")
    missing = _missing(architecture)
    if missing:
        raise MissingError(missing)
    for package, name in (("elftools", "pyelftools"), ("ar", "ar")):
        _need_package(package, name)
    source = sources.find()

    def build(folder: Path) -> None:
        _stage(folder, _trees())
        said = sources.make(folder / "mpy_module", {"ARCH": architecture, "MPY_DIR": str(source.folder)})
        size = re.search(r"text size:\s+(\d+)", said)
        if size is None:
            raise BitflowError("MicroPython's linker does not say the module's size")
        (folder / "text").write_text(size[1])

    folder = _cached(source, f"module-{architecture}", [_COMPILERS[architecture][0]], b"", _trees(), build)
    return Module(architecture, folder / "mpy_module" / "bitflow.mpy", int((folder / "text").read_text()))


def emulated_boards() -> tuple[str, ...]:
    """The boards of the table that run MicroPython in QEMU."""
    return tuple(row.name for row in boards() if row.emulated and row.mpy and row.mpy.arch in _MACHINES)


def emulated(board: Board, network: PackedNetwork | None = None) -> Path:
    """The firmware of an emulated board as an ELF file: MicroPython as it is, without bitflow.

    network: builds bitflow and this network into it, so that `bitflow.Model()` needs no file.
    Raises InputError for a board that is not one of emulated_boards().
    """
    if board.name not in emulated_boards():
        raise InputError(f"no MicroPython for board {board.name}; it runs on {', '.join(emulated_boards())}")
    assert board.mpy is not None
    machine = _MACHINES[board.mpy.arch]
    missing = _missing(board.mpy.arch)
    if missing:
        raise MissingError(missing)
    source = sources.find()
    # A change of the module is none of the firmware without it.
    boards_only = {"mpy_module/boards": resources.mpy_module() / "boards"}
    trees = boards_only if network is None else _trees()

    def build(folder: Path) -> None:
        _stage(folder, trees)
        settings = {"BOARD": machine, "BOARD_DIR": str(folder / "mpy_module" / "boards" / machine)}
        if network is not None:
            settings |= _user_module(folder, network)
        sources.make_port(source, "qemu", folder / "build", settings)

    content = b"" if network is None else Image.of(network).data
    return _cached(source, f"firmware-{machine}", [ARM.compiler], content, trees, build) / "build" / "firmware.elf"


def unix(network: PackedNetwork | None = None) -> Path:
    """The Unix port with bitflow built in, and with a network where one is given."""
    source = sources.find()

    def build(folder: Path) -> None:
        _stage(folder, _trees())
        sources.make_port(source, "unix", folder / "build", _user_module(folder, network))

    content = b"" if network is None else Image.of(network).data
    return _cached(source, "unix", ["gcc"], content, _trees(), build) / "build" / "micropython"


def _user_module(folder: Path, network: PackedNetwork | None) -> dict[str, str]:
    settings = {"USER_C_MODULES": str(folder)}
    if network is not None:
        prefix = "compiled_in"
        for name, text in codegen.render_model(network, prefix).items():
            path = folder / "network" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        settings["BITFLOW_NETWORK"] = str(folder / "network" / prefix)
    return settings


def _missing(architecture: str) -> str | None:
    program, get = _COMPILERS[architecture]
    if shutil.which(program) is None or (architecture == "x64" and platform.machine() != "x86_64"):
        return f"{program} for {architecture} is missing: {get}"
    return None


def _need_package(package: str, name: str) -> None:
    try:
        __import__(package)
    except ImportError as error:
        raise MissingError(f"{name} is not installed: pip install 'bitflow-net[hil]'") from error


def _trees() -> dict[str, Path]:
    """What a build is made of, by its place in the repository."""
    return {"mpy_module": resources.mpy_module(), "firmware/lib/bitflow": resources.c_library()}


def _stage(folder: Path, trees: dict[str, Path]) -> None:
    """Copy sources, laid out as in the repository."""
    for place, tree in trees.items():
        shutil.copytree(tree, folder / place, ignore=shutil.ignore_patterns("build", ".*", "__pycache__", "*.mpy"))


def _cached(
    source: Source,
    kind: str,
    programs: list[str],
    content: bytes,
    trees: dict[str, Path],
    build: Callable[[Path], None],
) -> Path:
    """The folder of a build; it is built where it is not there yet."""
    key = files.digest(
        *(str(source.folder), str(source.version), content),
        *(files.program(name) for name in programs),
        *(word for place, tree in trees.items() for word in (place, files.tree_digest(tree, without=_DOCUMENTS))),
    )
    return files.built(f"micropython-{kind}", key, build)[0]
