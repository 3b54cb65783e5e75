"""Costs, counted by hand for one small layer of each kind."""

from __future__ import annotations

from dataclasses import replace

from bitflow.geometry import Shape
from bitflow.show.compare import Cost, LayerShape, cost, total

# 4x4x3, 2 filters of 3x3: 16 positions, 32 accumulators of 27 taps, pooled to 2x2x2.
LAYER = LayerShape("conv1", Shape(4, 4, 3), 32, Shape(2, 2, 2), 27, 2, True, False, True, 0, False, True)


def test_each_kind_of_layer_must_be_counted_as_it_is_told() -> None:
    assert cost(LAYER) == Cost(54 + 2, 2 * 4 + 2 * 4, 0, 0, 32, 864)
    assert cost(replace(LAYER, pixels=True)) == Cost(56, 16, 0, 0, 864 + 32, 0)
    xnor = replace(LAYER, fused=False, scales=2)
    assert cost(xnor) == Cost(54 + 2 + 4, 2 * 4 + 6 * 4, 32 + 8, 8, 0, 864)
    full = replace(LAYER, fused=False, binary=False)
    assert cost(full) == Cost(54 + 4, 58 * 4, 864 + 8, 864 - 32 + 8, 0, 0)
    last = replace(LAYER, norm=False, target=Shape(4, 4, 2))
    assert cost(last) == Cost(54 + 4, 8 + 16, 0, 0, 32, 864)
    assert cost(replace(last, fused=False, binary=False, bias=True)) == Cost(56, 224, 864, 864, 0, 0)


def test_a_total_must_be_the_sum() -> None:
    assert total([cost(LAYER), cost(LAYER)]) == Cost(112, 32, 0, 0, 64, 1728)
    assert total([]) == Cost(0, 0, 0, 0, 0, 0)
