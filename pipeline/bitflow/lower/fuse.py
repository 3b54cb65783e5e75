"""Network -> IntegerNetwork: scaling factor, bias, BatchNorm and sign become one integer per channel, the BatchShift.

The derivation (Wu et al., IEEE Access 2019, with the rounding made exact):

1. A layer computes y = BN(alpha * x) from the integer accumulator x, and the next layer sees only sign(y).
2. In exact arithmetic, with gamma > 0:
       sign(y) = +1  <=>  gamma * (alpha * x - mu) / sigma + beta >= 0
                     <=>  x + s >= 0,  s = beta * sigma / (gamma * alpha) - mu / alpha
                     <=>  x + floor(s) >= 0,  since x is an integer. (Rounding s instead would be wrong for every
       fraction of .5 and more.)
3. The network was not trained in exact arithmetic but in float32 (`arithmetic`), where y is still monotone in x. So the
   smallest integer t with y(t) >= 0 is found by bisection over [-R, R + 1], R being the largest reachable accumulator,
   and the BatchShift b = -t gives the float network's bit for every reachable x, ties included. It lies within
   [-(R + 1), R]; its two ends are the constants.
4. gamma < 0: y falls in x. The filter's weights are flipped, so the accumulator becomes x' = -x, in which y grows. For
   bits of +-1 a padded tap flips with the weight it meets.
5. gamma * alpha = 0: y does not depend on x; bisection gives the constant.
6. A max-pool before BatchNorm takes the largest x, that is the smallest x' of a flipped filter: OR of the bits where
   the filter kept its sign, AND where it was flipped. After BatchNorm or sign it is always OR.
7. The last layer has no sign: see `scores`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bitflow.errors import FusionError
from bitflow.ir import BatchShift, IntegerLayer, IntegerNetwork, Layer, Network, PoolPlace, Scores
from bitflow.lower import arithmetic, scores

__all__ = ["LayerFusion", "explain", "fuse"]


def fuse(network: Network) -> IntegerNetwork:
    """Fuse every layer exactly: the same hidden bits for every input, and the same order of the classes.

    Raises FusionError naming the layer where float32 overflows on reachable accumulators.
    """
    return IntegerNetwork(network.name, network.contract, tuple(map(_fuse_layer, network.layers)), network.labels)


def _fuse_layer(layer: Layer) -> IntegerLayer:
    accumulation = layer.accumulation
    reach = accumulation.reach
    with np.errstate(over="ignore", invalid="ignore"):
        ends = arithmetic.value(layer, np.array([[-reach], [reach]]))
    if not np.isfinite(ends).all():
        raise FusionError(f"{layer.name}: float32 overflows on accumulators up to {reach}; check its BatchNorm")
    if not layer.sign:
        return IntegerLayer(layer.name, accumulation, scores.fit(layer))
    flipped = arithmetic.slope(layer) < 0
    direction = np.where(flipped, -1, 1).astype(np.int8)
    pool_and = None
    if layer.pool is not None and layer.pool_place is PoolPlace.BEFORE_NORM and flipped.any():
        pool_and = flipped
    weights = accumulation.weights * direction[:, None, None, None]
    return IntegerLayer(
        layer.name,
        replace(accumulation, weights=weights),
        BatchShift((-_first_positive(layer, direction)).astype(np.int32)),
        layer.pool,
        pool_and,
    )


def _first_positive(layer: Layer, direction: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """Per channel the smallest t in [-R, R + 1] with y(direction * t) >= 0; R + 1 where there is none."""
    reach = layer.accumulation.reach
    low = np.full(len(direction), -reach, dtype=np.int64)
    high = np.full(len(direction), reach + 1, dtype=np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        # Where low = high = R + 1, y is asked outside the reachable range; the answer is not used.
        positive = arithmetic.value(layer, direction * np.minimum(middle, reach)) >= 0
        active = low < high
        high = np.where(active & positive, middle, high)
        low = np.where(active & ~positive, middle + 1, low)
    return low


@dataclass(frozen=True, slots=True)
class LayerFusion:
    """What became of a layer: for people, and for the notes that `fuse` prints.

    reach: R. flipped, constant: channels whose filter was flipped, whose bit does not depend on the input.
    shift_range: smallest and largest BatchShift. order: of the last layer, None else.
    """

    name: str
    kind: str
    shape: str
    reach: int
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
    reach = accumulation.reach
    kind = accumulation.kind.name.lower()
    shape = f"{accumulation.source} -> {layer.target}"
    match fused.output:
        case BatchShift(shift):
            constant = int(np.count_nonzero((shift == reach) | (shift == -(reach + 1))))
            ands = 0 if fused.pool_and is None else int(np.count_nonzero(fused.pool_and))
            channels = accumulation.target.channels
            pool = "" if layer.pool is None else f"OR {channels - ands}, AND {ands}"
            flipped = int(np.count_nonzero(arithmetic.slope(layer) < 0))
            limits = (int(shift.min()), int(shift.max()))
            return LayerFusion(layer.name, kind, shape, reach, flipped, constant, limits, pool)
        case Scores() as fitted:
            return LayerFusion(layer.name, kind, shape, reach, order=scores.differences(layer, fitted))
