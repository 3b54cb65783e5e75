"""Random networks that leave no case out: what every engine and every core is compared on.

The seed counts through the combinations of padding, stride, pool place and channel count; in every layer some channels
have positive, negative and zero gamma, some statistics tiny or huge, and some a tie (y = 0 exactly) on a reachable
accumulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.geometry import InputContract, Pool, Shape, Window
from bitflow.ir import Accumulation, BatchNorm, BinaryConv, BinaryDense, InputConv, Layer, LayerKind, Network, PoolPlace

__all__ = ["SEEDS", "cells", "every_cell", "random_images", "random_network"]

# All combinations of `every_cell` occur in the networks of this many seeds, from 0 (tested).
SEEDS = 96

_CHANNELS = (33, 1, 64, 31, 5, 32)
_PLACES = (None, *PoolPlace)
_PADDINGS = (-1, 0, 1)


def random_network(seed: int) -> Network:
    """Pixels -> input convolution -> two binary convolutions (one with groups) -> two dense layers."""
    rng = np.random.default_rng(seed)
    stride, place, padding = 1 + seed % 2, _PLACES[seed // 2 % 4], _PADDINGS[seed // 8 % 3]
    other_place, other_stride = _PLACES[(seed // 2 + seed // 8) % 4], 1 + (seed + seed // 8) % 2
    channels = [_CHANNELS[(seed + step * (1 + seed // 6)) % len(_CHANNELS)] for step in range(4)]
    low, dtype = (-128, "int8") if seed % 3 == 2 else (0, "uint8")
    shape = Shape(int(rng.integers(9, 14)), int(rng.integers(9, 14)), (1, 3, 2)[seed % 3])
    contract = InputContract(shape, dtype, int(rng.integers(low, low + 256)))  # type: ignore[arg-type]
    pads = int(padding != 0)  # the first layer's padded taps do not count: it is padded or not
    first = InputConv(shape, _signs(rng, channels[0], 3, 3, shape.channels), _window(3, other_stride, pads), contract)
    layers = [_layer(rng, "first", first, other_place)]
    source = layers[-1].target
    window = Window((3, 2), (stride, stride), (1, 2, 1, 0), (2 if source.height > 3 else 1, 1))
    conv = BinaryConv(source, _signs(rng, channels[1], 3, 2, source.channels), window, 1, padding)
    layers.append(_layer(rng, "conv", conv, place))
    source = layers[-1].target
    groups = source.channels if seed % 4 == 0 else int(np.gcd(source.channels, channels[2]))
    count = groups if seed % 4 == 0 else channels[2]
    depthwise = _signs(rng, count, 3, 3, source.channels // groups)
    other = _PADDINGS[(seed // 8 + 1) % 3]
    grouped = BinaryConv(source, depthwise, _window(3, other_stride, 1), groups, other)
    layers.append(_layer(rng, "groups", grouped, other_place))
    source = layers[-1].target
    dense = BinaryDense(source, _signs(rng, channels[3], source.height, source.width, source.channels))
    layers.append(_layer(rng, "dense", dense, None))
    classes = int(rng.integers(2, 12))
    last = BinaryDense(layers[-1].target, _signs(rng, classes, 1, 1, channels[3]))
    scale = np.full(classes, 0.125 + rng.random(), dtype=np.float32)
    layers.append(Layer("scores", last, scale, sign=False))
    return Network(f"random-{seed}", contract, tuple(layers), tuple(f"class {c}" for c in range(classes)))


def random_images(contract: InputContract, count: int, seed: int) -> npt.NDArray[Any]:
    """Images [count, H, W, C] of the contract's type: noise, then flat ones at both ends and at the zero point."""
    rng = np.random.default_rng(seed)
    low, high = contract.pixel_range
    shape = contract.shape
    images = rng.integers(low, high + 1, (count, shape.height, shape.width, shape.channels))
    for index, value in zip(range(max(count - 3, 0), count), (low, high, contract.zero_point), strict=False):
        images[index] = value
    return images.astype(contract.dtype)


