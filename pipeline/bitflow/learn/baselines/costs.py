"""The cost of a network in full precision, as XNOR-Net and as BitFlow: parameters, bytes and operations.

Counts are for one picture, from the shapes of the networks. With n accumulators (values of a layer before its
pool), K taps each:

float layer      n * K float multiplications and n * (K - 1) float additions; n more with a bias
bits             n * K binary operations: one is the product of a weight and an activation, that is one bit of an XNOR
                 and its part in a popcount. A 32-bit machine does up to 32 of them with one XNOR and one popcount.
pixels           n * K integer additions: a weight of +-1 adds or subtracts a pixel (BitFlow's first layer)
int8 weights     n * K integer additions: an activation of +-1 adds or subtracts a weight; with pixels also n * K
                 integer multiplications
scaling factor   n float multiplications (XNOR-Net: the result of a binary layer times alpha)
residual layer   n additions of the shortcut; float additions only in the float network
BatchNorm        a float multiplication and a float addition for each value that it gets, as y = a * x + b; after the
                 pool, or before a pool of bits. A Shift is part of b.
BatchShift       n integer additions (BitFlow: before the pool, which is an OR), T * n for T bits of an accumulator; n
                 for the offsets of the scores. Inside a residual layer: one for each bit of the layer's input

Not counted for any network: comparisons (max-pool, ReLU, sign), scaling pixels to the range of the first layer, and
turning a popcount p into an accumulator K - 2p. A padded tap counts like any other.

parameters are the numbers that inference needs: weights; two per channel for BatchNorm; alpha; one BatchShift per
channel, or two integers per class. bytes are their size: 4 for a float or an integer; one-bit and int8 weights as in a
`.bfn`, whole 32-bit words for each filter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from bitflow import bits
from bitflow.geometry import Shape

__all__ = ["Cost", "LayerShape", "cost", "total"]


@dataclass(frozen=True, slots=True)
class LayerShape:
    """A layer, from its input map to the map after its pool.

    source, target: the shapes of these maps.
    accumulators: number of values before the pool.
    taps: K.
    weight_bits: 1, 8 (int8) or 32 (float).
    pixels: the input is the picture.
    fused: it has integers only.
    scales: number of scaling factors that inference multiplies by.
    bias: it has a bias.
    normed: values that go through BatchNorms (fused: BatchShifts).
    norms: channels of these BatchNorms.
    residual: a shortcut is added to the accumulators.
    scores: it is the last layer of a fused network, with a factor and an offset per class.
    """

    name: str
    source: Shape
    accumulators: int
    target: Shape
    taps: int
    filters: int
    weight_bits: int
    pixels: bool
    fused: bool
    scales: int
    bias: bool
    normed: int = 0
    norms: int = 0
    residual: bool = False
    scores: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a layer or a network; the head of this file says what is counted."""

    parameters: int
    bytes: int
    float_multiplications: int
    float_additions: int
    integer_additions: int
    binary_operations: int
    integer_multiplications: int = 0


def cost(layer: LayerShape) -> Cost:
    """The cost of one layer."""
    n, taps = layer.accumulators, layer.taps
    products = n * taps
    multiplies = adds = integer = whole = binary = 0
    if layer.weight_bits == 32:
        multiplies, adds = products, products - n
    elif layer.weight_bits == 1 and not layer.pixels:
        binary = products
    else:
        integer = products
        whole = products if layer.weight_bits == 8 and layer.pixels else 0
    if layer.weight_bits == 32:
        adds += n * layer.residual
    else:
        integer += n * layer.residual
    # Numbers besides the weights, 4 bytes each.
    extra = layer.scales + layer.filters * layer.bias
    multiplies += n if layer.scales else 0
    adds += n * layer.bias
    if layer.fused:
        extra += layer.norms + 2 * layer.filters * layer.scores
        integer += layer.normed + n * layer.scores
    else:
        extra += 2 * layer.norms
        multiplies += layer.normed
        adds += layer.normed
    weight_bytes = 4 * layer.filters * bits.words_for(taps * layer.weight_bits)
    return Cost(layer.filters * taps + extra, weight_bytes + 4 * extra, multiplies, adds, integer, binary, whole)


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of costs."""
    found = list(costs)
    return Cost(*(sum(getattr(one, field.name) for one in found) for field in fields(Cost)))
