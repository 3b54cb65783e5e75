"""The slow, obvious reference: each value of the pipeline run in NumPy, as its definition reads.

Every faster way to run a network (C, the kernels, a device) is held to these. All take images [N, H, W, C] as the input
contract says and give a Trace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.geometry import InputContract, Pool, Window
from bitflow.ir import (
    Accumulation,
    BatchShift,
    BinaryConv,
    BinaryDense,
    InputConv,
    IntegerLayer,
    IntegerNetwork,
    Layer,
    LayerKind,
    Network,
    PackedLayer,
    PackedNetwork,
    PoolPlace,
    Scores,
)
from bitflow.lower import arithmetic

__all__ = ["Trace", "run_integer", "run_network", "run_packed"]

Array = npt.NDArray[Any]
L = TypeVar("L")
_BATCH = 64  # images at a time: windows of a map take kernel-area times its memory


@dataclass(frozen=True, slots=True)
class Trace:
    """What a run gave: the bits of each hidden layer, and the scores.

    hidden: uint32 [N, H, W, words] for each layer but the last, channel-packed, after its pool.
    scores: int32 [N, classes], or float32 logits where a float network ran.
    """

    hidden: tuple[npt.NDArray[np.uint32], ...]
    scores: Array

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Class with the largest score, int [N]; of equal ones the first."""
        return np.asarray(np.argmax(self.scores, axis=1))


def run_network(network: Network, images: Array) -> Trace:
    """The float network in the fixed float32 arithmetic of `arithmetic`; scores are float32 logits."""
    return _run(network.contract, network.layers, _float_layer, images)


def run_integer(network: IntegerNetwork, images: Array) -> Trace:
    """The fused network with integers."""
    return _run(network.contract, network.layers, _integer_layer, images)


def run_packed(network: PackedNetwork, images: Array) -> Trace:
    """The packed network with XOR and popcount on words."""
    return _run(network.contract, network.layers, _packed_layer, images)


def _run(contract: InputContract, layers: tuple[L, ...], step: Callable[[L, Array], Array], images: Array) -> Trace:
    images = contract.check(images)
    batches = []
    for start in range(0, max(len(images), 1), _BATCH):
        values = images[start : start + _BATCH].astype(np.int32) - contract.zero_point
        maps = []
        for layer in layers:
            values = step(layer, values)
            maps.append(values)
        batches.append([*(bits.pack(m) for m in maps[:-1]), maps[-1]])
    *hidden, scores = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return Trace(tuple(hidden), scores)