def _signs(rng: np.random.Generator, *shape: int) -> npt.NDArray[np.int8]:
    return bits.sign(rng.integers(-1, 1, shape))


def _window(kernel: int, stride: int, padding: int) -> Window:
    return Window((kernel, kernel), (stride, stride), (padding,) * 4)


def _layer(rng: np.random.Generator, name: str, accumulation: Accumulation, place: PoolPlace | None) -> Layer:
    target = accumulation.target
    pool = None
    if place is not None and min(target.height, target.width) >= 2:
        # Overlapping windows with a cut row and column now and then, as ceil_mode gives them.
        kernel, padding = ((3, 2), (1, 0, 1, 1)) if rng.random() < 0.5 else ((2, 2), (0, 0, 0, 0))
        pool = Pool(Window(kernel, (2, 2), padding))
    count = target.channels
    scale = rng.random(count).astype(np.float32) + np.float32(1e-3)
    bias = rng.normal(size=count).astype(np.float32) if rng.random() < 0.3 else None
    norm = None if rng.random() < 0.1 else _norm(rng, accumulation, scale, bias)
    return Layer(name, accumulation, scale, bias, norm, pool, place if pool and place else PoolPlace.BEFORE_NORM)


def _norm(rng: np.random.Generator, accumulation: Accumulation, scale: npt.NDArray[np.float32], bias: Any) -> BatchNorm:
    """Ordinary statistics, with extreme ones in every eighth channel and exact ties in every fourth."""
    count = len(scale)
    spread = np.sqrt(accumulation.taps) * accumulation.reach / accumulation.taps
    signs = np.resize(np.array([1, -1, 0, 1, -1, 1, -1]), count)
    rng.shuffle(signs)
    weight = signs * (rng.random(count) + 0.1)
    mean = rng.normal(scale=spread / 2, size=count) * scale
    variance = (spread * scale * (rng.random(count) + 0.1)) ** 2
    offset = rng.normal(scale=0.5, size=count)
    variance[1::8] *= 10.0 ** rng.choice([-12, 12], len(variance[1::8]))
    tie = np.arange(count) % 4 == 0
    # With powers of two everywhere z, a and b are exact: y = weight * (x - x0) / 2, zero at the reachable x0.
    reachable = accumulation.taps - 2 * rng.integers(0, accumulation.taps + 1, count)
    scale[tie] = 0.5
    weight[tie], variance[tie] = signs[tie], 1.0
    mean[tie] = 0.5 * reachable[tie]
    offset[tie] = 0
    if bias is not None:
        bias[tie] = 0
    f4 = np.float32
    return BatchNorm(weight.astype(f4), offset.astype(f4), mean.astype(f4), variance.astype(f4), eps=0.0)


def _gammas(layer: Layer) -> Iterator[str]:
    if layer.norm is None:
        yield "none"
    else:
        yield from (
            name for name, value in (("-", -1), ("0", 0), ("+", 1)) if (np.sign(layer.norm.weight) == value).any()
        )


def cells(network: Network) -> set[tuple[str, str, int, str, str]]:
    """The combinations (kind, padding, stride, pool place, sign of gamma) that occur in a network."""
    found = set()
    for layer in network.layers[:-1]:
        accumulation = layer.accumulation
        padding = str(accumulation.pad_value) if any(accumulation.window.padding) else "none"
        place = layer.pool_place.value if layer.pool else "none"
        for gamma in _gammas(layer):
            found.add((accumulation.kind.name.lower(), padding, accumulation.window.stride[0], place, gamma))
    return found


def every_cell() -> set[tuple[str, str, int, str, str]]:
    """All combinations that must occur."""
    places = ["none", *(place.value for place in PoolPlace)]
    gammas = ("-", "0", "+")
    first, conv, dense = (kind.name.lower() for kind in LayerKind)
    return {
        *product([first], ["none", "0"], [1, 2], places, gammas),
        *product([conv], ["-1", "0", "1"], [1, 2], places, gammas),
        *product([dense], ["none"], [1], ["none"], gammas),
    }
