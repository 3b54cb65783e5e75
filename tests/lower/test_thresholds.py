"""Several bits of an accumulator: each decides as the float network does, for every reachable accumulator and any
thresholds: equal ones, in any order, ties, constants.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bitflow.engines.verify import climb, ladder
from bitflow.errors import FusionError, InputError
from bitflow.geometry import InputSpec, Pool, Shape, Window
from bitflow.ir import (
    BatchNorm,
    BatchShift,
    BinaryDense,
    Concat,
    Divide,
    InputConv,
    IntegerLayer,
    Layer,
    Map,
    MapType,
    Network,
    Offset,
    Rounding,
    Scale,
    Sign,
    Step,
    Sum,
)
from bitflow.lower import arithmetic
from bitflow.lower.fuse import explain, fuse, zeros
from bitflow.lower.pack import pack

INPUT_SPEC = InputSpec(Shape(1, 1, 1), "uint8", 128)
R = 128
ACCUMULATORS = np.arange(-R, R + 1)
NEAR = st.floats(-300, 300, width=32)
FACTORS = st.sampled_from([1.0, -1.0, 0.0, 0.1, -0.1, 1 / 3, -7.5, 2.0**-30, -(2.0**20), 1e-3])


def conv(channels: int, input_spec: InputSpec = INPUT_SPEC) -> InputConv:
    return InputConv(input_spec.shape, np.ones((channels, 1, 1, 1), np.int8), Window((1, 1)), input_spec)


def two_classes(taken: Shape) -> Layer:
    weights = np.ones((2, taken.height, taken.width, taken.channels), np.int8)
    weights[1, ..., ::2] = -1
    return Layer("last", BinaryDense(taken, weights), (Scale(np.ones(2)),))


def network(hidden: Layer, *more: Layer, input_spec: InputSpec = INPUT_SPEC) -> Network:
    layers = (hidden, *more)
    return Network("n", input_spec, (*layers, two_classes(layers[-1].target)))


def bits_of(fused: IntegerLayer) -> np.ndarray:
    """What a fused layer with one value of its source gives for every accumulator: bool [accumulators, T, filters]."""
    assert isinstance(fused.output, BatchShift)
    flips = np.ones(fused.accumulation.target.channels, dtype=np.int64)
    if fused.accumulation.weights is not None:
        flips = fused.accumulation.weights.reshape(len(flips)).astype(np.int64)
    shift = fused.output.shift.reshape(-1, len(flips))
    found = flips * ACCUMULATORS[:, None, None] + shift >= 0
    return found if fused.invert is None else found ^ fused.invert.reshape(shift.shape)


def wanted(values: np.ndarray, thresholds: np.ndarray, at: tuple[int, ...]) -> np.ndarray:
    """The same of the float network's values [accumulators, C]: compared, nothing subtracted."""
    above, equal = values[:, None] > thresholds, values[:, None] == thresholds
    return above | (equal & (np.array(at)[:, None] > 0))


@st.composite
def adversarial(draw: st.DrawFn, values: np.ndarray) -> np.ndarray:
    """Thresholds float32 [T, C] around values [accumulators, C] that occur: ties, neighbours, constants, equal ones."""
    count, channels = draw(st.integers(1, 8)), values.shape[1]
    found = np.empty((count, channels), np.float32)
    for c in range(channels):
        for t in range(count):
            value = np.float32(draw(st.sampled_from(values[:, c])))
            kind = draw(st.sampled_from(["tie", "above", "below", "equal", "never", "always", "any", "half"]))
            match kind:
                case "above" | "below":
                    value = np.nextafter(value, np.float32(np.inf if kind == "above" else -np.inf))
                case "equal" if t:
                    value = found[draw(st.integers(0, t - 1)), c]
                case "never" | "always":
                    value = np.float32(3e38 if kind == "never" else -3e38)
                case "any":
                    value = np.float32(draw(NEAR))
                case "half":
                    value = np.float32(value + 0.5)
            found[t, c] = value
    return found


ZEROS = st.lists(st.sampled_from((-1, 1)), min_size=8, max_size=8)


def affine_steps(draw: st.DrawFn, channels: int) -> tuple[Step, ...]:
    def each(of: st.SearchStrategy[float]) -> list[float]:
        return [draw(of) for _ in range(channels)]

    steps: list[Step] = [Scale(np.array(each(FACTORS), np.float32))]
    if draw(st.booleans()):
        steps.append(Offset(np.array(each(NEAR), np.float32)))
    if draw(st.booleans()):
        norm = (each(FACTORS), each(NEAR), each(NEAR), each(st.sampled_from([0.0, 1.0, 0.3, 9.0, 1e6])))
        steps.append(BatchNorm(*(np.array(values, np.float32) for values in norm)))
    if draw(st.booleans()):
        steps.insert(1, Divide(draw(st.sampled_from([3.0, 49.0, 255.0]))))
    return tuple(steps)


