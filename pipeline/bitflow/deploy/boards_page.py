"""Writes the table in docs/boards.md from the board table: python -m bitflow.deploy.boards_page docs/boards.md."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from bitflow.boards import boards

__all__ = ["table", "written"]

_TRIED = {
    "emulated": ("yes", "yes", "an emulator"),
    "built": ("yes", "", "not run on silicon"),
    "compiled": ("compiled", "", "not run on silicon"),
    "silicon": ("yes", "", "yes"),
}


def table() -> str:
    """The boards with firmware, as a Markdown table."""
    rows = ["| board | core | flash | RAM | firmware | MicroPython | flashed by | built | emulated | run on |"]
    rows.append("|" + "---|" * 10)
    for board in boards():
        if board.status == "host":
            continue
        names = " = ".join(f"`{name}`" for name in (board.name, *board.aliases))
        firmware = "bare" if board.bare else f"Arduino, `{board.pio.board}`" if board.pio else ""
        python = "" if board.mpy is None else f"`{board.mpy.board or 'emulated'}`, {board.mpy.arch}"
        methods = ", ".join(board.upload.methods) if board.upload else ""
        sizes = (f"{(size or 0) // 1024} KB" for size in (board.flash, board.ram))
        tried = _TRIED[board.status]
        cells = (f"{names}: {board.title}", board.cpu or "", *sizes, firmware, python, methods, *tried)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def written(page: str) -> str:
    """The page, with the table between its marks."""
    return re.sub(r"(<!-- boards -->\n).*?(<!-- end -->)", rf"\g<1>{table()}\g<2>", page, flags=re.DOTALL)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
