"""The last layer: integer scores A_c * x_c + B_c that order the classes as the float logits do.

Each class has a float logit L_c(x), monotone in its accumulator x (`arithmetic`). This finds the smallest int32 A, B
such that for all pairs of classes c, d and all reachable x, y

    A_c * x + B_c  <, =, >  A_d * y + B_d      as      L_c(x)  <, =, >  L_d(y).

All logits of all classes are sorted once; a candidate is right if its integers rise where the sorted logits rise and
are equal where they are equal. Candidates are A = round(t * slope), B = round(t * offset) with rising t: a common
offset is taken off first and a common slope becomes 1, so affine terms that are equal for all classes are dropped and
ties stay ties. Where float32 rounding merged or split values so that no int32 pair fits, the candidate with the fewest
contradictions is taken and `differences` says how many pairs differ and how near they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.accumulation import INT32_MAX
from bitflow.errors import FusionError
from bitflow.ir import Layer, LayerKind, Logits, Rounding, Scores
from bitflow.lower import arithmetic

__all__ = ["OrderDifferences", "differences", "fit", "logits"]

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]
Double = npt.NDArray[np.float64]

# Every whole number up to this is tried as the largest slope, then steps of a hundredth: the smallest fit comes first.
_EXHAUSTIVE = 4096
_CANDIDATES = 200_000_000  # numbers compared over all candidates, at most: this bounds the time, not the exactness
_LOGITS = 2**25  # logits that are sorted, at most; if there are more, every second, third, ... accumulator is used
_NEAR = 2.0**-46  # real logits no farther apart, relative to the largest, count as equal: float64 cannot resolve them


@dataclass(frozen=True, slots=True)
class OrderDifferences:
    """Pairs (class c at x, class d at y) that the integer scores order unlike the float logits.

    pairs: how many pairs.
    of: how many pairs are reachable.
    gap: the largest distance between the logits of such a pair.
    """

    pairs: int
    of: int
    gap: float = 0.0


def _reachable(layer: Layer, classes: int) -> Integers:
    """The reachable accumulators. If all taps count, a sum of K values of +-1 has the parity of K."""
    accumulation = layer.accumulation
    binary = accumulation.kind in (LayerKind.CONV, LayerKind.DENSE)
    whole = not binary or (accumulation.pad_value == 0 and any(accumulation.window.padding))
    count = 2 * accumulation.bound + 1 if whole else accumulation.bound + 1
    stride = -(-count * classes // _LOGITS)
    return np.arange(-accumulation.bound, accumulation.bound + 1, (1 if whole else 2) * stride, dtype=np.int64)


def _same_for_all(layer: Layer) -> bool:
    """Whether all classes have the same function of their accumulator, and it is not constant."""
    slope, offset = arithmetic.linear(layer)
    return bool(slope[0] != 0 and np.all(slope == slope[0]) and np.all(offset == offset[0]))


def fit(layer: Layer) -> Scores:
    """Scale and offset of the scores of the last layer."""
    classes = layer.target.channels
    if _same_for_all(layer):
        signs = arithmetic.trend(layer).astype(np.int32)
        return Scores(signs, np.zeros_like(signs))
    reachable = _reachable(layer, classes)
    order = _order(layer, reachable)
    best: tuple[Integers, Integers] | None = None
    fewest = order.size + 1
    for scale, offset in _candidates(layer, limit=_CANDIDATES // order.size):
        wrong = order.contradictions(reachable[:, None] * scale + offset)
        if wrong < fewest:
            best, fewest = (scale, offset), wrong
        if wrong == 0:
            break
    if best is None:
        raise FusionError(f"{layer.name}: no integer scores fit int32; its BatchNorm offsets dwarf its slopes")
    return Scores(best[0].astype(np.int32), best[1].astype(np.int32))


def logits(layer: Layer, fitted: Scores) -> Logits:
    """How the scores become float logits again."""
    slope, offset = arithmetic.linear(layer)
    scale = np.divide(slope, fitted.scale, out=np.zeros_like(slope), where=fitted.scale != 0)
    return Logits(scale, offset - scale * fitted.offset)


def _candidates(layer: Layer, limit: int) -> Iterator[tuple[Integers, Integers]]:
    """Pairs (A, B) of rising size that all fit int32."""
    bound = layer.accumulation.bound
    # The offset in exact arithmetic: better than L(0), which may have lost digits.
    slope, offset = arithmetic.linear(layer)
    offset = offset - (offset.max() + offset.min()) / 2
    top = np.abs(slope).max()
    if top == 0:
        # No class depends on its input: the rank of its constant is its score.
        ranks = np.unique(arithmetic.value(layer, np.zeros((1, len(slope)))), return_inverse=True)[1]
        yield np.zeros(len(slope), dtype=np.int64), np.reshape(ranks, -1).astype(np.int64)
        return
    size = 1.0
    for _ in range(max(limit, 64)):
        scale = np.rint(slope * (size / top)).astype(np.int64)
        shift_float = np.rint(offset * (size / top))
        if np.max(np.abs(scale) * float(bound) + np.abs(shift_float)) > INT32_MAX:
            return
        yield scale, shift_float.astype(np.int64)
        size = size + 1 if size < _EXHAUSTIVE else size * 1.01


def _order(layer: Layer, reachable: Integers) -> _Order:
    values = arithmetic.value(layer, np.repeat(reachable[:, None], layer.target.channels, axis=1))
    exact = layer.rounding is Rounding.EXACT
    return _Order(values, _NEAR * float(np.abs(values).max()) if exact else 0.0)


class _Order:
    """The float logits [reachable, classes] sorted once, against which candidates are checked.

    near: logits that are no farther apart count as equal.
    """

    def __init__(self, logits: Array, near: float) -> None:
        classes = logits.shape[1]
        flat = logits.reshape(-1).astype(np.float64)
        self.size = flat.size
        self._by_value = np.argsort(flat, kind="stable")
        in_order = flat[self._by_value]
        new = np.r_[True, in_order[1:] - in_order[:-1] > near]
        self._starts = np.flatnonzero(new)
        flat[self._by_value] = in_order[self._starts][np.cumsum(new) - 1]
        self.logits = flat.reshape(logits.shape)
        owner = self._by_value % classes
        # Groups of equal logits with more than one class: only in these must the integers be equal.
        self._shared = np.minimum.reduceat(owner, self._starts) != np.maximum.reduceat(owner, self._starts)

    def contradictions(self, integers: Integers) -> int:
        """How often the integers [reachable, classes] contradict the sorted logits; 0: they fit."""
        row = integers.reshape(-1)[self._by_value]
        low = np.minimum.reduceat(row, self._starts)
        high = np.maximum.reduceat(row, self._starts)
        return int(np.count_nonzero(high[:-1] >= low[1:]) + np.count_nonzero(self._shared & (low != high)))


def differences(layer: Layer, fitted: Scores) -> OrderDifferences:
    """Count the reachable pairs of different classes that the scores order unlike the float logits."""
    classes = layer.target.channels
    reachable = _reachable(layer, classes)
    every = len(reachable) ** 2 * classes * (classes - 1) // 2
    if _same_for_all(layer):
        one = arithmetic.value(layer, np.repeat(reachable[:, None], classes, axis=1)[:, :1])
        if bool(np.all(np.sign(np.diff(one[:, 0])) == fitted.scale[0])):
            return OrderDifferences(0, every)
    integers = reachable[:, None] * fitted.scale.astype(np.int64) + fitted.offset.astype(np.int64)
    order = _order(layer, reachable)
    if order.contradictions(integers) == 0:
        return OrderDifferences(0, every)
    logits = order.logits
    # Sorted by its logits, the values of d below, equal to and above one value of c are three runs.
    up = [np.argsort(logits[:, d], kind="stable") for d in range(classes)]
    pairs, gap = 0, 0.0
    for c in range(classes):
        for d in range(c + 1, classes):
            floats, numbers = logits[up[d], d], integers[up[d], d]
            below = np.sort(
                [np.searchsorted(floats, logits[:, c], "left"), np.searchsorted(numbers, integers[:, c])], 0
            )
            until = np.sort(
                [np.searchsorted(floats, logits[:, c], "right"), np.searchsorted(numbers, integers[:, c], "right")], 0
            )
            agree = below[0] + np.maximum(until[0] - below[1], 0) + len(floats) - until[1]
            wrong = agree < len(floats)
            pairs += int(np.sum(len(floats) - agree))
            if wrong.any():
                ends = np.array([floats[below[0][wrong]], floats[until[1][wrong] - 1]])
                gap = max(gap, float(np.abs(ends - logits[wrong, c]).max()))
    return OrderDifferences(pairs, every, gap)
