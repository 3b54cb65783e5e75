"""Random networks that cover every case, on which all engines and cores are compared.

The seed counts through the combinations of `coverage.every_cell`. In every layer some channels have positive, negative
and zero gamma, some have tiny or huge statistics, and some a tie on an accumulator that occurs. Everything else is
random: dilation, unequal padding, 1-D maps, int8 weights, sign(0) = -1, concatenations, shared convolutions, global
averages, affine steps in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.accumulation import MAX_THRESHOLDS
from bitflow.engines.reference import accumulate, float_layer
from bitflow.engines.self_test import random_images
from bitflow.geometry import InputSpec, Shape, Window
from bitflow.ir import (
    INPUT,
    Accumulation,
    BatchNorm,
    BinaryConv,
    BinaryDense,
    Concat,
    InputConv,
    IntegerConv,
    Layer,
    Map,
    MapType,
    Network,
    Rounding,
    Scale,
    Sign,
    Step,
    Sum,
    Total,
)
from bitflow.synthetic.coverage import CONVS, INPUTS, THRESHOLDS, Block
from bitflow.synthetic.steps import random_pool, random_steps

__all__ = ["ENDINGS", "MERGES", "SEEDS", "Recipe", "cook", "random_network", "recipe_of"]

# The first this many seeds cover all combinations of `every_cell` (tested).
SEEDS = 300

MERGES = ("none", "concat", "shared", "average")
ENDINGS = ("plain", "bytes", "integers", "norm")
_CHANNELS = (6, 33, 4, 31, 12, 32, 8, 64)
# Per layer: a network must pass a serial line quickly.
_MOST_SIGNS = 16384
_MOST_BITS = 96  # of a position, where accumulators give several
_MOST_BYTES = 2048
_PROBES = 9


@dataclass(frozen=True, slots=True)
class Recipe:
    """The description of a random network.

    seed: for its weights, and for everything not given here.
    merge: what follows the blocks, one of MERGES.
    ending: the last layer, one of ENDINGS.
    plain: no layer randomly has another kind than its cell, or no BatchNorm.
    """

    seed: int
    input_spec: InputSpec
    stem: Block
    blocks: tuple[Block, ...] = ()
    merge: str = "none"
    ending: str = "plain"
    plain: bool = False


def recipe_of(seed: int) -> Recipe:
    """The recipe of a seed, with two blocks. Together the seeds cover every cell."""
    rng = np.random.default_rng(seed)
    low, dtype = (-128, "int8") if seed % 3 == 2 else (0, "uint8")
    height, width = (1, int(rng.integers(20, 34))) if seed % 7 == 6 else map(int, rng.integers(6, 10, 2))
    shape = Shape(height, width, (2, 1, 11, 3)[seed // 16 % 4])  # with 11, windows have more than a word
    blocks = (2 * seed, 2 * seed + 1)
    return Recipe(
        seed,
        InputSpec(shape, dtype, int(rng.integers(low, low + 256))),  # type: ignore[arg-type]
        replace(INPUTS[(seed + seed // (len(CONVS) // 2)) % len(INPUTS)], thresholds=_thresholds(seed // 2)),
        tuple(replace(CONVS[n % len(CONVS)], thresholds=_thresholds(n + n // len(CONVS))) for n in blocks),
        MERGES[(seed + 1) % 4],
        ENDINGS[seed // 4 % 4],
        plain=seed < len(CONVS) // 2,
    )


def _thresholds(number: int) -> int:
    return THRESHOLDS[number % len(THRESHOLDS)]


def random_network(seed: int) -> Network:
    """The network of `recipe_of(seed)`; its name has the seed."""
    return cook(recipe_of(seed))


def cook(recipe: Recipe) -> Network:
    """Pixels -> input convolution -> blocks, some residual -> merge -> dense layer -> scores."""
    build = _Builder(np.random.default_rng((recipe.seed, 1)), recipe.input_spec, recipe.plain)
    pixels = random_images(recipe.input_spec, _PROBES, recipe.seed + 1).astype(np.int32)
    build.probes[INPUT] = pixels - recipe.input_spec.zero_point
    build.stem(recipe.stem)
    for plan in recipe.blocks:
        build.block(plan)
    match recipe.merge:
        case "concat":
            build.concat()
        case "shared":
            build.shared()
        case "average":
            build.average()
    build.dense()
    build.scores(recipe.ending)
    classes = build.layers[-1].target.channels
    labels = tuple(f"class {c}" for c in range(classes))
    return Network(f"random-{recipe.seed}", build.input_spec, tuple(build.layers), labels)


@dataclass(slots=True)
class _Builder:
    """Appends layers.

    probes: the maps of some images.
    at: index of the map that the next layer reads.
    """

    rng: np.random.Generator
    input_spec: InputSpec
    plain: bool
    layers: list[Layer] = field(default_factory=list)
    probes: dict[int, npt.NDArray[Any]] = field(default_factory=dict)
    at: int = INPUT

    @property
    def here(self) -> Map:
        return self.map_of(self.at)

    def map_of(self, index: int) -> Map:
        if index == INPUT:
            return Map(self.input_spec.shape, MapType.PIXELS, self.input_spec.bound)
        return self.layers[index].output_map(last=False)

    def taken(self, sources: tuple[int, ...]) -> tuple[npt.NDArray[Any], ...]:
        return tuple(self.probes[source] for source in sources or (self.at,))

    def add(self, name: str, accumulation: Accumulation, steps: tuple[Step, ...], *sources: int) -> int:
        exact = self.rng.random() < 0.3
        rounding = Rounding.EXACT if exact else Rounding.FLOAT32
        return self.append(Layer(name, accumulation, steps, sources or (self.at,), rounding))

    def append(self, layer: Layer) -> int:
        self.layers.append(layer)
        found = float_layer(layer, self.taken(layer.sources or ()))
        self.at = len(self.layers) - 1
        self.probes[self.at] = found
        return self.at

    def steps(
        self, of: Accumulation, place: str, *sources: int, divisor: int = 1, thresholds: int = 1
    ) -> tuple[Step, ...]:
        seen = accumulate(of, self.taken(sources))
        return random_steps(self.rng, seen, place, divisor, self.plain, thresholds)

    def any_thresholds(self, channels: int) -> int:
        """A number of thresholds for a layer that no cell describes; mostly 1."""
        some = [1, *(n for n in THRESHOLDS if n * channels <= _MOST_BITS)]
        return int(self.rng.choice(some)) if self.rng.random() < 0.5 else 1

    @property
    def bits_here(self) -> int:
        """The bits of a value of the map that the next layer reads: those of its layer's thresholds, or one."""
        thresholds = 1 if self.at == INPUT else self.layers[self.at].thresholds
        return thresholds if self.rng.random() < 0.7 else 1

    def stem(self, plan: Block) -> None:
        source = self.input_spec.shape
        groups, count, kernel = self.split(plan, source)
        filters = self.filters(count, kernel, source.channels // groups)
        conv = InputConv(source, filters, self.window(filters, source, plan), self.input_spec, groups)
        self.add("first", conv, self.steps(conv, plan.place, thresholds=plan.thresholds))

    def block(self, plan: Block) -> None:
        """A convolution of bits, then the steps; a residual one adds a shortcut to its integers first."""
        start, source, bits_in = self.at, self.here.shape, self.bits_here
        groups, count, kernel = self.split(plan, source, bits_in)
        filters = self.of_values(self.filters(count, kernel, source.channels // groups), bits_in)
        window = self.window(filters, source, plan)
        padding = 0 if plan.padding == "none" else int(plan.padding)
        conv = BinaryConv(source, filters, window, groups, padding, bits_in)
        name = f"block{len(self.layers)}"
        if not plan.residual:
            self.add(name, conv, self.steps(conv, plan.place, thresholds=plan.thresholds))
            return
        body = self.add(name, conv, (), start)
        same = (conv.target.height, conv.target.width) == (source.height, source.width)
        terms, rest = divmod(source.channels, conv.target.channels)
        if same and rest == 0 and terms <= MAX_THRESHOLDS and self.rng.random() < 0.5:
            shortcut = start  # the bits themselves
        else:
            other = BinaryConv(source, self.filters(count, kernel, filters.shape[3]), window, groups, 1, bits_in)
            shortcut = self.add(f"{name}.shortcut", other, (), start)
        both = Sum((self.map_of(body), self.map_of(shortcut)))
        steps = self.steps(both, plan.place, body, shortcut, thresholds=plan.thresholds)
        self.add(f"{name}.sum", both, steps, body, shortcut)

    def of_values(self, filters: npt.NDArray[np.int8], bits_in: int) -> npt.NDArray[np.int8]:
        """Filters over values of several bits; some have one weight for all bits of a value."""
        if bits_in == 1 or self.rng.random() < 0.5:
            return filters
        return np.tile(filters[..., : filters.shape[3] // bits_in], bits_in)

    def concat(self) -> None:
        """Two layers of the same map, side by side."""
        start, source = self.at, self.here.shape
        found = []
        for name in ("left", "right"):
            conv = self.pointwise(source)
            steps = self.steps(conv, "none", start, thresholds=self.any_thresholds(conv.target.channels))
            found.append(self.add(name, conv, steps, start))
        self.add("concat", Concat(tuple(map(self.map_of, found))), (Sign(),), *found)

    def shared(self) -> None:
        """One convolution whose integers are pooled and compared, and also compared in another way or convolved."""
        source = self.here.shape
        pool = (random_pool(self.rng),) if min(source.height, source.width) >= 2 else ()
        shared = self.add("shared", self.pointwise(source), pool)
        found = []
        for name in ("once", "twice"):
            again: Accumulation = Sum((self.map_of(shared),))
            if name == "twice" and self.rng.random() < 0.7:
                again = self.of_integers(self.map_of(shared))
            steps = self.steps(again, "none", shared, thresholds=self.any_thresholds(again.target.channels))
            found.append(self.add(name, again, steps, shared))
        self.add("both", Concat(tuple(map(self.map_of, found))), (Sign(),), *found)

    def of_integers(self, taken: Map) -> IntegerConv:
        """A convolution of integers that keeps height and width."""
        channels, side = taken.shape.channels, int(self.rng.choice((1, 3)))
        groups = int(self.rng.choice((1, channels)))
        filters = self.filters(channels, (side, side), channels // groups, 0.5)
        pad = side // 2
        return IntegerConv(taken.shape, taken.bound, filters, Window((side, side), padding=(pad,) * 4), groups)

    def average(self) -> None:
        """The global average of bits or of a convolution's integers."""
        if self.rng.random() < 0.5:
            self.add("features", self.pointwise(self.here.shape), ())
        total = Total(self.here, self.here.shape.channels // self.bits_here)
        positions, count = total.source.height * total.source.width, self.any_thresholds(total.source.channels)
        self.add("average", total, self.steps(total, "none", divisor=positions, thresholds=count))

    def pointwise(self, source: Shape) -> BinaryConv:
        return BinaryConv(source, self.filters(self.width(source.channels), (1, 1), source.channels), Window((1, 1)))

    def dense(self) -> None:
        source, bits_in = self.here.shape, self.bits_here
        filters = self.filters(self.width(source.size), (source.height, source.width), source.channels, 0.3)
        dense = BinaryDense(source, self.of_values(filters, bits_in), bits_in)
        self.add("dense", dense, self.steps(dense, "none", thresholds=self.any_thresholds(len(filters))))

    def scores(self, ending: str) -> None:
        """+-1 weights with one scale; int8 weights; the integers of a layer without a sign; a BatchNorm at the end.

        Of several candidates it takes the layer that distinguishes the most probes.
        """
        if ending == "integers":
            of = BinaryDense(self.here.shape, self.filters(8, (1, 1), self.here.shape.channels))
            self.add("integers", of, ())
        classes = int(self.rng.integers(2, 9))

        def labels(layer: Layer) -> int:
            return len(set(float_layer(layer, self.taken(())).argmax(axis=1)))

        self.append(max((self.last(ending, classes) for _ in range(8)), key=labels))

    def last(self, ending: str, classes: int) -> Layer:
        rng, source = self.rng, self.here.shape
        factor = np.full(classes, 0.125 + rng.random(), dtype=np.float32)
        steps: tuple[Step, ...] = (Scale(factor),)
        of: Accumulation
        if ending == "integers":
            wide = rng.integers(-9, 10, (classes, 1, 1, source.channels)).astype(np.int8)
            if rng.random() < 0.5:
                wide = bits.sign(wide)
            of = IntegerConv(source, self.here.bound, wide, Window((1, 1)))
        else:
            of = BinaryDense(source, self.filters(classes, (1, 1), source.channels, float(ending == "bytes")))
        if ending == "norm":
            f4 = np.float32
            powers = 2.0 ** rng.integers(-1, 2, classes)  # small ones, so that int32 scores keep the order
            ends = rng.integers(-4, 5, classes)
            plain = np.zeros(classes, f4), np.ones(classes, f4)
            steps = (BatchNorm(powers.astype(f4), ends.astype(f4), *plain, eps=0.0),)
        return Layer("scores", of, steps, (self.at,))

    def width(self, taps: int, thresholds: int = 1) -> int:
        """A number of filters; few if a filter is large, or gives many bits."""
        some = [count for count in _CHANNELS if count * taps <= _MOST_SIGNS]
        if thresholds > 1:
            some = [count for count in some if thresholds * count <= _MOST_BITS]
        return int(self.rng.choice(some or (3,)))

    def split(self, plan: Block, source: Shape, bits_in: int = 1) -> tuple[int, int, tuple[int, int]]:
        """Number of groups, number of filters, and the kernel's size."""
        height, width = (int(self.rng.integers(1, min(4, size + 1))) for size in (source.height, source.width))
        values, kernel = source.channels // bits_in, (height, width)
        if plan.groups == "depthwise" and values > 1:
            few = values * plan.thresholds <= (12 if plan.thresholds == 1 else _MOST_BITS // 2)
            return values, values * int(self.rng.integers(1, 4 if few else 2)), kernel
        if plan.groups == "some":
            found = next((n for n in (2, 3, 31, 11) if values % n == 0 and values > n), 1)
            return found, found * int(self.rng.integers(3, 5)), kernel
        return 1, self.width(source.channels * height * width, plan.thresholds), kernel

    def filters(self, count: int, kernel: tuple[int, ...], channels: int, wide: float = 0.1) -> npt.NDArray[np.int8]:
        """Weights of +-1, or int8 with probability `wide`, unless there are many."""
        shape = (count, *kernel, channels)
        if self.rng.random() < wide * (not self.plain) and np.prod(shape) <= _MOST_BYTES:
            return self.rng.integers(-127, 128, shape).astype(np.int8)
        return bits.sign(self.rng.integers(-1, 1, shape))

    def window(self, filters: npt.NDArray[np.int8], source: Shape, plan: Block) -> Window:
        kernel = (filters.shape[1], filters.shape[2])
        spare = (source.height - kernel[0], source.width - kernel[1])
        dilation = [
            2 if k > 1 and room >= k - 1 and self.rng.random() < 0.2 else 1
            for k, room in zip(kernel, spare, strict=True)
        ]
        padding = [0, 0, 0, 0]
        if plan.padding != "none":
            padding = [int(p) for p in self.rng.integers(0, 3, 4)]
            if self.rng.random() < 0.9:  # few windows with nothing but padding, which give constants
                padding = [min(p, d * (k - 1)) for p, k, d in zip(padding, kernel * 2, dilation * 2, strict=True)]
            padding[int(self.rng.integers(2, 4))] = 1
        strides = (plan.stride, plan.stride)
        return Window(kernel, strides, tuple(padding), (dilation[0], dilation[1]))  # type: ignore[arg-type]
