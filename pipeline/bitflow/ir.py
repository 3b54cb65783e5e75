"""The values that pass down the pipeline: Network -> IntegerNetwork -> PackedNetwork.

All are frozen, all their arrays are read-only, and each checks its invariants when it is made. A network is a sequence
of layers; each reads the maps of earlier layers (`sources`; most read the one before) and writes one map. A layer is an
*accumulation* (how the integer accumulator is made) and what follows it:

    Network         accumulation, then steps: scale, offset, BatchNorm, max-pool, sign   floats, as trained
    IntegerNetwork  accumulation, then BatchShift, Scores or the integers, and the pool  integers only
    PackedNetwork   the same as arrays of 32-bit words, as stored in a `.bfn`

Maps are [height, width, channels]; filters are [out, kernel height, kernel width, in / groups].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bitflow.accumulation import (
    INT32_MAX,
    MAX_THRESHOLDS,
    Accumulation,
    BinaryConv,
    BinaryDense,
    Concat,
    InputConv,
    IntegerConv,
    LayerKind,
    Map,
    MapType,
    Sum,
    Total,
    freeze,
)
from bitflow.geometry import InputSpec, Pool, Shape, require
from bitflow.packed import INPUT, Logits, PackedLayer, PackedNetwork, check_logits, check_names
from bitflow.steps import BatchNorm, Divide, Offset, Rounding, Scale, Sign, Step

__all__ = [
    "INPUT",
    "Accumulation",
    "BatchNorm",
    "BatchShift",
    "BinaryConv",
    "BinaryDense",
    "Concat",
    "Divide",
    "InputConv",
    "IntegerConv",
    "IntegerLayer",
    "IntegerNetwork",
    "Integers",
    "Layer",
    "LayerKind",
    "Logits",
    "Map",
    "MapType",
    "Network",
    "Offset",
    "Output",
    "PackedLayer",
    "PackedNetwork",
    "Pool",
    "Rounding",
    "Scale",
    "Scores",
    "Sign",
    "Step",
    "Sum",
    "Total",
]

Int32 = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
L = TypeVar("L", "Layer", "IntegerLayer")


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as trained: its accumulator goes through the steps, one after the other.

    A layer without a sign gives logits (the last layer) or integers (then its only step may be a max-pool).

    steps: at most one max-pool and one sign; only a max-pool may follow the sign.
    sources: indices of the layers whose maps it reads; INPUT: the pixels; None: the layer before.
    rounding: how the steps are computed.
    """

    name: str
    accumulation: Accumulation
    steps: tuple[Step, ...] = ()
    sources: tuple[int, ...] | None = None
    rounding: Rounding = Rounding.FLOAT32

    def __post_init__(self) -> None:
        channels = self.accumulation.target.channels
        signed = False
        for step in self.steps:
            require(not signed or isinstance(step, Pool), f"{self.name}: only a max-pool can follow the sign")
            signed = signed or isinstance(step, Sign)
            match step:
                case Scale(values) | Offset(values) | BatchNorm(values):
                    shape = values.shape
                    what = type(step).__name__
                    require(shape == (channels,), f"{self.name}: {what} has shape {shape}, not ({channels},)")
                case Sign(thresholds=values) if values is not None:
                    shape = values.shape
                    fits = shape[1] == channels and not isinstance(self.accumulation, Concat)
                    require(fits, f"{self.name}: thresholds have shape {shape}, not (T, {channels})")
        require(sum(isinstance(step, Pool) for step in self.steps) <= 1, f"{self.name}: a second max-pool in one layer")

    @property
    def sign(self) -> Sign | None:
        return next((step for step in self.steps if isinstance(step, Sign)), None)

    @property
    def pool(self) -> Pool | None:
        return next((step for step in self.steps if isinstance(step, Pool)), None)

    @property
    def thresholds(self) -> int:
        """T, bits that an accumulator gives."""
        return 1 if self.sign is None else self.sign.count

    def of_threshold(self, t: int) -> Layer:
        """The layer that gives bit t alone."""
        if self.sign is None:
            return self
        at = self.steps.index(self.sign)
        before, sign = self.sign.of_threshold(t)
        return replace(self, steps=(*self.steps[:at], *before, sign, *self.steps[at + 1 :]))

    @property
    def affine(self) -> tuple[Scale | Divide | Offset | BatchNorm, ...]:
        """The steps that are neither pool nor sign."""
        return tuple(step for step in self.steps if not isinstance(step, Pool | Sign))

    @property
    def target(self) -> Shape:
        return _pooled(self.accumulation.target, self.pool, self.thresholds)

    def output_map(self, last: bool) -> Map:
        """The map that it writes.

        last: it is the network's last layer.
        """
        if self.sign is not None:
            return Map(self.target)
        return Map(self.target, MapType.SCORES if last else MapType.INTEGERS, self.accumulation.bound)


