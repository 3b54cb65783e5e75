"""Puts bitflow and a network on a board that runs MicroPython, through its REPL. No firmware is built."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bitflow._version import __version__
from bitflow.boards import Board, boards
from bitflow.deploy import micropython_build as builder
from bitflow.deploy.micropython_build import Module
from bitflow.engines.self_test import self_test
from bitflow.errors import CheckFailed, DeviceError, InputError
from bitflow.files import file_name, write_atomic
from bitflow.image.bfn import Image, save
from bitflow.ir import PackedNetwork
from bitflow_hil.devices import emulator, ports
from bitflow_hil.devices.repl import Implementation, Repl, run_scores

__all__ = ["Installed", "Package", "build", "commands", "flash", "install", "package", "running"]

# Where the files go on the board.
_FILES = {"bitflow.mpy": ":lib/bitflow.mpy", "model.bfn": ":model.bfn"}
# MicroPython also loads native modules of lower architectures of the same family: the nearest one built for bitflow.
_TAKES = {"armv7em": "armv7m"}


@dataclass(frozen=True, slots=True)
class Package:
    """The files for a board: a native module and a network.

    text_bytes: code and constants of the module, which a device copies to its heap.
    """

    board: str
    architecture: str
    module: Path
    model: Path
    text_bytes: int
    crc32: int


@dataclass(frozen=True, slots=True)
class Installed:
    """What was copied to a board, and what runs there."""

    board: str
    implementation: Implementation
    architecture: str
    module_bytes: int
    model_bytes: int
    crc32: int


def build(network: PackedNetwork, board: Board, project_folder: Path) -> Package:
    """Build the module for a board, and write it and the network below .bitflow/micropython of the project.

    Raises InputError for a board without MicroPython, MissingError if a tool is missing.
    """
    module = builder.module(_expected(board))
    folder = _folder(network, board, project_folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "bitflow.mpy", module.path.read_bytes())
    save(network, folder / "model.bfn")
    return Package(
        board.name, module.architecture, folder / "bitflow.mpy", folder / "model.bfn", module.text_bytes,
        Image.of(network).crc32,
    )  # fmt: skip


@contextlib.contextmanager
def running(board: Board, port: str | None) -> Iterator[str]:
    """The port of a board that runs MicroPython: `port`, that of the plugged-in board, or of an emulated board that is
    started here.
    """
    _expected(board)
    if port is not None:
        yield port
        return
    if not board.emulated:
        yield str(ports.find(board).device)
        return
    with emulator.Emulator(board, builder.emulated(board)) as running_board:
        yield running_board.port


def flash(network: PackedNetwork, board: Board, port: str | None = None) -> Installed:
    """Put bitflow and the network on a board and run the self-test; an emulated board is started and stopped.

    Raises what install() raises.
    """
    with running(board, port) as found, Repl(found, board.baud) as repl:
        return install(repl, network, board)


def install(repl: Repl, network: PackedNetwork, board: Board) -> Installed:
    """Copy bitflow.mpy to /lib and the network to model.bfn, import it, and run the self-test: noise from a fixed seed,
    with the scores of the NumPy reference.

    Raises DeviceError if the board is not as expected, CheckFailed if its scores are wrong.
    """
    found = repl.implementation()
    architecture = _architecture_for(found, board)
    module = builder.module(architecture).path.read_bytes()
    model = Image.of(network).data
    repl.make_folder("lib")
    repl.put(module, "lib/bitflow.mpy")
    repl.put(model, "model.bfn")
    repl.reset()
    _self_test(repl, network, board)
    return Installed(board.name, found, architecture, len(module), len(model), Image.of(network).crc32)


def commands(network: PackedNetwork, board: Board, project_folder: Path, port: str | None) -> list[str]:
    """The commands that one would type to do what flash() does."""
    folder = _folder(network, board, project_folder)
    start = [] if port else [shlex.join(emulator.command(board, Path("firmware.elf")))]
    mpremote = f"mpremote connect {port or 'PORT'}"
    copies = (f"cp {shlex.quote(str(folder / name))} {place}" for name, place in _FILES.items())
    return [*start, f"{mpremote} mkdir :lib", *(f"{mpremote} {copy}" for copy in copies)]


def package(module: Module, out: Path) -> Path:
    """Write a module as a package for mip: OUT/{architecture}_{ABI}/package.json. Returns its folder."""
    folder = out / f"{module.architecture}_{builder.ABI}"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "bitflow.mpy", module.path.read_bytes())
    content = {"urls": [["bitflow.mpy", "bitflow.mpy"]], "deps": [], "version": __version__}
    write_atomic(folder / "package.json", json.dumps(content, indent=2) + "\n")
    return folder


def _folder(network: PackedNetwork, board: Board, project_folder: Path) -> Path:
    name = file_name(network.name)
    return project_folder / ".bitflow" / "micropython" / name / board.name


def _self_test(repl: Repl, network: PackedNetwork, board: Board) -> None:
    noise, expected = self_test(network)
    scores, _ = next(run_scores(repl, network, "'model.bfn'", noise[np.newaxis]))
    crc32 = repl.value("m.info()['crc32']")
    if crc32 != Image.of(network).crc32:
        raise DeviceError(f"{board.name} runs {crc32:08x}, not {Image.of(network).crc32:08x}")
    wrong = int(np.count_nonzero(scores != expected))
    if wrong:
        raise CheckFailed(f"self-test on {board.name}: {wrong} of {network.classes} scores differ")
    repl.reset()


def _expected(board: Board) -> str:
    """The architecture of a board in the table. Raises InputError for a board without MicroPython."""
    emulated = builder.emulated_boards()
    if board.mpy is None or (board.emulated and board.name not in emulated):
        real = (row.name for row in boards() if row.mpy and not row.emulated)
        raise InputError(
            f"no MicroPython for board {board.name}: emulated are {', '.join(emulated)}; real ones {', '.join(real)}"
        )
    return board.mpy.arch


def _architecture_for(found: Implementation, board: Board) -> str:
    expected = _expected(board)
    if found.abi != builder.ABI:
        raise DeviceError(f"{found.name} takes native modules of ABI {found.abi}, expected {builder.ABI}")
    got = _TAKES.get(found.architecture or "", found.architecture)
    if got not in builder.ARCHITECTURES:
        raise DeviceError(f"{found.machine} takes native modules for {got or 'no architecture'}, expected {expected}")
    # Firmware built without the FPU runs on a core with one; another family is another board.
    if got[:5] != expected[:5]:
        raise DeviceError(f"board {board.name}: expected {expected}, got {got} ({found.machine})")
    return got