@settings(max_examples=200)
@given(st.data(), st.integers(1, 3), ZEROS)
def test_each_bit_must_be_the_float_sign_on_every_reachable_accumulator(data, channels, at):
    """In float32, with steps that rise, fall or are constant; with filters, and in sums, which have none to flip."""
    steps = affine_steps(data.draw, channels)
    first = Layer("first", conv(channels), steps)
    values = arithmetic.value(first, ACCUMULATORS[:, None])
    assume(np.isfinite(values).all())
    thresholds = data.draw(adversarial(values))
    sign = Sign(tuple(at[: len(thresholds)]), thresholds)
    of_pixels = network(Layer("first", conv(channels), (*steps, sign)))
    integers = Layer("first", conv(channels), ())
    both = Layer("sum", Sum((Map(conv(channels).target, MapType.INTEGERS, R),)), (*steps, sign))
    want = wanted(values.astype(np.float32), thresholds, sign.zeros)
    for found in (fuse(of_pixels).layers[0], fuse(network(integers, both)).layers[1]):
        assert found.thresholds == len(thresholds)
        assert np.array_equal(bits_of(found), want)


@settings(max_examples=150)
@given(
    FACTORS, FACTORS, NEAR, NEAR, st.sampled_from([1, 4, 9, 256]), ZEROS,
    st.lists(st.tuples(st.integers(-R, R), st.sampled_from(["tie", "above", "below", "far"])), min_size=1, max_size=8),
)  # fmt: skip
def test_each_bit_must_be_the_sign_of_real_numbers_where_nothing_is_rounded(scale, gamma, mean, beta, var, at, chosen):
    """Fractions instead of floats; a tie is a threshold that is a float32 and a value."""
    scale, gamma, mean, beta = (float(np.float32(value)) for value in (scale, gamma, mean, beta))
    norm = BatchNorm([gamma], [beta], [mean], [var], eps=0.0)
    root = {1: 1, 4: 2, 9: 3, 256: 16}[var]
    real = [(Fraction(scale) * int(x) - Fraction(mean)) * Fraction(gamma) / root + Fraction(beta) for x in ACCUMULATORS]
    thresholds = []
    for x, kind in chosen:
        value = np.float32(float(real[x + R]))
        toward = {"tie": value, "above": np.float32(np.inf), "below": np.float32(-np.inf), "far": np.float32(3e38)}[
            kind
        ]
        thresholds.append(toward if kind == "far" else np.nextafter(value, toward))
    assume(np.isfinite(thresholds).all())
    sign = Sign(tuple(at[: len(thresholds)]), np.array(thresholds)[:, None])
    layer = Layer("first", conv(1), (Scale([scale]), norm, sign), rounding=Rounding.EXACT)
    want = [
        [
            y > Fraction(float(s)) or (y == Fraction(float(s)) and zero > 0)
            for s, zero in zip(thresholds, at, strict=False)
        ]
        for y in real
    ]
    assert bits_of(fuse(network(layer)).layers[0])[:, :, 0].tolist() == want


def ties(falls: bool = False) -> Sign:
    """Eight thresholds over accumulators as they are: unordered, equal, ties with both signs of 0, both constants."""
    values = np.array([[5.0], [-3.0], [5.0], [5.0], [R + 1.0], [-R - 1.0], [0.5], [-float(R)]])
    return Sign((1, 1, -1, 1, 1, 1, -1, 1), -values if falls else values)


@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize("filters", [True, False])
def test_thresholds_must_keep_their_order_and_their_own_sign_of_zero(falls, filters):
    steps = (Scale([-1.0 if falls else 1.0]), ties(falls))
    if filters:
        net = network(Layer("first", conv(1), steps))
    else:
        taken = Map(Shape(1, 1, 1), MapType.INTEGERS, R)
        net = network(Layer("first", conv(1), ()), Layer("sum", Sum((taken,)), steps))
    fused = fuse(net).layers[-2]
    if not falls:
        assert isinstance(fused.output, BatchShift)
        assert fused.output.shift.tolist() == [-5, 3, -6, -5, -R - 1, R, -1, R]
    assert (fused.invert is not None) == (falls and not filters)
    y = -ACCUMULATORS if falls else ACCUMULATORS
    s = ties(falls).thresholds
    assert s is not None
    assert np.array_equal(bits_of(fused), wanted(y[:, None].astype(float), s, ties().zeros))
    found = explain(net, fuse(net))[-2]
    assert found.constant == (2 if falls else 3)
    assert zeros(net.layers[-2]) == 5


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("place", ["before_norm", "after_norm", "after_sign"])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (0, 1, 0, 1)])
def test_pools_must_be_those_of_the_float_network_for_each_threshold(rounding, place, padding):
    """All pairs of 16 pixels under a window, 1-D; channels that rise, fall and are constant; every rung."""
    input_spec = InputSpec(Shape(1, 5, 1), "uint8", 7)
    pixels = np.array([0, 1, 2, 5, 6, 7, 8, 9, 12, 13, 100, 127, 128, 254, 255, 77], np.uint8)
    pairs = np.stack(np.meshgrid(pixels, pixels), -1).reshape(-1, 2)
    images = np.concatenate([pairs, pairs[::-1], pairs[:, :1]], axis=1).reshape(-1, 1, 5, 1)
    norm = BatchNorm([1.5, -0.7, 0.0, -2.0], [0.0, 0.1, 1.0, 0.0], [3.0, 5.0, 0.0, 1.0], [1.0, 4.0, 1.0, 0.0])
    affine = (Scale(np.array([1.0, 0.3, 1.0, -1.0], np.float32)), norm)
    seen = arithmetic.value(Layer("first", conv(4, input_spec), affine, rounding=rounding), np.array([[-5], [0], [93]]))
    thresholds = np.stack([seen[1], seen[2], seen[0], seen[1], np.full(4, 3e38), np.full(4, -3e38)])
    sign = Sign((1, -1, 1, -1, 1, 1), thresholds.astype(np.float32))
    pool = Pool(Window((1, 2), (1, 1), padding))
    orders: dict[str, tuple[Step, ...]] = {
        "before_norm": (affine[0], pool, norm, sign),
        "after_norm": (*affine, pool, sign),
        "after_sign": (*affine, sign, pool),
    }
    net = network(Layer("first", conv(4, input_spec), orders[place], rounding=rounding), input_spec=input_spec)
    packed = pack(fuse(net))
    assert (packed.layers[0].pool_and is not None) == (place == "before_norm")
    for step in climb(ladder(packed, net), packed, images):
        assert step.difference is None, str(step.difference)


