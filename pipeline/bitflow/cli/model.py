"""The commands that look at a packed network on the host: inspect, predict, eval; and convert."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import typer

from bitflow import project
from bitflow.cli import device, options, output
from bitflow.cli.context import Context
from bitflow.engines import reference
from bitflow.engines.host import HostEngine
from bitflow.errors import CheckFailed
from bitflow.geometry import Resize, require
from bitflow.image.bfn import Image, load_any, save
from bitflow.ir import INPUT, PackedNetwork
from bitflow.learn.data.dataset import Images, blocks
from bitflow.learn.data.sources import Split, read_picture

__all__ = ["convert", "evaluate", "float_labels", "host_scores", "inspect", "predict"]

# Bytes of images that an evaluation holds at a time: ImageNet's test images have 7.5 GB.
_BLOCK_BYTES = 2**27

Engine = Annotated[
    Literal["c", "numpy"], typer.Option(help="c: the C library, as on a device; numpy: the reference, slow.")
]


def inspect(model: options.Model = None, as_json: options.Json = False) -> None:
    """Show what a packed network is: input, classes, and each layer's shape, bytes and operations.

    Examples: bitflow inspect builtin:digits; bitflow inspect model.bfn --json
    """
    network = Context.here().network(model)
    facts = _facts(network)
    rows = [_layer_facts(network, index) for index in range(len(network.layers))]
    if as_json:
        output.print_json({**facts, "layers": rows})
        return
    facts["input_shape"] = str(network.input_spec.shape)
    facts["labels"] = ", ".join(network.labels)
    output.print_facts(facts)
    columns = ["name", "kind", "input", "output", "kernel", "padding", "macs", "bytes"]
    names = ["input", *(layer.name for layer in network.layers)]
    if any(layer.thresholds > 1 for layer in network.layers):
        columns.insert(4, "thresholds")
    if any(row["takes"] != [before] for row, before in zip(rows, names, strict=False)):
        columns[2:2] = ["takes", "gives"]  # only where the layers are no chain
    cells = [{**row, "takes": " + ".join(row["takes"])} for row in rows]
    output.print_table(columns, ([row[column] for column in columns] for row in cells))


def convert(
    model: Annotated[Path, typer.Argument(metavar="OLD.bfn", help="A packed network that an older BitFlow wrote.")],
    to: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where to write it. [in its place]")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Bring a .bfn of an older BitFlow up to date. The network stays what it is; its CRC changes.

    Examples: bitflow convert model.bfn; bitflow convert old.bfn -o new.bfn
    """
    network = load_any(model)
    made, to = Image.of(network), to or model
    save(network, to)
    if as_json:
        output.print_json({"output": str(to), "bytes": len(made.data), "crc32": f"{made.crc32:08x}"})
    else:
        output.note(f"wrote {to}: {len(made.data)} bytes, CRC {made.crc32:08x}")


def predict(
    model_and_pictures: Annotated[
        list[str], typer.Argument(metavar="[MODEL] PICTURE...", help="MODEL may be left out inside a project.")
    ],
    engine: Engine = "c",
    board: Annotated[str | None, typer.Option(metavar="NAME", help="Run on a board, emulated or at --port.")] = None,
    port: Annotated[str | None, typer.Option(metavar="URL", help="Serial port of the board.")] = None,
    as_json: options.Json = False,
) -> None:
    """Say what is in a picture: the label and the runners-up. Pictures are resized to the network's input.

    Examples: bitflow predict model.bfn photo.jpg; bitflow predict builtin:digits seven.png --board qemu-m4
    """
    model, pictures = _split_model(model_and_pictures)
    network = Context.here().network(model)
    images = np.stack([_picture(network, path) for path in pictures])
    scores = host_scores(network, images, engine) if board is None else device.scores_on(network, board, port, images)
    results = [_ranking(network, path, row) for path, row in zip(pictures, scores, strict=True)]
    if as_json:
        output.print_json({"predictions": results})
    else:
        top = [[result["file"], *(f"{r['label']} ({r['score']})" for r in result["ranking"][:3])] for result in results]
        columns = ("picture", "label (score)", "second", "third")
        output.print_table(columns[: len(top[0])], top)


def evaluate(
    model: options.Model = None,
    data: options.Data = None,
    against: options.Against = None,
    engine: Engine = "c",
    as_json: options.Json = False,
) -> None:
    """Measure accuracy on the test images, and compare every label with the float network's. Exit 1 on a mismatch.

    Examples: bitflow eval; bitflow eval model.bfn --data idx:mnist --against model.pt
    """
    here = Context.here()
    network = here.network(model)
    test = here.test_images(network, data)
    labels = np.argmax(host_scores(network, test.images, engine), axis=1)
    accuracy = float(np.mean(labels == test.labels))
    wanted = float_labels(here, network, test, against)
    mismatches = None if wanted is None else int(np.count_nonzero(labels != wanted))
    facts = {"images": len(test), "accuracy": accuracy, "mismatches": mismatches}
    if as_json:
        output.print_json(facts)
    else:
        unknown = "no float network is known: --against model.pt"
        output.print_facts(
            {**facts, "accuracy": f"{accuracy:.2%}", "mismatches": unknown if mismatches is None else mismatches}
        )
    if mismatches:
        raise CheckFailed(f"{mismatches} of {len(test)} labels differ from the float network's")


