"""The command that proves a network: verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from bitflow import boards
from bitflow.cli import device, options, output
from bitflow.cli.context import Context, load_float_network
from bitflow.engines.reference import Trace
from bitflow.engines.verify import Rung, Step, climb, ladder
from bitflow.errors import CheckFailed, MissingError
from bitflow.ir import MapType, PackedNetwork

__all__ = ["verify"]

_TYPES = {MapType.BITS: np.uint32, MapType.INTEGERS: np.int32}


def verify(
    network_file: options.Model = None,
    data: options.Data = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Only the first N test images.")] = 360,
    against: options.Against = None,
    board: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare a board too, emulated or at --port.")
    ] = None,
    port: Annotated[str | None, typer.Option(metavar="URL", help="Serial port of the board.")] = None,
    as_json: options.Json = False,
) -> None:
    """Run all available engines on the same images and name the first difference. Exit 1 if there is one.

    Compares hidden bits, labels and scores. Examples: bitflow verify; bitflow verify builtin:digits --board qemu-m0
    """
    here = Context.here()
    network = here.network(network_file)
    images = here.test_images(network, data).images[:limit]
    steps = climb(_rungs(network, here.trained_module(network, against)), network, images)
    if board is not None:
        steps += _on_board(network, board, port, images)
    _show(steps, as_json)
    failed = [step for step in steps if step.difference is not None]
    if failed:
        raise CheckFailed(f"{failed[0].name} differs from {failed[0].compared_with}: {failed[0].difference}")


def _rungs(network: PackedNetwork, module: Path | None) -> list[Rung]:
    """What can run here; says what is left out."""
    known = None if module is None else load_float_network(module, network.name)
    torch = [] if module is None else [Rung("torch", lambda images: _torch_trace(module, images), integer=False)]
    if module is None:
        output.note("no float network is known, so the comparison starts at the integers: --against model.pt")
    try:
        return torch + ladder(network, known)
    except MissingError as error:
        output.note(f"left out C on the host: {error}")
        return torch + ladder(network, known, host=False)


def _torch_trace(module: Path, images: npt.NDArray[Any]) -> Trace:
    from bitflow.importers.torch.module import run_module
    from bitflow.learn.training.checkpoint import load_module

    return run_module(load_module(module)[0], images)


def _on_board(network: PackedNetwork, name: str, port: str | None, images: npt.NDArray[Any]) -> list[Step]:
    """The packed network against a device."""
    packed = ladder(network, host=False)[-1]
    shapes = [(layer.target.height, layer.target.width, -1) for layer in network.layers[:-1]]
    with device.connected(network, boards.board(name), port) as found:

        def run(images: npt.NDArray[Any]) -> Trace:
            words = zip(*(found.hidden(one) for one in images), strict=True)
            maps = zip(words, network.layers, shapes, strict=False)
            hidden: list[Any] = [
                np.stack(part).view(_TYPES[layer.output_type]).reshape(len(images), *s) for part, layer, s in maps
            ]
            return Trace(tuple(hidden), np.stack([run.scores for run in found.run(images)]))

        return climb([packed, Rung(f"C on {name}", run)], network, images)


def _show(steps: list[Step], as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "name": step.name,
                "compared_with": step.compared_with,
                "images": step.images,
                "equal": step.difference is None,
                "difference": None if step.difference is None else str(step.difference),
            }
            for step in steps
        ]
        output.print_json({"equal": all(step.difference is None for step in steps), "steps": rows})
        return
    columns = ("engine", "compared with", "images", "result")
    output.print_table(columns, ((s.name, s.compared_with, s.images, s.difference or "equal") for s in steps))
