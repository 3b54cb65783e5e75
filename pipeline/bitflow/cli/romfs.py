"""The command that writes a ROMFS image: romfs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bitflow.cli import options, output
from bitflow.cli.context import Context
from bitflow.emit import romfs as writer
from bitflow.files import write_atomic
from bitflow.geometry import require
from bitflow.image.bfn import Image

__all__ = ["romfs"]


def romfs(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help=".bfn files or builtin:digits. [the project's]")
    ] = None,
    out: options.OutputFile = Path("model.romfs"),
) -> None:
    """Write networks as a ROMFS image for MicroPython, aligned so that they are used in place and not copied.

    Example: bitflow romfs model.bfn -o model.romfs, then mpremote romfs deploy model.romfs
    """
    wanted: list[str | None] = list(models) if models else [None]
    here = Context.here()
    networks = [here.network(model) for model in wanted]
    require(len({network.name for network in networks}) == len(networks), "two networks have the same name")
    content = writer.romfs({f"{network.name}.bfn": Image.of(network).data for network in networks})
    write_atomic(out, content)
    names = ", ".join(f"/rom/{network.name}.bfn" for network in networks)
    output.note(f"wrote {out}: {len(content)} bytes with {names}")
