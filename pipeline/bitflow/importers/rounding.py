"""Rounding to a few whole numbers, as sources write it with operations of their own: clip, scale, round, clip.

A value is rounded to n or more from some number on: n - 1, n - 1/2 or n, by the way of rounding. These are the limits
of levels, so a rounding between two limits becomes `graph.Levels`, and the clips around it are no operations any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from bitflow.accumulation import MAX_THRESHOLDS
from bitflow.importers import graph as g

__all__ = ["MORE_BITS", "ROUNDINGS", "limits_between", "with_levels"]

MORE_BITS = (
    "an activation of more than one bit; what can be taken is a sign, or a rounding to few levels between limits"
)
"""Why an activation is refused."""

ROUNDINGS: dict[str, Callable[[Any], Any]] = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.copysign(np.ceil(np.abs(x)), x),
    "DOWN": np.trunc,
    "ROUND_TO_ZERO": np.trunc,  # Brevitas' name of DOWN
    "HALF_UP": lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x),
    "HALF_DOWN": lambda x: np.copysign(np.ceil(np.abs(x) - 0.5), x),
}
"""Ways to round, by QONNX's names; UP and DOWN are away from 0 and towards it."""


def limits_between(mode: str, low: int, high: int) -> list[tuple[float, bool]]:
    """For each n in low + 1 .. high from which number on a value is rounded to n or more, and whether it itself is."""
    return [_limit(ROUNDINGS[mode], n) for n in range(low + 1, high + 1)]


def _limit(rounded: Callable[[Any], Any], n: int) -> tuple[float, bool]:
    if rounded(n - 0.75) >= n:
        return n - 1.0, False
    if rounded(n - 0.25) < n:
        return float(n), True
    return n - 0.5, bool(rounded(n - 0.5) >= n)


def with_levels(graph: g.Graph) -> g.Graph:
    """The graph with each rounding between two limits as levels. Its new tensors have names that begin with a colon."""
    nodes = graph.needed()
    makers = {node.output: node for node in nodes}
    readers: dict[str, list[g.Node]] = {}
    for node in nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    found: list[g.Node] = []
    gone: set[str] = set()
    for node in nodes:
        if node.output in gone:
            continue
        if not isinstance(node.op, g.Round):
            found.append(node)
            continue
        after = _clips_after(node, readers)
        source, between, ends = _before(node, makers)
        low, high = ends
        for one in after:
            low, high = np.clip((low, high), *(one.op.limits or ends))  # type: ignore[union-attr]
        if not np.isfinite((low, high)).all():
            found.append(node)
            continue
        gone |= {one.output for one in after}
        for number, one in enumerate(between):
            found.append(replace(one, inputs=(source,), output=f":{node.output}:{number}"))
            source = found[-1].output
        output = (after or [node])[-1].output
        found.append(g.Node(node.name, _levels(node, int(low), int(high)), (source,), output))
    return replace(graph, nodes=found)


def _clips_after(node: g.Node, readers: dict[str, list[g.Node]]) -> list[g.Node]:
    """The clips to whole numbers that follow, each the only one that reads the value."""
    found: list[g.Node] = []
    while len(after := readers.get(node.output, [])) == 1:
        (node,) = after
        limits = node.op.limits if isinstance(node.op, g.Clip) else None
        if limits is None or any(np.isfinite(end) and end != np.rint(end) for end in limits):
            break
        found.append(node)
    return found


def _before(node: g.Node, makers: dict[str, g.Node]) -> tuple[str, list[g.Node], tuple[float, float]]:
    """The tensor before a clip, the arithmetic between the clip and a rounding, and the ends that are rounded to.

    Levels between these ends do not see the clip: its ends have the first and the last level already.
    """
    between: list[g.Node] = []
    (name,) = node.inputs
    while (maker := makers.get(name)) is not None and isinstance(maker.op, g.Combine) and np.size(maker.op.values) == 1:
        between.insert(0, maker)
        (name,) = maker.inputs
    if maker is None or not isinstance(maker.op, g.Clip) or maker.op.limits is None:
        return node.inputs[0], [], (-inf, inf)
    ends = np.array(maker.op.limits, np.float32)
    for one in between:
        how, number = one.op.how, np.float32(np.ravel(one.op.values)[0])  # type: ignore[union-attr]
        ends = ends * number if how == "mul" else ends / number if how == "div" else ends + number
    assert isinstance(node.op, g.Round)
    low, high = sorted(ROUNDINGS[node.op.mode](ends.astype(np.float64)).tolist())
    return maker.inputs[0], between, (low, high)


def _levels(node: g.Node, low: int, high: int) -> g.Op:
    assert isinstance(node.op, g.Round)
    count = high - low
    if not 1 <= count <= MAX_THRESHOLDS:
        return g.Refused(
            f"layer {node.name!r}: an activation of {count + 1} values; of 2 to {MAX_THRESHOLDS + 1} it can be taken"
        )
    numbers, reached = zip(*limits_between(node.op.mode, low, high), strict=True)
    return g.Levels(np.array(numbers), reached, float(low), 1.0)
