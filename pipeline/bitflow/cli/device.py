"""The commands that build for a board and talk to one: build, flash, emulate, boards, doctor."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import typer

from bitflow import boards as table
from bitflow.boards import Board
from bitflow.cli import micropython, options, output
from bitflow.cli.context import Context
from bitflow.deploy import build as builder
from bitflow.deploy import doctor as examiner
from bitflow.deploy import flash as flasher
from bitflow.deploy.build import Built
from bitflow.deploy.upload import Target
from bitflow.errors import InputError
from bitflow.ir import PackedNetwork
from bitflow.planner.choice import Objective
from bitflow_hil.devices import connect
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.link.transport import SerialTransport

__all__ = [
    "Port",
    "Runtime",
    "asked",
    "boards",
    "build",
    "built",
    "connected",
    "doctor",
    "emulate",
    "flash",
    "scores_on",
]

Runtime = Annotated[Literal["firmware", "micropython"], typer.Option(help="What runs the network on the board.")]
_PORT = "Serial port of a board that runs: a path, any pyserial URL, or labgrid:TAG=VALUE of a farm."
Port = Annotated[str | None, typer.Option(metavar="URL", help=_PORT)]


def build(
    model: options.Model = None,
    board_name: options.Board = None,
    runtime: Runtime = "firmware",
    objective: options.Optimize = "balanced",
    as_json: options.Json = False,
) -> None:
    """Build the firmware of a network for a board, in .bitflow/ of the project; print its flash and RAM.

    With --runtime micropython: the native module bitflow.mpy for the board, and model.bfn.
    Example: bitflow build builtin:digits --board qemu-m7
    """
    network, target = asked(model, board_name)
    if runtime == "micropython":
        micropython.build(network, target, Context.here().folder, as_json)
        return
    built = _build(network, target, objective)
    facts = {"board": built.board, "crc32": f"{built.crc32:08x}", "flash_bytes": built.flash_bytes}
    facts |= {"ram_bytes": built.ram_bytes, "stack_bytes": built.stack_bytes, "firmware": str(built.elf)}
    (output.print_json if as_json else output.print_facts)(facts)


def flash(
    model: options.Model = None,
    board_name: options.Board = None,
    runtime: Runtime = "firmware",
    port: Port = None,
    method: Annotated[
        Literal["auto", "stlink", "dfu", "pyocd", "uf2", "serial"],
        typer.Option(help="How to upload; auto: the first of the board's methods whose tool is installed."),
    ] = "auto",
    probe: Annotated[
        str | None,
        typer.Option(metavar="SERIAL", help="Serial number of the programmer or board, where several are plugged in."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the external commands, run none.")] = False,
    objective: options.Optimize = "balanced",
    as_json: options.Json = False,
) -> None:
    """Build, put the firmware on the board, read back what it runs, run its self-test.

    The board is found by its USB id. An emulated board is booted once and stopped. With --runtime micropython the
    files are copied to a board that runs MicroPython, through its REPL.
    Examples: bitflow flash; bitflow flash --board stm32h7; bitflow flash --board stm32h7 --method pyocd --dry-run;
    bitflow flash --board rp2040 --runtime micropython --port /dev/ttyACM0
    """
    network, target = asked(model, board_name)
    if runtime == "micropython":
        micropython.flash(network, target, Context.here().folder, port, dry_run, as_json)
        return
    if port is not None and target.emulated:
        raise InputError("--port is for boards that are plugged in: an emulated one is started by flash itself")
    place = Target(target, builder.folder_of(network, Context.here().folder), port, probe)
    if dry_run:
        for line in flasher.commands(place, method):
            typer.echo(line)
        return
    flashed = _flash(network, place, objective, method)
    facts = {"board": flashed.board, "network": flashed.network, "crc32": f"{flashed.crc32:08x}"}
    facts |= {
        "version": flashed.version,
        "build_id": flashed.build_id,
        "cpuid": f"{flashed.cpuid:08x}",
        "self_test": "passed",
    }
    (output.print_json if as_json else output.print_facts)(facts)


def emulate(model: options.Model = None, board_name: options.Board = None, runtime: Runtime = "firmware") -> None:
    """Run an emulated board in the foreground and print its serial port. Ctrl-C ends it.

    Example: bitflow emulate builtin:digits --board qemu-m4
    """
    network, target = asked(model, board_name)
    if runtime == "micropython":
        micropython.emulate(network, target)
        return
    with Emulator(target, _build(network, target).elf) as emulator, contextlib.suppress(KeyboardInterrupt):
        typer.echo(emulator.port)
        output.note(f"{target.name} runs {network.name} at {emulator.port}; Ctrl-C ends it")
        emulator.wait()


def boards(as_json: options.Json = False) -> None:
    """List the boards, and how far each was tested."""
    if as_json:
        output.print_json({"boards": [asdict(row) for row in table.boards()]})
        return
    columns = ("board", "core", "flash", "RAM", "what", "flashed by", "status")
    names = (" = ".join((row.name, *row.aliases)) for row in table.boards())
    output.print_table(
        columns,
        (
            (name, row.cpu or "", row.flash or "", row.ram or "", row.title, _methods(row), row.says)
            for name, row in zip(names, table.boards(), strict=True)
        ),
    )


def _methods(row: Board) -> str:
    return ", ".join(row.upload.methods) if row.upload else ""


def doctor(as_json: options.Json = False) -> None:
    """List the tools that BitFlow uses: which are installed, and the command that gets each of the others."""
    tools = examiner.examine()
    if as_json:
        output.print_json({"tools": [{"name": t.name, "found": t.found, "get": t.get} for t in tools]})
        return
    output.print_table(("tool", "for", "found"), ((t.name, t.purpose, t.found or f"missing: {t.get}") for t in tools))


def asked(model: str | None, name: str | None) -> tuple[PackedNetwork, Board]:
    """The network and the board of a command: as given, as in the project, or the default."""
    here = Context.here()
    target = here.board(name)
    return here.network(model), target


def _build(
    network: PackedNetwork, target: Board, objective: Objective = "balanced", method: str | None = None
) -> Built:
    from rich.console import Console

    with Console(stderr=True).status(f"building {network.name} for {target.name}"):
        return built(network, target, objective, method)


def built(network: PackedNetwork, target: Board, objective: Objective = "balanced", method: str | None = None) -> Built:
    """The firmware of a network for a board, within the project's budgets; prints nothing."""
    here = Context.here()
    mlperf = here.project.mlperf if here.project else ""
    return builder.build(network, target, here.folder, *here.budgets, objective, method, mlperf)


def _flash(network: PackedNetwork, place: Target, objective: Objective, method: str) -> flasher.Flashed:
    chosen = None
    if not place.board.emulated:
        place, chosen = flasher.ready(place, method)
    built = _build(network, place.board, objective, chosen)
    output.note(f"flash {built.flash_bytes} bytes, RAM {built.ram_bytes} bytes")
    if chosen is None:
        return flasher.flash_emulated(built, place.board)
    return flasher.flash(built, place, chosen, shlex.join(["bitflow", *sys.argv[1:]]))


@contextlib.contextmanager
def connected(
    network: PackedNetwork, target: Board, port: str | None, objective: Objective = "balanced"
) -> Iterator[Device]:
    """The device at a port, or an emulated one that is built and started, and stopped afterwards."""

    def firmware() -> Path:
        return _build(network, target, objective).elf

    with connect.open_port(target, port, firmware) as url, Device(SerialTransport(url, target.baud)) as device:
        yield device
        device.reset()  # the next one at the port may speak text


def scores_on(network: PackedNetwork, name: str, port: str | None, images: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Scores int32 [N, classes] that a board gives for images [N, H, W, C]."""
    with connected(network, table.board(name), port) as device:
        return np.stack([run.scores for run in device.run(images)])
