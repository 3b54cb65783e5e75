"""The command that counts instructions: bench."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from bitflow import boards
from bitflow.boards import Board
from bitflow.cli import device, micropython, options, output
from bitflow.cli.context import Context
from bitflow.cores import core_of
from bitflow.errors import CheckFailed, DeviceError, InputError
from bitflow.image.bfn import load
from bitflow.ir import PackedNetwork
from bitflow.planner.choice import Objective
from bitflow.planner.kernels.spec import Kernel
from bitflow.planner.kernels.table import KERNELS
from bitflow.planner.plan import Plan, default_plan, flash_bytes
from bitflow.project import resolve_model
from bitflow.show.counts import BenchRow, check_plot, int8_instructions, plot
from bitflow.synthetic.layer_plans import plain_plan, singled_out
from bitflow.synthetic.single_layers import MEASURED, parse, single_layer
from bitflow_hil.run.count import count_firmware, count_micropython, count_planned

__all__ = ["bench"]


def bench(
    model: options.Model = None,
    board_name: options.Board = None,
    layer: Annotated[
        str | None, typer.Option("--layer", metavar="L", help="Count one random layer, as conv3x3:16x16x64-64/s2/p0.")
    ] = None,
    kernel: Annotated[
        str | None, typer.Option(metavar="K", help="Kernel of the layer, as patterns_8. [chosen by --optimize]")
    ] = None,
    objective: options.Optimize = "balanced",
    plot_file: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Also draw the table, as PNG or SVG.")
    ] = None,
    runtime: device.Runtime = "firmware",
    as_json: options.Json = False,
) -> None:
    """Count the instructions of one run on an emulated board, layer by layer. The count is the same every time.

    Each layer is shown beside the count of the plain kernel; one of --layer also beside that of 8-bit integers
    (CMSIS-NN, a layer of nearly this shape). docs/compare.md compares whole networks of equal accuracy. A layer is
    conv<k>x<k>:HxWxCin-Cout[/s<stride>][/p<-1|0|+1>][/g<groups>], dense:N-M or first<k>x<k>:HxWxC-Cout; it runs between
    others, as in a network. With --runtime micropython predict() is counted, too.

    Examples: bitflow bench builtin:digits; bitflow bench --layer conv3x3:16x16x64-64 --board qemu-m7 --plot layer.svg
    """
    if plot_file is not None:
        check_plot(plot_file)
    if layer is not None:
        if model is not None or runtime == "micropython":
            raise InputError("--layer counts a layer of its own: leave out MODEL and --runtime")
        target = _emulated(boards.board(board_name or boards.DEFAULT_BOARD))
        _count_layer(target, layer, objective, _kernel(kernel), plot_file, as_json)
        return
    if kernel is not None:
        raise InputError("--kernel is for --layer: the kernels of a network are chosen by --optimize")
    network, target = device.asked(model, board_name)
    if runtime == "micropython":
        _count_micropython(_emulated(target), network, objective, as_json)
        return
    _count_network(_emulated(target), network, objective, plot_file, as_json)


def _emulated(target: Board) -> Board:
    if not target.emulated:
        raise InputError(f"{target.name} is not emulated: instructions are counted in QEMU")
    return target


def _kernel(name: str | None) -> Kernel | None:
    if name is None:
        return None
    known = {kernel.name.lower(): kernel for kernel in Kernel}
    if name.lower() not in known:
        raise InputError(f"no kernel {name!r}: there are {', '.join(known)}")
    return known[name.lower()]


def _count_layer(
    target: Board, text: str, objective: Objective, kernel: Kernel | None, plot_file: Path | None, as_json: bool
) -> None:
    """The layer is sent to a firmware that runs: RAM instead of flash, the same instructions."""
    network = single_layer(parse(text), seed=1)
    plan = singled_out(network, core_of(target.cpu), objective, kernel)
    machine = boards.board(target.roomy) if target.roomy else target
    with device.connected(load(resolve_model("builtin:digits")), machine, None) as found:
        own = count_planned(found, network, plan)
        plain = count_planned(found, network, plain_plan(network, plan))
    core = core_of(target.cpu).name
    rows = [
        replace(row, int8_instructions=int8_instructions(core, layer))
        for row, layer in zip(_rows(network, plan, own.layers, plain.layers), network.layers, strict=True)
        if row.name == MEASURED
    ]
    facts = {"board": target.name, "instructions": rows[0].instructions, "checked": own.checked and plain.checked}
    _tell(facts, rows, text, plot_file, as_json)


def _count_network(
    target: Board, network: PackedNetwork, objective: Objective, plot_file: Path | None, as_json: bool
) -> None:
    """The network is compiled in; what the plain kernels take is counted where there is room to send it again."""
    plan = Context.here().plan(network, target, objective)
    with device.connected(network, target, None, objective) as found:
        own = count_firmware(found, network)
        plain = None
        with contextlib.suppress(DeviceError):
            plain = count_planned(found, network, plain_plan(network, plan))
    rows = _rows(network, plan, own.layers, plain.layers if plain else [None] * len(own.layers))
    checked = own.checked and (plain is None or plain.checked)
    facts = {"board": target.name, "instructions": own.instructions, "checked": checked}
    _tell(facts, rows, network.name, plot_file, as_json)


def _tell(facts: dict[str, Any], rows: list[BenchRow], what: str, plot_file: Path | None, as_json: bool) -> None:
    _show(facts, rows, as_json)
    if plot_file is not None:
        plot(rows, f"{what} on {facts['board']}", plot_file)
        output.note(f"wrote {plot_file}")
    if not facts["checked"]:
        raise CheckFailed(f"{facts['board']} does not give the reference's scores")


def _rows(network: PackedNetwork, plan: Plan, own: Sequence[int], plain: Sequence[int | None]) -> list[BenchRow]:
    return [
        BenchRow(
            layer.name,
            layer.kind.name.lower(),
            KERNELS[choice.kernel].symbol,
            layer.macs,
            counted,
            flash_bytes(layer, choice.kernel, choice.data_bytes),
            layer.taps * layer.conv.channels if layer.weight_bits else 0,
            slow,
        )
        for layer, choice, counted, slow in zip(network.layers, plan.layers, own, plain, strict=True)
    ]


def _count_micropython(target: Board, network: PackedNetwork, objective: Objective, as_json: bool) -> None:
    # The module gets a .bfn without a plan: so does the firmware that it is compared with.
    with device.connected(network, target, None) as found:
        count = count_planned(found, network, None)
    with micropython.connected(network, target, None) as repl:
        predict = count_micropython(repl, network)
    plan = default_plan(network, core_of(target.cpu).lane_words)
    facts: dict[str, Any] = {"board": target.name, "instructions": count.instructions}
    facts |= {"micropython_instructions": predict.instructions, "checked": count.checked and predict.checked}
    _show(facts, _rows(network, plan, count.layers, count.layers), as_json)
    if not facts["checked"]:
        raise CheckFailed(f"{target.name} does not give the reference's scores")


_COLUMNS = ("layer", "kernel", "MACs", "instructions", "MAC/instr", "bytes", "bits/weight", "plain", "int8")


def _show(facts: dict[str, Any], rows: list[BenchRow], as_json: bool) -> None:
    if as_json:
        output.print_json({**facts, "layers": [_json(row) for row in rows]})
        return
    output.print_facts(facts)
    if "micropython_instructions" in facts:
        more = facts["micropython_instructions"] - facts["instructions"]
        typer.echo(f"predict() from MicroPython takes {more:+d} instructions ({more / facts['instructions']:+.2%})")
    columns = _COLUMNS if any(row.int8_instructions for row in rows) else _COLUMNS[:-1]
    output.print_table(columns, (_cells(row)[: len(columns)] for row in rows))


def _json(row: BenchRow) -> dict[str, Any]:
    facts = {name: getattr(row, name) for name in row.__dataclass_fields__ if name != "weights"}
    bits = row.bits_per_weight
    return {
        **facts,
        "macs_per_instruction": round(row.macs_per_instruction, 3),
        "bits_per_weight": None if bits is None else round(bits, 3),
    }


def _cells(row: BenchRow) -> tuple[str, ...]:
    bits = row.bits_per_weight
    times = [
        f"{n:,} ({n / max(row.instructions, 1):.1f}x)" if n else "-"
        for n in (row.plain_instructions, row.int8_instructions)
    ]
    return (
        row.name, row.kernel.removeprefix("bf_"), f"{row.macs:,}", f"{row.instructions:,}",
        f"{row.macs_per_instruction:.2f}", f"{row.bytes:,}", "-" if bits is None else f"{bits:.2f}", *times,
    )  # fmt: skip
