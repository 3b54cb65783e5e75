"""The slow, obvious reference: each value of the pipeline runs in NumPy, exactly as defined.

Every faster way to run a network (C, the kernels, a device) must give the same results. All functions take images
[N, H, W, C] as the input spec says and return a Trace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, assert_never

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.geometry import InputSpec, Pool, Window
from bitflow.ir import (
    INPUT,
    Accumulation,
    BatchShift,
    BinaryConv,
    BinaryDense,
    Concat,
    InputConv,
    IntegerConv,
    IntegerLayer,
    IntegerNetwork,
    Integers,
    Layer,
    LayerKind,
    Network,
    PackedLayer,
    PackedNetwork,
    Rounding,
    Scores,
    Sign,
    Sum,
    Total,
)
from bitflow.lower import arithmetic
from bitflow.lower.pack import weights

__all__ = ["Trace", "accumulate", "float_layer", "run_integer", "run_network", "run_packed", "windows"]

Array = npt.NDArray[Any]
L = TypeVar("L", Layer, IntegerLayer, PackedLayer)
_BATCH = 64  # images at a time: windows of a map take kernel-area times its memory


@dataclass(frozen=True, slots=True)
class Trace:
    """The results of a run.

    hidden: the map of each layer but the last, after the pool: channel-packed bits, uint32 [N, H, W, words], or
        integers, int32 [N, H, W, C].
    scores: int32 [N, classes]; for a float network, the logits.
    """

    hidden: tuple[npt.NDArray[np.uint32] | npt.NDArray[np.int32], ...]
    scores: Array

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Class with the largest score, int [N]; of equal ones the first."""
        return np.asarray(np.argmax(self.scores, axis=1))


def run_network(network: Network, images: Array) -> Trace:
    """The float network, with the rounding that each layer names (`arithmetic`); the scores are the logits."""
    return _run(network.input_spec, network.layers, float_layer, images)


def run_integer(network: IntegerNetwork, images: Array) -> Trace:
    """The fused network with integers."""
    return _run(network.input_spec, network.layers, _integer_layer, images)


def run_packed(network: PackedNetwork, images: Array) -> Trace:
    """The packed network with XOR and popcount on words."""
    return _run(network.input_spec, network.layers, _packed_layer, images)


def _run(
    input_spec: InputSpec, layers: tuple[L, ...], step: Callable[[L, tuple[Array, ...]], Array], images: Array
) -> Trace:
    """Run layer after layer. Inside, maps of bits are int8 of +-1 and maps of integers int32."""
    images = input_spec.check(images)
    batches: list[list[Array]] = []
    for start in range(0, max(len(images), 1), _BATCH):
        maps: dict[int, Array] = {INPUT: images[start : start + _BATCH].astype(np.int32) - input_spec.zero_point}
        for index, layer in enumerate(layers):
            maps[index] = step(layer, tuple(maps[source] for source in layer.sources or ()))
        *hidden, last = (maps[index] for index in range(len(layers)))
        batches.append([*(bits.pack(m) if m.dtype == np.int8 else m for m in hidden), last])
    joined = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
    scores = joined[-1]
    return Trace(tuple(joined[:-1]), scores.reshape(len(scores), scores.shape[-1]))


