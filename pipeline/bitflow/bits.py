"""Bits: +-1 values, their 32-bit words, and the sign that makes them. Bit order is defined only here.

A bit 1 means +1, a bit 0 means -1, and sign(0) = +1. Packed, bit i is bit i % 32 of word i // 32, least significant
first; unused high bits of the last word are 0. A *channel-packed* map has the channels of each pixel packed so:
[H, W, words].
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["WORD", "pack", "popcount", "sign", "unpack", "words_for"]

WORD = 32


def words_for(count: int) -> int:
    """Words that hold `count` bits."""
    return -(-count // WORD)


def sign(values: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """+1 where a value is >= 0 (also -0.0), else -1; int8 of the same shape."""
    return np.where(values >= 0, np.int8(1), np.int8(-1))


def pack(values: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """Pack +-1 (or booleans) along the last axis: [..., n] -> uint32 [..., words_for(n)]."""
    values = np.asarray(values)
    ones = values if values.dtype == np.bool_ else values > 0
    width = words_for(values.shape[-1]) * WORD
    padded = np.zeros((*values.shape[:-1], width), dtype=np.bool_)
    padded[..., : values.shape[-1]] = ones
    return np.packbits(padded, axis=-1, bitorder="little").view("<u4").astype(np.uint32)


def unpack(words: npt.NDArray[np.uint32], count: int) -> npt.NDArray[np.int8]:
    """The opposite of `pack`: uint32 [..., words] -> int8 +-1 [..., count]."""
    flat = np.ascontiguousarray(words, dtype="<u4")
    ones = np.unpackbits(flat.view(np.uint8), axis=-1, count=count, bitorder="little")
    return (ones.astype(np.int8) * 2 - 1).astype(np.int8)


def popcount(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """The number of 1 bits in each word."""
    return np.bitwise_count(words)
