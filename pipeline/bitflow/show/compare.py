"""What a network takes as full precision, as XNOR-Net and as BitFlow: parameters, bytes and operations, counted.

Counted for one picture, from the shapes of the networks themselves. With n accumulators (values of a layer before its
pool), K taps each, and m values after the pool:

float layer      n * K float multiplications and n * (K - 1) float additions; n more where there is a bias
bits             n * K binary operations: one is one product of a weight and an activation, that is one bit of an XNOR
                 and its part in a popcount. A 32-bit machine does up to 32 of them by one XNOR and one popcount.
pixels           n * K integer additions: a weight of +-1 adds or subtracts a pixel (BitFlow's first layer)
scaling factor   n float multiplications (XNOR-Net: the result of a binary layer times alpha)
BatchNorm        m float multiplications and m float additions, as y = a * x + b
BatchShift       n integer additions (BitFlow: before the pool, which is an OR); as many for the offsets of the scores

Not counted, for any of them: comparisons (max-pool, ReLU, sign), bringing pixels to the range of the first layer, and
turning a popcount p into an accumulator K - 2p. A padded tap counts like any other.

parameters are the numbers that inference needs: weights; two a channel for BatchNorm; alpha; one BatchShift a channel,
or two integers a class. bytes are theirs: 4 for a float or an integer, and for weights of one bit those of a `.bfn`,
whole 32-bit words for each filter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from bitflow import bits
from bitflow.geometry import Shape

__all__ = ["Cost", "LayerShape", "cost", "total"]


@dataclass(frozen=True, slots=True)
class LayerShape:
    """A layer, from the map it takes to the map after its pool. accumulators: values before the pool. taps: K.

    binary: weights of one bit. pixels: it takes the picture. fused: integers only, BatchShift or scores. scales: how
    many scaling factors inference multiplies by. bias, norm: it has a bias, a BatchNorm.
    """

    name: str
    source: Shape
    accumulators: int
    target: Shape
    taps: int
    filters: int
    binary: bool
    pixels: bool
    fused: bool
    scales: int
    bias: bool
    norm: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """What a layer or a network takes; see the head of this file for what is counted."""

    parameters: int
    bytes: int
    float_multiplications: int
    float_additions: int
    integer_additions: int
    binary_operations: int


def cost(layer: LayerShape) -> Cost:
    """What one layer takes."""
    n, taps, values = layer.accumulators, layer.taps, layer.target.size
    products = n * taps
    multiplies = adds = integer = binary = 0
    if not layer.binary:
        multiplies, adds = products, products - n
    elif layer.pixels:
        integer = products
    else:
        binary = products
    # Numbers beside the weights, 4 bytes each.
    extra = layer.scales
    multiplies += n if layer.scales else 0
    if layer.fused:
        extra += layer.filters if layer.norm else 2 * layer.filters
        integer += n
    else:
        extra += layer.filters * (layer.bias + 2 * layer.norm)
        adds += n * layer.bias + values * layer.norm
        multiplies += values * layer.norm
    weight_bytes = 4 * layer.filters * (bits.words_for(taps) if layer.binary else taps)
    return Cost(layer.filters * taps + extra, weight_bytes + 4 * extra, multiplies, adds, integer, binary)


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of costs."""
    found = list(costs)
    return Cost(*(sum(getattr(one, field.name) for one in found) for field in fields(Cost)))