def windows(values: Array, window: Window, fill: Any) -> Array:
    """The values under each window: [N, H, W, C] -> [N, out H, out W, kh, kw, C]; `fill` outside the map."""
    top, left, bottom, right = window.padding
    out_h, out_w = window.over(*values.shape[1:3])
    padded = np.pad(values, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    rows = np.arange(out_h)[:, None] * sh + np.arange(kh) * dh
    columns = np.arange(out_w)[:, None] * sw + np.arange(kw) * dw
    return padded[:, rows[:, None, :, None], columns[None, :, None, :]]


def accumulate(layer: Accumulation, maps: tuple[Array, ...]) -> npt.NDArray[np.int64]:
    """Integer accumulators [N, H, W, out] of maps of pixels (zero point subtracted), +-1 or integers."""
    match layer:
        case Sum():
            return np.asarray(sum(_values(m, layer.source.channels) for m in maps))
        case Concat():
            return np.concatenate(maps, axis=3).astype(np.int64)
        case Total():
            return np.asarray(_values(maps[0], layer.source.channels).sum(axis=(1, 2), keepdims=True))
        case InputConv() | BinaryConv() | BinaryDense() | IntegerConv():
            under = windows(maps[0], layer.window, layer.pad_value)
        case _:
            assert_never(layer)
    n, h, w, kh, kw, _ = under.shape
    grouped = under.reshape(n, h, w, kh, kw, layer.in_thresholds, layer.groups, -1)
    filters = layer.weights.reshape(layer.groups, -1, kh, kw, layer.in_thresholds, grouped.shape[7])
    # float64 holds integers up to 2^53 exactly, and BLAS is fast with it.
    sums = np.einsum("nhwijtgc,goijtc->nhwgo", grouped.astype(np.float64), filters.astype(np.float64), optimize=True)
    return np.asarray(np.rint(sums).astype(np.int64).reshape(n, h, w, -1))


def _values(values: Array, channels: int) -> npt.NDArray[np.int64]:
    """A map [N, H, W, T * channels] as [N, H, W, channels]: the T numbers of a value added up."""
    return np.asarray(values.reshape(*values.shape[:3], -1, channels).sum(axis=3, dtype=np.int64))


def compare(sums: Array, shift: Array) -> npt.NDArray[np.int8]:
    """BatchShift: accumulators [..., C] and shifts [T * C] -> signs [..., T * C]."""
    ones = bits.sign(sums[..., None, :] + shift.reshape(-1, sums.shape[-1]))
    return ones.reshape(*sums.shape[:-1], -1)


def _largest(values: Array, pool: Pool | None) -> Array:
    """Max-pool of floats, integers or bits; a position outside the map never wins."""
    if pool is None:
        return values
    lowest = -np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).min
    return np.asarray(windows(values, pool.window, lowest).max(axis=(3, 4)))


def float_layer(layer: Layer, maps: tuple[Array, ...]) -> Array:
    """The layer's map for its source maps: int8 of +-1, int32, or logits [N, classes]."""
    accumulators = accumulate(layer.accumulation, maps)
    values: Array = accumulators
    if layer.rounding is Rounding.EXACT and layer.sign is not None:
        # The sign of a real number. All steps before it are monotone, so a max-pool commutes with it.
        return _exact_layer(layer, accumulators)
    if layer.sign is None and not layer.affine:
        return _largest(accumulators.astype(np.int32), layer.pool)
    for done in layer.steps:
        match done:
            case Pool():
                values = _largest(values, done)
            case Sign():
                values = _signs(done, layer.rounding, values)
            case _:
                values = arithmetic.step(done, layer.rounding, values)
    return values if layer.sign is not None else values.reshape(len(values), -1)


def _signs(done: Sign, rounding: Rounding, values: Array) -> npt.NDArray[np.int8]:
    """Signs [..., T * C] of values [..., C]."""
    found = []
    for t in range(done.count):
        before, sign = done.of_threshold(t)
        above = arithmetic.step(before[0], rounding, values) if before else values
        found.append(np.where(above == 0, sign.zeros[0], np.sign(above)).astype(np.int8))
    return np.concatenate(found, axis=-1)


def _exact_layer(layer: Layer, accumulators: Array) -> Array:
    each = map(layer.of_threshold, range(layer.thresholds))
    ones = [arithmetic.signs(one, accumulators, arithmetic.value(one, accumulators)) for one in each]
    falls = np.tile(arithmetic.trend(layer, after_pool=True) < 0, layer.thresholds)
    return _pool_bits(np.concatenate(ones, axis=-1), layer.pool, falls)


def _integer_layer(layer: IntegerLayer, maps: tuple[Array, ...]) -> Array:
    sums = accumulate(layer.accumulation, maps)
    match layer.output:
        case BatchShift(shift):
            ones = compare(sums, shift)
            if layer.invert is not None:
                ones = ones * np.where(layer.invert, -1, 1).astype(np.int8)
            return _pool_bits(ones, layer.pool, layer.pool_and)
        case Scores(scale, offset):
            return (sums * scale + offset).astype(np.int32).reshape(len(sums), -1)
        case Integers():
            return _largest(sums.astype(np.int32), layer.pool)
        case _:
            assert_never(layer.output)


