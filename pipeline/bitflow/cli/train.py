"""The commands that make a network: init, train, fuse."""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitflow import project
from bitflow.cli import options, output
from bitflow.cli.context import load_float_network, nameless_crc32
from bitflow.image.bfn import Image, save
from bitflow.ir import PackedNetwork
from bitflow.learn.data.sources import PICTURE_SOURCES
from bitflow.learn.default_network import default_network
from bitflow.learn.recipe import Recipe, recipe_for
from bitflow.learn.training.torchrun import is_first
from bitflow.lower.fuse import LayerFusion, explain
from bitflow.lower.fuse import fuse as fuse_network
from bitflow.lower.pack import pack
from bitflow.show.training_run import draw

if TYPE_CHECKING:
    from bitflow.learn.training.train import Result

__all__ = ["fuse", "init", "train"]

_FUSED = ("layer", "kind", "shape", "R", "flipped", "constant", "BatchShift", "pool", "class order")


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The folder of the project.")] = Path(),
    name: Annotated[str | None, typer.Option(help="The network's name. [the source of the data]")] = None,
    data: Annotated[str, typer.Option(metavar="SOURCE", help=f"{options.SOURCES}.")] = "digits",
    size: options.Size = None,
    architecture: Annotated[
        str | None, typer.Option(metavar="NETWORK", help=f"{options.NETWORKS}. [chosen for the data]")
    ] = None,
    width: options.Width = 1.0,
    board: Annotated[str, typer.Option(help="The board to build for.")] = "qemu-m4",
    force: Annotated[bool, typer.Option("--force", help="Overwrite a bitflow.toml.")] = False,
) -> None:
    """Write a commented bitflow.toml.

    Examples: bitflow init; bitflow init gestures --data folder:photos --size 32x32x1; bitflow init --data signs:hands
    --architecture bitflow-alexnet --size 64x64x3 --width 0.25
    """
    source, mark, place = data.partition(":")
    text = project.project_text(
        name or (re.split(r"[.@]", Path(place).name)[0] or source),
        f"{source}:{os.path.relpath(Path(place).expanduser(), folder)}" if mark else data,
        size,
        architecture or default_network(data, project.parse_size(size) if size and source in PICTURE_SOURCES else None),
        board,
        width,
    )
    output.note(f"wrote {project.write_project(folder, text, force)}; next: bitflow train")


