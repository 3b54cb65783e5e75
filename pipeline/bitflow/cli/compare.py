"""BitFlow beside XNOR-Net and full precision: what each takes (report --compare) and what each learns (compare)."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from bitflow import project
from bitflow.cli import options, output
from bitflow.cli.context import load_float_network
from bitflow.cli.model import host_scores
from bitflow.errors import CheckFailed, InputError
from bitflow.geometry import require
from bitflow.image.bfn import save
from bitflow.learn.baselines.costs import cost, total
from bitflow.learn.data.sources import Dataset, load_data
from bitflow.learn.recipe import Recipe, recipe_for
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack

__all__ = ["compare", "show_costs"]

# What is compared outside of a project.
_PAPER = project.Project(Path(), architecture="bitflow-alexnet", recipe=recipe_for("bitflow-alexnet"))
_COSTS = ("layer", "network", "shape", "parameters", "bytes", "float mul", "float add", "integer add", "binary ops")
_PRODUCTS = "integer mul"  # only shown where a network has some: int8 weights in the first layer


def compare(
    data: options.Data = None,
    size: options.Size = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            metavar="NETWORK",
            help="A name or layers: what BitFlow is and the others are made from. [the project's, or bitflow-alexnet]",
        ),
    ] = None,
    width: Annotated[
        float | None, typer.Option(metavar="FACTOR", help="Multiply all channels by this. [the project's, or 1]")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images. [as suits the network]")] = None,
    batch: Annotated[int | None, typer.Option(help="Images per step.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Initial learning rate of Adam, the same for all.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and validation images.")] = None,
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where to write the runs.")] = Path(
        "compare"
    ),
    as_json: options.Json = False,
) -> None:
    """Train full precision, XNOR-Net and BitFlow under equal conditions; print their accuracy side by side.

    BitFlow is then fused and run by the C library: exit 1 if the label of a test image differs. A network
    whose result is in DIR is not trained again; one that was interrupted continues.

    Example: bitflow compare --data signs:photos --size 64x64x3 --width 0.25 --epochs 60 --seed 1
    """
    settings = project.find_project() or _PAPER
    name = architecture or settings.architecture
    known = settings.recipe if name == settings.architecture else recipe_for(name)
    flags = {"epochs": epochs, "batch": batch, "learning_rate": learning_rate, "seed": seed}
    given: dict[str, Any] = {key: value for key, value in flags.items() if value is not None}
    recipe = replace(known, **given)
    source, default = project.resolve_data(data, settings)
    dataset = load_data(source, project.parse_size(size) if size else default)
    rows = _train(dataset, name, recipe, folder, settings.width if width is None else width)
    fused, differences = _fused(dataset, folder)
    _show(dataset, [*rows, fused], differences, recipe, as_json)
    if differences:
        raise CheckFailed(f"{differences} of {len(dataset.test)} labels of the C library differ from torch's")


def _train(dataset: Dataset, architecture: str, recipe: Recipe, folder: Path, width: float) -> list[dict[str, Any]]:
    """Train what is not there yet; a row each."""
    from bitflow.learn.baselines.train_variants import train_variant
    from bitflow.learn.networks.variants import VARIANTS

    rows = []
    for name in VARIANTS:
        with output.progress(name, recipe.epochs) as on_epoch:
            place = folder / name
            found = train_variant(name, dataset, architecture, recipe, place, width=width, on_epoch=on_epoch)
        rows.append({"network": name, **found.facts()})
    return rows


def _fused(dataset: Dataset, folder: Path) -> tuple[dict[str, Any], int]:
    """BitFlow through the C library: its row, and on how many test images its label is not torch's."""
    from bitflow.learn.training.checkpoint import load_module
    from bitflow.learn.training.evaluate import predict

    model = folder / "bitflow" / "model.pt"
    packed = pack(fuse(load_float_network(model)))
    save(packed, folder / "model.bfn")
    labels = np.argmax(host_scores(packed, dataset.test.images, "c"), axis=1)
    wanted = predict(load_module(model)[0], dataset.test.images)
    row = {"network": "bitflow fused", "test_accuracy": float(np.mean(labels == dataset.test.labels))}
    return row, int(np.count_nonzero(labels != wanted))


def _show(dataset: Dataset, rows: list[dict[str, Any]], differences: int, recipe: Recipe, as_json: bool) -> None:
    train, test = dataset.train, dataset.test
    facts = {"train_images": len(train), "test_images": len(test), "classes": len(dataset.class_names)}
    if as_json:
        output.print_json({**facts, "recipe": asdict(recipe), "networks": rows, "label_differences": differences})
        return
    output.print_table(
        ("network", "test accuracy", "validation", "best epoch", "seconds"),
        (
            (
                row["network"],
                f"{row['test_accuracy']:.2%}",
                f"{row['validation_accuracy']:.2%}" if "validation_accuracy" in row else "",
                row.get("best_epoch", ""),
                row.get("seconds", ""),
            )
            for row in rows
        ),
    )
    output.print_facts({**facts, "label differences": differences})


def show_costs(names: str, architecture: str, size: str, classes: int, width: float, as_json: bool) -> None:
    """Print what each of the named networks (float,xnor,bitflow) takes, layer by layer and in total."""
    from bitflow.learn.baselines.shapes import describe_variants

    picture = project.parse_size(size)
    require(len(picture) == 3, f"size {size!r} has no channels: HEIGHTxWIDTHxCHANNELS")
    require(2 <= classes <= 65535, f"{classes} classes are outside 2..65535")
    known = describe_variants(architecture, (picture[0], picture[1], picture[2]), classes, width)
    asked = [name.strip() for name in names.split(",")]
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise InputError(f"cannot compare {unknown[0]!r}; choose of {','.join(known)}")
    found = {name: [(layer, cost(layer)) for layer in known[name]] for name in asked}
    totals = {name: total(each for _, each in rows) for name, rows in found.items()}
    if as_json:
        layers = {
            name: [
                {"name": layer.name, "input": str(layer.source), "output": str(layer.target), **asdict(each)}
                for layer, each in rows
            ]
            for name, rows in found.items()
        }
        networks = {name: {"total": asdict(totals[name]), "layers": layers[name]} for name in asked}
        shape = {"architecture": architecture, "input_shape": list(picture), "classes": classes, "width": width}
        output.print_json({**shape, "networks": networks})
        return
    rows = [
        (layer.name, name, f"{layer.source} -> {layer.target}", each)
        for together in zip(*found.values(), strict=True)
        for name, (layer, each) in zip(asked, together, strict=True)
    ]
    rows += [("total", name, "", totals[name]) for name in asked]
    header = _COSTS if not any(each.integer_multiplications for each in totals.values()) else (*_COSTS, _PRODUCTS)
    cells = ((*start, *(f"{number:,}" for number in asdict(each).values())) for *start, each in rows)
    output.print_table(header, (line[: len(header)] for line in cells))
