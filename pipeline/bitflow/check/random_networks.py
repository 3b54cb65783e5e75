"""Random networks that leave no case out: what every engine and every core is compared on.

The seed counts through the combinations of `every_cell`; in every layer some channels have positive, negative and zero
gamma, some statistics tiny or huge, and some a tie (y = 0 exactly) on a reachable accumulator. What no cell names is
drawn: dilation, sides that are padded unequally, 1-D maps, int8 weights, sign(0) = -1, concatenations, shared
convolutions, global averages, affine steps in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.geometry import InputContract, Pool, Shape, Window
from bitflow.ir import (
    INPUT,
    Accumulation,
    BatchNorm,
    BinaryConv,
    BinaryDense,
    Concat,
    Divide,
    InputConv,
    IntegerConv,
    Layer,
    Map,
    Network,
    Offset,
    Rounding,
    Scale,
    Sign,
    Step,
    Sum,
    Total,
    Values,
)

__all__ = ["SEEDS", "Cell", "cells", "every_cell", "random_images", "random_network"]

# All combinations of `every_cell` occur in the networks of this many seeds, from 0 (tested).
SEEDS = 300

PLACES = ("none", "before_norm", "after_norm", "after_sign")
GAMMAS = ("-", "0", "+")
_CHANNELS = (6, 33, 4, 31, 12, 32, 8, 64)


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """A combination that must occur: of a layer, and of one of its channels (gamma)."""

    kind: str
    padding: str
    stride: int
    groups: str
    place: str
    residual: bool
    gamma: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a convolution of a random network is to be."""

    padding: str
    stride: int
    groups: str
    place: str
    residual: bool = False


_CONVS = tuple(
    _Plan(*plan)
    for plan in product(("none", "-1", "0", "1"), (1, 2), ("one", "some", "depthwise"), PLACES, (False, True))
)
_INPUTS = tuple(_Plan(*plan) for plan in product(("none", "0"), (1, 2), ("one", "depthwise"), PLACES))


def every_cell() -> set[Cell]:
    """All combinations that must occur."""
    every = [("input_conv", plan) for plan in _INPUTS] + [("conv", plan) for plan in _CONVS]
    dense = _Plan("none", 1, "one", "none")
    every += [("dense", dense), ("sum", dense), ("total", dense), ("wide_conv", dense)]
    return {
        Cell(kind, p.padding, p.stride, p.groups, p.place, p.residual, gamma)
        for (kind, p), gamma in product(every, GAMMAS)
    }


