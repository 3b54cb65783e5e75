"""bitflow hil: test images on one board or several side by side, every score compared with the host's."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from bitflow import boards as table
from bitflow.boards import Board
from bitflow.cli import device, micropython, options, output
from bitflow.cli.context import Context
from bitflow.cli.model import float_labels
from bitflow.deploy import doctor
from bitflow.engines.host import HostEngine
from bitflow.errors import CheckFailed
from bitflow.geometry import require
from bitflow.ir import PackedNetwork
from bitflow_hil.report import live_table
from bitflow_hil.report.artifacts import Artifacts
from bitflow_hil.report.live_table import watching
from bitflow_hil.run.farm import Farm, Station
from bitflow_hil.run.micropython import check
from bitflow_hil.run.progress import Progress
from bitflow_hil.run.results import Demands
from bitflow_hil.run.soak import duration
from bitflow_hil.run.task import Task

__all__ = ["hil"]

# An emulator measures no time, a timer counts no instructions, a REPL reports neither: what is unknown is left out.
_KNOWN_OF_SOME = (
    *("latency_ms_median", "latency_ms_p99", "device_ms_median", "device_ms_p99"),
    *("instructions_median", "instructions_p99", "layer_instructions", "layer_ms"),
)


def hil(
    model: options.Model = None,
    board_names: Annotated[
        str | None,
        typer.Option(
            "--board",
            metavar="NAME[,NAME...]",
            help="See: bitflow boards. Several run at the same time. [the project's, or qemu-m4]",
        ),
    ] = None,
    data: options.Data = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N test images.")] = None,
    port: device.Port = None,
    runtime: device.Runtime = "firmware",
    soak: Annotated[
        str | None, typer.Option(metavar="TIME", help="Repeat the images for this long: 30s, 10m, 2h. Ctrl-C ends it.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as JUnit XML.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a self-contained HTML report.")] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Append the result to a JSON Lines file; a report compares with its last run."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Send test images to a board and compare every score with the host's, bit for bit. Exit 1 on a mismatch.

    Without --port an emulated board is built and started, a real one is found by its USB id. Budgets for accuracy
    and latency are in bitflow.toml. Examples: bitflow hil builtin:digits --data digits;
    bitflow hil --board qemu-m4,stm32h7 --report report.html --log results.jsonl; bitflow hil --soak 2h
    """
    network, boards = _asked(model, board_names)
    _refuse(boards, port, runtime, soak, any((junit, report, log)))
    if soak is not None:
        stations = _soaked(_task(network, data, limit), boards, port, soak)
    else:
        artifacts = Artifacts.asked(junit, report, log)
        task = _task(network, data, limit)
        stations = _checked(task, boards, port, runtime)
        artifacts.write(task, stations, _demands(), doctor.versions())
    _show(stations, as_json)
    _judge(stations)


def _asked(model: str | None, names: str | None) -> tuple[PackedNetwork, list[Board]]:
    """The network, and the boards of a list with commas."""
    first, *rest = (names or "").split(",")
    network, board = device.asked(model, first.strip() or None)
    boards = [board, *(table.board(name.strip()) for name in rest)]
    twice = sorted({one.name for one in boards if boards.count(one) > 1})
    require(not twice, f"--board names {', '.join(twice)} twice")
    return network, boards


def _refuse(boards: Sequence[Board], port: str | None, runtime: str, soak: str | None, files: bool) -> None:
    """InputError for what does not go together."""
    require(len(boards) == 1 or port is None, "--port belongs to one board: name one with --board")
    require(runtime == "firmware" or len(boards) == 1, "--runtime micropython takes one board at a time")
    require(runtime == "firmware" or soak is None, "--soak is for boards with firmware")
    require(soak is None or not files, "--soak only prints its result: leave out --junit, --report and --log")


def _demands() -> Demands:
    """What the project asks of a result."""
    settings = Context.here().project
    if settings is None:
        return Demands()
    return Demands(settings.tolerance, settings.accuracy_budget, settings.latency_budget_ms)