def _pool_bits(ones: npt.NDArray[np.int8], pool: Pool | None, pool_and: npt.NDArray[np.bool_] | None) -> Array:
    """OR over the window, AND (the smallest) in the channels of pool_and."""
    if pool_and is None:
        return _largest(ones, pool)
    inverse = np.where(pool_and, -1, 1).astype(np.int8)
    return np.asarray(_largest(ones * inverse, pool) * inverse)


def _packed_layer(layer: PackedLayer, maps: tuple[Array, ...]) -> Array:
    sums = _sums(layer, maps)
    channels = layer.target.channels
    if layer.shift is not None and layer.offset is not None:
        return (sums * layer.shift + layer.offset).astype(np.int32).reshape(len(sums), -1)
    if layer.kind is LayerKind.CONCAT:
        return sums.astype(np.int8)
    if layer.shift is None:
        return _largest(sums.astype(np.int32), layer.pool)
    ones = compare(sums, layer.shift)
    if layer.invert is not None:
        ones = ones * -bits.unpack(layer.invert, channels)
    pool_and = None if layer.pool_and is None else bits.unpack(layer.pool_and, channels) > 0
    return _pool_bits(ones, layer.pool, pool_and)


def _sums(layer: PackedLayer, maps: tuple[Array, ...]) -> npt.NDArray[np.int64]:
    match layer.kind:
        case LayerKind.INPUT_CONV:
            return _first_sums(layer, maps[0])
        case LayerKind.CONV | LayerKind.DENSE:
            return _packed_sums(layer, maps[0])
        case LayerKind.WIDE_CONV:
            return _wide_sums(layer, maps[0])
        case LayerKind.SUM:
            return np.asarray(np.sum([_values(m, layer.source.channels) for m in maps], axis=0))
        case LayerKind.CONCAT:
            return np.concatenate(maps, axis=3).astype(np.int64)
        case LayerKind.TOTAL:
            return np.asarray(_values(maps[0], layer.source.channels).sum(axis=(1, 2), keepdims=True))
        case _:
            assert_never(layer.kind)


def _taps_of(layer: PackedLayer, values: Array, fill: Any) -> Array:
    """The taps under each window in the order of the weights: [N, H, W, groups, K]."""
    under = windows(values, layer.window, fill)
    n, h, w, kh, kw, _ = under.shape
    grouped = under.reshape(n, h, w, kh, kw, layer.in_thresholds, layer.groups, -1)
    return np.moveaxis(grouped, 6, 3).reshape(n, h, w, layer.groups, -1)


def _packed_sums(layer: PackedLayer, values: Array) -> npt.NDArray[np.int64]:
    """valid - 2 * popcount((a ^ w) & mask) for each group's filters."""
    inside = np.ones((1, *values.shape[1:]), dtype=np.bool_)
    mask = bits.pack(_taps_of(layer, inside, layer.pad_value != 0))[..., None, :]
    taps = bits.pack(_taps_of(layer, values, layer.pad_value))[..., None, :]
    filters = bits.pack(weights(layer).reshape(layer.groups, -1, layer.taps))
    valid = bits.popcount(mask).sum(axis=-1, dtype=np.int64)
    different = bits.popcount((taps ^ filters) & mask).sum(axis=-1, dtype=np.int64)
    sums = valid - 2 * different
    return np.asarray(sums.reshape(*sums.shape[:3], -1))


def _first_sums(layer: PackedLayer, values: Array) -> npt.NDArray[np.int64]:
    """2 * (sum of the taps whose weight bit is 1) - (sum of all)."""
    taps = _taps_of(layer, values, 0).astype(np.int64)
    plus = weights(layer).reshape(layer.groups, -1, layer.taps) > 0
    sums = 2 * np.einsum("nhwgk,gok->nhwgo", taps, plus.astype(np.int64)) - taps.sum(axis=-1)[..., None]
    return np.asarray(sums.reshape(*sums.shape[:3], -1))


def _wide_sums(layer: PackedLayer, values: Array) -> npt.NDArray[np.int64]:
    """Sums of whole numbers times weights of one or eight bits."""
    taps = _taps_of(layer, values, layer.pad_value).astype(np.int64)
    filters = weights(layer).reshape(layer.groups, -1, layer.taps).astype(np.int64)
    return np.asarray(np.einsum("nhwgk,gok->nhwgo", taps, filters).reshape(*taps.shape[:3], -1))
