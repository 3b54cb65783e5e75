"""BatchShift and scores decide as the float network does, for every reachable accumulator."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from bitflow.errors import FusionError, InputError
from bitflow.geometry import InputSpec, Pool, Shape, Window
from bitflow.ir import (
    BatchNorm,
    BatchShift,
    BinaryDense,
    InputConv,
    IntegerNetwork,
    Layer,
    Network,
    Offset,
    Rounding,
    Scale,
    Scores,
    Sign,
)
from bitflow.lower import arithmetic, scores
from bitflow.lower.fuse import explain, fuse

FINITE = st.floats(-1e6, 1e6, width=32)


def network(hidden: Layer, pixels: int) -> Network:
    """Pixels 1x1xN -> the layer under test is the first of two; the last is plain."""
    input_spec = InputSpec(Shape(1, 1, pixels), "uint8", 128)
    last = BinaryDense(hidden.target, np.ones((2, 1, 1, hidden.target.channels), np.int8))
    return Network("n", input_spec, (hidden, Layer("last", last, (Scale(np.ones(2)),))))


def one_channel(
    gamma, beta, mean, variance, scale, bias=None, pixels=3, eps=1e-5, rounding=Rounding.FLOAT32
) -> Network:
    input_spec = InputSpec(Shape(1, 1, pixels), "uint8", 128)
    conv = InputConv(input_spec.shape, np.ones((1, 1, 1, pixels), np.int8), Window((1, 1)), input_spec)
    norm = BatchNorm([gamma], [beta], [mean], [variance], eps)
    offset = () if bias is None else (Offset([bias]),)
    return network(Layer("first", conv, (Scale([scale]), *offset, norm, Sign()), rounding=rounding), pixels)


@settings(max_examples=300)
@given(FINITE, FINITE, FINITE, st.floats(0, 1e6, width=32), st.floats(0, 1e3, width=32), st.none() | FINITE)
def test_batch_shift_must_equal_the_float_sign_on_every_reachable_accumulator(gamma, beta, mean, var, scale, bias):
    net = one_channel(gamma, beta, mean, var, scale, bias)
    layer = net.layers[0]
    try:
        fused = fuse(net).layers[0]
    except FusionError:
        reject()  # float32 overflows: refused, by name; too many of these fail the test
    accumulators = np.arange(-layer.accumulation.bound, layer.accumulation.bound + 1)
    want = arithmetic.value(layer, accumulators[:, None])[:, 0] >= 0
    flip = int(fused.accumulation.weights[0, 0, 0, 0])
    got = flip * accumulators + int(fused.output.shift[0]) >= 0
    assert np.array_equal(want, got)


@settings(max_examples=300)
@given(FINITE, FINITE, FINITE, st.floats(2**-20, 1e6, width=32), st.floats(-1e3, 1e3, width=32), st.integers(-9, 9))
def test_exact_rounding_must_decide_as_real_numbers_do(gamma, beta, mean, var, scale, tie):
    """Fractions instead of floats, and a tie made on purpose: the square root of a square is exact."""
    var = float(np.float32(round(var) + 1)) ** 2
    mean = float(np.float32(scale) * tie) if beta == 0 else mean
    net = one_channel(gamma, beta, mean, var, scale, eps=0.0, rounding=Rounding.EXACT)
    layer = net.layers[0]
    norm = layer.steps[1]
    root = Fraction(float(norm.variance[0])) ** Fraction(1, 2)
    xs = np.arange(-layer.accumulation.bound, layer.accumulation.bound + 1)
    g, b, m, a = (Fraction(float(v[0])) for v in (norm.weight, norm.bias, norm.mean, layer.steps[0].values))
    want = [(a * int(x) - m) * g / Fraction(root) + b >= 0 for x in xs]
    assert arithmetic.positive(layer, xs[:, None])[:, 0].tolist() == want


@given(st.integers(1, 50), st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 50))
def test_batch_shift_must_be_the_floor_of_the_exact_shift(gamma, beta, mean, scale):
    """With powers of two nothing is rounded, so the exact formula of the derivation must come out."""
    net = one_channel(gamma / 64, beta / 64, mean / 64, 1.0, scale / 64, eps=0.0)
    exact = Fraction(beta, 64) / (Fraction(gamma, 64) * Fraction(scale, 64)) - Fraction(mean, scale)
    bound = net.layers[0].accumulation.bound
    floor = exact.numerator // exact.denominator
    assert int(fuse(net).layers[0].output.shift[0]) == min(max(floor, -(bound + 1)), bound)


@pytest.mark.parametrize(("beta", "shift"), [(1.0, "R"), (0.0, "R"), (-0.0, "R"), (-1.0, "-(R+1)")])
def test_zero_gamma_must_become_a_constant(beta, shift):
    net = one_channel(0.0, beta, 5.0, 1.0, 1.0)
    bound = net.layers[0].accumulation.bound
    assert int(fuse(net).layers[0].output.shift[0]) == {"R": bound, "-(R+1)": -(bound + 1)}[shift]


def test_negative_gamma_must_flip_the_filter_and_pool_by_and_only_before_norm():
    input_spec = InputSpec(Shape(2, 2, 1), "uint8", 128)
    conv = InputConv(input_spec.shape, np.ones((2, 1, 1, 1), np.int8), Window((1, 1)), input_spec)
    norm = BatchNorm([1, -1], [0, 0], [0, 0], [1, 1])
    pool = Pool(Window((2, 2), (2, 2)))
    for steps, ands in (((pool, norm, Sign()), [False, True]), ((norm, pool, Sign()), None)):
        hidden = Layer("first", conv, steps)
        last = BinaryDense(hidden.target, np.ones((2, 1, 1, 2), np.int8))
        net = Network("n", input_spec, (hidden, Layer("last", last, (Scale(np.ones(2)),))))
        fused = fuse(net).layers[0]
        assert fused.accumulation.weights.ravel().tolist() == [1, -1]
        assert (None if fused.pool_and is None else fused.pool_and.tolist()) == ands
        assert explain(net, fuse(net))[0].flipped == 1


def test_fuse_must_name_the_layer_whose_norm_overflows():
    with pytest.raises(FusionError, match="first: float32 overflows"):
        fuse(one_channel(1e38, 0.0, 0.0, 1e-30, 1e3))


def test_integer_network_must_refuse_a_shift_out_of_range():
    fused = fuse(one_channel(1.0, 0.0, 0.0, 1.0, 1.0))
    layer = fused.layers[0]
    bad = type(layer)(layer.name, layer.accumulation, BatchShift([layer.accumulation.bound]))
    IntegerNetwork(fused.name, fused.input_spec, (bad, fused.layers[1]))
    with pytest.raises(InputError, match="outside"):
        type(layer)(layer.name, layer.accumulation, BatchShift([layer.accumulation.bound + 1]))


def last_layer(scale, norm=None, bias=None, inputs=9) -> Layer:
    weights = np.ones((len(scale), 1, 1, inputs), np.int8)
    steps = (Scale(scale), *(() if bias is None else (Offset(bias),)), *(() if norm is None else (norm,)))
    return Layer("last", BinaryDense(Shape(1, 1, inputs), weights), steps)


def orders(layer: Layer, fitted: Scores) -> bool:
    """All pairs, the slow way."""
    bound = layer.accumulation.bound
    xs = np.arange(-bound, bound + 1, 2)
    logits = arithmetic.value(layer, np.repeat(xs[:, None], layer.target.channels, axis=1)).astype(np.float64)
    integers = xs[:, None] * fitted.scale.astype(np.int64) + fitted.offset
    classes = logits.shape[1]
    return all(
        np.array_equal(np.sign(logits[:, None, c] - logits[None, :, d]), np.sign(integers[:, None, c] - integers[:, d]))
        for c in range(classes)
        for d in range(classes)
        if c != d
    )


def test_equal_scales_must_give_one_and_zero_so_that_ties_stay_ties():
    fitted = scores.fit(last_layer(np.full(10, 0.37, np.float32)))
    assert fitted.scale.tolist() == [1] * 10
    assert fitted.offset.tolist() == [0] * 10


def test_equal_affine_terms_must_be_dropped():
    norm = BatchNorm(np.full(4, 2.5), np.full(4, -7.25), np.full(4, 0.5), np.full(4, 3.0))
    fitted = scores.fit(last_layer(np.full(4, 0.25, np.float32), norm))
    assert (fitted.scale.tolist(), fitted.offset.tolist()) == ([1] * 4, [0] * 4)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 40))
def test_scores_must_order_all_pairs_as_the_logits_do_or_count_those_they_cannot(seed, classes, inputs):
    rng = np.random.default_rng(seed)
    norm = BatchNorm(
        rng.normal(size=classes), rng.normal(size=classes), rng.normal(size=classes), rng.random(classes) + 0.1
    )
    layer = last_layer(rng.random(classes).astype(np.float32), norm, inputs=inputs)
    fitted = scores.fit(layer)
    assert orders(layer, fitted) == (scores.differences(layer, fitted).pairs == 0)


def test_differences_must_count_what_the_slow_way_counts():
    layer = last_layer(np.array([0.5, 0.75, 0.3], np.float32), inputs=6)
    wrong = Scores([1, 1, 1], [0, 0, 0])
    xs = np.arange(-6, 7, 2)
    logits = arithmetic.value(layer, np.repeat(xs[:, None], layer.target.channels, axis=1)).astype(np.float64)
    integers = np.repeat(xs[:, None], 3, axis=1)
    pairs, gap = 0, 0.0
    for c, d in ((0, 1), (0, 2), (1, 2)):
        apart = logits[:, None, c] - logits[None, :, d]
        differs = np.sign(apart) != np.sign(integers[:, None, c] - integers[None, :, d])
        pairs, gap = pairs + int(differs.sum()), max(gap, float(np.abs(apart[differs]).max()))
    found = scores.differences(layer, wrong)
    assert (found.pairs, found.of) == (pairs, 3 * 49)
    assert found.gap == pytest.approx(gap)


def test_constant_classes_must_get_the_rank_of_their_constant():
    norm = BatchNorm(np.zeros(3), [0.5, -1.0, 0.5], np.zeros(3), np.ones(3))
    fitted = scores.fit(last_layer(np.ones(3, np.float32), norm))
    assert (fitted.scale.tolist(), fitted.offset.tolist()) == ([0, 0, 0], [1, 0, 1])
