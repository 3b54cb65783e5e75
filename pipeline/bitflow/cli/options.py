"""Arguments and options that several commands share, so that they read alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Against", "Board", "Data", "Json", "Model", "OutputFile"]

Model = Annotated[
    str | None,
    typer.Argument(metavar="[MODEL]", help="A .bfn file or builtin:digits. Inside a project: its model.bfn."),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="SOURCE", help="digits, idx:DIR, npz:FILE or folder:DIR. [the project's, or digits]"
    ),
]
Against = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The float network. [the project's model.pt, if it fuses to this network]"),
]
Board = Annotated[
    str | None, typer.Option("--board", metavar="NAME", help="See: bitflow boards. [the project's, or qemu-m4]")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
OutputFile = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where the packed network goes.")]
