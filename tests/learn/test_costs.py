"""Costs, counted by hand for one small layer of each kind."""

from __future__ import annotations

from dataclasses import replace

from bitflow.geometry import Shape
from bitflow.learn.baselines.costs import Cost, LayerShape, cost, total

# 4x4x3, 2 filters of 3x3: 16 positions, 32 accumulators of 27 taps, pooled to 2x2x2.
LAYER = LayerShape(
    "conv1", Shape(4, 4, 3), 32, Shape(2, 2, 2), 27, 2, 1, pixels=False, fused=True, scales=0, bias=False, normed=32,
    norms=2,
)  # fmt: skip
FLOATS = replace(LAYER, fused=False, normed=8)  # BatchNorm after the pool


def test_each_kind_of_layer_must_be_counted_as_it_is_told() -> None:
    assert cost(LAYER) == Cost(54 + 2, 2 * 4 + 2 * 4, 0, 0, 32, 864)
    assert cost(replace(LAYER, pixels=True)) == Cost(56, 16, 0, 0, 864 + 32, 0)
    xnor = replace(FLOATS, scales=2)
    assert cost(xnor) == Cost(54 + 2 + 4, 2 * 4 + 6 * 4, 32 + 8, 8, 0, 864)
    full = replace(FLOATS, weight_bits=32)
    assert cost(full) == Cost(54 + 4, 58 * 4, 864 + 8, 864 - 32 + 8, 0, 0)
    last = replace(LAYER, normed=0, norms=0, scores=True, target=Shape(4, 4, 2))
    assert cost(last) == Cost(54 + 4, 8 + 16, 0, 0, 32, 864)
    plain = replace(last, fused=False, scores=False, weight_bits=32, bias=True)
    assert cost(plain) == Cost(56, 224, 864, 864, 0, 0)


def test_int8_weights_must_add_to_bits_and_multiply_pixels() -> None:
    hidden = replace(LAYER, weight_bits=8)  # 27 bytes are 7 words
    assert cost(hidden) == Cost(54 + 2, 2 * 28 + 2 * 4, 0, 0, 864 + 32, 0, 0)
    assert cost(replace(hidden, pixels=True)) == Cost(56, 64, 0, 0, 864 + 32, 0, 864)
    assert cost(replace(hidden, fused=False, scales=1, normed=8)) == Cost(54 + 1 + 4, 56 + 20, 32 + 8, 8, 864, 0)


def test_a_residual_layer_must_add_its_shortcut() -> None:
    # On 4x4x2 with 2 filters of 3x3: 18 taps; its own BatchShift on 32 values, then 32 additions, then that of the sum.
    inner = replace(LAYER, source=Shape(4, 4, 2), taps=18, residual=True)
    assert cost(inner) == Cost(36 + 2, 8 + 8, 0, 0, 32 + 32, 576)
    both = replace(inner, normed=64, norms=4)
    assert cost(both) == Cost(36 + 4, 8 + 16, 0, 0, 32 + 64, 576)
    floats = replace(both, fused=False, normed=32 + 8)
    assert cost(floats) == Cost(36 + 8, 8 + 32, 40, 40, 32, 576)
    assert cost(replace(floats, weight_bits=32)) == Cost(44, 44 * 4, 576 + 40, 576 - 32 + 32 + 40, 0, 0)


def test_a_total_must_be_the_sum() -> None:
    assert total([cost(LAYER), cost(LAYER)]) == Cost(112, 32, 0, 0, 64, 1728)
    assert total([]) == Cost(0, 0, 0, 0, 0, 0)
