"""The command that takes networks from elsewhere: import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from bitflow import project
from bitflow.cli import options, output
from bitflow.engines.host import HostEngine
from bitflow.engines.reference import run_packed
from bitflow.errors import CheckFailed, InputError, MissingError
from bitflow.image.bfn import Image, save
from bitflow.importers.graph import SIGN_OF_ZERO
from bitflow.importers.pixels import Pixels
from bitflow.importers.source import Settings, Source, open_source
from bitflow.ir import PackedNetwork
from bitflow.learn.data.sources import load_data
from bitflow.lower.fuse import explain, fuse
from bitflow.lower.pack import pack

__all__ = ["import_file"]

_LAYERS = ("layer", "kind", "shape", "R", "flipped", "constant")
_ROUNDING = 1e-5  # of the largest logit: two logits nearer than this a float32 runtime may order either way


def import_file(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="An .onnx, .h5, .keras or .pt file.")],
    to: options.OutputFile = Path("model.bfn"),
    pixels: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="I",
            help="How the source scaled a pixel p: raw p, unit p/255, signed (p-128)/128, MEAN,STD "
            "(p/255-MEAN)/STD; M;M;M,S;S;S for each channel. [unit for ONNX, raw for Keras and torch]",
        ),
    ] = None,
    check: Annotated[
        str | None, typer.Option("--check", metavar="DATA", help="Compare with the source itself on test images.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Check the first N test images only.")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW[xC]", help="Size of the input, where SRC does not give it.")
    ] = None,
    module: Annotated[
        str | None, typer.Option(metavar="FILE.py:CLASS", help="The torch class that a state dict belongs to.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The network's name. [the file's]")] = None,
    labels: Annotated[str | None, typer.Option(metavar="A,B,...", help="Names of the classes.")] = None,
    sign_zero: Annotated[
        Literal["plus", "minus"] | None, typer.Option(help="What to use for sign(0), where the source's sign gives 0.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Import a binary network that was trained elsewhere. What cannot be kept exactly is refused: layer and reason.

    Examples: bitflow import net.onnx -o net.bfn --check idx:mnist; bitflow import larq.h5;
    bitflow import weights.pt --module net.py:Net --size 32x32x3 --input 0.5,0.5
    """
    opened = _open(source, pixels, size, module, name, labels, sign_zero)
    network = opened.imported.network
    fused = fuse(network)
    packed = pack(fused)
    facts: dict[str, Any] = {"checked": False, "label_mismatches": None, "max_score_difference": None}
    if check is not None:
        facts = _check(opened, packed, check, limit)
    save(packed, to)
    rows = [(f.name, f.kind, f.shape, f.bound, f.flipped, f.constant) for f in explain(network, fused)]
    _show(source, to, opened, packed, facts, rows, as_json)
    unexplained = (facts["label_mismatches"] or 0) - facts.get("by_rounding", 0)
    if unexplained:
        raise CheckFailed(f"{unexplained} of {facts['images']} labels differ from the source's")


def _open(
    source: Path,
    pixels: str | None,
    size: str | None,
    module: str | None,
    name: str | None,
    labels: str | None,
    sign_zero: str | None,
) -> Source:
    settings = Settings(
        None if pixels is None else Pixels.parse(pixels),
        None if size is None else project.parse_size(size, any_channels=True),
        name,
        () if labels is None else tuple(labels.split(",")),
        SIGN_OF_ZERO[sign_zero],
        module,
    )
    return open_source(source, settings)


def _check(opened: Source, packed: PackedNetwork, data: str, limit: int | None) -> dict[str, Any]:
    """Run the source and the packed network side by side on test images."""
    shape = packed.input_spec.shape
    pictures = data.partition(":")[0] == "folder"
    images = load_data(data, (shape.height, shape.width, shape.channels) if pictures else None).test.images[:limit]
    if images[0].size == shape.size:
        images = images.reshape(len(images), shape.height, shape.width, shape.channels)
    wanted = []
    with output.counter("source", len(images)) as advance:
        for start in range(0, len(images), 100):
            wanted.append(opened.run(packed.input_spec.check(images[start : start + 100])))
            advance(len(wanted[-1]))
    floats = np.concatenate(wanted).astype(np.float64)
    try:
        scores = HostEngine(packed).scores(images)
    except MissingError:
        scores = run_packed(packed, images).scores
    if packed.logits is None or floats.shape != scores.shape:
        raise InputError(f"the source gives {floats.shape[1]} numbers an image, the network {scores.shape[1]} scores")
    logits = packed.logits.scale * scores + packed.logits.offset
    mine, theirs = scores.argmax(axis=1), floats.argmax(axis=1)
    differ = np.flatnonzero(mine != theirs)
    gap = np.abs(floats[differ, mine[differ]] - floats[differ, theirs[differ]])
    largest = float(np.abs(floats).max()) or 1.0
    return {
        "checked": True,
        "images": len(images),
        "label_mismatches": len(differ),
        "by_rounding": int(np.count_nonzero(gap <= _ROUNDING * largest)),
        "max_score_difference": float(np.abs(logits - floats).max()),
        "largest_score": largest,
    }


def _show(
    source: Path,
    to: Path,
    opened: Source,
    packed: PackedNetwork,
    facts: dict[str, Any],
    rows: Sequence[tuple[object, ...]],
    as_json: bool,
) -> None:
    size, crc = len(Image.of(packed).data), f"{Image.of(packed).crc32:08x}"
    notes = opened.imported.notes
    if as_json:
        head = {"source": str(source), "output": str(to), "name": packed.name, "bytes": size, "crc32": crc}
        layers = [dict(zip(_LAYERS, row, strict=True)) for row in rows]
        output.print_json({**head, **facts, "notes": list(notes), "layers": layers})
        return
    output.print_table(_LAYERS, rows)
    for line in notes:
        output.note(line)
    if facts["checked"]:
        mismatches = str(facts["label_mismatches"])
        if facts["by_rounding"]:
            mismatches += (
                f", {facts['by_rounding']} of them where the source's two best logits are nearer than its rounding"
            )
        output.print_facts(
            {
                "checked": f"{facts['images']} images against {opened.kind}",
                "label mismatches": mismatches,
                "max score difference": f"{facts['max_score_difference']:.3g} of {facts['largest_score']:.3g}",
            }
        )
    output.note(f"wrote {to}: {size} bytes, CRC {crc}")
