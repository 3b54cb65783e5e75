"""The commands that show and write what a board gets: report and generate."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from bitflow import boards
from bitflow.cli import compare, options, output
from bitflow.cli.context import Context
from bitflow.deploy import environments
from bitflow.emit import codegen
from bitflow.errors import CheckFailed
from bitflow.geometry import require
from bitflow.planner.for_board import plan_for
from bitflow.show import report as reporting

__all__ = ["generate", "report"]

_COLUMNS = (
    "name", "kind", "shape", "macs", "instructions", "bytes", "output_bytes", "scratch_bytes", "kernel", "reason"
)  # fmt: skip


def report(
    model: options.Model = None,
    board_name: options.Board = None,
    against: Annotated[
        str | None,
        typer.Option("--compare", metavar="NETWORKS", help="Costs of an untrained network: float,xnor,bitflow."),
    ] = None,
    architecture: options.Architecture = "bitflow-alexnet",
    size: Annotated[str, typer.Option(metavar="HxWxC", help="Size of a picture, with --compare.")] = "224x224x3",
    classes: Annotated[int, typer.Option(help="Number of classes, with --compare.")] = 1000,
    width: options.Width = 1.0,
    objective: options.Optimize = "balanced",
    as_json: options.Json = False,
) -> None:
    """Show flash, RAM and instructions of a network on a board, and whether it fits. Exit 1 if it does not.

    With --compare: parameters, bytes and operations of full precision, XNOR-Net and BitFlow in the same shapes; by
    default for the paper's AlexNet.

    Examples: bitflow report; bitflow report builtin:digits --board qemu-m0 --json; bitflow report --compare
    float,xnor,bitflow --size 64x64x3 --classes 10 --width 0.25
    """
    if against is not None:
        require(model is None and board_name is None, "--compare counts an untrained network: no MODEL, no --board")
        compare.show_costs(against, architecture, size, classes, width, as_json)
        return
    here = Context.here()
    network, target = here.network(model), here.board(board_name)
    flash, ram = _least(target.flash, here.budgets[0]), _least(target.ram, here.budgets[1])
    _show(reporting.report(network, target.name, here.plan(network, target, objective), flash, ram), as_json)


def generate(
    model: options.Model = None,
    target: Annotated[
        Literal["c", "platformio", "micropython"],
        typer.Option(help="C sources, a PlatformIO project, or a folder for MicroPython's USER_C_MODULES."),
    ] = "c",
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where to write the sources.")] = Path(
        "src"
    ),
    board_name: options.Board = None,
    objective: options.Optimize = "balanced",
    prefix: Annotated[
        str | None, typer.Option(help="Prefix of all names in the C code. [from the network's name]")
    ] = None,
) -> None:
    """Write C sources that a person can read and keep. A PlatformIO project builds with `pio run`, without BitFlow.

    Kernels are chosen for the board's core; their lists replace the weights.
    Examples: bitflow generate builtin:digits --target platformio -o digits; bitflow generate --optimize flash
    """
    here = Context.here()
    network, board = here.network(model), here.board(board_name)
    plan = plan_for(network, board, objective)
    files = environments.files(plan.arena_bytes, board.name if board.buildable else boards.DEFAULT_BOARD)
    for path in codegen.generate(network, target, folder, prefix, plan, files):
        output.note(f"wrote {path}")


def _least(memory: int | None, budget: int) -> int | None:
    """The smaller of a board's memory and a budget, in bytes; of either 0 or None means: no limit."""
    limits = [limit for limit in (memory, budget) if limit]
    return min(limits, default=None)


def _show(found: reporting.Report, as_json: bool) -> None:
    facts = {key: value for key, value in asdict(found).items() if key != "layers"}
    facts |= {"macs": found.macs, "fits": found.fits, "advice": list(found.advice)}
    if as_json:
        output.print_json({**facts, "layers": [asdict(row) for row in found.layers]})
    else:
        facts["advice"] = "; ".join(found.advice) or "none needed"
        output.print_facts(facts)
        output.print_table(_COLUMNS, ([getattr(row, column) for column in _COLUMNS] for row in found.layers))
    if not found.fits:
        raise CheckFailed(f"does not fit {found.board}: {'; '.join(found.advice)}")
