"""Network -> IntegerNetwork: scaling factor, bias, BatchNorm and sign become one integer per channel, the BatchShift.

The derivation (Wu et al., IEEE Access 2019, with the rounding made exact):

1. A layer computes y = BN(alpha * x) from the integer accumulator x, and the next layer sees only sign(y).
2. In exact arithmetic, with gamma > 0:
       sign(y) = +1  <=>  gamma * (alpha * x - mu) / sigma + beta >= 0
                     <=>  x + s >= 0,  s = beta * sigma / (gamma * alpha) - mu / alpha
                     <=>  x + floor(s) >= 0,  since x is an integer. (Rounding s instead would be wrong for every
       fraction of .5 and more.)
3. The network was not trained in exact arithmetic but in float32 (`arithmetic`), where y is still monotone in x. So the
   smallest integer t with y(t) >= 0 is found by bisection over [-R, R + 1], where R is the largest reachable
   accumulator. The BatchShift b = -t gives the float network's bit for every reachable x, ties included. It is within
   [-(R + 1), R]; its two ends are the constants.
4. A falling channel (gamma * alpha < 0): the filter's weights are flipped, so the accumulator becomes x' = -x, in
   which y grows. For bits of +-1 a padded tap flips with the weight it meets. Where there is no filter to flip (a sum,
   a global average, integers that another layer uses too) t is sought on -x and the output bit is inverted by a mask:
   y(x) >= 0  <=>  -x >= t  <=>  not (x - (1 - t) >= 0).
5. gamma * alpha = 0: y does not depend on x; bisection gives the constant.
6. A max-pool takes the largest of the values that it gets. If the steps after it fall (BatchNorm with gamma < 0) that
   is the AND of the bits, else the OR. A max-pool after BatchNorm or sign is always OR.
7. sign(0) = -1 only moves t: the smallest integer with y(t) > 0.
8. A sign with T thresholds s gives T bits, y(x) >= s each: points 3 to 7 with y - s for y, once for each threshold. The
   filter is flipped for all of them.
9. The last layer has no sign: see `scores`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bitflow.errors import FusionError
from bitflow.ir import BatchShift, IntegerLayer, IntegerNetwork, Integers, Layer, MapType, Network, Scores, Sign
from bitflow.lower import arithmetic, scores

__all__ = ["LayerFusion", "explain", "first_positive", "fuse", "zeros"]


def fuse(network: Network) -> IntegerNetwork:
    """Fuse every layer exactly: the same hidden bits for every input, and the same order of the classes.

    Raises FusionError naming the layer where float32 overflows on reachable accumulators.
    """
    *hidden, last = network.layers
    _check_finite(last)
    fitted = scores.fit(last)
    final = IntegerLayer(last.name, last.accumulation, fitted, sources=last.sources)
    logits = scores.logits(last, fitted)
    layers = (*map(_fuse_layer, hidden), final)
    return IntegerNetwork(network.name, network.input_spec, layers, network.labels, logits)


def _check_finite(layer: Layer) -> None:
    bound = layer.accumulation.bound
    with np.errstate(over="ignore", invalid="ignore"):
        ends = arithmetic.value(layer, np.array([[-bound], [bound]]))
    if not np.isfinite(ends).all():
        raise FusionError(f"{layer.name}: float32 overflows on accumulators up to {bound}; check its BatchNorm")


def _fuse_layer(layer: Layer) -> IntegerLayer:
    accumulation = layer.accumulation
    if layer.sign is None:
        return IntegerLayer(layer.name, accumulation, Integers(), layer.pool, sources=layer.sources)
    _check_finite(layer)
    falling = arithmetic.trend(layer) < 0
    direction = np.where(falling, -1, 1)
    first = np.concatenate([_first_positive(layer.of_threshold(t), direction) for t in range(layer.thresholds)])
    pool_and = None
    if layer.pool is not None:
        pool_and = np.tile(arithmetic.trend(layer, after_pool=True) < 0, layer.thresholds)
    invert = None
    if accumulation.weights is not None:
        flip = direction.astype(np.int8)[:, None, None, None]
        accumulation = replace(accumulation, weights=accumulation.weights * flip)
    elif falling.any():
        invert = np.tile(falling, layer.thresholds)
        first = np.where(invert, 1 - first, first)
    return IntegerLayer(
        layer.name,
        accumulation,
        BatchShift((-first).astype(np.int32)),
        layer.pool,
        pool_and if pool_and is not None and pool_and.any() else None,
        invert,
        layer.sources,
    )


def first_positive(layer: Layer, direction: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each channel of a layer of one bit the smallest t in [-R, R + 1] such that the bit of the accumulator
    direction * t is 1; R + 1 if there is none.

    direction: +1, or -1 where the layer falls, int64 [channels].

    Raises FusionError where float32 overflows on reachable accumulators.
    """
    _check_finite(layer)
    return _first_positive(layer, direction)