def _pooled(shape: Shape, pool: Pool | None, thresholds: int) -> Shape:
    size = (shape.height, shape.width) if pool is None else pool.window.over(shape.height, shape.width)
    return Shape(*size, thresholds * shape.channels)


# ---- What follows the accumulator in a fused network ----


@dataclass(frozen=True, slots=True)
class BatchShift:
    """Output bit = (accumulator + shift >= 0); int32 [out channels], each within [-(R + 1), R].

    A layer of C filters with T thresholds has T * C output channels; t * C + c is bit t of filter c.
    """

    shift: Int32 = field(repr=False)

    def __post_init__(self) -> None:
        freeze(self, "shift", np.int32)


@dataclass(frozen=True, slots=True)
class Scores:
    """Score = scale * accumulator + offset, in int32.

    scale, offset: int32 [classes].
    """

    scale: Int32 = field(repr=False)
    offset: Int32 = field(repr=False)

    def __post_init__(self) -> None:
        freeze(self, "scale", np.int32)
        freeze(self, "offset", np.int32)
        require(self.scale.shape == self.offset.shape, "score scale and offset differ in length")


@dataclass(frozen=True, slots=True)
class Integers:
    """The accumulators themselves, for a layer that adds or averages them."""


Output = BatchShift | Scores | Integers


@dataclass(frozen=True, slots=True)
class IntegerLayer:
    """A layer without floats.

    output: what its map holds, and how it is made from the accumulators.
    pool: the max-pool; None: no pool.
    pool_and: bool [out channels], True where the max-pool of bits is an AND.
    invert: bool [out channels], True where the bit is inverted after the comparison and before the pool: in falling
        channels whose filters cannot be flipped.
    sources: as in `Layer`.
    """

    name: str
    accumulation: Accumulation
    output: Output
    pool: Pool | None = None
    pool_and: Bools | None = field(repr=False, default=None)
    invert: Bools | None = field(repr=False, default=None)
    sources: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        channels, bound = self.accumulation.target.channels, self.accumulation.bound
        match self.output:
            case BatchShift(shift):
                count = len(shift) if shift.ndim == 1 else 0
                several = not isinstance(self.accumulation, Concat)
                fits = count in range(channels, (MAX_THRESHOLDS if several else 1) * channels + 1, channels)
                require(fits, f"{self.name}: {shift.shape} shifts for {channels} filters")
                channels = count
                inside = bool(np.all((shift >= -(bound + 1)) & (shift <= bound)))
                require(inside, f"{self.name}: a BatchShift is outside [-(R+1), R] with R = {bound}")
            case Scores(scale, offset):
                require(scale.shape == (channels,), f"{self.name}: {scale.shape} scores for {channels} classes")
                top = np.abs(scale.astype(np.int64)) * bound + np.abs(offset.astype(np.int64))
                require(bool(np.all(top <= INT32_MAX)), f"{self.name}: a score would not fit int32")
                target = self.accumulation.target
                require((target.height, target.width) == (1, 1), f"{self.name}: scores of a map of {target}")
                require(self.pool is None, f"{self.name}: the last layer cannot be pooled")
        for name in ("pool_and", "invert"):
            mask = getattr(self, name)
            if mask is not None:
                freeze(self, name, np.bool_)
                require(mask.shape == (channels,), f"{self.name}: {name} has shape {mask.shape}")
                require(isinstance(self.output, BatchShift), f"{self.name}: {name} without bits")
        require(self.pool_and is None or self.pool is not None, f"{self.name}: pool_and without a pool")

    @property
    def thresholds(self) -> int:
        """T, bits that an accumulator gives."""
        match self.output:
            case BatchShift(shift):
                return len(shift) // self.accumulation.target.channels
            case Scores() | Integers():
                return 1

    @property
    def target(self) -> Shape:
        return _pooled(self.accumulation.target, self.pool, self.thresholds)

    def output_map(self, last: bool) -> Map:
        """The map that it writes.

        last: it is the network's last layer.
        """
        match self.output:
            case BatchShift():
                return Map(self.target)
            case Scores():
                return Map(self.target, MapType.SCORES, self.accumulation.bound)
            case Integers():
                return Map(self.target, MapType.INTEGERS, self.accumulation.bound)


