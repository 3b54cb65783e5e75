"""Names, comments and numbers as C text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.errors import InputError

__all__ = ["ArrayView", "comment", "escape", "identifier", "number", "rows"]

# Reserved words of C and C++, and the library's own name.
_KEYWORDS = frozenset(
    """auto bitflow bool break case char class const continue default delete do double else enum extern false float for
    goto if inline int long namespace new operator private protected public register restrict return short signed sizeof
    static struct switch template this true typedef union unsigned void volatile while""".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class ArrayView:
    """A named array.

    rows: initialisers, one string per line.
    nested: each row is an array.
    """

    name: str
    type: str
    dimensions: str
    comment: str
    rows: tuple[str, ...]


def identifier(name: str) -> str:
    """A lower-case C identifier like the name, with a prefix if needed. Raises InputError if nothing of it remains."""
    words = re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")
    if not words:
        raise InputError(f"no C name can be made of {name!r}: give one with letters or digits")
    return f"net_{words}" if words[0].isdigit() or words in _KEYWORDS else words


def escape(text: str) -> str:
    """Text for inside a C string literal; may contain NUL. All but plain characters become three octal digits."""
    plain = re.compile(rb"[0-9A-Za-z _.,:;+*/()<>=-]")
    return "".join(chr(byte) if plain.match(bytes([byte])) else f"\\{byte:03o}" for byte in text.encode() + b"\0")


def comment(text: str) -> str:
    """Text made safe for a C comment on one line."""
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable.replace("*/", "* /").replace("/*", "/ *")


def rows(values: npt.NDArray[Any], per_row: int = 8) -> tuple[str, ...]:
    """Numbers of a one-dimensional array as initialisers, `per_row` to a line."""
    lines = (values[i : i + per_row] for i in range(0, len(values), per_row))
    return tuple(", ".join(number(v) for v in line) + "," for line in lines)


def number(value: Any) -> str:
    """A number of an array as a C literal."""
    if isinstance(value, np.uint32):
        return f"0x{int(value):08X}u"
    # The smallest int32 has no literal of its own.
    return "(-2147483647 - 1)" if int(value) == -(2**31) else str(int(value))