def windows(values: Array, window: Window, fill: Any) -> Array:
    """What lies under a window: [N, H, W, C] -> [N, out H, out W, kh, kw, C]; `fill` outside the map."""
    top, left, bottom, right = window.padding
    out_h, out_w = window.over(*values.shape[1:3])
    padded = np.pad(values, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    rows = np.arange(out_h)[:, None] * sh + np.arange(kh) * dh
    columns = np.arange(out_w)[:, None] * sw + np.arange(kw) * dw
    return padded[:, rows[:, None, :, None], columns[None, :, None, :]]


def accumulate(layer: Accumulation, values: Array) -> npt.NDArray[np.int64]:
    """Integer accumulators [N, H, W, out] of a map of pixels (zero point taken off) or of +-1."""
    match layer:
        case InputConv() | BinaryDense():
            fill = 0
        case BinaryConv():
            fill = layer.pad_value
    under = windows(values, layer.window, fill)
    n, h, w, kh, kw, channels = under.shape
    grouped = under.reshape(n, h, w, kh, kw, layer.groups, channels // layer.groups)
    filters = layer.weights.reshape(layer.groups, -1, *layer.weights.shape[1:])
    # float64 holds integers up to 2^53 exactly, and BLAS is fast with it.
    sums = np.einsum("nhwijgc,goijc->nhwgo", grouped.astype(np.float64), filters.astype(np.float64), optimize=True)
    return np.asarray(np.rint(sums).astype(np.int64).reshape(n, h, w, -1))


def _largest(values: Array, pool: Pool | None) -> Array:
    """Max-pool of floats, integers or bits; a position outside the map never wins."""
    if pool is None:
        return values
    lowest = -np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).min
    return np.asarray(windows(values, pool.window, lowest).max(axis=(3, 4)))


def _float_layer(layer: Layer, values: Array) -> Array:
    z = arithmetic.scale(layer, accumulate(layer.accumulation, values))
    place = layer.pool_place
    if place is PoolPlace.BEFORE_NORM:
        z = _largest(z, layer.pool)
    y = arithmetic.normalise(layer, z)
    if place is PoolPlace.AFTER_NORM:
        y = _largest(y, layer.pool)
    if not layer.sign:
        return y.reshape(len(y), -1)
    ones = bits.sign(y)
    return _largest(ones, layer.pool) if place is PoolPlace.AFTER_SIGN else ones


def _integer_layer(layer: IntegerLayer, values: Array) -> Array:
    sums = accumulate(layer.accumulation, values)
    match layer.output:
        case BatchShift(shift):
            return _pool_bits(bits.sign(sums + shift), layer.pool, layer.pool_and)
        case Scores(scale, offset):
            return (sums * scale + offset).astype(np.int32).reshape(len(sums), -1)


def _pool_bits(ones: npt.NDArray[np.int8], pool: Pool | None, pool_and: npt.NDArray[np.bool_] | None) -> Array:
    """OR over the window, AND (the smallest) in the channels of pool_and."""
    if pool_and is None:
        return _largest(ones, pool)
    inverse = np.where(pool_and, -1, 1).astype(np.int8)
    return np.asarray(_largest(ones * inverse, pool) * inverse)


def _packed_layer(layer: PackedLayer, values: Array) -> Array:
    sums = _first_sums(layer, values) if layer.kind is LayerKind.INPUT_CONV else _packed_sums(layer, values)
    if layer.offset is not None:
        return (sums * layer.shift + layer.offset).astype(np.int32).reshape(len(sums), -1)
    pool_and = None if layer.pool_and is None else bits.unpack(layer.pool_and, layer.target.channels) > 0
    return _pool_bits(bits.sign(sums + layer.shift), layer.pool, pool_and)


def _strings(layer: PackedLayer, values: Array, fill: Any) -> Array:
    """What lies under the window as strings of taps in the order of the weights: [N, H, W, groups, K]."""
    under = windows(values, layer.window, fill)
    n, h, w, kh, kw, channels = under.shape
    grouped = under.reshape(n, h, w, kh, kw, layer.groups, channels // layer.groups)
    return np.moveaxis(grouped, 5, 3).reshape(n, h, w, layer.groups, -1)


def _packed_sums(layer: PackedLayer, values: Array) -> npt.NDArray[np.int64]:
    """valid - 2 * popcount((a ^ w) & mask) for each group's filters."""
    inside = np.ones((1, *values.shape[1:]), dtype=np.bool_)
    mask = bits.pack(_strings(layer, inside, layer.pad_value != 0))[..., None, :]
    taps = bits.pack(_strings(layer, values, layer.pad_value))[..., None, :]
    filters = layer.weights.reshape(layer.groups, -1, layer.weights.shape[1])
    valid = bits.popcount(mask).sum(axis=-1, dtype=np.int64)
    different = bits.popcount((taps ^ filters) & mask).sum(axis=-1, dtype=np.int64)
    sums = valid - 2 * different
    return np.asarray(sums.reshape(*sums.shape[:3], -1))


def _first_sums(layer: PackedLayer, values: Array) -> npt.NDArray[np.int64]:
    """2 * (sum of the taps whose weight bit is 1) - (sum of all)."""
    taps = _strings(layer, values, 0).astype(np.int64)
    plus = bits.unpack(layer.weights, layer.taps).reshape(layer.groups, -1, layer.taps) > 0
    sums = 2 * np.einsum("nhwgk,gok->nhwgo", taps, plus.astype(np.int64)) - taps.sum(axis=-1)[..., None]
    return np.asarray(sums.reshape(*sums.shape[:3], -1))
