"""The board table: what a board is, and whether it can be built, emulated or was run on silicon."""

from __future__ import annotations

import difflib
import functools
import tomllib
from dataclasses import dataclass
from typing import Any, Literal

from bitflow import resources
from bitflow.errors import InputError

__all__ = ["DEFAULT_BOARD", "Board", "Status", "board", "boards"]

DEFAULT_BOARD = "qemu-m4"

Status = Literal["host", "emulated", "planned", "silicon"]

_SAYS = {
    "host": "runs on this computer",
    "emulated": "built by PlatformIO, run in QEMU",
    "planned": "not built yet: known by name only",
    "silicon": "built by PlatformIO, run on the real board",
}


@dataclass(frozen=True, slots=True)
class Board:
    """A row of the table. flash, ram: bytes. clock_hz: of the core. baud: of the serial link.

    cpuid: the part number in the core's CPUID register. machine: QEMU's name of the board, None if it is not emulated.
    roomy: a board with the same core and more RAM. mpy: MicroPython's name of its architecture, None where it has no
    MicroPython. A board's PlatformIO environment has the board's name.
    """

    name: str
    title: str
    status: Status
    aliases: tuple[str, ...] = ()
    cpu: str | None = None
    cpuid: int | None = None
    flash: int | None = None
    ram: int | None = None
    clock_hz: int | None = None
    machine: str | None = None
    mpy: str | None = None
    baud: int = 115200
    roomy: str | None = None

    @property
    def emulated(self) -> bool:
        return self.machine is not None

    @property
    def buildable(self) -> bool:
        """Whether there is firmware for it."""
        return self.status in ("emulated", "silicon")

    @property
    def says(self) -> str:
        """Its status in words."""
        return _SAYS[self.status]

    def is_core(self, cpuid: int) -> bool:
        """Whether a CPUID register's value is this board's core."""
        return self.cpuid is None or cpuid >> 4 & 0xFFF == self.cpuid


@functools.cache
def boards() -> tuple[Board, ...]:
    """All boards, in the table's order."""
    table: dict[str, dict[str, Any]] = tomllib.loads(resources.board_table().read_text(encoding="utf-8"))
    rows = []
    for name, row in table.items():
        fields = {**row, "aliases": tuple(row.get("aliases", ()))}
        rows.append(Board(name=name, **fields))
    return tuple(rows)


def board(name: str) -> Board:
    """The board of a name or alias; InputError names those that sound like it."""
    names = {key: row for row in boards() for key in (row.name, *row.aliases)}
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(row.name for row in boards())}"
        raise InputError(f"no board {name!r}: {hint}")
    return names[name]
