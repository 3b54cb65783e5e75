"""The commands that build for a board and talk to one: build, flash, emulate, hil, boards, doctor."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import typer

from bitflow import project
from bitflow.check.host import HostEngine
from bitflow.cli import micropython, options, output
from bitflow.cli import model as host
from bitflow.deploy import boards as table
from bitflow.deploy import build as builder
from bitflow.deploy import doctor as examiner
from bitflow.deploy import flash as flasher
from bitflow.deploy.boards import Board
from bitflow.deploy.build import Built
from bitflow.deploy.upload import Target
from bitflow.errors import CheckFailed, InputError
from bitflow.ir import PackedNetwork
from bitflow.lower import image
from bitflow.lower.choice import Wish

__all__ = ["asked", "boards", "build", "connected", "doctor", "emulate", "flash", "hil", "scores_on"]

Runtime = Annotated[Literal["firmware", "micropython"], typer.Option(help="What runs the network on the board.")]
_PORT = "Serial port of a board that runs: a path, any pyserial URL, or labgrid:TAG=VALUE of a farm."
Port = Annotated[str | None, typer.Option(metavar="URL", help=_PORT)]


def build(
    model: options.Model = None,
    board_name: options.Board = None,
    runtime: Runtime = "firmware",
    wish: options.Optimize = "balanced",
    as_json: options.Json = False,
) -> None:
    """Build the firmware of a network for a board, in .bitflow/ of the project; print its flash and RAM.

    With --runtime micropython: the native module bitflow.mpy for the board, and model.bfn.
    Example: bitflow build builtin:digits --board qemu-m7
    """
    network, target = asked(model, board_name)
    if runtime == "micropython":
        micropython.build(network, target, _folder(), as_json)
        return
    built = _build(network, target, wish)
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
        typer.Option(help="How the firmware gets onto the board; auto: the usual way whose tool is here."),
    ] = "auto",
    probe: Annotated[
        str | None, typer.Option(metavar="SERIAL", help="Which programmer or board, where several are plugged in.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print each external command, run none.")] = False,
    wish: options.Optimize = "balanced",
    as_json: options.Json = False,
) -> None:
    """Build, put the firmware on the board, read back what it runs, run its self-test.

    The board is found by its USB id. An emulated board is booted once and stopped. With --runtime micropython nothing
    but files is put on a board that runs MicroPython, by its REPL.
    Examples: bitflow flash; bitflow flash --board stm32h7; bitflow flash --board stm32h7 --method pyocd --dry-run;
    bitflow flash --board rp2040 --runtime micropython --port /dev/ttyACM0
    """
    network, target = asked(model, board_name)
    if runtime == "micropython":
        micropython.flash(network, target, _folder(), port, dry_run, as_json)
        return
    if port is not None and target.emulated:
        raise InputError("--port is for boards that are plugged in: an emulated one is started by flash itself")
    place = Target(target, builder.folder_of(network, _folder()), port, probe)
    if dry_run:
        for line in flasher.commands(place, method):
            typer.echo(line)
        return
    flashed = _flash(network, place, wish, method)
    facts = {"board": flashed.board, "network": flashed.network, "crc32": f"{flashed.crc32:08x}"}
    facts |= {"build_id": flashed.build_id, "cpuid": f"{flashed.cpuid:08x}", "self_test": "passed"}
    (output.print_json if as_json else output.print_facts)(facts)


def emulate(model: options.Model = None, board_name: options.Board = None, runtime: Runtime = "firmware") -> None:
    """Run an emulated board in the foreground and print its serial port. Ctrl-C ends it.

    Example: bitflow emulate builtin:digits --board qemu-m4
    """
    network, target = asked(model, board_name)
    if runtime == "micropython":
        micropython.emulate(network, target)
        return
    with _emulated(_build(network, target), target) as emulator, contextlib.suppress(KeyboardInterrupt):
        typer.echo(emulator.port)
        output.note(f"{target.name} runs {network.name} at {emulator.port}; Ctrl-C ends it")
        emulator.wait()


def hil(
    model: options.Model = None,
    board_name: options.Board = None,
    data: options.Data = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N test images.")] = None,
    port: Port = None,
    runtime: Runtime = "firmware",
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as JUnit XML.")] = None,
    as_json: options.Json = False,
) -> None:
    """Send test images to a board and compare every score with the host's, bit for bit. Exit 1 on a mismatch.

    Without --port an emulated board is built and started. Example: bitflow hil builtin:digits --data digits
    """
    network, target = asked(model, board_name)
    result, seconds = _check(network, target, data, limit, port, runtime)
    if junit is not None:
        from bitflow_hil.results import write_junit

        write_junit(result, seconds, junit)
    _show(result, seconds, None if port or runtime != "firmware" else _build(network, target), as_json)
    if result.mismatches:
        raise CheckFailed(f"{result.mismatches} of {result.images} images have other scores on {target.name}")
    lost = (result.float_accuracy or 0) - result.accuracy
    settings = project.find_project()
    if lost > (settings.tolerance if settings else 0):
        raise CheckFailed(f"{target.name} is less accurate than the float network by {lost:.2%}")


def boards(as_json: options.Json = False) -> None:
    """List the boards, and how far each was tried."""
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
    """Say which tools are there, which are missing, and the command that gets each."""
    tools = examiner.examine()
    if as_json:
        output.print_json({"tools": [{"name": t.name, "found": t.found, "get": t.get} for t in tools]})
        return
    output.print_table(("tool", "for", "found"), ((t.name, t.purpose, t.found or f"missing: {t.get}") for t in tools))


def asked(model: str | None, name: str | None) -> tuple[PackedNetwork, Board]:
    """The network and the board of a command: as given, as in the project, or the default."""
    settings = project.find_project()
    target = table.board(name or (settings.board if settings else table.DEFAULT_BOARD))
    return image.load(project.resolve_model(model, settings)), target


def _folder() -> Path:
    settings = project.find_project()
    return settings.folder if settings else Path.cwd()


def _build(network: PackedNetwork, target: Board, wish: Wish = "balanced", method: str | None = None) -> Built:
    from rich.console import Console

    settings = project.find_project()
    budgets = (settings.flash_budget, settings.ram_budget) if settings else (0, 0)
    with Console(stderr=True).status(f"building {network.name} for {target.name}"):
        return builder.build(network, target, _folder(), *budgets, wish, method, settings.mlperf if settings else "")


def _flash(network: PackedNetwork, place: Target, wish: Wish, method: str) -> flasher.Flashed:
    chosen = None
    if not place.board.emulated:
        place, chosen = flasher.ready(place, method)
    built = _build(network, place.board, wish, chosen)
    output.note(f"flash {built.flash_bytes} bytes, RAM {built.ram_bytes} bytes")
    if chosen is None:
        return flasher.flash_emulated(built, place.board)
    return flasher.flash(built, place, chosen, shlex.join(["bitflow", *sys.argv[1:]]))


def _emulated(built: Built, target: Board) -> Any:
    from bitflow_hil.emulator import Emulator

    return Emulator(target, built.elf)


@contextlib.contextmanager
def connected(network: PackedNetwork, target: Board, port: str | None, wish: Wish = "balanced") -> Iterator[Any]:
    """The device at a port, or an emulated one that is built and started, and stopped afterwards."""
    from bitflow_hil.device import Device
    from bitflow_hil.transport import SerialTransport

    with _at(network, target, port, wish) as url, Device(SerialTransport(url, target.baud)) as device:
        yield device
        device.reset()  # the next one at the port may speak text


@contextlib.contextmanager
def _resuming(network: PackedNetwork, target: Board, port: str | None) -> Iterator[Any]:
    """The same, connected again whenever it is lost."""
    from bitflow_hil.device import Device
    from bitflow_hil.resume import ResumingDevice
    from bitflow_hil.transport import SerialTransport

    with (
        _at(network, target, port, "balanced") as url,
        ResumingDevice(lambda: Device(SerialTransport(url, target.baud))) as device,
    ):
        yield device
        device.reset()


@contextlib.contextmanager
def _at(network: PackedNetwork, target: Board, port: str | None, wish: Wish) -> Iterator[str]:
    """The port: as given, of the board that is plugged in, or of an emulated one that runs meanwhile."""
    from bitflow_hil import ports

    if port is not None and port.startswith("labgrid:"):
        from bitflow_hil import labgrid

        with labgrid.place(port) as url:
            yield url
    elif port is not None:
        yield port
    elif target.emulated:
        with _emulated(_build(network, target, wish), target) as emulator:
            yield emulator.port
    elif target.buildable:
        yield str(ports.find(target).device)
    else:
        raise InputError(f"{target.name} is no device ({target.says})")


def scores_on(network: PackedNetwork, name: str, port: str | None, images: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Scores int32 [N, classes] that a board gives for images [N, H, W, C]."""
    with connected(network, table.board(name), port) as device:
        return np.stack([run.scores for run in device.run(images)])