def _first_positive(layer: Layer, direction: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each channel the smallest t in [-R, R + 1] with sign(y(direction * t)) = +1; R + 1 if no t has it."""
    bound = layer.accumulation.bound
    low = np.full(len(direction), -bound, dtype=np.int64)
    high = np.full(len(direction), bound + 1, dtype=np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        # Where low = high = R + 1, y is evaluated outside the reachable range; the result is not used.
        positive = arithmetic.positive(layer, direction * np.minimum(middle, bound))
        active = low < high
        high = np.where(active & positive, middle, high)
        low = np.where(active & ~positive, middle + 1, low)
    return low


def zeros(layer: Layer) -> int:
    """The number of output channels in which a reachable accumulator gives exactly the threshold of the sign."""
    return sum(_zeros(layer.of_threshold(t)) for t in range(layer.thresholds))


def _zeros(layer: Layer) -> int:
    accumulation = layer.accumulation
    direction = np.where(arithmetic.trend(layer) < 0, -1, 1)
    ends = [
        _first_positive(replace(layer, steps=(*layer.affine, Sign(zero))), direction) for zero in (1, -1)
    ]  # zeros lie between
    step, parity = 1, np.zeros(len(direction), dtype=np.int64)
    counted = accumulation.pad_value != 0 or not any(accumulation.window.padding)
    if accumulation.weights is not None and accumulation.inputs[0].type is MapType.BITS and counted:
        # A sum of weights of +-1 signs has the parity of the sum of all.
        step, parity = 2, accumulation.weights.astype(np.int64).sum(axis=(1, 2, 3)) % 2
    low = ends[0] + (ends[0] + parity) % step
    return int(np.count_nonzero(low < ends[1]))


@dataclass(frozen=True, slots=True)
class LayerFusion:
    """What `fuse` made of a layer, for people to read.

    bound: R, the largest absolute accumulator.
    flipped: number of channels whose filter (or bit) was flipped.
    constant: number of channels whose bit does not depend on the input.
    shift_range: smallest and largest BatchShift.
    pool: how it pools; "": no pool.
    order: the pairs of classes that scores and logits order differently; None except in the last layer.
    """

    name: str
    kind: str
    shape: str
    bound: int
    flipped: int = 0
    constant: int = 0
    shift_range: tuple[int, int] | None = None
    pool: str = ""
    order: scores.OrderDifferences | None = None


def explain(network: Network, fused: IntegerNetwork) -> tuple[LayerFusion, ...]:
    """What `fuse` made of each layer."""
    return tuple(map(_explain_layer, network.layers, fused.layers))


def _explain_layer(layer: Layer, fused: IntegerLayer) -> LayerFusion:
    accumulation = layer.accumulation
    bound = accumulation.bound
    kind = accumulation.kind.name.lower()
    inputs = " + ".join(str(m.shape) for m in accumulation.inputs)
    shape = f"{inputs} -> {layer.target}"
    match fused.output:
        case BatchShift(shift):
            constant = int(np.count_nonzero((shift == bound) | (shift == -(bound + 1))))
            ands = 0 if fused.pool_and is None else int(np.count_nonzero(fused.pool_and))
            channels = layer.target.channels
            pool = "" if layer.pool is None else f"OR {channels - ands}, AND {ands}"
            flipped = int(np.count_nonzero(arithmetic.trend(layer) < 0))
            limits = (int(shift.min()), int(shift.max()))
            return LayerFusion(layer.name, kind, shape, bound, flipped, constant, limits, pool)
        case Scores() as fitted:
            return LayerFusion(layer.name, kind, shape, bound, order=scores.differences(layer, fitted))
        case Integers():
            return LayerFusion(layer.name, kind, shape, bound)
