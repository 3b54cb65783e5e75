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
    _BASE: (1136, 960, 992),  # and what the linker adds between parts
    "division": (288, 0, 0),
    "bit planes": (1936, 1680, 1744),
    "pools of any windows": (352, 368, 368),
    "bits before a pool": (48, 48, 48),
    "pool of positions": (512, 416, 432),
    "bits of a position": (256, 224, 240),
    "bits put together": (144, 112, 112),
    "filter patterns": (3360, 2352, 2896),
    "one threshold of filter patterns": (320, 800, 784),
    "thresholds of filter patterns": (608, 1280, 1168),
    "copies of the input": (2192, 2048, 2032),
    "exact zeros": (2000, 3056, 2720),
    "adder of 16-bit lists": (704, 704, 1312),
    "sums of maps": (240, 224, 224),
    "sums of pixels": (3440, 3616, 3424),
    "thresholds of sums": (64, 1040, 64),
    "plain first layer, wide convolution": (1504, 1376, 1392),
    "plain first layer": (32, 32, 32),
    "16-bit lists of a plan": (160, 160, 160),
    "8-bit lists of a plan and their adder": (896, 1088, 1744),
    "set bits": (1488, 1472, 1568),
    "lists made in RAM": (2720, 2288, 2480),
    "their limits, exact zeros": (1360, 1296, 1280),
    "plain convolution": (1008, 928, 928),
    "plain dense layer": (720, 672, 640),
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


def code_bytes(symbols: Iterable[str], core: str = "") -> int:
    """Bytes of code that a network links which names these kernels of bitflow.h, at most. core: of COLUMNS, or any."""
    used = set(symbols)
    parts = [part.bytes for part in CODE_PARTS if part.symbols & used]
    sums = [sum(sizes) for sizes in zip(*parts, strict=True)]
    return sums[COLUMNS.index(core)] if core in COLUMNS and sums else max(sums, default=0)