def _task(network: PackedNetwork, data: str | None, limit: int | None) -> Task:
    """The test images, and what the host makes of them."""
    here = Context.here()
    test = here.test_images(network, data)
    test = test.take(np.arange(min(limit or len(test), len(test))))
    known = float_labels(here, network, test, None)
    images = np.asarray(test.images)
    scores = HostEngine(network).scores(images)
    return Task(network, images, test.labels, scores, None if known is None else float(np.mean(known == test.labels)))


def _farm(task: Task, boards: Sequence[Board], port: str | None) -> Farm:
    stations = [Station(board, port, Progress(task)) for board in boards]
    return Farm(task, stations, lambda board: device.built(task.network, board))


def _checked(task: Task, boards: Sequence[Board], port: str | None, runtime: str) -> Sequence[Station]:
    """A station for each board, with its result or its error."""
    if runtime == "micropython":
        return [_micropython(task, boards[0], port)]
    farm = _farm(task, boards, port)
    with watching(farm.stations) as (watch, _):
        farm.check(watch)
    return _or_raise(farm.stations)


def _soaked(task: Task, boards: Sequence[Board], port: str | None, length: str) -> Sequence[Station]:
    """The same after a long run; Ctrl-C ends it as its time does."""
    seconds = duration(length)
    farm = _farm(task, boards, port)
    with watching(farm.stations) as (watch, say), contextlib.suppress(KeyboardInterrupt):
        farm.soak(seconds, say, watch)
    return _or_raise(farm.stations)


def _or_raise(stations: Sequence[Station]) -> Sequence[Station]:
    """The error of an only board is the command's own."""
    if len(stations) == 1 and stations[0].error is not None:
        raise stations[0].error
    return stations


def _micropython(task: Task, board: Board, port: str | None) -> Station:
    station = Station(board, port, Progress(task))
    with micropython.connected(task.network, board, port) as prompt:
        start = time.monotonic()
        station.result = check(prompt, board, task, _progress)
        station.seconds = time.monotonic() - start
    return station


def _progress(images: Iterable[Any]) -> Iterable[Any]:
    """The images, with a bar on stderr while somebody looks at it."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(images, "images", console=console, transient=True, disable=not console.is_terminal)


def _show(stations: Sequence[Station], as_json: bool) -> None:
    if as_json:
        rows = [station.facts() for station in stations]
        output.print_json(rows[0] if len(rows) == 1 else {"boards": rows})
    elif soaked := [station.soaked for station in stations if station.soaked is not None]:
        for result in soaked:
            typer.echo(result.line())
    elif len(stations) > 1:
        output.print_table(live_table.COLUMNS, map(live_table.row, stations))
    else:
        _show_one(stations[0])


def _show_one(station: Station) -> None:
    result, facts = station.result, station.facts()
    assert result is not None
    for name in ("accuracy", "host_accuracy", "float_accuracy"):
        facts[name] = "unknown" if facts[name] is None else f"{facts[name]:.2%}"
    facts["layer_instructions"] = " ".join(map(str, facts["layer_instructions"]))
    facts["layer_ms"] = " ".join(map(str, facts["layer_ms"]))
    for name in ("examples", "seconds", *(name for name in _KNOWN_OF_SOME if not facts[name])):
        facts.pop(name)
    output.print_facts({**facts, "images_per_second": round(result.images / station.seconds)})
    built = station.built
    size = "" if built is None else f", flash {built.flash_bytes} bytes, RAM {built.ram_bytes} bytes"
    typer.echo(
        f"{result.board}: {result.images} images, accuracy {facts['accuracy']}, mismatches {result.mismatches}{size}"
    )


def _judge(stations: Sequence[Station]) -> None:
    """CheckFailed if a board is not good enough."""
    demands = _demands()
    for station in stations:
        if demands.latency_ms and station.result is not None and station.result.device_ms_median is None:
            output.note(f"the latency budget is not checked on {station.board.name}: it has no timer of real time")
    failures = [line for station in stations for line in station.failures(demands)]
    if failures:
        raise CheckFailed("; ".join(failures))