def _resolved(layers: tuple[L, ...]) -> tuple[L, ...]:
    """The layers with all sources written out; the default is the layer before. A layer may occur twice."""
    return tuple(
        replace(layer, sources=(index - 1,)) if layer.sources is None else layer for index, layer in enumerate(layers)
    )


def _check_graph(layers: Sequence[Layer | IntegerLayer], input_spec: InputSpec) -> None:
    """Check that every layer takes what its sources give, every map is read, and only the last layer gives scores."""
    require(len(layers) >= 1, "a network needs at least one layer")
    given = {INPUT: Map(input_spec.shape, MapType.PIXELS, input_spec.bound)}
    taken: set[int] = set()
    for index, layer in enumerate(layers):
        sources = layer.sources or ()
        taken.update(sources)
        inputs = layer.accumulation.inputs
        require(len(sources) == len(inputs), f"{layer.name}: takes {len(inputs)} maps, has {len(sources)} sources")
        for source, wanted in zip(sources, inputs, strict=True):
            require(source in given, f"{layer.name}: takes the map of layer {source}, which does not come before it")
            got = given[source]
            require(
                got == wanted,
                f"{layer.name}: takes {_describe(wanted)}, layer {source} gives {_describe(got)}"
                if source != INPUT
                else f"{layer.name}: takes {_describe(wanted)}, the input gives {_describe(got)}",
            )
        given[index] = layer.output_map(last=index == len(layers) - 1)
        lone = index < len(layers) - 1 and given[index].type is MapType.SCORES
        require(not lone, f"{layer.name}: scores before the last layer")
    unused = sorted(set(range(len(layers) - 1)) - taken)
    require(not unused, f"nothing takes the map of {', '.join(layers[i].name for i in unused)}")
    last = given[len(layers) - 1]
    require(last.type is MapType.SCORES, f"{layers[-1].name}: the last layer gives no scores")
    flat = (last.shape.height, last.shape.width) == (1, 1)
    require(flat, f"the last layer gives a map of {last.shape}, not scores")


def _describe(given: Map) -> str:
    return f"{given.shape} {given.type.name.lower()}" + (
        f" up to {given.bound}" if given.type is MapType.INTEGERS else ""
    )


@dataclass(frozen=True, slots=True)
class Network:
    """A trained network in floats."""

    name: str
    input_spec: InputSpec
    layers: tuple[Layer, ...]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", _resolved(self.layers))
        _check_graph(self.layers, self.input_spec)
        for layer in self.layers[:-1]:
            plain = layer.sign is not None or not layer.affine
            require(plain, f"{layer.name}: integers that others use cannot be scaled; put the scale after their sum")
        require(self.layers[-1].pool is None, f"{self.layers[-1].name}: the last layer cannot be pooled")
        check_names(self.labels, self.classes)

    @property
    def classes(self) -> int:
        return self.layers[-1].target.channels


@dataclass(frozen=True, slots=True)
class IntegerNetwork:
    """A fused network: integers in, integers out.

    logits: how the scores become float logits; None: unknown.
    approximate: as in `PackedNetwork`.
    """

    name: str
    input_spec: InputSpec
    layers: tuple[IntegerLayer, ...]
    labels: tuple[str, ...] = ()
    logits: Logits | None = None
    approximate: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", _resolved(self.layers))
        _check_graph(self.layers, self.input_spec)
        check_names(self.labels, self.classes)
        check_logits(self.logits, self.classes)

    @property
    def classes(self) -> int:
        return self.layers[-1].target.channels