def host_scores(network: PackedNetwork, images: Images, engine: Literal["c", "numpy"]) -> npt.NDArray[Any]:
    """Integer scores [N, classes] of images, of which only a block is in memory at a time."""
    host = HostEngine(network) if engine == "c" else None
    parts = blocks(images, _BLOCK_BYTES, len(images))
    run = (lambda part: reference.run_packed(network, part).scores) if host is None else host.scores
    found = []
    with output.counter("images", len(images)) as moved:
        for part in parts:
            found.append(run(part))
            moved(len(part))
    return np.concatenate(found)


def float_labels(here: Context, network: PackedNetwork, test: Split, against: Path | None) -> npt.NDArray[Any] | None:
    """Labels that torch gives for the trained module; None where no trained module is known."""
    path = here.trained_module(network, against)
    if path is None:
        return None
    from bitflow.learn.training.checkpoint import load_module
    from bitflow.learn.training.evaluate import predict as predict_float

    return predict_float(load_module(path)[0], test.images)


def _split_model(arguments: list[str]) -> tuple[str | None, list[Path]]:
    """The first argument is the MODEL if it looks like one."""
    named = arguments[0].endswith((".bfn", ".pt")) or arguments[0].startswith(project.BUILTIN)
    pictures = [Path(text) for text in (arguments[1:] if named else arguments)]
    require(bool(pictures), "no picture given")
    return (arguments[0] if named else None), pictures


def _picture(network: PackedNetwork, path: Path) -> npt.NDArray[np.uint8]:
    input_spec = network.input_spec
    shape = input_spec.shape
    fits = input_spec.dtype == "uint8" and shape.channels in (1, 3) and input_spec.resize is not Resize.CROP
    require(fits, f"{network.name} takes {shape} of {input_spec.dtype}, not pictures")
    size = None if input_spec.resize is Resize.NONE else (shape.height, shape.width)
    picture = read_picture(path, size, shape.channels)
    require(
        picture.shape[:2] == (shape.height, shape.width),
        f"{path} is {picture.shape[0]}x{picture.shape[1]}, {network.name} takes {shape.height}x{shape.width}",
    )
    return picture[..., ::-1] if input_spec.channel_order.name == "BGR" else picture


def _ranking(network: PackedNetwork, path: Path, scores: npt.NDArray[Any]) -> dict[str, Any]:
    # A stable sort of the negated scores: of equal ones the first class stands first, as on the device.
    order = np.argsort(-scores.astype(np.int64), kind="stable")
    names = network.labels or tuple(str(index) for index in range(network.classes))
    ranking = [{"label": names[i], "index": int(i), "score": int(scores[i])} for i in order]
    return {"file": str(path), "label": ranking[0]["label"], "ranking": ranking}


def _facts(network: PackedNetwork) -> dict[str, Any]:
    input_spec = network.input_spec
    return {
        "name": network.name,
        "input_shape": [input_spec.shape.height, input_spec.shape.width, input_spec.shape.channels],
        "input_dtype": input_spec.dtype,
        "zero_point": input_spec.zero_point,
        "channel_order": input_spec.channel_order.name.lower(),
        "resize": input_spec.resize.name.lower(),
        "classes": network.classes,
        "labels": list(network.labels),
        "bytes": len(Image.of(network).data),
        "macs": sum(layer.macs for layer in network.layers),
        "crc32": f"{Image.of(network).crc32:08x}",
    }


def _layer_facts(network: PackedNetwork, index: int) -> dict[str, Any]:
    layer = network.layers[index]
    inputs = ["input" if source == INPUT else network.layers[source].name for source in layer.sources]
    rows, columns = layer.window.kernel
    value = {-1: "-1", 0: "0", 1: "+1"}[layer.pad_value]
    return {
        "name": layer.name,
        "kind": layer.kind.name.lower(),
        "takes": inputs,
        "gives": layer.output_type.name.lower(),
        "weight_bits": layer.weight_bits,
        "thresholds": layer.thresholds,
        "in_thresholds": layer.in_thresholds,
        "input": str(layer.source),
        "output": str(layer.target),
        "kernel": f"{rows}x{columns}",
        "stride": list(layer.window.stride),
        "padding": f"{layer.window.padding} of {value}" if any(layer.window.padding) else "",
        "pool": "" if layer.pool is None else "{}x{}".format(*layer.pool.window.kernel),
        "macs": layer.macs,
        "bytes": layer.nbytes,
    }
