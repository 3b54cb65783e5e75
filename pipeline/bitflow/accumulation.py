"""How the integer accumulators of a layer are made: weights times pixels, bits or integers, or sums of maps.

Maps are [height, width, channels]; filters are [out, kernel height, kernel width, in / groups].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bitflow.geometry import InputSpec, Shape, Window, require
from bitflow.maps import BOUND_LIMIT, INT32_MAX, MAX_SOURCES, MAX_THRESHOLDS, LayerKind, Map, MapType, freeze

__all__ = [
    "BOUND_LIMIT",
    "INT32_MAX",
    "MAX_SOURCES",
    "MAX_THRESHOLDS",
    "Accumulation",
    "BinaryConv",
    "BinaryDense",
    "Concat",
    "InputConv",
    "IntegerConv",
    "LayerKind",
    "Map",
    "MapType",
    "Sum",
    "Total",
    "freeze",
]

Int8 = npt.NDArray[np.int8]


def _check_filters(weights: Int8, groups: int, source: Shape, where: str) -> None:
    require(weights.ndim == 4, f"{where}: filters must be [out, kh, kw, in / groups], got {weights.shape}")
    require(bool(np.all(weights != -128)), f"{where}: weights must be -127..127")
    require(1 <= len(weights) <= 65535, f"{where}: {len(weights)} output channels are outside 1..65535")
    require(
        groups >= 1 and source.channels % groups == 0 and len(weights) % groups == 0,
        f"{where}: {source.channels} -> {len(weights)} channels cannot be split into {groups} groups",
    )
    require(
        weights.shape[3] == source.channels // groups,
        f"{where}: filters take {weights.shape[3]} channels, the map gives {source.channels // groups} a group",
    )


def _check_thresholds(thresholds: int, channels: int, groups: int, where: str) -> None:
    require(1 <= thresholds <= MAX_THRESHOLDS, f"{where}: {thresholds} thresholds are outside 1..{MAX_THRESHOLDS}")
    fits = channels % (thresholds * groups) == 0
    require(fits, f"{where}: {channels} channels are not {groups} groups of values of {thresholds} bits")


class _Filters(ABC):
    """What all accumulations with filters share; their numbers follow from source map, weights and window.

    heaviest: the largest sum of absolute weights of a filter.
    """

    __slots__ = ()

    source: Shape
    weights: Int8
    window: Window
    groups: int
    in_thresholds: int
    heaviest: int

    @property
    def target(self) -> Shape:
        """The map of accumulators."""
        return Shape(*self.window.over(self.source.height, self.source.width), len(self.weights))

    @property
    def taps(self) -> int:
        """K, taps that enter one accumulator."""
        return int(np.prod(self.weights.shape[1:]))

    @property
    @abstractmethod
    def inputs(self) -> tuple[Map, ...]:
        """The maps that the accumulators are made from."""

    @property
    def bound(self) -> int:
        """R, the largest absolute accumulator: K for bits and +-1 weights."""
        return self.heaviest * self.inputs[0].bound

    @property
    def shared(self) -> bool:
        """Whether a value of several bits has one weight for all of them, in every filter."""
        of_values = self.weights.reshape(*self.weights.shape[:3], self.in_thresholds, -1)
        return self.in_thresholds > 1 and bool(np.all(of_values == of_values[..., :1, :]))

    def _check(self, where: str, binary_kind: LayerKind) -> None:
        """Freeze the weights, set `kind` and `heaviest`, and check the rest."""
        freeze(self, "weights", np.int8)
        _check_filters(self.weights, self.groups, self.source, where)
        binary = bool(np.all(np.abs(self.weights) == 1))
        heaviest = self.taps if binary else int(np.abs(self.weights).sum(axis=(1, 2, 3), dtype=np.int64).max())
        object.__setattr__(self, "kind", binary_kind if binary else LayerKind.WIDE_CONV)
        object.__setattr__(self, "heaviest", heaviest)
        require(self.weights.shape[1:3] == self.window.kernel, f"{where}: filters and kernel disagree")
        require(self.bound <= BOUND_LIMIT, f"{where}: accumulators up to {self.bound} would not fit int32")


@dataclass(frozen=True, slots=True)
class InputConv(_Filters):
    """Convolution of 8-bit pixels minus the zero point with +-1 or int8 weights. A padded tap does not count."""

    source: Shape
    weights: Int8 = field(repr=False)
    window: Window
    input_spec: InputSpec
    groups: int = 1
    kind: LayerKind = field(init=False, repr=False, compare=False)
    heaviest: int = field(init=False, repr=False, compare=False)

    pad_value = 0
    in_thresholds = 1

    def __post_init__(self) -> None:
        self._check("input convolution", LayerKind.INPUT_CONV)
        require(self.source == self.input_spec.shape, f"the first layer takes {self.source}, not the input's shape")

    @property
    def inputs(self) -> tuple[Map, ...]:
        return (Map(self.source, MapType.PIXELS, self.input_spec.bound),)


@dataclass(frozen=True, slots=True)
class BinaryConv(_Filters):
    """Convolution of bits with +-1 or int8 weights.

    pad_value: value of a padded tap, -1 or +1; 0: the tap does not count.
    in_thresholds: T, bits of a value of the source: bit t of value c is channel t * C + c. A group takes values, all
        bits of each; the channels of its filters are [T, C / groups].
    """

    source: Shape
    weights: Int8 = field(repr=False)
    window: Window
    groups: int = 1
    pad_value: int = -1
    in_thresholds: int = 1
    kind: LayerKind = field(init=False, repr=False, compare=False)
    heaviest: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check("binary convolution", LayerKind.CONV)
        require(self.pad_value in (-1, 0, 1), f"padding value {self.pad_value} is not -1, 0 or +1")
        _check_thresholds(self.in_thresholds, self.source.channels, self.groups, "binary convolution")

    @property
    def inputs(self) -> tuple[Map, ...]:
        return (Map(self.source),)


@dataclass(frozen=True, slots=True)
class BinaryDense(_Filters):
    """Fully connected layer over a map of bits: weights [out, height, width, channels] of +-1 or int8.

    in_thresholds: as in `BinaryConv`.
    """

    source: Shape
    weights: Int8 = field(repr=False)
    in_thresholds: int = 1
    kind: LayerKind = field(init=False, repr=False, compare=False)
    heaviest: int = field(init=False, repr=False, compare=False)

    groups = 1
    pad_value = 0

    def __post_init__(self) -> None:
        self._check("dense layer", LayerKind.DENSE)
        _check_thresholds(self.in_thresholds, self.source.channels, self.groups, "dense layer")

    @property
    def window(self) -> Window:  # type: ignore[override]
        return Window((self.source.height, self.source.width))

    @property
    def inputs(self) -> tuple[Map, ...]:
        return (Map(self.source),)


@dataclass(frozen=True, slots=True)
class IntegerConv(_Filters):
    """Convolution of integers with +-1 or int8 weights. A padded tap does not count.

    source_bound: the source's bound, its largest absolute value.
    """

    source: Shape
    source_bound: int
    weights: Int8 = field(repr=False)
    window: Window
    groups: int = 1
    kind: LayerKind = field(init=False, repr=False, compare=False)
    heaviest: int = field(init=False, repr=False, compare=False)

    pad_value = 0
    in_thresholds = 1

    def __post_init__(self) -> None:
        self._check("convolution of integers", LayerKind.WIDE_CONV)

    @property
    def inputs(self) -> tuple[Map, ...]:
        return (Map(self.source, MapType.INTEGERS, self.source_bound),)


def _check_terms(inputs: tuple[Map, ...], where: str) -> None:
    require(1 <= len(inputs) <= MAX_SOURCES, f"{where} takes 1 to {MAX_SOURCES} maps, got {len(inputs)}")
    usable = all(m.type in (MapType.BITS, MapType.INTEGERS) for m in inputs)
    require(usable, f"{where} takes bits or integers only")


def _terms(given: Map, channels: int) -> int:
    """Channels of a map that are added for each of `channels`; 0: it does not fit."""
    terms, rest = divmod(given.shape.channels, channels)
    return terms if rest == 0 and terms <= (MAX_THRESHOLDS if given.type is MapType.BITS else 1) else 0


class _Pointwise:
    """What accumulations without filters share: each position is made from one position."""

    __slots__ = ()

    source: Shape

    weights = None
    groups = 1
    pad_value = 0
    in_thresholds = 1
    shared = False
    taps = 0  # nothing is multiplied

    @property
    def window(self) -> Window:
        return Window((1, 1))

    @property
    def target(self) -> Shape:
        """The map of accumulators."""
        return self.source


@dataclass(frozen=True, slots=True)
class Sum(_Pointwise):
    """Sum of maps; bits count as +-1. A sum of one map is that map, to be pooled or compared again.

    channels: C, of the sum; None: as many as the maps have. A map of bits may have T * C: values of T bits, whose bits
        c, C + c, 2C + c ... are added.
    """

    inputs: tuple[Map, ...]
    channels: int | None = None

    kind = LayerKind.SUM

    def __post_init__(self) -> None:
        _check_terms(self.inputs, "a sum")
        if self.channels is None:
            object.__setattr__(self, "channels", self.inputs[0].shape.channels)
        sizes = {(m.shape.height, m.shape.width) for m in self.inputs}
        fits = len(sizes) == 1 and all(_terms(m, self.source.channels) for m in self.inputs)
        shapes = ", ".join(sorted({str(m.shape) for m in self.inputs}))
        require(fits, f"a sum of maps of different shapes: {shapes}")
        require(self.bound <= BOUND_LIMIT, f"a sum up to {self.bound} would not fit int32")

    @property
    def source(self) -> Shape:  # type: ignore[override]
        first = self.inputs[0].shape
        return Shape(first.height, first.width, self.channels or first.channels)

    @property
    def bound(self) -> int:
        """R, the largest absolute accumulator."""
        return sum(m.bound * _terms(m, self.source.channels) for m in self.inputs)


@dataclass(frozen=True, slots=True)
class Concat(_Pointwise):
    """Maps of bits of one height and width, joined along the channels."""

    inputs: tuple[Map, ...]

    kind = LayerKind.CONCAT
    bound = 1

    def __post_init__(self) -> None:
        _check_terms(self.inputs, "a concatenation")
        require(all(m.type is MapType.BITS for m in self.inputs), "a concatenation takes bits; put a sign before it")
        sizes = {(m.shape.height, m.shape.width) for m in self.inputs}
        require(len(sizes) == 1, "a concatenation of maps of different sizes")

    @property
    def source(self) -> Shape:  # type: ignore[override]
        first = self.inputs[0].shape
        return Shape(first.height, first.width, sum(m.shape.channels for m in self.inputs))


@dataclass(frozen=True, slots=True)
class Total:
    """Sum of each channel over all positions; bits count as +-1. The global average is this divided by their number.

    channels: as in `Sum`.
    """

    of: Map
    channels: int | None = None

    kind = LayerKind.TOTAL
    weights = None
    groups = 1
    pad_value = 0
    in_thresholds = 1
    shared = False
    taps = 0

    def __post_init__(self) -> None:
        _check_terms(self.inputs, "a global sum")
        if self.channels is None:
            object.__setattr__(self, "channels", self.of.shape.channels)
        fits = _terms(self.of, self.source.channels) > 0
        require(fits, f"a global sum of {self.of.shape} has no {self.channels} channels")
        require(self.bound <= BOUND_LIMIT, f"a global sum up to {self.bound} would not fit int32")

    @property
    def inputs(self) -> tuple[Map, ...]:
        return (self.of,)

    @property
    def source(self) -> Shape:
        shape = self.of.shape
        return Shape(shape.height, shape.width, self.channels or shape.channels)

    @property
    def window(self) -> Window:
        return Window((self.source.height, self.source.width))

    @property
    def target(self) -> Shape:
        """The map of accumulators."""
        return Shape(1, 1, self.source.channels)

    @property
    def bound(self) -> int:
        """R, the largest absolute accumulator."""
        return self.source.height * self.source.width * self.of.bound * _terms(self.of, self.source.channels)


Accumulation = InputConv | BinaryConv | BinaryDense | IntegerConv | Sum | Concat | Total