def _ways(runtime: str) -> tuple[Any, Any]:
    """How a board is reached and checked; what a runtime does not need is not imported."""
    if runtime == "micropython":
        from bitflow_hil import repl

        return micropython.connected, repl.check
    from bitflow_hil import runner

    return _resuming, runner.check


def _check(
    network: PackedNetwork, target: Board, data: str | None, limit: int | None, port: str | None, runtime: str
) -> tuple[Any, float]:
    """The result of a check on a device, and the seconds that its images took."""
    settings = project.find_project()
    test = host.load_test(network, data, settings)
    test = test.take(np.arange(min(limit or len(test), len(test))))
    known = host.float_labels(network, test, None, settings)
    float_accuracy = None if known is None else float(np.mean(known == test.labels))
    images = np.asarray(test.images)
    scores = HostEngine(network).scores(images)
    reach, check = _ways(runtime)
    with reach(network, target, port) as device:
        start = time.monotonic()
        result = check(device, target, network, images, test.labels, scores, float_accuracy, _progress)
        return result, time.monotonic() - start


def _progress(images: Iterable[Any]) -> Iterable[Any]:
    """The images, with a bar on stderr while somebody looks at it."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(images, "images", console=console, transient=True, disable=not console.is_terminal)


def _show(result: Any, seconds: float, built: Built | None, as_json: bool) -> None:
    facts = result.facts()
    if built is not None:
        facts |= {"flash_bytes": built.flash_bytes, "ram_bytes": built.ram_bytes}
    if as_json:
        output.print_json({**facts, "seconds": round(seconds, 3)})
        return
    for name in ("accuracy", "host_accuracy", "float_accuracy"):
        facts[name] = "unknown" if facts[name] is None else f"{facts[name]:.2%}"
    facts.pop("examples")
    output.print_facts({**facts, "images_per_second": round(result.images / seconds)})
    size = "" if built is None else f", flash {built.flash_bytes} bytes, RAM {built.ram_bytes} bytes"
    typer.echo(
        f"{result.board}: {result.images} images, accuracy {facts['accuracy']}, mismatches {result.mismatches}{size}"
    )