def random_network(seed: int) -> Network:
    """Pixels -> input convolution -> two convolutions, residual ones among them -> merge -> dense layers -> scores."""
    rng = np.random.default_rng(seed)
    build = _Builder(rng, _contract(rng, seed), plain=seed < len(_CONVS) // 2)
    build.stem(_INPUTS[seed % len(_INPUTS)])
    for step in range(2):
        build.block(_CONVS[(2 * seed + step) % len(_CONVS)])
    (build.concat, build.shared, build.average, lambda: None)[seed % 4]()
    build.dense()
    build.scores(seed // 4 % 4)
    classes = build.layers[-1].target.channels
    return Network(f"random-{seed}", build.contract, tuple(build.layers), tuple(f"class {c}" for c in range(classes)))


def _contract(rng: np.random.Generator, seed: int) -> InputContract:
    low, dtype = (-128, "int8") if seed % 3 == 2 else (0, "uint8")
    height, width = (1, int(rng.integers(24, 40))) if seed % 7 == 6 else map(int, rng.integers(8, 12, 2))
    channels = (2, 1, 4, 3)[seed // 16 % 4]
    return InputContract(Shape(height, width, channels), dtype, int(rng.integers(low, low + 256)))  # type: ignore[arg-type]


def random_images(contract: InputContract, count: int, seed: int) -> npt.NDArray[Any]:
    """Images [count, H, W, C] of the contract's type: noise, then flat ones at both ends and at the zero point."""
    rng = np.random.default_rng(seed)
    low, high = contract.pixel_range
    shape = contract.shape
    images = rng.integers(low, high + 1, (count, shape.height, shape.width, shape.channels))
    for index, value in zip(range(max(count - 3, 0), count), (low, high, contract.zero_point), strict=False):
        images[index] = value
    return images.astype(contract.dtype)


@dataclass(slots=True)
class _Builder:
    """Appends layers; `at` is the index of the map that the next one takes. plain: no layer is of another kind than
    its cell, or without a BatchNorm, by chance."""

    rng: np.random.Generator
    contract: InputContract
    plain: bool = False
    layers: list[Layer] = field(default_factory=list)
    at: int = INPUT

    @property
    def here(self) -> Map:
        return self.map_of(self.at)

    def map_of(self, index: int) -> Map:
        if index == INPUT:
            return Map(self.contract.shape, Values.PIXELS, self.contract.reach)
        return self.layers[index].gives(last=False)

    def add(self, name: str, accumulation: Accumulation, steps: tuple[Step, ...], *sources: int) -> int:
        exact = self.rng.random() < 0.3
        rounding = Rounding.EXACT if exact else Rounding.FLOAT32
        self.layers.append(Layer(name, accumulation, steps, sources or (self.at,), rounding))
        self.at = len(self.layers) - 1
        return self.at

    def stem(self, plan: _Plan) -> None:
        source = self.contract.shape
        groups, count = self.split(plan.groups, source.channels)
        filters = self.filters(count, self.kernel(source), source.channels // groups)
        window = self.window(filters, source, plan)
        conv = InputConv(source, filters, window, self.contract, groups)
        self.add("first", conv, self.steps(conv, plan.place))

    def block(self, plan: _Plan) -> None:
        """A convolution of bits; residual: its integers, a shortcut's added, then the steps."""
        start, source = self.at, self.here.shape
        groups, count = self.split(plan.groups, source.channels)
        filters = self.filters(count, self.kernel(source), source.channels // groups)
        window = self.window(filters, source, plan)
        conv = BinaryConv(source, filters, window, groups, 0 if plan.padding == "none" else int(plan.padding))
        name = f"block{len(self.layers)}"
        if not plan.residual:
            self.add(name, conv, self.steps(conv, plan.place))
            return
        body = self.add(name, conv, (), start)
        if conv.target == source and self.rng.random() < 0.5:
            shortcut = start  # the bits themselves
        else:
            other = BinaryConv(source, self.filters(count, filters.shape[1:3], filters.shape[3]), window, groups, 1)
            shortcut = self.add(f"{name}.shortcut", other, (), start)
        both = Sum((self.map_of(body), self.map_of(shortcut)))
        self.add(f"{name}.sum", both, self.steps(both, plan.place), body, shortcut)

    def concat(self) -> None:
        """Two layers of the same map, side by side."""
        start = self.at
        found = []
        for name in ("left", "right"):
            source = self.map_of(start).shape
            conv = BinaryConv(source, self.filters(self.width(), (1, 1), source.channels), Window((1, 1)))
            found.append(self.add(name, conv, self.steps(conv, "none"), start))
        self.add("concat", Concat(tuple(map(self.map_of, found))), (Sign(),), *found)

    def shared(self) -> None:
        """One convolution whose integers are pooled, then compared twice."""
        source = self.here.shape
        conv = BinaryConv(source, self.filters(self.width(), (1, 1), source.channels), Window((1, 1)))
        pool = (_pool(self.rng),) if min(source.height, source.width) >= 2 else ()
        shared = self.add("shared", conv, pool)
        found = []
        for name in ("once", "twice"):
            again = Sum((self.map_of(shared),))
            found.append(self.add(name, again, self.steps(again, "none"), shared))
        self.add("both", Concat(tuple(map(self.map_of, found))), (Sign(),), *found)

    def average(self) -> None:
        """The global average of bits, or of a convolution's integers."""
        if self.rng.random() < 0.5:
            source = self.here.shape
            conv = BinaryConv(source, self.filters(self.width(), (1, 1), source.channels), Window((1, 1)))
            self.add("features", conv, ())
        total = Total(self.here)
        self.add("average", total, (Divide(total.source.height * total.source.width), *self.steps(total, "none")))

    def dense(self) -> None:
        source = self.here.shape
        count = self.width() if source.size <= 1024 else 5
        dense = BinaryDense(source, self.filters(count, (source.height, source.width), source.channels, 0.3))
        self.add("dense", dense, self.steps(dense, "none"))

    def scores(self, way: int) -> None:
        """+-1 weights with one scale; int8 weights; the integers of a layer without a sign; a BatchNorm at the end."""
        classes = int(self.rng.integers(2, 9))
        channels = self.here.shape.channels
        factor = np.full(classes, 0.125 + self.rng.random(), dtype=np.float32)
        if way == 2:
            dense = BinaryDense(self.here.shape, self.filters(8, (1, 1), channels))
            self.add("integers", dense, ())
            wide = self.rng.integers(-9, 10, (classes, 1, 1, 8)).astype(np.int8)
            self.add("scores", IntegerConv(self.here.shape, self.here.reach, wide, Window((1, 1))), (Scale(factor),))
            return
        last = BinaryDense(self.here.shape, self.filters(classes, (1, 1), channels, float(way == 1)))
        steps: tuple[Step, ...] = (Scale(factor),)
        if way == 3:
            f4 = np.float32
            powers = 2.0 ** self.rng.integers(-1, 2, classes)  # with small ones int32 scores keep the order
            ends = self.rng.integers(-4, 5, classes)
            plain = np.zeros(classes, f4), np.ones(classes, f4)
            steps = (BatchNorm(powers.astype(f4), ends.astype(f4), *plain, eps=0.0),)
        self.add("scores", last, steps)

    def width(self) -> int:
        return int(self.rng.choice(_CHANNELS))

    def kernel(self, source: Shape) -> tuple[int, int]:
        side = [int(self.rng.integers(1, min(4, size + 1))) for size in (source.height, source.width)]
        return side[0], side[1]

    def split(self, groups: str, channels: int) -> tuple[int, int]:
        """Number of groups, and of out channels."""
        if groups == "depthwise" and channels > 1:
            return channels, channels * int(self.rng.integers(1, 3))
        if groups == "some":
            found = next((n for n in (2, 3, 31, 11) if channels % n == 0 and channels > n), 1)
            return found, found * int(self.rng.integers(3, 5))
        return 1, self.width()

    def filters(self, count: int, kernel: tuple[int, ...], channels: int, wide: float = 0.1) -> npt.NDArray[np.int8]:
        """+-1, or int8 with probability `wide`."""
        shape = (count, *kernel, channels)
        if self.rng.random() < wide * (not self.plain):
            return self.rng.integers(-127, 128, shape).astype(np.int8)
        return bits.sign(self.rng.integers(-1, 1, shape))

    def window(self, filters: npt.NDArray[np.int8], source: Shape, plan: _Plan) -> Window:
        kernel = (filters.shape[1], filters.shape[2])
        padding = [0, 0, 0, 0]
        if plan.padding != "none":
            padding = [int(p) for p in self.rng.integers(0, 3, 4)]
            padding[int(self.rng.integers(0, 4))] = 1
        spare = (source.height - kernel[0], source.width - kernel[1])
        dilation = [
            2 if k > 1 and room >= k - 1 and self.rng.random() < 0.2 else 1
            for k, room in zip(kernel, spare, strict=True)
        ]
        strides = [plan.stride, plan.stride]
        return Window(kernel, (strides[0], strides[1]), tuple(padding), (dilation[0], dilation[1]))  # type: ignore[arg-type]

    def steps(self, accumulation: Accumulation, place: str) -> tuple[Step, ...]:
        """Scale, bias, BatchNorm, shift, sign with a max-pool among them; some are left out now and then."""
        rng, target = self.rng, accumulation.target
        pool: tuple[Step, ...] = (_pool(rng),) if place != "none" else ()
        count = target.channels
        first: list[Step] = []
        scale = rng.random(count).astype(np.float32) + np.float32(1e-3)
        bias = rng.normal(size=count).astype(np.float32) if rng.random() < 0.3 else None
        scale = scale * np.where(rng.random(count) < 0.2, np.float32(-1), np.float32(1))
        norm = _norm(rng, accumulation, scale, bias)
        first.append(Scale(scale))
        if bias is not None:
            first.append(Offset(bias))
        middle: list[Step] = [norm] if self.plain or rng.random() > 0.1 else []
        if rng.random() < 0.2:
            middle.append(Offset(rng.normal(scale=0.1, size=count).astype(np.float32)))
        parts = {
            "none": (*first, *middle),
            "before_norm": (*first, *pool, *middle),
            "after_norm": (*first, *middle, *pool),
            "after_sign": (*first, *middle),
        }[place]
        sign = Sign(-1 if rng.random() < 0.2 else 1)
        return (*parts, sign, *pool) if place == "after_sign" else (*parts, sign)


def _pool(rng: np.random.Generator) -> Pool:
    """A window of 2x2; or one that overlaps, with a cut row and column, as ceil_mode gives them; of 1-D maps too."""
    kernel, padding = ((3, 2), (1, 0, 1, 1)) if rng.random() < 0.5 else ((2, 2), (1, 0, 0, 1))
    return Pool(Window(kernel, (2, 2), padding))


def _norm(rng: np.random.Generator, accumulation: Accumulation, scale: npt.NDArray[np.float32], bias: Any) -> BatchNorm:
    """Ordinary statistics, with extreme ones in every eighth channel and exact ties in every fourth."""
    count = len(scale)
    spread = np.sqrt(accumulation.reach)
    signs = np.resize(np.array([1, -1, 0, 1, -1, 1, -1]), count)
    rng.shuffle(signs)
    weight = signs * (rng.random(count) + 0.1)
    mean = rng.normal(scale=spread / 2, size=count) * scale
    variance = (spread * scale * (rng.random(count) + 0.1)) ** 2
    offset = rng.normal(scale=0.5, size=count)
    variance[1::8] *= 10.0 ** rng.choice([-12, 12], len(variance[1::8]))
    tie = np.arange(count) % 4 == 0
    # With powers of two everywhere z, a and b are exact: y = weight * (x - x0) / 2, zero at the reachable x0.
    reachable = accumulation.reach - 2 * rng.integers(0, accumulation.reach + 1, count)
    scale[tie] = 0.5
    weight[tie], variance[tie] = signs[tie], 1.0
    mean[tie] = 0.5 * reachable[tie]
    offset[tie] = 0
    if bias is not None:
        bias[tie] = 0
    f4 = np.float32
    return BatchNorm(weight.astype(f4), offset.astype(f4), mean.astype(f4), variance.astype(f4), eps=0.0)


def _place(layer: Layer) -> str:
    kinds = [type(step) for step in layer.steps]
    if Pool not in kinds:
        return "none"
    at = kinds.index(Pool)
    if at > kinds.index(Sign):
        return "after_sign"
    return "before_norm" if BatchNorm in kinds[at:] else "after_norm"


def _gammas(layer: Layer) -> Iterator[str]:
    for step in layer.steps:
        if isinstance(step, BatchNorm):
            yield from (
                name for name, value in zip(GAMMAS, (-1, 0, 1), strict=True) if (np.sign(step.weight) == value).any()
            )


def cells(network: Network) -> set[Cell]:
    """The combinations that occur in a network. A residual one is named by the convolution that its sum adds."""
    found = set()
    for layer in network.layers[:-1]:
        if layer.sign is None:
            continue
        of, residual = layer.accumulation, False
        if isinstance(of, Sum) and len(of.takes) > 1:
            of, residual = network.layers[(layer.sources or ())[0]].accumulation, True
        padding = str(of.pad_value) if any(of.window.padding) else "none"
        groups = "one" if of.groups == 1 else "depthwise" if of.groups == of.source.channels else "some"
        place = _place(layer)
        kind = of.kind.name.lower()
        if kind == "wide_conv" and isinstance(of, BinaryDense):
            padding, groups = "none", "one"
        for gamma in _gammas(layer):
            found.add(Cell(kind, padding, of.window.stride[0], groups, place, residual, gamma))
    return found
