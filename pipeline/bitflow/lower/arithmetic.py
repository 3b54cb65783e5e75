"""What the steps of a layer compute, in NumPy. Each is monotone in the accumulator x; `fuse` depends on that.

Rounding.FLOAT32. torch does not fix how a network rounds, so BitFlow does (it is what torch's CPU kernels with FMA
compute): each step is computed once and rounded once to float32,

    Scale      float32(z * factor)
    Divide     float32(z / count)
    Offset     float32(z + offset)
    BatchNorm  float32(fma(z, a, b)), with float32 a = weight * (1 / sqrt(variance + eps)), b = fma(-mean, a, bias)

A product of two float32 is exact in float64, so float32(float64(z) * a + b) serves as the fused multiply-add; sums and
quotients of float32 that are rounded first to float64 and then to float32 equal those rounded once.

Rounding.EXACT. Real numbers: float64 with a running bound of its error. Where the bound does not settle the sign,
decimal arithmetic does, with enough digits for every product and sum of float32.
"""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.geometry import Pool
from bitflow.ir import BatchNorm, Divide, Layer, Offset, Rounding, Scale, Sign, Step

__all__ = ["affine", "composed", "exact_signs", "linear", "positive", "signs", "step", "trend", "value"]

Array = npt.NDArray[Any]
Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Signs = npt.NDArray[np.int8]

_EPSILON = 2.0**-52
_DIGITS = decimal.Context(prec=400)


def affine(norm: BatchNorm) -> tuple[Float, Float]:
    """a and b of a BatchNorm, float32 [channels] each."""
    inverse = np.float32(1) / np.sqrt(norm.variance + np.float32(norm.eps))
    a = (norm.weight * inverse).astype(np.float32)
    b = (-norm.mean.astype(np.float64) * a + norm.bias).astype(np.float32)
    return a, b


def _deviation(norm: BatchNorm) -> Double:
    return np.sqrt(norm.variance.astype(np.float64) + norm.eps)


def step(done: Step, rounding: Rounding, z: Array) -> Array:
    """One affine step on values [..., channels]: in float32, or in float64 if rounding is EXACT."""
    z = z.astype(np.float64)
    match done:
        case Scale(values):
            z = z * values
        case Divide(by):
            z = z / by
        case Offset(values):
            z = z + values
        case BatchNorm() if rounding is Rounding.FLOAT32:
            a, b = affine(done)
            z = z * a + b
        case BatchNorm():
            z = (z - done.mean) * done.weight / _deviation(done) + done.bias
        case Pool() | Sign():
            raise TypeError(f"{done} is no affine step")
    return z.astype(np.float32) if rounding is Rounding.FLOAT32 else z


def value(layer: Layer, accumulators: Array) -> Array:
    """What the sign or the arg-max gets for accumulators [..., channels]; a pool is left out."""
    z = accumulators.astype(np.float64)
    for done in layer.affine:
        z = step(done, layer.rounding, z)
    return z


def positive(layer: Layer, accumulators: Array) -> npt.NDArray[np.bool_]:
    """Where the sign of a layer with one threshold gives +1 for accumulators [..., channels]."""
    return signs(layer, accumulators, value(layer, accumulators)) > 0


def signs(layer: Layer, accumulators: Array, values: Array) -> Signs:
    """The sign, +1 or -1, of a layer with one threshold, for accumulators and their `value`s, both [..., channels]."""
    zero = 1 if layer.sign is None else layer.sign.zeros[0]
    found = np.sign(exact_signs(layer, accumulators, values)).astype(np.int8)
    return np.where(found == 0, np.int8(zero), found)


