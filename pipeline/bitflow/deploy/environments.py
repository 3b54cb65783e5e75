"""The files of a firmware project that follow from the board table: PlatformIO's environments and linker scripts."""

from __future__ import annotations

from collections.abc import Mapping

from bitflow.boards import DEFAULT_BOARD, Board, boards
from bitflow.cores import core_of
from bitflow.emit import codegen

__all__ = ["files", "protocol"]

_PROTOCOLS = {"pyocd": "cmsis-dap", "uf2": "picotool"}  # PlatformIO's names of methods, where they differ


def files(arena_bytes: int, default: str = DEFAULT_BOARD, methods: Mapping[str, str] | None = None) -> dict[str, str]:
    """Path in the project -> text: boards.ini, and a linker script for each board without a framework.

    arena_bytes: size of the network's arena, which decides where it lies.
    default: the board that `pio run` builds.
    methods: board -> upload method, if not its first one.
    """
    built = [board for board in boards() if board.buildable]
    protocols = {board.name: protocol(board, (methods or {}).get(board.name)) for board in built}
    cores = {board.name: core_of(board.cpu) for board in built}
    texts = {
        "boards.ini": codegen.render("boards.ini", boards=built, cores=cores, default=default, protocols=protocols)
    }
    for board in built:
        if board.bare is not None:
            fits = arena_bytes <= board.bare.dtcm - board.bare.stack
            texts[f"platform/ld/{board.name}.ld"] = codegen.render("board.ld", b=board, arena_fits=fits)
    return texts


def protocol(board: Board, method: str | None = None) -> str:
    """PlatformIO's name of an upload method; "" for a board without any."""
    if board.upload is None:
        return ""
    asked = method if method in board.upload.methods else board.upload.methods[0]
    return dict(board.upload.protocols).get(asked, _PROTOCOLS.get(asked, asked))
