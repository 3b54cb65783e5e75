"""The command that counts instructions: bench."""

from __future__ import annotations

from typing import Any

import typer

from bitflow.cli import device, options, output
from bitflow.errors import CheckFailed, InputError
from bitflow.ir import PackedNetwork
from bitflow.lower.plan import plan

__all__ = ["bench"]


def bench(
    model: options.Model = None,
    board_name: options.Board = None,
    runtime: device.Runtime = "firmware",
    as_json: options.Json = False,
) -> None:
    """Count the instructions that one run takes on an emulated board, layer by layer; the same on every run.

    With --runtime micropython also those of predict() from Python. Example: bitflow bench builtin:digits
    """
    network, target = device.asked(model, board_name)
    if not target.emulated:
        raise InputError(f"{target.name} is not emulated: instructions are counted in QEMU")
    from bitflow_hil.bench import count_firmware, count_micropython

    with device.connected(network, target, None) as found:
        count = count_firmware(found, network)
    facts: dict[str, Any] = {"board": target.name, "instructions": count.instructions, "checked": count.checked}
    if runtime == "micropython":
        from bitflow.cli import micropython

        with micropython.connected(network, target, None) as repl:
            predict = count_micropython(repl, network)
        facts |= {"micropython_instructions": predict.instructions, "checked": count.checked and predict.checked}
    _show(facts, _rows(network, count.layers), as_json)
    if not facts["checked"]:
        raise CheckFailed(f"{target.name} does not give the reference's scores")


def _rows(network: PackedNetwork, layers: tuple[int, ...]) -> list[dict[str, Any]]:
    return [
        {
            "name": layer.name,
            "kind": layer.kind.name.lower(),
            "macs": layer.macs,
            "instructions": instructions,
            "macs_per_instruction": round(layer.macs / max(instructions, 1), 3),
            "kernel": choice.kernel,
        }
        for layer, choice, instructions in zip(network.layers, plan(network).layers, layers, strict=True)
    ]


def _show(facts: dict[str, Any], rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        output.print_json({**facts, "layers": rows})
        return
    output.print_facts(facts)
    if "micropython_instructions" in facts:
        more = facts["micropython_instructions"] - facts["instructions"]
        typer.echo(f"predict() from MicroPython takes {more:+d} instructions ({more / facts['instructions']:+.2%})")
    output.print_table(tuple(rows[0]), (tuple(row.values()) for row in rows))
