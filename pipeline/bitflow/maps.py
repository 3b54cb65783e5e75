"""Maps, which pass from layer to layer, the kinds of layer that make them, and their limits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from bitflow.geometry import Shape

__all__ = [
    "BOUND_LIMIT",
    "INT32_MAX",
    "MAX_SOURCES",
    "MAX_THRESHOLDS",
    "LayerKind",
    "Map",
    "MapType",
    "freeze",
]

INT32_MAX = 2**31 - 1
BOUND_LIMIT = 2**30 - 1  # no accumulator is larger: twice as much still fits int32
MAX_SOURCES = 4  # maps that one layer reads, at most
MAX_THRESHOLDS = 8  # bits that one accumulator gives, at most


def freeze(value: Any, name: str, dtype: npt.DTypeLike) -> None:
    """Replace the array field `name` of a frozen dataclass by a read-only, contiguous copy of type `dtype`."""
    array = np.array(getattr(value, name), dtype=dtype, order="C")
    array.setflags(write=False)
    object.__setattr__(value, name, array)


class LayerKind(IntEnum):
    """How a layer makes its accumulators; the values are those of a `.bfn`."""

    INPUT_CONV = 0  # pixels, weights of +-1
    CONV = 1  # bits, weights of +-1
    DENSE = 2  # bits of the whole map, weights of +-1
    WIDE_CONV = 3  # pixels, bits or integers with int8 weights; integers with weights of +-1
    SUM = 4  # of maps of one shape, bits (+-1) or integers
    CONCAT = 5  # bits, channel after channel
    TOTAL = 6  # of each channel over all positions, bits (+-1) or integers: the global average times their number

    @property
    def has_filters(self) -> bool:
        """Whether the layer multiplies by weights."""
        match self:
            case LayerKind.INPUT_CONV | LayerKind.CONV | LayerKind.DENSE | LayerKind.WIDE_CONV:
                return True
            case LayerKind.SUM | LayerKind.CONCAT | LayerKind.TOTAL:
                return False
            case _:
                assert_never(self)

    @property
    def takes_whole_map(self) -> bool:
        """Whether each output is made from the whole map: the kernel is the map."""
        match self:
            case LayerKind.DENSE | LayerKind.TOTAL:
                return True
            case LayerKind.INPUT_CONV | LayerKind.CONV | LayerKind.WIDE_CONV | LayerKind.SUM | LayerKind.CONCAT:
                return False
            case _:
                assert_never(self)


class MapType(IntEnum):
    """What a map holds; the values are those of a `.bfn`. PIXELS, the input's, is not in a `.bfn`."""

    BITS = 0
    SCORES = 1
    INTEGERS = 2
    PIXELS = 3


@dataclass(frozen=True, slots=True)
class Map:
    """A map that passes between two layers.

    bound: largest absolute value; 1 for bits; for pixels, that of pixel - zero point.
    """

    shape: Shape
    type: MapType = MapType.BITS
    bound: int = 1