def test_the_filter_must_be_flipped_once_for_all_of_its_thresholds():
    thresholds = np.array([[0.0, 0.0], [2.0, 2.0], [-1.0, -1.0]])
    net = network(Layer("first", conv(2), (Scale([1.0, -1.0]), Sign(1, thresholds))))
    fused = fuse(net).layers[0]
    assert isinstance(fused.output, BatchShift)
    assert fused.accumulation.weights is not None
    assert fused.accumulation.weights.ravel().tolist() == [1, -1]
    assert fused.output.shift.tolist() == [0, 0, -2, -2, 1, 1]  # [T, filters]: t * C + c
    assert fused.target == Shape(1, 1, 6)
    assert explain(net, fuse(net))[0].flipped == 1


def test_thresholds_at_zero_must_be_the_sign_alone():
    steps = (Scale([0.3, -0.3]), Offset([0.1, 0.2]))
    plain = fuse(network(Layer("first", conv(2), (*steps, Sign())))).layers[0].output
    given_zero = fuse(network(Layer("first", conv(2), (*steps, Sign(1, np.zeros((1, 2))))))).layers[0].output
    assert isinstance(plain, BatchShift)
    assert isinstance(given_zero, BatchShift)
    assert np.array_equal(plain.shift, given_zero.shift)


def test_thresholds_that_overflow_when_subtracted_must_still_decide():
    """y - s does not fit float32 where both are large and of other signs; its sign is known all the same."""
    layer = Layer("first", conv(1), (Scale([2e36]), Sign(1, np.array([[-3.3e38], [3.3e38], [0.0]]))))
    want = np.stack([np.ones(2 * R + 1, bool), np.zeros(2 * R + 1, bool), ACCUMULATORS >= 0], axis=1)
    assert np.array_equal(bits_of(fuse(network(layer)).layers[0])[:, :, 0], want)


@pytest.mark.parametrize(
    ("thresholds", "zero", "message"),
    [
        (np.zeros((0, 1)), 1, "0 thresholds are outside 1..8"),
        (np.zeros((9, 1)), 1, "9 thresholds are outside 1..8"),
        (np.zeros(3), 1, r"must be \[T, channels\]"),
        (np.full((2, 1), np.nan), 1, "not finite"),
        (np.full((2, 1), np.inf), 1, "not finite"),
        (np.zeros((2, 1)), (1,), "signs of 0 for other than 2 thresholds"),
        (np.zeros((2, 1)), (1, 0), r"sign\(0\) is 0"),
        (None, (1, 1), "signs of 0 for other than 1 thresholds"),
    ],
)
def test_a_sign_must_refuse_what_is_no_threshold(thresholds, zero, message):
    with pytest.raises(InputError, match=message):
        Sign(zero, thresholds)


def test_layers_must_refuse_thresholds_that_do_not_fit():
    with pytest.raises(InputError, match="thresholds have shape"):
        Layer("first", conv(2), (Sign(1, np.zeros((2, 3))),))
    side = Concat((Map(Shape(1, 1, 2)), Map(Shape(1, 1, 2))))
    with pytest.raises(InputError, match="thresholds have shape"):
        Layer("joined", side, (Sign(1, np.zeros((2, 4))),))
    with pytest.raises(InputError, match=r"\(5,\) shifts for 2 filters"):
        IntegerLayer("first", conv(2), BatchShift(np.zeros(5)))
    with pytest.raises(InputError, match=r"\(18,\) shifts for 2 filters"):
        IntegerLayer("first", conv(2), BatchShift(np.zeros(18)))
    with pytest.raises(InputError, match=r"\(8,\) shifts for 4 filters"):
        IntegerLayer("joined", side, BatchShift(np.zeros(8)))
    with pytest.raises(FusionError, match="first: float32 overflows"):
        fuse(network(Layer("first", conv(1), (Scale([3e38]), Sign(1, np.zeros((2, 1)))))))
