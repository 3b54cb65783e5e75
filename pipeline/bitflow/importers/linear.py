"""Convolutions and dense layers of a graph, over pixels, bits or integers with scales and offsets on them.

A source computes sum of w * f(v) + bias, with w = factor * q for whole numbers q, where f is the scales and offsets on
the map of v. With f(v) = ... (v / d + o) * s ... this equals f's scales applied to x = sum of q * v, with each offset
multiplied by the sum of its filter's q. A padded tap has the source's value `fill`, so the v with f(v) = fill must be
one that a padded tap can have: -1, 0 or +1 for bits, the zero point for pixels, 0 for integers. Where a value has
several bits, v is their sum: -T, 0 or T.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow import accumulation as acc
from bitflow.geometry import InputSpec, Window
from bitflow.importers.building import Building
from bitflow.importers.graph import Conv, Dense, Node
from bitflow.importers.layout import dense_filters, is_map
from bitflow.importers.value import Value, uniform
from bitflow.importers.weights import factorise
from bitflow.ir import INPUT, Accumulation, Divide, MapType, Offset, Rounding, Scale, Step
from bitflow.lower.arithmetic import composed

__all__ = ["accumulate", "opened"]

_EXACT_FLOAT32 = 2**24  # from here on float32 does not have all whole numbers
Array = npt.NDArray[Any]
Whole = npt.NDArray[np.int8]


def opened(work: Building, node: Node, value: Value) -> Value:
    """A finished map as the accumulators of a new layer, so that steps can follow; an open value unchanged."""
    if value.index is None:
        return value
    if value.index != INPUT:
        again = acc.Sum((work.map_of(value),), value.shape.channels)
        return replace(value, name=node.name, index=None, accumulation=again, sources=(value.index,), bits=1)
    # Each pixel alone: a convolution with one tap of weight +1.
    input_spec = _settled(work, node, value, None)
    channels = value.shape.channels
    ones = np.ones((channels, 1, 1, 1), dtype=np.int8)
    each = acc.InputConv(value.shape, ones, Window((1, 1)), input_spec, channels)
    back = (Offset(np.full(channels, float(input_spec.zero_point))),) if input_spec.zero_point else ()
    return replace(value, name=node.name, index=None, accumulation=each, sources=(INPUT,), steps=(*back, *value.steps))


def accumulate(work: Building, node: Node, op: Conv | Dense, value: Value) -> Value:
    """The open value of a convolution or dense layer over a finished map."""
    if isinstance(op, Dense):
        if value.padding is not None:
            raise node.refuse("padding before a dense layer")
        weights = dense_filters(node, value, op.weights)
        window = Window((value.shape.height, value.shape.width))
        fill = 0.0
        axes: tuple[str, ...] = ("N", "C")
    else:
        if not is_map(value, work.graph.native):
            raise node.refuse(f"takes a tensor with axes {value.axes}, not a map of {work.graph.native}")
        weights = np.transpose(op.weights, (0, 2, 3, 1))
        padding, fill = _padding(node, op, value)
        window = Window((weights.shape[1], weights.shape[2]), op.stride, padding, op.dilation)
        axes = value.axes
    whole, factors = _whole(node, op, weights)
    padded = any(window.padding)
    tap = _padded_tap(node, value.steps, fill) if padded else Fraction(0)
    made, first = _accumulation(work, node, op, value, whole, window, tap if padded else None)
    sums = _sums(whole, made.groups, value.shape.channels)
    steps = _joined([*first, *_pushed(node, value.steps, sums)])
    exact = op.whole and made.bound < _EXACT_FLOAT32
    plain = exact and not steps and not np.any(factors != 1)
    if np.any(factors != 1):
        steps.append(Scale(factors))
    if op.bias is not None:
        steps.append(Offset(np.asarray(op.bias, dtype=np.float64)))
    rounding = work.rounding if plain else Rounding.EXACT
    return Value(node.name, axes, made.target, None, made, (value.index or 0,), tuple(steps), rounding)


def _padding(node: Node, op: Conv, value: Value) -> tuple[tuple[int, int, int, int], float]:
    """The padding before and in the convolution, joined."""
    if value.padding is None:
        return op.padding, op.fill
    before = value.padding
    if any(op.padding) and before.fill != op.fill:
        raise node.refuse(f"pads with {op.fill:g} what was padded with {before.fill:g}")
    if any(side < 0 for side in before.sides):
        raise node.refuse("a padding that cuts the map")
    sides = [a + b for a, b in zip(before.sides, op.padding, strict=True)]
    return (sides[0], sides[1], sides[2], sides[3]), before.fill


def _whole(node: Node, op: Conv | Dense, weights: Array) -> tuple[Whole, npt.NDArray[np.float64]]:
    """The filters as whole numbers, and the factor of each."""
    found = factorise(weights)
    if found is None:
        kind = "convolution" if isinstance(op, Conv) else "dense layer"
        raise node.refuse(
            f"is a {kind} with float weights: neither -1 and +1 times one factor per filter, nor int8 times a scale"
        )
    return found


def _padded_tap(node: Node, steps: tuple[Step, ...], fill: float) -> Fraction:
    """The number v of the map with f(v) = fill."""
    v = Fraction(fill)
    for step in reversed(steps):
        if not uniform(step):
            raise node.refuse(
                "pads a map whose channels have different scales or offsets (a mean or deviation for each colour, "
                "say): the border has no integer for it. Without padding, or with one mean and deviation, it has"
            )
        match step:
            case Scale(values) if values[0] != 0:
                v = v / Fraction(float(values[0]))
            case Divide(by):
                v = v * Fraction(by)
            case Offset(values):
                v = v - Fraction(float(values[0]))
            case _:
                raise node.refuse("pads a map that is constant")
    return v


def _sums(whole: Whole, groups: int, channels: int) -> npt.NDArray[np.int64]:
    """Sums of each filter's weights for each input channel: int64 [out, channels]; 0 outside the filter's group."""
    out, each = len(whole), whole.shape[3]
    sums = np.zeros((out, channels), dtype=np.int64)
    for group in range(groups):
        rows = slice(group * out // groups, (group + 1) * out // groups)
        sums[rows, group * each : (group + 1) * each] = whole[rows].sum(axis=(1, 2), dtype=np.int64)
    return sums


def _pushed(node: Node, steps: tuple[Step, ...], sums: npt.NDArray[np.int64]) -> list[Step]:
    """The steps on the map, moved behind the convolution."""
    found: list[Step] = []
    for step in steps:
        match step:
            case Scale(values) if uniform(step):
                found.append(Scale(np.full(len(sums), values[0])))
            case Divide():
                found.append(step)
            case Offset(values):
                total = sums @ values
                if np.any(total != 0):
                    found.append(Offset(total))
            case Scale():
                raise node.refuse(
                    "takes a map whose channels have different scales (a deviation for each colour, a factor for each "
                    "channel): products of different scales do not add up to an integer; put a sign between, or make "
                    "the scales equal"
                )
            case _:
                raise node.refuse("takes a map after a BatchNorm; put a sign between them: only bits have one scale")
    return found


def _joined(steps: list[Step]) -> list[Step]:
    """Successive offsets of whole numbers joined into one; they may cancel."""
    found: list[Step] = []
    for step in steps:
        before = found[-1] if found else None
        if isinstance(step, Offset) and isinstance(before, Offset):
            both = (before.values, step.values)
            if all(np.array_equal(values, np.rint(values)) for values in both):
                found.pop()
                total = both[0] + both[1]
                if np.any(total != 0):
                    found.append(Offset(total))
                continue
        found.append(step)
    return found


def _accumulation(
    work: Building, node: Node, op: Conv | Dense, value: Value, whole: Whole, window: Window, tap: Fraction | None
) -> tuple[Accumulation, list[Step]]:
    """The accumulation, and the step that compensates for the zero point of pixels.

    tap: value of a padded tap.
    """
    source = work.map_of(value)
    groups = op.groups if isinstance(op, Conv) else 1
    if source.type is MapType.PIXELS:
        conv = acc.InputConv(source.shape, whole, window, _settled(work, node, value, tap), groups)
        total = _sums(whole, groups, source.shape.channels).sum(axis=1) * float(conv.input_spec.zero_point)
        return conv, [Offset(total)] if np.any(total != 0) else []
    if source.type is MapType.BITS:
        count = value.bits
        each = None if tap is None else tap / count
        if each not in (None, -1, 0, 1):
            raise node.refuse(
                f"pads bits with what would be {float(each or 0):g}; only -1, 0 and +1 can be padded"
                if count == 1
                else f"pads values of {count} bits with what is neither their smallest, middle nor largest value"
            )
        # A value counts as the sum of its bits, so all of them have its weight.
        filters = np.tile(whole, count)
        if isinstance(op, Dense):
            return acc.BinaryDense(source.shape, filters, count), []
        return acc.BinaryConv(source.shape, filters, window, groups, int(each or 0), count), []
    if tap not in (None, 0):
        raise node.refuse(f"pads integers with what would be {float(tap or 0):g}; only 0 can be padded")
    return acc.IntegerConv(source.shape, source.bound, whole, window, groups), []


def _settled(work: Building, node: Node, value: Value, tap: Fraction | None) -> InputSpec:
    """The input, with the zero point that a padded tap needs, else one near the middle."""
    low, high = work.input_spec.pixel_range
    if tap is not None and (tap.denominator != 1 or not low <= tap <= high):
        raise node.refuse(
            f"pads pixels with {float(tap):g}, which is no pixel of {low}..{high}: without padding, or with a mean "
            "that is a whole pixel value, it can be taken"
        )
    work.settle(None if tap is None else int(tap), _centre(work, value))
    return work.input_spec


def _centre(work: Building, value: Value) -> int:
    """The pixel value nearest to the source's 0: as zero point it makes the accumulators smallest."""
    low, high = work.input_spec.pixel_range
    slope, offset = composed(value.steps, value.shape.channels)
    return low + int(np.argmin(np.abs(np.arange(low, high + 1) * slope[0] + offset[0])))