def train(
    data: options.Data = None,
    architecture: Annotated[
        str | None,
        typer.Option(metavar="NETWORK", help=f"{options.NETWORKS}. [the project's; without one, chosen for the data]"),
    ] = None,
    width: Annotated[
        float | None, typer.Option(metavar="FACTOR", help="Multiply all channels by this. [the project's, or 1]")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Initial learning rate of Adam.")] = None,
    seed: Annotated[int | None, typer.Option(help="Equal seeds give equal networks on one machine.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint.")] = False,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="N", min=0, help="Stop after N minutes; --resume continues. [until it is done]"),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write events for: tensorboard --logdir training.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Train a network; ends with model.pt and model.bfn in the project folder. Ctrl-C keeps the best epoch so far.

    Reads bitflow.toml; a flag wins over it. Several processes, GPUs or machines train together under torchrun.

    Examples: bitflow train; bitflow train --epochs 200 --seed 7; bitflow train --resume --minutes 10; torchrun
    --standalone --nproc-per-node 2 --no-python bitflow train
    """
    found = project.find_project()
    source, size = project.resolve_data(data, found)
    usual = default_network(source)
    settings = found or project.Project(Path.cwd(), architecture=usual, recipe=recipe_for(usual))
    wide = settings.width if width is None else width
    name = architecture or settings.architecture
    recipe = _recipe(settings.recipe if name == settings.architecture else recipe_for(name), epochs=epochs, batch=batch)
    recipe = _recipe(recipe, learning_rate=learning_rate, seed=seed)
    settings = replace(settings, data=source, size=size, architecture=name, width=wide, recipe=recipe)
    result = _train(settings, resume, tensorboard, math.inf if minutes is None else 60 * minutes)
    if not is_first():
        return
    if not result.best_epoch:
        output.note("stopped before the first epoch ended; next: bitflow train --resume")
        return
    from bitflow.learn.training.checkpoint import note_image

    packed = pack(fuse_network(load_float_network(settings.module_path)))
    note_image(settings.module_path, nameless_crc32(packed))
    save(packed, settings.model_path)
    _print_training(result, packed, settings, as_json)


def fuse(
    checkpoint: Annotated[Path, typer.Argument(metavar="CKPT", help="A model.pt that bitflow train wrote.")],
    to: options.OutputFile = Path("model.bfn"),
    name: Annotated[str | None, typer.Option(help="The network's name. [as trained]")] = None,
    as_json: options.Json = False,
) -> None:
    """Fuse a trained network to BatchShift and pack it; print the result layer by layer.

    Example: bitflow fuse model.pt -o model.bfn
    """
    network = load_float_network(checkpoint, name)
    fused = fuse_network(network)
    packed = pack(fused)
    save(packed, to)
    layers = explain(network, fused)
    made = Image.of(packed)
    if as_json:
        rows = [dict(zip(_FUSED, _cells(layer), strict=True)) for layer in layers]
        output.print_json({"output": str(to), "bytes": len(made.data), "crc32": f"{made.crc32:08x}", "layers": rows})
    else:
        output.print_table(_FUSED, map(_cells, layers))
        output.note(f"wrote {to}: {len(made.data)} bytes, CRC {made.crc32:08x}")


def _recipe(recipe: Recipe, **flags: float | None) -> Recipe:
    given = {key: value for key, value in flags.items() if value is not None}
    return replace(recipe, **given)  # type: ignore[arg-type]


def _train(settings: project.Project, resume: bool, tensorboard: bool, seconds: float) -> Result:
    """Train; of several processes only the first one tells how it goes."""
    from bitflow.learn.training.run import run

    recipe, first = settings.recipe, is_first()
    total = recipe.epochs + (recipe.teacher_epochs if recipe.teacher else 0)
    with output.progress("training", total, first) as on_step:
        _, _, result = run(
            settings.data,
            settings.architecture,
            recipe,
            settings.folder,
            name=settings.name,
            size=settings.size,
            width=settings.width,
            resume=resume,
            tensorboard=tensorboard,
            seconds=seconds,
            on_remark=output.note if first else lambda remark: None,
            on_step=on_step,
            on_saved=lambda dataset, module, result: draw(
                settings.folder / "training", dataset, module, result, output.note
            ),
        )
    return result


def _print_training(result: Result, packed: PackedNetwork, settings: project.Project, as_json: bool) -> None:
    size = len(Image.of(packed).data)
    if as_json:
        output.print_json({**result.facts(), "bytes": size, "crc32": f"{Image.of(packed).crc32:08x}"})
        return
    output.print_facts(
        {
            "test accuracy": f"{result.test_accuracy:.2%}",
            "best epoch": f"{result.best_epoch} of {result.epochs}, validation {result.validation_accuracy:.2%}",
            "seconds": f"{result.seconds:.1f}",
            **({"stopped": "before its end; continue with: bitflow train --resume"} if result.interrupted else {}),
            "wrote": f"{settings.module_path.name}, {settings.model_path.name} ({size} bytes)",
        }
    )


def _cells(layer: LayerFusion) -> tuple[object, ...]:
    span = "" if layer.shift_range is None else f"{layer.shift_range[0]}..{layer.shift_range[1]}"
    order = "" if layer.order is None else f"{layer.order.pairs} of {layer.order.of} pairs differ"
    return (
        layer.name,
        layer.kind,
        layer.shape,
        layer.bound,
        layer.flipped,
        layer.constant,
        span,
        layer.pool,
        order,
    )
