"""The packed network: what a `.bfn` holds and a device runs, as arrays of 32-bit words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.accumulation import BOUND_LIMIT, MAX_SOURCES, MAX_THRESHOLDS, LayerKind, MapType, freeze
from bitflow.geometry import InputSpec, Pool, Shape, Window, require

__all__ = ["INPUT", "Logits", "PackedLayer", "PackedNetwork", "check_logits", "check_names"]

INPUT = -1  # as a source: the pixels

Int32 = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint32]
Double = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Logits:
    """Float logits from integer scores: logit = scale * score + offset.

    scale, offset: float64 [classes].
    """

    scale: Double = field(repr=False)
    offset: Double = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("scale", "offset"):
            freeze(self, name, np.float64)
            require(bool(np.isfinite(getattr(self, name)).all()), f"logit {name} is not finite")
        require(self.scale.ndim == 1 and self.scale.shape == self.offset.shape, "logit scale and offset differ")


def check_names(labels: tuple[str, ...], classes: int) -> None:
    """Raise InputError unless there are no class names, or one for each class."""
    require(not labels or len(labels) == classes, f"{len(labels)} class names for {classes} classes")
    require(not any("\0" in text for text in labels), "a class name contains a NUL character")


def check_logits(logits: Logits | None, classes: int) -> None:
    """Raise InputError unless there are no logits, or one for each class."""
    require(logits is None or len(logits.scale) == classes, f"logits of other than {classes} classes")


@dataclass(frozen=True, slots=True)
class PackedLayer:
    """A layer as stored in a `.bfn`.

    sources: indices of the layers whose maps it reads; INPUT: the pixels.
    source: shape of the map that it reads (for a concatenation: of all sources together).
    conv: shape of the map of accumulators, one channel for each filter.
    target: shape of its own map, after the pool: `thresholds` channels for each filter.
    output_type: what its own map holds.
    bound: R, the largest absolute accumulator.
    pad_value: value of a tap outside a map of bits, -1 or +1; 0: the tap does not count.
    pool: the max-pool; None: no pool.
    in_thresholds: bits of a value of a map of bits, as in `BinaryConv`.
    shared: a filter has one weight for all bits of a value: [kernel height, kernel width, in / groups / in_thresholds].
    weight_bits: 1: +-1; 8: int8; 0: no weights.
    weights: uint32 [filters, words of K weights]; weight i is tap (ky * kw + kx) * (in / groups) + channel.
    shift: int32 [out channels], the BatchShift, or in the last layer the scale of the scores; None for integers and
        concatenations.
    offset: int32 [out channels], the offset of the scores; None except in the last layer.
    pool_and: uint32 [words of the out channels], 1 for channels pooled by AND; None: no channel.
    invert: uint32 [words of the out channels], 1 for channels whose bit is inverted; None: no channel.
    """

    name: str
    kind: LayerKind
    sources: tuple[int, ...]
    source: Shape
    conv: Shape
    target: Shape
    output_type: MapType
    bound: int
    window: Window
    groups: int
    pad_value: int
    pool: Pool | None
    weight_bits: int
    in_thresholds: int = 1
    shared: bool = False
    weights: Words | None = field(repr=False, default=None)
    shift: Int32 | None = field(repr=False, default=None)
    offset: Int32 | None = field(repr=False, default=None)
    pool_and: Words | None = field(repr=False, default=None)
    invert: Words | None = field(repr=False, default=None)

    def __post_init__(self) -> None:
        channels = self.target.channels
        row = (bits.words_for(channels),)
        wanted: dict[str, tuple[int, ...] | None] = {
            "weights": (self.conv.channels, self.filter_words) if self.weight_bits else None,
            "shift": None if self.output_type is MapType.INTEGERS or self.kind is LayerKind.CONCAT else (channels,),
            "offset": (channels,) if self.output_type is MapType.SCORES else None,
            "pool_and": row if self.pool_and is not None else None,
            "invert": row if self.invert is not None else None,
        }
        for name, want in wanted.items():
            array = getattr(self, name)
            got = None if array is None else array.shape
            require(got == want, f"{self.name}: {name} has shape {got}, not {want}")
            if array is not None:
                freeze(self, name, np.int32 if name in ("shift", "offset") else np.uint32)
        several = self.output_type is MapType.BITS and self.kind is not LayerKind.CONCAT
        most = MAX_THRESHOLDS if several else 1
        fits = channels % self.conv.channels == 0 and self.thresholds <= most
        require(fits, f"{self.name}: {channels} channels of {self.conv.channels} filters")
        fits = 1 <= self.in_thresholds <= MAX_THRESHOLDS and self.in_thresholds > int(self.shared)
        require(fits, f"{self.name}: values of {self.in_thresholds} bits")
        require(self.weight_bits in (0, 1, 8), f"{self.name}: weights of {self.weight_bits} bits")
        require(1 <= len(self.sources) <= MAX_SOURCES, f"{self.name}: {len(self.sources)} sources")
        require(0 <= self.bound <= BOUND_LIMIT, f"{self.name}: accumulators up to {self.bound} would not fit int32")

    @property
    def taps(self) -> int:
        """K, taps that enter one accumulator."""
        return self.window.kernel[0] * self.window.kernel[1] * (self.source.channels // self.groups)

    @property
    def filter_weights(self) -> int:
        """Weights of one filter in the image: K, or one for all bits of a value."""
        return self.taps // self.in_thresholds if self.shared else self.taps

    @property
    def thresholds(self) -> int:
        """T, bits that an accumulator gives."""
        return self.target.channels // self.conv.channels

    @property
    def unpooled(self) -> Shape:
        """Shape of its map before the pool."""
        return Shape(self.conv.height, self.conv.width, self.target.channels)

    @property
    def filter_words(self) -> int:
        """32-bit words of one filter."""
        return bits.words_for(self.filter_weights * self.weight_bits)

    @property
    def weights_bytes(self) -> int:
        return 0 if self.weights is None else self.weights.nbytes

    @property
    def macs(self) -> int:
        """Multiply-accumulates: all taps of all accumulators, before the pool; 0 for a layer without weights."""
        return self.taps * self.conv.size if self.weight_bits else 0

    @property
    def has_scores(self) -> bool:
        return self.output_type is MapType.SCORES

    @property
    def nbytes(self) -> int:
        """Bytes of the layer's arrays in the image."""
        arrays = (self.weights, self.shift, self.offset, self.pool_and, self.invert)
        return sum(array.nbytes for array in arrays if array is not None)

    @property
    def map_words(self) -> int:
        """32-bit words of its map: channel-packed bits, or one int32 per value; 0 for scores."""
        match self.output_type:
            case MapType.BITS:
                return self.target.words
            case MapType.INTEGERS:
                return self.target.size
            case MapType.SCORES | MapType.PIXELS:
                return 0
            case _:
                assert_never(self.output_type)


@dataclass(frozen=True, slots=True)
class PackedNetwork:
    """A network as arrays of words: what a `.bfn` holds and a device runs.

    labels: the names of the classes; may be empty.
    logits: how scores become float logits; None: unknown.
    approximate: it was rounded somewhere, and is not exactly the network that was trained.
    """

    name: str
    input_spec: InputSpec
    layers: tuple[PackedLayer, ...]
    labels: tuple[str, ...] = ()
    logits: Logits | None = None
    approximate: bool = False

    def __post_init__(self) -> None:
        require(len(self.layers) >= 1, "a network needs at least one layer")
        for index, layer in enumerate(self.layers):
            last = index == len(self.layers) - 1
            earlier = all(INPUT <= source < index for source in layer.sources)
            require(earlier, f"{layer.name}: takes the map of a layer that does not come before it")
            require(layer.has_scores == last, f"{layer.name}: the last layer, and no other, must give scores")
        check_names(self.labels, self.classes)
        check_logits(self.logits, self.classes)

    @property
    def classes(self) -> int:
        return self.layers[-1].target.channels

    @property
    def contract(self) -> InputSpec:
        """The former name of `input_spec`, kept for users' programs."""
        return self.input_spec
