"""The values that pass down the pipeline: Network -> IntegerNetwork -> PackedNetwork.

All are frozen, all arrays in them are read-only, and each checks its invariants when it is made. A layer is an
*accumulation* (what makes the integer accumulator) with what becomes of the accumulator:

    Network         accumulation, scaling factor, bias, BatchNorm, sign, max-pool    float32, as trained
    IntegerNetwork  accumulation, BatchShift or Scores, max-pool by OR and AND       integers only
    PackedNetwork   the same as arrays of 32-bit words, as they lie in a `.bfn`

Maps are [height, width, channels]; filters are [out, kernel height, kernel width, in / groups].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.accumulation import (
    INT32_MAX,
    Accumulation,
    BinaryConv,
    BinaryDense,
    InputConv,
    LayerKind,
    freeze,
)
from bitflow.geometry import InputContract, Pool, Shape, Window, require

__all__ = [
    "Accumulation",
    "BatchNorm",
    "BatchShift",
    "BinaryConv",
    "BinaryDense",
    "InputConv",
    "IntegerLayer",
    "IntegerNetwork",
    "Layer",
    "LayerKind",
    "Network",
    "PackedLayer",
    "PackedNetwork",
    "PoolPlace",
    "Scores",
]

Int32 = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint32]
Float = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


class PoolPlace(Enum):
    """Where a max-pool stands: between convolution and BatchNorm, between BatchNorm and sign, or after sign."""

    BEFORE_NORM = "before_norm"
    AFTER_NORM = "after_norm"
    AFTER_SIGN = "after_sign"


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Statistics and affine terms of a BatchNorm in eval mode, float32 [channels] each.

    a = weight * (1 / sqrt(variance + eps)) and b = fma(-mean, a, bias), both float32, as torch computes them.
    """

    weight: Float = field(repr=False)
    bias: Float = field(repr=False)
    mean: Float = field(repr=False)
    variance: Float = field(repr=False)
    eps: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("weight", "bias", "mean", "variance"):
            freeze(self, name, np.float32)
            array = getattr(self, name)
            require(array.ndim == 1 and array.shape == self.weight.shape, f"BatchNorm {name} has shape {array.shape}")
            require(bool(np.isfinite(array).all()), f"BatchNorm {name} is not finite")
        require(bool((self.variance >= 0).all()), "BatchNorm variance is negative")
        require(float(self.eps) >= 0, f"BatchNorm eps {self.eps} is negative")


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as trained: z = float32(scale * x), then bias, BatchNorm, max-pool and sign where it has them.

    scale: float32 [out channels], the XNOR scaling factor. bias: float32 [out channels], added after the scale.
    sign: False in the last layer, whose values are the logits.
    """

    name: str
    accumulation: Accumulation
    scale: Float = field(repr=False)
    bias: Float | None = field(repr=False, default=None)
    norm: BatchNorm | None = None
    pool: Pool | None = None
    pool_place: PoolPlace = PoolPlace.BEFORE_NORM
    sign: bool = True

    def __post_init__(self) -> None:
        freeze(self, "scale", np.float32)
        if self.bias is not None:
            freeze(self, "bias", np.float32)
        channels = self.accumulation.target.channels
        norm = None if self.norm is None else self.norm.weight
        for what, array in (("scale", self.scale), ("bias", self.bias), ("norm", norm)):
            if array is not None:
                require(array.shape == (channels,), f"{self.name}: {what} has shape {array.shape}, not ({channels},)")
                require(bool(np.isfinite(array).all()), f"{self.name}: {what} is not finite")
        if not self.sign:
            require(self.pool is None, f"{self.name}: the last layer cannot be pooled")

    @property
    def target(self) -> Shape:
        return _pooled(self.accumulation.target, self.pool)


def _pooled(shape: Shape, pool: Pool | None) -> Shape:
    if pool is None:
        return shape
    return Shape(*pool.window.over(shape.height, shape.width), shape.channels)


@dataclass(frozen=True, slots=True)
class BatchShift:
    """Output bit = (accumulator + shift >= 0); int32 [out channels], each within [-(R + 1), R]."""

    shift: Int32 = field(repr=False)

    def __post_init__(self) -> None:
        freeze(self, "shift", np.int32)


@dataclass(frozen=True, slots=True)
class Scores:
    """Score = scale * accumulator + offset in int32; int32 [classes] each."""

    scale: Int32 = field(repr=False)
    offset: Int32 = field(repr=False)

    def __post_init__(self) -> None:
        freeze(self, "scale", np.int32)
        freeze(self, "offset", np.int32)
        require(self.scale.shape == self.offset.shape, "score scale and offset differ in length")


Output = BatchShift | Scores


@dataclass(frozen=True, slots=True)
class IntegerLayer:
    """A layer without floats. pool_and: bool [out channels], True where the pool is an AND (flipped filters)."""

    name: str
    accumulation: Accumulation
    output: Output
    pool: Pool | None = None
    pool_and: Bools | None = field(repr=False, default=None)

    def __post_init__(self) -> None:
        channels, reach = self.accumulation.target.channels, self.accumulation.reach
        match self.output:
            case BatchShift(shift):
                require(shift.shape == (channels,), f"{self.name}: {shift.shape} shifts for {channels} channels")
                inside = bool(np.all((shift >= -(reach + 1)) & (shift <= reach)))
                require(inside, f"{self.name}: a BatchShift is outside [-(R+1), R] with R = {reach}")
            case Scores(scale, offset):
                require(scale.shape == (channels,), f"{self.name}: {scale.shape} scores for {channels} classes")
                top = np.abs(scale.astype(np.int64)) * reach + np.abs(offset.astype(np.int64))
                require(bool(np.all(top <= INT32_MAX)), f"{self.name}: a score would not fit int32")
                target = self.accumulation.target
                require((target.height, target.width) == (1, 1), f"{self.name}: scores of a map of {target}")
                require(self.pool is None, f"{self.name}: the last layer cannot be pooled")
        if self.pool_and is not None:
            freeze(self, "pool_and", np.bool_)
            require(self.pool is not None, f"{self.name}: pool_and without a pool")
            require(self.pool_and.shape == (channels,), f"{self.name}: pool_and has shape {self.pool_and.shape}")

    @property
    def target(self) -> Shape:
        return _pooled(self.accumulation.target, self.pool)


def _check_chain(layers: Sequence[Layer | IntegerLayer], contract: InputContract) -> None:
    require(len(layers) >= 1, "a network needs at least one layer")
    shape = contract.shape
    for index, layer in enumerate(layers):
        got = layer.accumulation.source
        first = layer.accumulation.kind is LayerKind.INPUT_CONV
        require(got == shape, f"{layer.name}: takes {got}, the layer before gives {shape}")
        require(first == (index == 0), f"{layer.name}: the first layer, and only it, takes pixels")
        shape = layer.target


def _check_labels(labels: tuple[str, ...], classes: int) -> None:
    require(not labels or len(labels) == classes, f"{len(labels)} class names for {classes} classes")
    require(not any("\0" in text for text in labels), "a class name contains a NUL character")


@dataclass(frozen=True, slots=True)
class Network:
    """A trained network in float32."""

    name: str
    contract: InputContract
    layers: tuple[Layer, ...]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_chain(self.layers, self.contract)
        for index, layer in enumerate(self.layers):
            last = index == len(self.layers) - 1
            require(layer.sign != last, f"{layer.name}: every layer but the last, and only they, end in a sign")
        target = self.layers[-1].target
        require((target.height, target.width) == (1, 1), f"the last layer gives a map of {target}, not scores")
        _check_labels(self.labels, self.classes)

    @property
    def classes(self) -> int:
        return self.layers[-1].target.channels


@dataclass(frozen=True, slots=True)
class IntegerNetwork:
    """A fused network: integers in, integers out, nothing else inside."""

    name: str
    contract: InputContract
    layers: tuple[IntegerLayer, ...]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_chain(self.layers, self.contract)
        for layer in self.layers[:-1]:
            require(isinstance(layer.output, BatchShift), f"{layer.name}: scores before the last layer")
        require(isinstance(self.layers[-1].output, Scores), f"{self.layers[-1].name}: the last layer gives no scores")
        _check_labels(self.labels, self.classes)

    @property
    def classes(self) -> int:
        return self.layers[-1].target.channels


@dataclass(frozen=True, slots=True)
class PackedLayer:
    """A layer as it lies in a `.bfn`.

    weights: uint32 [out channels, words of K bits]; bit i of a filter is tap (ky * kw + kx) * (in / groups) + channel.
    shift: int32 [out channels], the BatchShift, or in the last layer the scale of the scores.
    offset: int32 [out channels], the offset of the scores; None where the layer gives bits.
    pool_and: uint32 [words of the out channels], bits of the channels that are pooled by AND; None: all by OR.
    """

    name: str
    kind: LayerKind
    source: Shape
    conv: Shape
    target: Shape
    window: Window
    groups: int
    pad_value: int
    pool: Pool | None
    weights: Words = field(repr=False)
    shift: Int32 = field(repr=False)
    offset: Int32 | None = field(repr=False, default=None)
    pool_and: Words | None = field(repr=False, default=None)

    def __post_init__(self) -> None:
        freeze(self, "weights", np.uint32)
        freeze(self, "shift", np.int32)
        want = (self.target.channels, bits.words_for(self.taps))
        require(self.weights.shape == want, f"{self.name}: weights are {self.weights.shape} words, not {want}")
        require(self.shift.shape == want[:1], f"{self.name}: {self.shift.shape} shifts for {want[0]} channels")
        if self.offset is not None:
            freeze(self, "offset", np.int32)
            require(self.offset.shape == want[:1], f"{self.name}: {self.offset.shape} offsets for {want[0]} channels")
        if self.pool_and is not None:
            freeze(self, "pool_and", np.uint32)
            require(self.pool_and.shape == (bits.words_for(want[0]),), f"{self.name}: pool_and has a wrong length")

    @property
    def taps(self) -> int:
        """K, taps that enter one accumulator."""
        return self.window.kernel[0] * self.window.kernel[1] * (self.source.channels // self.groups)

    @property
    def macs(self) -> int:
        """Multiply-accumulates: taps for each accumulator of the map before the pool."""
        return self.taps * self.conv.size

    @property
    def gives_scores(self) -> bool:
        return self.offset is not None

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays in the image."""
        arrays = (self.weights, self.shift, self.offset, self.pool_and)
        return sum(array.nbytes for array in arrays if array is not None)


@dataclass(frozen=True, slots=True)
class PackedNetwork:
    """A network as arrays of words: what a `.bfn` holds and a device runs."""

    name: str
    contract: InputContract
    layers: tuple[PackedLayer, ...]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(len(self.layers) >= 1, "a network needs at least one layer")
        shape = self.contract.shape
        for index, layer in enumerate(self.layers):
            last = index == len(self.layers) - 1
            require(layer.source == shape, f"{layer.name}: takes {layer.source}, the layer before gives {shape}")
            require(layer.gives_scores == last, f"{layer.name}: the last layer, and only it, gives scores")
            shape = layer.target
        _check_labels(self.labels, self.classes)

    @property
    def classes(self) -> int:
        return self.layers[-1].target.channels
