"""The commands for boards that run MicroPython: bitflow micropython setup, and --runtime micropython of the others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.status import Status

from bitflow.boards import Board
from bitflow.cli import options, output
from bitflow.deploy import micropython as deploy
from bitflow.deploy import micropython_build as builder
from bitflow.deploy import micropython_source as sources
from bitflow.ir import PackedNetwork
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.devices.repl import Repl

__all__ = ["app", "build", "connected", "dist", "emulate", "flash", "setup"]

app = typer.Typer(help="MicroPython: its sources and tools.", no_args_is_help=True, rich_markup_mode=None)


@app.command("setup")
def setup(
    source: Annotated[
        Path | None, typer.Option(metavar="DIR", help=f"A checkout of MicroPython 1.25 or newer [{sources.VARIABLE}].")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Find or download the sources of MicroPython and build its tools, once, in the user's cache.

    Example: bitflow micropython setup --source ~/micropython
    """
    with _status("MicroPython"):
        found = sources.setup(source)
    facts = {"version": ".".join(map(str, found.version)), "source": str(found.folder), "unix": str(found.unix)}
    facts |= {"architectures": " ".join(builder.available())}
    (output.print_json if as_json else output.print_facts)(facts)


@app.command("dist")
def dist(
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Where to write the folders.")] = Path(
        "dist/mpy"
    ),
) -> None:
    """Build bitflow.mpy for every architecture whose compiler is installed, as packages for mip.

    Example: bitflow micropython dist -o dist/mpy
    """
    for name in builder.available():
        with _status(f"building bitflow.mpy for {name}"):
            folder = deploy.package(builder.module(name), out)
        typer.echo(folder)


def build(network: PackedNetwork, target: Board, folder: Path, as_json: bool) -> None:
    """bitflow build --runtime micropython."""
    with _status(f"building bitflow.mpy for {target.name}"):
        built = deploy.build(network, target, folder)
    facts: dict[str, Any] = {"board": built.board, "architecture": built.architecture, "crc32": f"{built.crc32:08x}"}
    facts |= {"text_bytes": built.text_bytes, "module": str(built.module), "model": str(built.model)}
    (output.print_json if as_json else output.print_facts)(facts)


def flash(network: PackedNetwork, target: Board, folder: Path, port: str | None, dry_run: bool, as_json: bool) -> None:
    """bitflow flash --runtime micropython."""
    if dry_run:
        for line in deploy.commands(network, target, folder, port):
            typer.echo(line)
        return
    with _status(f"installing {network.name} on {target.name}"):
        done = deploy.flash(network, target, port)
    found = done.implementation
    facts: dict[str, Any] = {
        "board": done.board,
        "machine": found.machine,
        "micropython": found.name,
    }
    facts |= {"architecture": done.architecture, "abi": found.abi, "crc32": f"{done.crc32:08x}"}
    facts |= {"lib/bitflow.mpy": done.module_bytes, "model.bfn": done.model_bytes, "self_test": "passed"}
    (output.print_json if as_json else output.print_facts)(facts)


def emulate(network: PackedNetwork, target: Board) -> None:
    """bitflow emulate --runtime micropython."""
    with _status(f"building MicroPython for {target.name}"):
        elf = builder.emulated(target)
    with contextlib.suppress(KeyboardInterrupt), Emulator(target, elf) as emulator:
        with Repl(emulator.port, target.baud) as repl:
            deploy.install(repl, network, target)
        typer.echo(emulator.port)
        output.note(f"{target.name} has bitflow and {network.name} as model.bfn; mpremote connect {emulator.port}")
        emulator.wait()


@contextlib.contextmanager
def connected(network: PackedNetwork, target: Board, port: str | None) -> Iterator[Repl]:
    """The REPL of a board at a port, or of an emulated one that is started, with bitflow and the network on it."""
    with deploy.running(target, port) as found, Repl(found, target.baud) as repl:
        if port is None:
            deploy.install(repl, network, target)
        yield repl


def _status(words: str) -> Status:
    return Console(stderr=True).status(words)
