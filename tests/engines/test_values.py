"""Values of several bits: what reads them is compared with SPEC.md's words, one loop for each of its letters."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitflow import bits
from bitflow.engines.host import HostEngine
from bitflow.engines.reference import accumulate, run_integer, run_packed
from bitflow.errors import InputError
from bitflow.geometry import InputSpec, Pool, Shape, Window
from bitflow.image.bfn import Image
from bitflow.image.read import decode
from bitflow.ir import (
    Accumulation,
    BatchShift,
    BinaryConv,
    BinaryDense,
    InputConv,
    IntegerLayer,
    IntegerNetwork,
    Integers,
    Map,
    MapType,
    PackedNetwork,
    Scores,
    Sum,
    Total,
)
from bitflow.lower.pack import pack, unpack

Array = npt.NDArray[Any]


def slow(of: BinaryConv | BinaryDense, seen: Array) -> Array:
    """Accumulators [H, W, filters] of a map [H, W, C] of +-1: each tap by itself."""
    window, bits_of, weights = of.window, of.in_thresholds, of.weights
    n, filters = of.source.channels // bits_of, len(weights)
    m = n // of.groups
    height, width = of.target.height, of.target.width
    found = np.zeros((height, width, filters), np.int64)
    for y, x, f in itertools.product(range(height), range(width), range(filters)):
        g = f // (filters // of.groups)
        flat = weights[f].ravel()
        for ky, kx, t, v in itertools.product(*map(range, window.kernel), range(bits_of), range(g * m, (g + 1) * m)):
            iy = y * window.stride[0] - window.padding[0] + ky * window.dilation[0]
            ix = x * window.stride[1] - window.padding[1] + kx * window.dilation[1]
            inside = 0 <= iy < of.source.height and 0 <= ix < of.source.width
            bit = int(seen[iy, ix, t * n + v]) if inside else of.pad_value
            at = ((ky * window.kernel[1] + kx) * bits_of + t) * m + (v - g * m)
            found[y, x, f] += bit * int(flat[at])
    return found


def stem(source: Shape, rng: np.random.Generator) -> tuple[InputSpec, IntegerLayer]:
    """A first layer that makes bits of pixels: its map is `source`."""
    input_spec = InputSpec(Shape(source.height, source.width, 3), "uint8", 100)
    weights = bits.sign(rng.integers(-1, 1, (source.channels, 1, 1, 3)))
    shifts = BatchShift(rng.integers(-90, 90, source.channels))
    return input_spec, IntegerLayer("first", InputConv(input_spec.shape, weights, Window((1, 1)), input_spec), shifts)


def network_over(source: Shape, of: Accumulation, rng: np.random.Generator, *more: IntegerLayer) -> PackedNetwork:
    """Bits, an accumulation of them that gives its integers, and a sum of all."""
    input_spec, first = stem(source, rng)
    layers = [first, IntegerLayer("measured", of, Integers()), *more]
    at = layers[-1].output_map(last=False)
    layers.append(IntegerLayer("total", Total(at, at.shape.channels), Integers()))
    all_of = Map(Shape(1, 1, at.shape.channels), MapType.INTEGERS, layers[-1].accumulation.bound)
    layers.append(IntegerLayer("sum", Sum((all_of,)), BatchShift(np.zeros(at.shape.channels))))
    last = BinaryDense(all_of.shape, np.ones((2, 1, 1, at.shape.channels), np.int8))
    layers.append(IntegerLayer("last", last, Scores(np.array([1, -1]), np.zeros(2))))
    return pack(IntegerNetwork("n", input_spec, tuple(layers)))


def checks(source: Shape, of: Accumulation, rng: np.random.Generator, want: Callable[[Array], Array]) -> PackedNetwork:
    """Every engine gives what `want` makes of the bits of each image; also from the image of the network."""
    packed = network_over(source, of, rng)
    images = rng.integers(0, 256, (3, source.height, source.width, 3), dtype=np.uint8)
    again = decode(Image.of(packed).data)
    assert Image.of(again).data == Image.of(packed).data
    for trace in (
        run_integer(unpack(packed), images),
        run_packed(packed, images),
        run_packed(again, images),
        HostEngine(packed).trace(images),
    ):
        seen = bits.unpack(trace.hidden[0], source.channels)
        for ones, found in zip(seen, trace.hidden[1], strict=True):
            assert np.array_equal(found, want(ones))
    return packed


@st.composite
def convs(draw: st.DrawFn) -> tuple[BinaryConv, int]:
    """A convolution of values, and a seed; also of one row, with values that fill words and that do not."""
    bits_of = draw(st.integers(1, 8))
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    values = groups * draw(st.sampled_from((1, 2, 3, 5, 11)))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    least = [max(1, span - before - after) for span, before, after in zip(spans, padding, padding[2:], strict=False)]
    size = [draw(st.integers(smallest, max(smallest, 4))) for smallest in least]
    seed = draw(st.integers(0, 2**20))
    rng = np.random.default_rng(seed)
    shared, wide = draw(st.booleans()), draw(st.booleans())
    shape = (groups * draw(st.integers(1, 3)), *kernel, (1 if shared else bits_of) * values // groups)
    weights = rng.integers(-127, 128, shape).astype(np.int8) if wide else bits.sign(rng.integers(-1, 1, shape))
    weights = np.tile(weights, bits_of if shared else 1)
    source = Shape(*size, bits_of * values)
    pad_value = draw(st.sampled_from((-1, 0, 1)))
    return BinaryConv(source, weights, Window(kernel, stride, padding, dilation), groups, pad_value, bits_of), seed


@settings(max_examples=120)
@given(convs())
def test_a_convolution_of_values_must_be_the_sum_of_its_taps(made):
    of, seed = made
    packed = checks(of.source, of, np.random.default_rng(seed), lambda seen: slow(of, seen))
    weights = packed.layers[1].weights
    assert weights is not None
    each = of.taps // (of.in_thresholds if of.shared else 1)
    assert weights.shape == (len(of.weights), bits.words_for(each * packed.layers[1].weight_bits))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(("values", "bits_of"), [(1, 8), (4, 3), (16, 2), (31, 2), (32, 3), (33, 8)])
def test_a_dense_layer_of_values_must_be_the_sum_of_its_taps(shared, wide, values, bits_of):
    rng = np.random.default_rng(values)
    shape = (4, 2, 3, values if shared else bits_of * values)
    weights = rng.integers(-127, 128, shape).astype(np.int8) if wide else bits.sign(rng.integers(-1, 1, shape))
    weights = np.tile(weights, bits_of if shared else 1)
    of = BinaryDense(Shape(2, 3, bits_of * values), weights, bits_of)
    assert of.shared == shared
    checks(of.source, of, rng, lambda seen: slow(of, seen))


@pytest.mark.parametrize("bits_of", range(1, 9))
@pytest.mark.parametrize("channels", [1, 5, 32])
def test_sums_and_totals_must_add_the_bits_of_a_value(bits_of, channels):
    """Bits c, C + c, 2C + c ... of a position."""
    rng = np.random.default_rng(bits_of)
    source = Shape(2, 3, bits_of * channels)

    def added(seen: Array) -> Array:
        return sum((seen[..., t * channels : (t + 1) * channels].astype(np.int64) for t in range(bits_of)), np.int64(0))

    of: Accumulation = Sum((Map(source),), channels)
    assert of.bound == bits_of
    checks(source, of, rng, added)
    of = Total(Map(source), channels)
    assert of.bound == 6 * bits_of
    checks(source, of, rng, lambda seen: added(seen).sum(axis=(0, 1), keepdims=True))


def test_a_sum_must_take_each_source_with_its_own_number_of_bits():
    rng = np.random.default_rng(0)
    weights = bits.sign(rng.integers(-1, 1, (5, 1, 1, 15)))
    source = Shape(2, 2, 15)
    input_spec, first = stem(source, rng)
    conv = IntegerLayer("conv", BinaryConv(source, weights, Window((1, 1))), Integers(), sources=(0,))
    again = IntegerLayer("bits", conv.accumulation, BatchShift(rng.integers(-3, 4, 40)), sources=(0,))
    maps = (Map(source), conv.output_map(last=False), again.output_map(last=False))
    both = IntegerLayer("sum", Sum(maps, 5), BatchShift(rng.integers(-6, 7, 10)), sources=(0, 1, 2))
    assert both.accumulation.bound == 3 + 15 + 8
    last = IntegerLayer("last", BinaryDense(Shape(2, 2, 10), np.ones((2, 2, 2, 10), np.int8)), Scores([1, 2], [0, 0]))
    packed = pack(IntegerNetwork("n", input_spec, (first, conv, again, both, last)))
    images = rng.integers(0, 256, (9, 2, 2, 3), dtype=np.uint8)
    for trace in (run_integer(unpack(packed), images), run_packed(packed, images), HostEngine(packed).trace(images)):
        one, eight = (bits.unpack(trace.hidden[k], n).astype(int) for k, n in ((0, 15), (2, 40)))
        sums = one.reshape(9, 2, 2, 3, 5).sum(3) + trace.hidden[1] + eight.reshape(9, 2, 2, 8, 5).sum(3)
        shift = packed.layers[3].shift
        assert shift is not None
        want = np.concatenate([sums + shift[:5] >= 0, sums + shift[5:] >= 0], axis=-1)
        assert np.array_equal(bits.unpack(trace.hidden[3], 10) > 0, want)


@pytest.mark.parametrize("levels", range(1, 9))
@pytest.mark.parametrize("pad_value", [-1, 0, 1])
def test_a_convolution_of_levels_must_be_an_affine_function_of_that_of_their_bits(levels, pad_value):
    """As SPEC.md says how an activation of several levels is held: value of level j = lowest + step * j."""
    rng = np.random.default_rng(levels)
    lowest, step = -3, 4  # whole numbers, and half a step is one
    weights = rng.integers(-127, 128, (3, 2, 2, 5)).astype(np.int8)
    level = rng.integers(0, levels + 1, (4, 3, 5))
    ones = np.concatenate([np.where(level > t, 1, -1) for t in range(levels)], axis=-1).astype(np.int8)
    window = Window((2, 2), (1, 1), (1, 0, 0, 1))
    of = BinaryConv(Shape(4, 3, 5 * levels), np.tile(weights, levels), window, 1, pad_value, levels)
    values = 2 * (lowest + step * level)  # twice, so that the middle of two levels is whole
    outside = {-1: 2 * lowest, 0: 2 * lowest + step * levels, 1: 2 * (lowest + step * levels)}[pad_value]
    padded = np.pad(values, ((1, 0), (0, 1), (0, 0)), constant_values=outside)
    want = np.zeros((4, 3, 3), np.int64)
    for y, x, f in itertools.product(range(4), range(3), range(3)):
        want[y, x, f] = (padded[y : y + 2, x : x + 2] * weights[f].astype(np.int64)).sum()
    bias = (2 * lowest + step * levels) * weights.astype(np.int64).sum(axis=(1, 2, 3))
    assert np.array_equal(step * accumulate(of, (ones[None],))[0] + bias, want)


@pytest.mark.parametrize("pool", [None, Pool(Window((2, 2), (1, 1), (1, 0, 0, 1)))])
@pytest.mark.parametrize(("filters", "thresholds"), [(1, 8), (4, 8), (16, 2), (11, 3), (31, 7), (33, 2), (32, 4)])
def test_bits_must_stand_threshold_by_threshold_with_masks_of_their_own(filters, thresholds, pool):
    """Each output channel has its shift, its inversion and its pool; the ends of the range are constants."""
    rng = np.random.default_rng(filters)
    source, channels = Shape(3, 4, 9), filters * thresholds
    weights = bits.sign(rng.integers(-1, 1, (filters, 2, 1, 9)))
    of = BinaryConv(source, weights, Window((2, 1)))
    shift = rng.integers(-7, 8, channels)
    shift[::5], shift[1::7] = -(of.bound + 1), of.bound
    shift[: len(shift) // 2 : 3] = shift[0]
    invert = rng.random(channels) < 0.5
    ands = rng.random(channels) < 0.5
    input_spec, first = stem(source, rng)
    layer = IntegerLayer("measured", of, BatchShift(shift), pool, None if pool is None else ands, invert)
    at = layer.target
    weights = bits.sign(rng.integers(-1, 1, (2, at.height, at.width, channels)))
    last = IntegerLayer("last", BinaryDense(at, weights, thresholds), Scores([1, 1], [0, 0]))
    packed = pack(IntegerNetwork("n", input_spec, (first, layer, last)))
    images = rng.integers(0, 256, (3, 3, 4, 3), dtype=np.uint8)
    for trace in (run_integer(unpack(packed), images), run_packed(packed, images), HostEngine(packed).trace(images)):
        for ones, found in zip(bits.unpack(trace.hidden[0], 9), bits.unpack(trace.hidden[1], channels), strict=True):
            sums = slow(of, ones)
            for c in range(channels):
                want = (sums[..., c % filters] + shift[c] >= 0) ^ invert[c]
                if pool is not None:
                    outside = bool(ands[c])  # never wins
                    padded = np.pad(want, ((1, 0), (0, 1)), constant_values=outside)
                    four = np.stack([padded[a : a + 2, b : b + 4] for a in (0, 1) for b in (0, 1)])
                    want = four.all(axis=0) if ands[c] else four.any(axis=0)
                assert np.array_equal(found[..., c] > 0, want), f"channel {c}"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BinaryConv(Shape(1, 1, 6), np.ones((2, 1, 1, 6)), Window((1, 1)), in_thresholds=0), "outside 1..8"),
        (lambda: BinaryConv(Shape(1, 1, 9), np.ones((2, 1, 1, 9)), Window((1, 1)), in_thresholds=9), "outside 1..8"),
        (lambda: BinaryConv(Shape(1, 1, 6), np.ones((2, 1, 1, 6)), Window((1, 1)), in_thresholds=4), "not 1 groups"),
        (lambda: BinaryConv(Shape(1, 1, 6), np.ones((2, 1, 1, 3)), Window((1, 1)), 2, in_thresholds=2), "not 2 groups"),
        (lambda: BinaryDense(Shape(1, 1, 6), np.ones((2, 1, 1, 6)), 4), "dense layer: 6 channels are not"),
        (lambda: Sum((Map(Shape(1, 1, 9)),), 1), "a sum of maps of different shapes"),
        (lambda: Sum((Map(Shape(1, 1, 9)),), 2), "a sum of maps of different shapes"),
        (lambda: Sum((Map(Shape(1, 1, 4), MapType.INTEGERS),), 2), "a sum of maps of different shapes"),
        (lambda: Total(Map(Shape(1, 1, 9)), 1), "has no 1 channels"),
        (lambda: Total(Map(Shape(1, 1, 4), MapType.INTEGERS), 2), "has no 2 channels"),
    ],
)
def test_values_that_no_layer_can_read_must_be_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