def exact_signs(layer: Layer, accumulators: Array, values: Array) -> Array:
    """-1, 0 or +1, the signs of the values; decimal numbers decide where float64 cannot (only if rounding is EXACT)."""
    found = np.sign(values)
    if layer.rounding is Rounding.FLOAT32 or not layer.affine:
        return found
    unsure = np.abs(values) <= _error(layer, accumulators)
    accumulators = np.broadcast_to(accumulators, values.shape)
    places = np.argwhere(unsure)
    # Equal accumulators of a channel have equal signs, and a map holds few different ones.
    known: dict[tuple[int, int], int] = {}
    for place in map(tuple, places):
        key = int(accumulators[place]), int(place[-1])
        if key not in known:
            known[key] = _decimal_sign(layer.affine, *key)
        found[place] = known[key]
    return found


def _error(layer: Layer, accumulators: Array) -> Double:
    """A bound of the error of `value`, float64 [..., channels]."""
    z = accumulators.astype(np.float64)
    error = np.zeros_like(z)
    for done in layer.affine:
        match done:
            case Scale(values):
                error = error * np.abs(values)
            case Divide(by):
                error = error / by
            case BatchNorm():
                factor = np.abs(done.weight) / _deviation(done)
                error = (error + 4 * _EPSILON * np.abs(z - done.mean)) * factor + 4 * _EPSILON * np.abs(done.bias)
        z = step(done, Rounding.EXACT, z)
        error = error + 4 * _EPSILON * np.abs(z)
        if isinstance(done, Offset):
            error = error + 4 * _EPSILON * np.abs(done.values)
    return error


def _decimal_sign(steps: Sequence[Step], accumulator: int, channel: int) -> int:
    z = decimal.Decimal(accumulator)

    def number(values: Array) -> decimal.Decimal:
        return decimal.Decimal(float(values[channel]))

    with decimal.localcontext(_DIGITS):
        for done in steps:
            match done:
                case Scale(values):
                    z = z * number(values)
                case Divide(by):
                    z = z / decimal.Decimal(by)
                case Offset(values):
                    z = z + number(values)
                case BatchNorm():
                    deviation = (number(done.variance) + decimal.Decimal(done.eps)).sqrt()
                    z = (z - number(done.mean)) * number(done.weight) / deviation + number(done.bias)
        return (z > 0) - (z < 0)


def trend(layer: Layer, after_pool: bool = False) -> Signs:
    """Whether the layer's value rises (+1), falls (-1) or stays constant (0) with its accumulator, int8 [channels].

    after_pool: with the output of its max-pool instead of the accumulator.
    """
    signs = np.ones(layer.accumulation.target.channels, dtype=np.int8)
    passed = not after_pool
    for done in layer.steps:
        match done:
            case Pool():
                passed = True
            case Scale(values) if passed:
                signs = signs * np.sign(values).astype(np.int8)
            case BatchNorm(weight) if passed:
                factor = affine(done)[0] if layer.rounding is Rounding.FLOAT32 else weight
                signs = signs * np.sign(factor).astype(np.int8)
    return signs


def linear(layer: Layer) -> tuple[Double, Double]:
    """Slope and offset of the layer's value as real functions of the accumulator, float64 [channels] each."""
    return composed(layer.affine, layer.accumulation.target.channels, layer.rounding)


def composed(steps: Sequence[Step], channels: int, rounding: Rounding = Rounding.EXACT) -> tuple[Double, Double]:
    """Slope and offset of a sequence of affine steps as real functions, float64 [channels] each."""
    slope, offset = np.ones(channels), np.zeros(channels)
    for done in steps:
        match done:
            case Scale(values):
                slope, offset = slope * values, offset * values
            case Divide(by):
                slope, offset = slope / by, offset / by
            case Offset(values):
                offset = offset + values
            case BatchNorm() if rounding is Rounding.FLOAT32:
                a, b = affine(done)
                slope, offset = slope * a, offset * a + b
            case BatchNorm():
                factor = done.weight / _deviation(done)
                slope, offset = slope * factor, (offset - done.mean) * factor + done.bias
            case Pool() | Sign():
                raise TypeError(f"{done} is no affine step")
    return slope, offset
