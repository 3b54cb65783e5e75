"""Networks with every kind of layer, source and output that a `.bfn` can hold, which no random network promises.

They are made of integers, so that nothing depends on how a network was trained.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.geometry import InputSpec, Pool, Shape, Window
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
    Logits,
    Map,
    MapType,
    PackedNetwork,
    Scores,
    Sum,
    Total,
)
from bitflow.lower.pack import pack

__all__ = ["every_kind"]

_SAME = (1, 1, 1, 1)
_OVERLAPPING = Pool(Window((3, 2), (2, 2), (1, 0, 1, 1)))


class _Builder:
    def __init__(self, seed: int, input_spec: InputSpec) -> None:
        self.rng = np.random.default_rng(seed)
        self.input_spec = input_spec
        self.layers: list[IntegerLayer] = []

    def map_of(self, index: int) -> Map:
        if index == INPUT:
            return Map(self.input_spec.shape, MapType.PIXELS, self.input_spec.bound)
        return self.layers[index].output_map(last=False)

    def signs(self, *shape: int) -> npt.NDArray[np.int8]:
        return bits.sign(self.rng.integers(-1, 1, shape))

    def bytes(self, *shape: int) -> npt.NDArray[np.int8]:
        return self.rng.integers(-127, 128, shape).astype(np.int8)

    def compared(
        self,
        name: str,
        of: Accumulation,
        *sources: int,
        pool: Pool | None = None,
        mask: bool = False,
        thresholds: int = 1,
    ) -> int:
        """Bits of an accumulation; its ends of the range are among the shifts. mask: with inverted channels."""
        channels = thresholds * of.target.channels
        spread = max(1, int(np.sqrt(of.bound)))
        shift = self.rng.integers(-spread, spread + 1, channels)
        shift[:: max(channels // 2, 2)] = -(of.bound + 1)
        chosen = self.rng.random(channels) < 0.5
        return self.add(
            IntegerLayer(
                name, of, BatchShift(shift), pool, ~chosen if pool and mask else None, chosen if mask else None, sources
            )
        )

    def integers(self, name: str, of: Accumulation, *sources: int, pool: Pool | None = None) -> int:
        return self.add(IntegerLayer(name, of, Integers(), pool, sources=sources))

    def add(self, layer: IntegerLayer) -> int:
        self.layers.append(layer)
        return len(self.layers) - 1

    def shared(self, filters: npt.NDArray[np.int8], bits_of: int) -> npt.NDArray[np.int8]:
        """Filters over values: [out, kh, kw, values of a group], one weight for all bits of a value."""
        return np.tile(filters, bits_of)

    def integer_conv(self, source: int, weights: npt.NDArray[np.int8], window: Window, groups: int = 1) -> IntegerConv:
        taken = self.map_of(source)
        return IntegerConv(taken.shape, taken.bound, weights, window, groups)


def every_kind(seed: int, channels: int = 6, side: int = 6, bits_of: int = 3) -> PackedNetwork:
    """A network of 34 layers.

    channels: of most maps, even. side: height of the input, which is one wider. bits_of: the thresholds of several
        layers, and the bits of the values that others read; 1: version 2 of the format could hold it.
    """
    rng: Any = np.random.default_rng(seed)
    low, dtype = (-128, "int8") if seed % 2 else (0, "uint8")
    input_spec = InputSpec(Shape(side, side + 1, 2), dtype, int(rng.integers(low, low + 256)))  # type: ignore[arg-type]
    b, c = _Builder(seed, input_spec), channels
    same = Window((3, 3), (1, 1), _SAME)

    def sum_of(*sources: int) -> Sum:
        return Sum(tuple(map(b.map_of, sources)))

    pixels = input_spec.shape
    first = b.compared("first", InputConv(pixels, b.signs(c, 3, 3, 2), same, input_spec), INPUT)
    wide = b.compared("wide", InputConv(pixels, b.bytes(c, 2, 3, 1), Window((2, 3), (1, 1), (0, 1, 1, 1)), input_spec,
                      2), INPUT, mask=True)  # fmt: skip
    here = b.map_of(first).shape
    dilated = Window((3, 3), (1, 1), (2, 2, 2, 2), (2, 2))
    body = b.integers("body", BinaryConv(here, b.signs(c, 3, 3, c), dilated, 1, 1), first)
    residual = b.integers("residual", sum_of(body, first, wide), body, first, wide)
    bytes0 = b.integers("bytes 0", BinaryConv(here, b.bytes(c, 3, 3, c // 2), same, 2, 0), wide)
    bytes1 = b.compared("bytes 1", BinaryConv(here, b.bytes(c, 3, 3, c), same, 1, 1), first, mask=True)
    added = b.compared("added", sum_of(residual, bytes0), residual, bytes0, pool=_OVERLAPPING, mask=True)
    pooled = b.integers("pooled", b.integer_conv(residual, b.signs(c, 3, 3, 1), same, c), residual, pool=_OVERLAPPING)
    narrow = b.compared("narrow", sum_of(pooled), pooled)
    joined = b.add(
        IntegerLayer(
            "joined",
            Concat(tuple(map(b.map_of, (added, narrow, added)))),
            BatchShift(np.zeros(3 * c)),
            sources=(added, narrow, added),
        )
    )
    there = b.map_of(joined).shape
    grouped = b.compared("grouped", BinaryConv(there, b.signs(2 * c, 2, 2, 3 * c // 2), Window((2, 2)), 2), joined,
                         mask=True)  # fmt: skip
    strided = Window((2, 3), (2, 2), (1, 1, 0, 1))
    both = b.compared("both", b.integer_conv(pooled, b.bytes(c, 2, 3, c), strided), pooled, pool=None, mask=True)
    of_bits = b.compared("total of bits", Total(b.map_of(bytes1)), bytes1, mask=True)
    of_integers = b.integers("total of integers", Total(b.map_of(bytes0)), bytes0)
    at = b.map_of(grouped).shape
    dense = b.integers("dense", BinaryDense(at, b.signs(c, at.height, at.width, at.channels)), grouped)
    at = b.map_of(both).shape
    dense1 = b.integers("dense of bytes", BinaryDense(at, b.bytes(c, at.height, at.width, at.channels)), both)
    all_four = b.integers("all four", sum_of(of_bits, of_integers, dense, dense1), of_bits, of_integers, dense, dense1)
    signs = b.integers("signs", b.integer_conv(all_four, b.signs(c, 1, 1, c), Window((1, 1))), all_four)
    more = _of_values(b, c, bits_of)
    last = b.compared("last bits", sum_of(all_four, signs, *more), all_four, signs, *more)
    classes = 4
    of = BinaryDense(Shape(1, 1, c), b.bytes(classes, 1, 1, c))
    scale = rng.integers(1, 99, classes) * rng.choice([-1, 1], classes)
    output = Scores(scale, rng.integers(-999, 1000, classes))
    b.add(IntegerLayer("scores", of, output, sources=(last,)))
    logits = Logits(rng.normal(size=classes), rng.normal(size=classes))
    labels = tuple(f"class {k}" for k in range(classes))
    return pack(IntegerNetwork(f"every kind {seed}", input_spec, tuple(b.layers), labels, logits))


def _of_values(b: _Builder, c: int, bits_of: int) -> tuple[int, int]:
    """Layers that give several bits of an accumulator, and those that read them; two maps [1, 1, c] of integers."""
    two = min(bits_of, 2)
    pixels, same = b.input_spec.shape, Window((3, 3), (1, 1), _SAME)
    levels = b.compared("levels", InputConv(pixels, b.signs(c, 3, 3, 2), same, b.input_spec), INPUT,
                        pool=_OVERLAPPING, mask=True, thresholds=bits_of)  # fmt: skip
    here = b.map_of(levels).shape
    values = BinaryConv(here, b.signs(c, 2, 2, bits_of * c // 2), Window((2, 2)), 2, -1, bits_of)
    grouped = b.compared("grouped values", values, levels, thresholds=two)
    bytes_of = b.integers("bytes of values", BinaryConv(here, b.bytes(c, 3, 3, bits_of), same, c, 0, bits_of), levels)
    values = BinaryConv(here, b.shared(b.signs(c, 3, 3, c), bits_of), same, 1, 0, bits_of)
    shared = b.integers("shared", values, levels)
    values = BinaryConv(here, b.shared(b.bytes(c, 3, 3, c // 2), bits_of), same, 2, 1, bits_of)
    shared_bytes = b.compared("shared bytes", values, levels, thresholds=bits_of)
    taken: tuple[int, ...] = (shared, shared_bytes, levels, bytes_of)
    added = b.compared("added bits", Sum(tuple(map(b.map_of, taken)), c), *taken, mask=True, thresholds=two)
    total = b.integers("total of values", Total(b.map_of(shared_bytes), c), shared_bytes)
    wide = b.integer_conv(shared, b.bytes(c, 2, 2, c), Window((2, 2)))
    of_integers = b.compared("levels of integers", wide, shared, mask=True, thresholds=bits_of)
    of_levels = Total(b.map_of(of_integers), c)
    total_bits = b.compared("total of levels", of_levels, of_integers, thresholds=two)
    at = b.map_of(added).shape
    weights = b.shared(b.signs(c, at.height, at.width, c), two)
    dense = b.integers("dense of values", BinaryDense(at, weights, two), added)
    at = b.map_of(grouped).shape
    weights = b.shared(b.bytes(c, at.height, at.width, c), two)
    dense_bytes = b.integers("dense of value bytes", BinaryDense(at, weights, two), grouped)
    at = b.map_of(of_integers).shape
    weights = b.signs(c, at.height, at.width, bits_of * c)
    dense_bits = b.compared("dense levels", BinaryDense(at, weights, bits_of), of_integers, thresholds=two)
    taken = (dense, dense_bytes, total, dense_bits)
    more = b.integers("more", Sum(tuple(map(b.map_of, taken)), c), *taken)
    return more, b.integers("bits again", Sum((b.map_of(total_bits),), c), total_bits)
