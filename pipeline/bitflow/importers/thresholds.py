"""Several signs of one map, side by side as channels, become one layer with thresholds.

A source has no operation for it: it shifts a map by several numbers, takes the sign of each, and joins them along the
channels, or joins first (the map with itself, too) and takes the sign afterwards. `signed_first` turns the second form
into the first one. `assemble` makes a layer of each sign and a concatenation, and `join_signs` makes one layer of them,
bit t being that of the tensor that is joined as number t. Every bit stays the same; signs of several maps stay a
concatenation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import takewhile
from typing import Any

import numpy as np

from bitflow.accumulation import MAX_THRESHOLDS
from bitflow.errors import FusionError
from bitflow.importers import graph as g
from bitflow.importers.building import Building
from bitflow.ir import BatchNorm, Concat, Layer, MapType, Offset, Pool, Rounding, Scale, Sign, Step, Sum
from bitflow.lower.arithmetic import trend
from bitflow.lower.fuse import first_positive

__all__ = ["join_signs", "signed_first"]


# ---- In the graph of the source ----


def signed_first(graph: g.Graph) -> g.Graph:
    """The graph with the sign of joined tensors taken of each of them, before they are joined.

    Names of tensors that the source does not have begin with a colon.
    """
    nodes = graph.needed()
    makers = {node.output: node for node in nodes}
    readers: dict[str, list[g.Node]] = {}
    for node in nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    found: list[g.Node] = []
    moved: set[str] = set()
    for node in nodes:
        if node.output in moved:
            continue
        # From the right, since constants broadcast from there.
        axis, chain = 0, []
        if isinstance(node.op, g.Concat):
            axes = _axes(graph, makers, node.output)
            axis = node.op.axis % axes - axes
            chain = _to_last_sign(node, readers, axis)
        if not chain or any(_is_bits(name, makers) for name in node.inputs):
            found.append(node)
            continue
        moved |= {one.output for one in chain}
        end = chain[-1].output
        parts = []
        for number, name in enumerate(node.inputs):
            for one in chain:
                own = _part(one.op, number, len(node.inputs), axis)
                found.append(g.Node(one.name, own, (name,), f":{one.output}:{number}"))
                name = found[-1].output
            parts.append(name)
        found.append(g.Node(node.name, node.op, tuple(parts), end))
    return replace(graph, nodes=found)


def _axes(graph: g.Graph, makers: dict[str, g.Node], name: str) -> int:
    """How many axes a tensor has."""
    while name in makers:
        match makers[name].op:
            case g.Reshape(shape):
                return len(shape)
            case g.GlobalMean(keep=False):
                return 2
        name = makers[name].inputs[0]
    return len(graph.axes)


def _part(op: g.Op, number: int, count: int, axis: int) -> g.Op:
    """What an operation on joined tensors of one size does to one of them."""
    match op:
        case g.Combine(how, values) if np.size(values) > 1:
            return g.Combine(how, np.split(values, count, axis)[number])
        case g.Norm(norm):
            weight, bias, mean, variance = (
                np.split(values, count)[number] for values in (norm.weight, norm.bias, norm.mean, norm.variance)
            )
            return g.Norm(BatchNorm(weight, bias, mean, variance, norm.eps))
        case _:
            return op


def _separable(op: g.Op, count: int, axis: int) -> bool:
    """Whether an operation has numbers for each channel, which can be dealt out to equal parts of them."""
    match op:
        case g.Combine(_, values):
            fits = values.ndim >= -axis and values.size == values.shape[axis]
            return fits and values.shape[axis] % count == 0
        case g.Norm(norm):
            return len(norm.weight) % count == 0
        case _:
            return False


def _to_last_sign(node: g.Node, readers: dict[str, list[g.Node]], axis: int) -> list[g.Node]:
    """The operations after a concatenation, each the only one, up to the last sign, that treat all channels alike.

    They may have numbers for each channel where one tensor is joined with itself.
    """
    parts = node.inputs
    chain: list[g.Node] = []
    while len(after := readers.get(node.output, [])) == 1 and len(after[0].inputs) == 1:
        node = after[0]
        alike = isinstance(node.op, g.Clip | g.MaxPool) or _is_sign(node)
        alike = alike or (isinstance(node.op, g.Combine) and np.size(node.op.values) == 1)
        if not alike and not (len(set(parts)) == 1 and _separable(node.op, len(parts), axis)):
            break
        chain.append(node)
    while chain and not _is_sign(chain[-1]):
        chain.pop()
    return chain


def _is_sign(node: g.Node) -> bool:
    """Whether an operation makes one bit, in the same way of every channel."""
    return isinstance(node.op, g.SignOf) or (isinstance(node.op, g.Levels) and np.size(node.op.limits) == 1)


def _is_bits(name: str, makers: dict[str, g.Node]) -> bool:
    """Whether a tensor is bits already, whatever their scale."""
    while name in makers:
        node = makers[name]
        if isinstance(node.op, g.SignOf | g.Levels | g.Concat):
            return True
        if not isinstance(node.op, g.Combine | g.MaxPool | g.Transpose | g.Reshape):
            return False
        name = node.inputs[0]
    return False


# ---- In the layers that come of it ----


def join_signs(work: Building) -> None:
    """Make one layer of each concatenation whose bits are signs of one map."""
    row = _Row(work, dict(enumerate(work.layers)))
    for index in range(len(work.layers)):
        row.join(index)
    for index in [index for index, layer in row.layers.items() if layer.thresholds > 1]:
        row.take_in_source(index)
        row.take_in_pool(index)
    row.close_ranks()


@dataclass(slots=True)
class _Row:
    """The layers that are left, by their numbers so far."""

    work: Building
    layers: dict[int, Layer]

    def readers(self, index: int) -> set[int]:
        return {number for number, layer in self.layers.items() if index in (layer.sources or ())}

    def join(self, index: int) -> None:
        """One layer in place of a concatenation and the layers that it reads."""
        parts = self.layers[index].sources or ()
        if not isinstance(self.layers[index].accumulation, Concat) or any(self.readers(i) != {index} for i in parts):
            return
        made = [self.layers[part] for part in parts]
        one_map = all(a.sources == made[0].sources and _same(a.accumulation, made[0].accumulation) for a in made)
        layer = _joined([layer.of_threshold(t) for layer in made for t in range(layer.thresholds)]) if one_map else None
        if layer is not None:
            self.put(index, layer, parts[0], set(parts))

    def take_in_source(self, index: int) -> None:
        """The layer in place of itself and the integers that nothing else reads: they need no map of their own."""
        layer = self.layers[index]
        (source, *others) = layer.sources or ()
        before = self.layers.get(source)
        if before is None or others or not isinstance(layer.accumulation, Sum):
            return
        alone = before.sign is None and layer.accumulation.inputs[0].type is MapType.INTEGERS
        if alone and self.readers(source) == {index} and not (before.pool and layer.pool):
            steps = (*before.steps, *layer.steps)
            self.put(index, replace(before, steps=steps, rounding=layer.rounding), source, {source})

    def take_in_pool(self, index: int) -> None:
        """The layer with the max-pool of its bits, if that is all that reads it."""
        layer, readers = self.layers[index], self.readers(index)
        after = self.layers[min(readers)]
        alone = len(readers) == 1 and after.sources == (index,) and isinstance(after.accumulation, Sum)
        alone = alone and after.accumulation.target == layer.target  # each bit by itself
        match after.steps:
            case (Pool() as pool, Sign(1, None)) if alone and layer.pool is None:
                self.put(min(readers), replace(layer, steps=(*layer.steps, pool)), index, {index})

    def put(self, index: int, layer: Layer, named: int, gone: set[int]) -> None:
        """A layer at a place, with the name of another one that is gone."""
        self.layers[index] = layer
        self.work.named[index] = self.work.named[named]
        for number in gone:
            del self.layers[number]

    def close_ranks(self) -> None:
        """Give the layers that are left their final numbers and names."""
        places = {old: new for new, old in enumerate(self.layers)}
        work = self.work
        work.tensors = [work.tensors[old] for old in self.layers]
        work.name_again(
            [
                (work.named[old], replace(layer, sources=tuple(places.get(i, i) for i in layer.sources or ())))
                for old, layer in self.layers.items()
            ]
        )


def _same(a: Any, b: Any) -> bool:
    """Whether two steps or accumulations are equal."""
    if type(a) is not type(b):
        return False
    pairs = [(getattr(a, field.name), getattr(b, field.name)) for field in fields(a)]
    return all(np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y for x, y in pairs)


def _joined(ones: Sequence[Layer]) -> Layer | None:
    """One layer with the bits of several layers of one bit, which have the same accumulators; None: there is none."""
    first = ones[0]
    if len(ones) > MAX_THRESHOLDS or isinstance(first.accumulation, Concat):
        return None
    cut = [one.steps.index(one.sign) for one in ones if one.sign is not None]
    before = [one.steps[:at] for one, at in zip(ones, cut, strict=True)]
    pools = {tuple(step for step in steps if isinstance(step, Pool)) for steps in before}
    after = {one.steps[at + 1 :] for one, at in zip(ones, cut, strict=True)}
    if len(pools) > 1 or len(after) > 1:
        return None
    found = _with_offsets(ones, before)
    if found is None:
        found = _with_limits(ones, pools.pop())
    if found is None:
        return None
    steps, rounding = found
    return replace(first, steps=(*steps, *after.pop()), rounding=rounding)


def _with_offsets(ones: Sequence[Layer], before: list[tuple[Step, ...]]) -> tuple[tuple[Step, ...], Rounding] | None:
    """The steps of all, if each adds nothing but its own numbers before the sign: these become the thresholds."""
    # A max-pool and an offset after it are the same as the offset and then the max-pool, rounded or not.
    turned = [
        (*steps[:-2], steps[-1], steps[-2]) if [type(s) for s in steps[-2:]] == [Offset, Pool] else steps
        for steps in before
    ]
    alike = list(takewhile(lambda row: all(_same(row[0], step) for step in row), zip(*turned, strict=False)))
    own = [steps[len(alike) :] for steps in turned]
    if len({one.rounding for one in ones}) > 1 or any(len(steps) > 1 for steps in own):
        return None
    nothing = np.zeros(ones[0].accumulation.target.channels)
    thresholds = []
    for steps in own:
        match steps:
            case ():
                thresholds.append(nothing)
            case (Offset(values),):
                thresholds.append(0.0 - values)
            case _:
                return None
    zeros = tuple(one.sign.zeros[0] for one in ones if one.sign is not None)
    sign = Sign(zeros[0] if len(set(zeros)) == 1 else zeros, np.stack(thresholds))
    return (*(row[0] for row in alike), sign), ones[0].rounding


def _with_limits(ones: Sequence[Layer], pool: tuple[Step, ...]) -> tuple[tuple[Step, ...], Rounding] | None:
    """Steps for any signs, which say from which accumulator on each is +1: halves between whole numbers.

    None where one bit of a channel rises with the accumulator and another falls, or where float32 overflows.
    """
    whole = np.stack([trend(one) for one in ones])
    behind = np.where(whole != 0, np.stack([trend(one, after_pool=True) for one in ones]), 0)
    if any(np.any(signs.max(axis=0) - signs.min(axis=0) > 1) for signs in (whole, behind)):
        return None
    falls, falls_behind = (np.where(signs.min(axis=0) < 0, -1, 1) for signs in (whole, behind))
    try:
        limits = np.stack([first_positive(one, falls) for one in ones]).astype(np.float64) - 0.5
    except FusionError:
        return None
    turns = [(Scale(way),) if np.any(way < 0) else () for way in (falls * falls_behind, falls_behind)]
    return (*turns[0], *pool, *turns[1], Sign(1, limits)), Rounding.EXACT
