"""Random steps after an accumulation, chosen so that its bits differ between positions and images.

A BatchNorm gets the statistics of the layer's output for a few images, as after training; then some channels get zero
gamma, a tiny or huge variance, or a tie (y = 0 exactly) on an accumulator that occurs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.engines.reference import windows
from bitflow.geometry import Pool, Window
from bitflow.ir import BatchNorm, Divide, Offset, Scale, Sign, Step
from bitflow.lower.arithmetic import composed

__all__ = ["random_pool", "random_steps"]

Array = npt.NDArray[Any]


def random_pool(rng: np.random.Generator) -> Pool:
    """A window of 2x2; or overlapping windows with a cut row and column, as with ceil_mode; also for 1-D maps."""
    kernel, padding = ((3, 2), (1, 0, 1, 1)) if rng.random() < 0.5 else ((2, 2), (1, 0, 0, 1))
    return Pool(Window(kernel, (2, 2), padding))


def random_steps(
    rng: np.random.Generator, seen: Array, place: str, divisor: int = 1, plain: bool = False, thresholds: int = 1
) -> tuple[Step, ...]:
    """Scale, bias, BatchNorm, shift, sign, and a max-pool at `place`; some are left out at random.

    seen: accumulators [N, H, W, C] of the layer.
    divisor: of a global average.
    plain: always include a BatchNorm.
    thresholds: of the sign.
    """
    count: int = seen.shape[3]
    pool = random_pool(rng) if place != "none" else None
    scale = rng.random(count).astype(np.float32) + np.float32(1e-3)
    scale = scale * np.where(rng.random(count) < 0.2, np.float32(-1), np.float32(1))
    bias = rng.normal(size=count).astype(np.float32) * np.float32(rng.random() < 0.3)
    weight = np.resize(np.array([1, -1, 0, 1, -1, 1, -1]), count)
    rng.shuffle(weight)
    if plain or rng.random() > 0.1:
        middle: list[Step] = [_norm(rng, seen / divisor, scale, bias, weight, pool, place)]
    else:
        middle = [Offset((-_often(rng, seen / divisor * scale + bias)).astype(np.float32))]
    if rng.random() < 0.2:
        middle.append(Offset(rng.normal(scale=0.1, size=count).astype(np.float32)))
    first: list[Step] = [Divide(divisor)] if divisor > 1 else []
    first.append(Scale(scale))
    if bias.any():
        first.append(Offset(bias))
    sign = _sign(rng, seen, (*first, *middle), thresholds)
    pools = (pool,) if pool is not None else ()
    match place:
        case "before_norm":
            return (*first, *pools, *middle, sign)
        case "after_norm":
            return (*first, *middle, *pools, sign)
        case _:
            return (*first, *middle, sign, *pools)


def _sign(rng: np.random.Generator, seen: Array, steps: tuple[Step, ...], thresholds: int) -> Sign:
    """A sign whose thresholds are in any order; some are equal, and some ties."""
    if thresholds == 1:
        return Sign(-1 if rng.random() < 0.2 else 1)
    channels = seen.shape[3]
    spread = np.abs(composed(steps, channels)[0]) * seen.std(axis=(0, 1, 2))
    values = (rng.normal(scale=0.8, size=(thresholds, channels)) * spread).astype(np.float32)
    tie = np.arange(channels) % 4 == 0
    values[:, tie] = np.rint(2 * values[:, tie]) / 2
    values[1, 2::5] = values[0, 2::5]
    zeros = (-1, 1) if rng.random() < 0.3 else (1,)
    return Sign(tuple(int(zero) for zero in rng.choice(zeros, thresholds)), values)


def _often(rng: np.random.Generator, values: Array) -> Array:
    """For each channel a value that occurs, near the median: about half of the values are above it."""
    flat = values.reshape(-1, values.shape[-1])
    some = rng.integers(0, len(flat), (3, flat.shape[1]))
    return np.asarray(np.median(flat[some, np.arange(flat.shape[1])], axis=0))


def _norm(
    rng: np.random.Generator, seen: Array, scale: Array, bias: Array, weight: Array, pool: Pool | None, place: str
) -> BatchNorm:
    """A BatchNorm; changes `scale` and `bias` in the channels with a tie.

    weight: the signs of gamma.
    """
    count = len(scale)
    tie = np.arange(count) % 4 == 0
    scale[tie], bias[tie] = 0.5, 0
    values = seen * scale + bias
    if pool is not None:  # the largest value decides; with a falling BatchNorm before the pool the smallest
        turn = np.where((weight < 0) & (place != "before_norm"), -1, 1)
        values = windows(values * turn, pool.window, -np.inf).max(axis=(3, 4)) * turn
    often, flat = _often(rng, values), values.reshape(-1, count)
    mean = np.where(tie, often, (often + flat.mean(axis=0)) / 2)
    spread = flat.std(axis=0) + 1e-2
    gamma = weight * (rng.random(count) + 0.1)
    variance = (spread * (rng.random(count) + 0.1)) ** 2
    offset = rng.normal(scale=0.1, size=count)
    variance[1::8] *= 10.0 ** rng.choice([-12, 12], len(variance[1::8]))
    # Where the mean occurs and the rest are powers of two, z, a and b are exact, and y is 0 there.
    gamma[tie], variance[tie], offset[tie] = weight[tie], 1.0, 0
    f4 = np.float32
    return BatchNorm(gamma.astype(f4), offset.astype(f4), mean.astype(f4), variance.astype(f4), eps=0.0)
