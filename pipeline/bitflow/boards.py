"""The board table: what a board is, how firmware is built and uploaded, and how far that was tested.

Its rows come from hil/boards.toml, and from a boards.toml of the user's beside the project's bitflow.toml.
"""

from __future__ import annotations

import difflib
import functools
import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from bitflow import resources
from bitflow.errors import InputError

__all__ = ["DEFAULT_BOARD", "Bare", "Board", "Method", "MicroPython", "Platform", "Status", "Upload", "board", "boards"]

DEFAULT_BOARD = "qemu-m4"
FILE_NAME = "boards.toml"

Status = Literal["host", "emulated", "built", "compiled", "silicon"]
Method = Literal["stlink", "dfu", "pyocd", "uf2", "serial"]

_SAYS = {
    "host": "runs on this computer",
    "emulated": "built by PlatformIO, run in QEMU",
    "built": "built by PlatformIO, not run on silicon",
    "compiled": "Arduino port, compiled against a stand-in, not run on silicon",
    "silicon": "built by PlatformIO, run on the real board",
}


@dataclass(frozen=True, slots=True)
class Bare:
    """Firmware without a framework, built by the arm-none-eabi-gcc on PATH.

    port: files of firmware/src/boards, beside the core's own.
    flash_at, ram_at: addresses.
    stack, itcm, dtcm: bytes; 0 for itcm or dtcm: the chip has none.
    defines: macros for the port's files.
    """

    port: tuple[str, ...]
    flash_at: int
    ram_at: int
    stack: int
    itcm: int = 0
    dtcm: int = 0
    float_abi: str = "soft"
    defines: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Platform:
    """Firmware on the Arduino framework.

    platform, board: PlatformIO's names.
    options: more options of the PlatformIO environment.
    """

    platform: str
    board: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Upload:
    """How firmware gets onto the board.

    methods: the preferred one first.
    usb: "vid:pid" in hex, of the board's probes and ports.
    openocd, pyocd: the chip's name in these tools.
    protocols: PlatformIO's names of methods, where they differ.
    """

    methods: tuple[Method, ...]
    usb: tuple[str, ...]
    openocd: str = ""
    pyocd: str = ""
    protocols: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class MicroPython:
    """MicroPython on a board.

    arch: MicroPython's name of the architecture.
    board: MicroPython's name of the board; "" for an emulated board.
    """

    arch: str
    board: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """A row of the table. A board's PlatformIO environment has the board's name.

    cpuid: the part number in the core's CPUID register.
    flash, ram: bytes.
    clock_hz: the core's clock.
    machine: QEMU's name of the board; None: not emulated.
    baud: speed of the serial link.
    roomy: a board with the same core and more RAM.
    bare, pio: how firmware is built; the host has neither.
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
    mpy: MicroPython | None = None
    baud: int = 115200
    roomy: str | None = None
    bare: Bare | None = None
    pio: Platform | None = None
    upload: Upload | None = None

    @property
    def emulated(self) -> bool:
        return self.machine is not None

    @property
    def buildable(self) -> bool:
        """Whether firmware can be built for the board."""
        return self.bare is not None or self.pio is not None

    @property
    def says(self) -> str:
        """Its status in words."""
        return _SAYS[self.status]

    def is_core(self, cpuid: int) -> bool:
        """Whether a CPUID register's value is this board's core."""
        return self.cpuid is None or cpuid >> 4 & 0xFFF == self.cpuid


def boards() -> tuple[Board, ...]:
    """All boards, in the table's order; the user's come last. Raises InputError for a table that cannot be read."""
    own = (resources.project_folder() or Path.cwd()) / FILE_NAME
    if not own.is_file():
        return _read(resources.board_table())
    return _merged(_read(resources.board_table()), _read(own), own)


def board(name: str) -> Board:
    """The board with a name or alias. Raises InputError, which names similar boards."""
    rows = boards()
    names = {key: row for row in rows for key in (row.name, *row.aliases)}
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(row.name for row in rows)}"
        raise InputError(f"no board {name!r}: {hint}")
    return names[name]


def _merged(shipped: tuple[Board, ...], own: tuple[Board, ...], path: Path) -> tuple[Board, ...]:
    taken = {key for row in shipped for key in (row.name, *row.aliases)}
    for row in own:
        for key in (row.name, *row.aliases):
            if key in taken:
                raise InputError(f"{path}: a board {key} already exists")
            taken.add(key)
    return shipped + own


@functools.lru_cache(maxsize=8)
def _parsed(text: str, path: Path) -> tuple[Board, ...]:
    try:
        table = tomllib.loads(text)
        return tuple(_value(Board, {"name": name, **_table(row, name)}, name) for name, row in table.items())
    except (InputError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: {error}") from error


def _read(path: Path) -> tuple[Board, ...]:
    try:
        return _parsed(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error


# ---- TOML into dataclasses; unknown keys and wrong types are errors. ----


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where} is no table")
    return value


def _value(kind: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is types.UnionType:
        return _value(inner[0], value, where)
    if is_dataclass(kind):
        return _row(kind, _table(value, where), where)
    if origin is tuple and get_origin(inner[0]) is tuple:
        return tuple((key, _value(str, text, f"{where}.{key}")) for key, text in _table(value, where).items())
    if origin is tuple and isinstance(value, list):
        return tuple(_value(inner[0], one, where) for one in value)
    if origin is Literal:
        if value not in inner:
            raise InputError(f"{where} is {value!r}, not one of {', '.join(inner)}")
    elif origin is tuple or type(value) is not kind:
        raise InputError(f"{where} is {value!r}, not {'a list' if origin is tuple else kind.__name__}")
    elif kind is int and value < 0:
        raise InputError(f"{where} is negative")
    return value


def _row(kind: Any, table: Mapping[str, Any], where: str) -> Any:
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1)
            raise InputError(f"unknown key {where}.{key}" + (f"; did you mean {near[0]}?" if near else ""))
    for field in fields(kind):
        if field.default is MISSING and field.name not in table:
            raise InputError(f"{where}.{field.name} is missing")
    return kind(**{key: _value(hints[key], value, f"{where}.{key}") for key, value in table.items()})
