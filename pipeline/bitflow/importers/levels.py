"""A value of few evenly spaced levels as the bits of a thermometer, bit t being whether it has reached limit t.

The level j is the number of bits that are +1, so the sum of all T bits is 2 j - T, and the value is an affine function
of this sum. A padded tap must be a value whose bits are all -1, do not count (their sum is 0) or are all +1. Where the
value that a reader pads with lies elsewhere, constant bits join the others until the sum is 0 there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from bitflow.accumulation import MAX_THRESHOLDS
from bitflow.importers import graph as g
from bitflow.importers.layout import channel_values
from bitflow.importers.value import Value
from bitflow.ir import Offset, Scale, Sign, Step

__all__ = ["Thermometer", "thermometer"]

_BEYOND = float(np.finfo(np.float32).max)  # a limit that no value reaches


@dataclass(frozen=True, slots=True)
class Thermometer:
    """The sign that makes the bits, and the steps that make the value of their sum."""

    sign: Sign
    steps: tuple[Step, ...]


def thermometer(graph: g.Graph, node: g.Node, op: g.Levels, value: Value) -> Thermometer:
    """The bits of a node's levels. The value has all steps but the op's own division and shift."""
    if np.isnan(op.limits).any():
        raise node.refuse("has a limit that is no number")
    limits = [np.clip(channel_values(node, value, limit), -_BEYOND, _BEYOND) for limit in op.limits]
    _clip(op, value.limits, limits)
    levels = len(limits)
    more = _constant_bits(graph, node, op)
    limits += [np.full(value.shape.channels, -np.sign(more) * _BEYOND)] * abs(more)
    zeros = (*(1 if equal else -1 for equal in op.reached), *(1,) * abs(more))
    # Sum of the bits = 2 j - levels + more.
    sign = Sign(zeros[0] if len(set(zeros)) == 1 else zeros, np.stack(limits))
    return Thermometer(sign, _steps(op, op.start + (levels - more) / 2, value.shape.channels))


def _steps(op: g.Levels, middle: float, channels: int) -> tuple[Step, ...]:
    """(half the sum + middle) * step + low, each number as the source has it: nothing is rounded."""
    numbers: list[tuple[type[Scale] | type[Offset], float]] = [(Scale, 0.5), (Offset, middle), (Scale, op.step)]
    if middle == 0:
        numbers = [(Scale, 0.5 * op.step)]
    numbers.append((Offset, op.low))
    return tuple(kind(np.full(channels, n)) for kind, n in numbers if n != (1 if kind is Scale else 0))


def _clip(op: g.Levels, ends: tuple[float, float], limits: list[np.ndarray]) -> None:
    """Limits that a value between two ends always, or never, reaches become limits of any value."""
    low, high = sorted(
        Fraction(end) / Fraction(op.divisor) + Fraction(op.shift) if np.isfinite(end) else end * op.divisor
        for end in ends
    )
    for limit, equal in zip(limits, op.reached, strict=True):
        for c, number in enumerate(map(float, limit)):
            if number < low or (equal and number == low):
                limit[c] = -_BEYOND
            elif number > high or (not equal and number == high):
                limit[c] = _BEYOND


def _constant_bits(graph: g.Graph, node: g.Node, op: g.Levels) -> int:
    """How many constant bits the levels need, +1 (positive) or -1, for what their readers pad; 0 also if none fit."""
    levels = len(op.limits)
    fills = set(_fills(graph, node.output))
    sums = {2 * ((f - Fraction(op.low)) / Fraction(op.step) - Fraction(op.start)) - levels for f in fills}
    odd = sums - {-levels, 0, levels}
    if len(sums) != 1 or not odd:
        return 0
    (found,) = odd
    fits = found.denominator == 1 and abs(found) + levels <= MAX_THRESHOLDS
    return -int(found) if fits else 0


def _fills(graph: g.Graph, tensor: str) -> Iterator[Fraction]:
    """What convolutions pad a tensor with, also after pools, other orders of its axes, and one scale and offset."""
    for node in graph.needed():
        if tensor not in node.inputs:
            continue
        match node.op:
            case g.Conv(padding=padding, fill=fill) if any(padding):
                yield Fraction(fill)
            case g.Pad(padding, fill):
                yield Fraction(fill)
            case g.Combine(how, values) if np.size(values) == 1 and np.isfinite(values).all() and np.all(values != 0):
                by = Fraction(float(np.ravel(values)[0]))
                for number in _fills(graph, node.output):
                    yield number - by if how == "add" else number * by if how == "div" else number / by
            case g.Combine(how) if how == "add" and not np.any(node.op.values):
                yield from _fills(graph, node.output)
            case g.MaxPool() | g.Transpose() | g.Reshape():
                yield from _fills(graph, node.output)
