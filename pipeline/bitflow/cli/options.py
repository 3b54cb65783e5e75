"""Arguments and options that several commands share, so that they read alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bitflow.learn.recipe import recipe_names

__all__ = [
    "NETWORKS",
    "SOURCES",
    "Against",
    "Architecture",
    "Board",
    "Data",
    "Json",
    "Model",
    "Optimize",
    "OutputFile",
    "Size",
    "Width",
]

SOURCES = (
    "digits, idx:DIR, cifar10:DIR, npz:FILE, sound:FILE, folder:DIR, imagenet:DIR, "
    "hands:DIR[@COLUMN] or signs:DIR[@two]"
)
NETWORKS = f"A name ({', '.join(recipe_names())}) or layers, as 'conv3x3:32 conv3x3:64/pool2'"

Model = Annotated[
    str | None,
    typer.Argument(metavar="[MODEL]", help="A .bfn file or builtin:digits. Inside a project: its model.bfn."),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="SOURCE",
        help=f"{SOURCES}. [the project's, or digits]",
    ),
]
Architecture = Annotated[str, typer.Option("--architecture", metavar="NETWORK", help=f"{NETWORKS}.")]
Size = Annotated[str | None, typer.Option("--size", metavar="HxW[xC]", help="Resize the pictures of a folder to this.")]
Width = Annotated[float, typer.Option("--width", metavar="FACTOR", help="Multiply all channels by this, as 0.25.")]
Against = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The float network. [the project's model.pt, if it fuses to this network]"),
]
Board = Annotated[
    str | None, typer.Option("--board", metavar="NAME", help="See: bitflow boards. [the project's, or qemu-m4]")
]
Optimize = Annotated[
    Literal["balanced", "speed", "flash", "ram"],
    typer.Option(
        "--optimize", help="What kernels are chosen for: few instructions, little flash, little RAM, or a balance."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
OutputFile = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where to write the packed network.")]
