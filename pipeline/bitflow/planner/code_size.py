"""What the C library's parts take in flash, and which of them a network links.

A test measures all parts on all cores, and prints what it finds beside these numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bitflow.planner.kernels.table import KERNELS

__all__ = ["BASE_BYTES", "CODE_PARTS", "COLUMNS", "CodePart", "code_bytes"]

COLUMNS = ("v6m", "v7m", "mve")
"""The cores whose code was measured, in the order of a part's sizes."""

_BASE = "the run of a network"
_BYTES = {
    _BASE: (1152, 1024, 1040),
    "division": (288, 0, 0),
    "bit planes": (1856, 1600, 1664),
    "pools of any windows": (448, 464, 464),
    "bits before a pool": (48, 48, 48),
    "pool of positions": (512, 416, 432),
    "bits of a position": (224, 224, 240),
    "bits put together": (144, 112, 112),
    "filter patterns": (3600, 3088, 3616),
    "thresholds of filter patterns": (0, 0, 0),
    "copies of the input": (1300, 1200, 1300),
    "exact zeros": (2640, 3600, 3264),
    "adder of 16-bit lists": (720, 720, 1328),
    "sums of maps": (208, 192, 208),
    "sums of pixels": (3024, 3392, 2896),
    "thresholds of sums": (0, 0, 0),
    "plain first layer, wide convolution": (1216, 1136, 1136),
    "plain first layer": (32, 32, 32),
    "16-bit lists of a plan": (64, 64, 64),
    "8-bit lists of a plan and their adder": (800, 1008, 1664),
    "set bits": (1312, 1280, 1344),
    "lists made in RAM": (2400, 1984, 2208),
    "their limits, exact zeros": (1072, 1008, 992),
    "plain convolution": (624, 592, 608),
    "plain dense layer": (432, 400, 400),
    "wide convolution": (32, 32, 32),
    "sum": (176, 160, 160),
    "concatenation": (208, 208, 192),
    "total": (128, 128, 128),
}


@dataclass(frozen=True, slots=True)
class CodePart:
    """A part of the C library's code.

    bytes: at most, on each core of COLUMNS.
    symbols: the kernels that need it, as bitflow.h calls them.
    """

    name: str
    bytes: tuple[int, ...]
    symbols: frozenset[str]


def _symbols(part: str) -> frozenset[str]:
    linked = {form.symbol: form.code for spec in KERNELS.values() for form in spec.forms}
    return frozenset(symbol for symbol, parts in linked.items() if part == _BASE or part in parts)


CODE_PARTS = tuple(CodePart(name, sizes, _symbols(name)) for name, sizes in _BYTES.items())
BASE_BYTES = max(_BYTES[_BASE])
"""The least that any network links."""


def code_bytes(symbols: Iterable[str]) -> int:
    """Bytes of code that a network links which names these kernels of bitflow.h: at most, on any core of COLUMNS."""
    used = set(symbols)
    parts = [part.bytes for part in CODE_PARTS if part.symbols & used]
    return max((sum(sizes) for sizes in zip(*parts, strict=True)), default=0)
