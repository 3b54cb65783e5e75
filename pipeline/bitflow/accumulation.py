"""What makes the integer accumulator of a layer: weights of +-1 over pixels or bits.

Maps are [height, width, channels]; filters are [out, kernel height, kernel width, in / groups].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.geometry import InputContract, Shape, Window, require

__all__ = ["INT32_MAX", "Accumulation", "BinaryConv", "BinaryDense", "InputConv", "LayerKind", "freeze"]

INT32_MAX = 2**31 - 1

Int8 = npt.NDArray[np.int8]


def freeze(value: Any, name: str, dtype: npt.DTypeLike) -> None:
    """Replace the array field `name` of a frozen dataclass by a read-only, contiguous copy of type `dtype`."""
    array = np.array(getattr(value, name), dtype=dtype, order="C")
    array.setflags(write=False)
    object.__setattr__(value, name, array)


class LayerKind(IntEnum):
    """What makes the accumulator; the values are those of a `.bfn`."""

    INPUT_CONV = 0
    CONV = 1
    DENSE = 2


def _check_filters(weights: Int8, groups: int, source: Shape, where: str) -> None:
    require(weights.ndim == 4, f"{where}: filters must be [out, kh, kw, in / groups], got {weights.shape}")
    require(bool(np.all(np.abs(weights) == 1)), f"{where}: weights must be +1 or -1")
    require(1 <= len(weights) <= 65535, f"{where}: {len(weights)} output channels are outside 1..65535")
    require(
        groups >= 1 and source.channels % groups == 0 and len(weights) % groups == 0,
        f"{where}: {source.channels} -> {len(weights)} channels cannot be split into {groups} groups",
    )
    require(
        weights.shape[3] == source.channels // groups,
        f"{where}: filters take {weights.shape[3]} channels, the map gives {source.channels // groups} a group",
    )


def _target(source: Shape, window: Window, weights: Int8) -> Shape:
    return Shape(*window.over(source.height, source.width), len(weights))


def _taps(weights: Int8) -> int:
    return int(np.prod(weights.shape[1:]))


@dataclass(frozen=True, slots=True)
class InputConv:
    """Convolution of 8-bit pixels minus the zero point with +-1 weights. A padded tap does not count."""

    source: Shape
    weights: Int8 = field(repr=False)
    window: Window
    contract: InputContract
    groups: int = 1

    kind = LayerKind.INPUT_CONV
    pad_value = 0

    def __post_init__(self) -> None:
        freeze(self, "weights", np.int8)
        _check_filters(self.weights, self.groups, self.source, "input convolution")
        require(self.source == self.contract.shape, f"the first layer takes {self.source}, not the input's shape")
        require(self.weights.shape[1:3] == self.window.kernel, "filters and kernel disagree")
        require(self.reach <= INT32_MAX // 2, "input convolution: accumulators would not fit int32")

    @property
    def target(self) -> Shape:
        """The map of accumulators."""
        return _target(self.source, self.window, self.weights)

    @property
    def taps(self) -> int:
        """K, taps that enter one accumulator."""
        return _taps(self.weights)

    @property
    def reach(self) -> int:
        """R, the largest absolute accumulator."""
        return self.taps * self.contract.reach


@dataclass(frozen=True, slots=True)
class BinaryConv:
    """Convolution of bits with +-1 weights. A padded tap is -1 or +1, or (0) does not count."""

    source: Shape
    weights: Int8 = field(repr=False)
    window: Window
    groups: int = 1
    pad_value: int = -1

    kind = LayerKind.CONV

    def __post_init__(self) -> None:
        freeze(self, "weights", np.int8)
        _check_filters(self.weights, self.groups, self.source, "binary convolution")
        require(self.weights.shape[1:3] == self.window.kernel, "filters and kernel disagree")
        require(self.pad_value in (-1, 0, 1), f"padding value {self.pad_value} is none of -1, 0, +1")

    @property
    def target(self) -> Shape:
        """The map of accumulators."""
        return _target(self.source, self.window, self.weights)

    @property
    def taps(self) -> int:
        """K, taps that enter one accumulator."""
        return _taps(self.weights)

    @property
    def reach(self) -> int:
        """R, the largest absolute accumulator."""
        return self.taps


@dataclass(frozen=True, slots=True)
class BinaryDense:
    """Fully connected layer over a map of bits: weights [out, height, width, channels] of +-1."""

    source: Shape
    weights: Int8 = field(repr=False)

    kind = LayerKind.DENSE
    groups = 1
    pad_value = 0

    def __post_init__(self) -> None:
        freeze(self, "weights", np.int8)
        _check_filters(self.weights, 1, self.source, "dense layer")
        want = (self.source.height, self.source.width)
        require(self.weights.shape[1:3] == want, f"dense weights are for {self.weights.shape[1:]}, not {self.source}")

    @property
    def window(self) -> Window:
        return Window((self.source.height, self.source.width))

    @property
    def target(self) -> Shape:
        """The map of accumulators."""
        return _target(self.source, self.window, self.weights)

    @property
    def taps(self) -> int:
        """K, taps that enter one accumulator."""
        return _taps(self.weights)

    @property
    def reach(self) -> int:
        """R, the largest absolute accumulator."""
        return self.taps


Accumulation = InputConv | BinaryConv | BinaryDense
