"""Graph -> Network: each operation becomes a layer, a step of a layer, or a reason to refuse.

Accumulators stay open until a sign closes their layer: scales, offsets, BatchNorms and a max-pool before it become its
steps, in the source's order. A value that several operations use is closed as a map of integers. Scales and offsets of
a map of bits or pixels pass through the next convolution in exact arithmetic. At the end, signs of one map that are
joined along the channels become one layer (`thresholds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from bitflow import accumulation as acc
from bitflow.errors import ImportRefused, InputError
from bitflow.geometry import InputSpec, Pool, Shape, Window
from bitflow.importers import graph as g
from bitflow.importers.building import Building
from bitflow.importers.layout import arrange, channel_values, close_up, reshape, transpose
from bitflow.importers.levels import thermometer
from bitflow.importers.linear import accumulate, opened
from bitflow.importers.rounding import MORE_BITS, with_levels
from bitflow.importers.thresholds import join_signs, signed_first
from bitflow.importers.value import Padding, Value
from bitflow.ir import INPUT, Divide, Layer, MapType, Network, Offset, Rounding, Scale, Sign, Step
from bitflow.lower.arithmetic import composed
from bitflow.lower.fuse import zeros

__all__ = ["Imported", "assemble"]


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported network.

    notes: what a person should know about how it was read, one sentence each.
    tensors: for each layer but the last, the graph's tensor that is its map, and the steps that the source applied.
    """

    network: Network
    notes: tuple[str, ...]
    tensors: tuple[tuple[str, tuple[Step, ...]], ...]


def assemble(
    graph: g.Graph,
    input_spec: InputSpec,
    *,
    pixel_steps: tuple[Step, ...] = (),
    name: str = "model",
    labels: Sequence[str] = (),
    sign_zero: int | None = None,
    rounding: Rounding = Rounding.EXACT,
) -> Imported:
    """The network that a graph computes.

    input_spec: shape and type of the input; its zero point is only a proposal, which the first layer may change.
    pixel_steps: what the source does to a pixel first (scales and offsets).
    name: name of the network.
    labels: names of the classes.
    sign_zero: the bit for a sign that gives 0 for 0, where 0 can occur; None: such a sign is refused.
    rounding: of layers whose accumulators are whole numbers in the source too.

    Raises ImportRefused naming the node that is not supported, InputError where shapes do not fit.
    """
    graph = signed_first(with_levels(graph))
    work = _Assembly(graph, input_spec, sign_zero, rounding)
    values = {graph.input: Value("input", graph.axes, input_spec.shape, INPUT, steps=pixel_steps)}
    nodes = graph.needed()
    if graph.output not in {node.output for node in nodes}:
        raise ImportRefused("the output does not depend on the input through any layer")
    for node in nodes:
        if isinstance(node.op, g.Refused):
            raise ImportRefused(node.op.reason)
        try:
            values[node.output] = work.run(node, [values[source] for source in node.inputs])
        except ImportRefused:
            raise
        except (InputError, ValueError) as error:
            raise InputError(f"layer {node.name!r}: {error}") from error
    network = work.finish(values[graph.output], name, tuple(labels))
    return Imported(network, tuple(work.notes), tuple(work.tensors[:-1]))


@dataclass(slots=True)
class _Assembly(Building):
    def run(self, node: g.Node, inputs: list[Value]) -> Value:
        """The value that a node computes."""
        value = inputs[0]
        if value.padding is not None and not isinstance(node.op, g.Conv):
            raise node.refuse("takes padded values; padding is taken before a convolution only, a pool pads itself")
        match node.op:
            case g.Conv() | g.Dense() as op:
                result = accumulate(self, node, op, self.closed(value, node))
            case g.Combine() as op:
                result = value.plus(*self.combined(node, op, value))
            case g.Norm(norm):
                result = value.plus(close_up(node, value, norm))
            case g.MaxPool() as op:
                result = self.pooled(node, op, value)
            case g.SignOf(zero):
                result = self.signed(node, zero, value)
            case g.Levels() as op:
                result = self.levels(node, op, self.settled_sign(value, node))
            case g.Round():
                raise node.refuse(f"{MORE_BITS}; this one rounds without limits")
            case g.Clip() as op:
                result = self.clipped(node, op, value)
            case g.Pad(sides, fill):
                result = replace(value, padding=Padding(sides, fill))
            case g.Transpose(order):
                result = transpose(node, value, order)
            case g.Reshape(shape):
                result = reshape(node, value, shape)
            case g.Plus():
                result = self.sum(node, [self.integers(v, node) for v in inputs])
            case g.Concat(axis):
                result = self.concatenated(node, axis, [self.closed(v, node) for v in inputs])
            case g.GlobalMean(keep):
                result = self.mean(node, keep, self.integers(value, node))
            case g.Refused(reason):
                raise node.refuse(reason)
        result = replace(result, tensor="" if node.output.startswith(":") else node.output)
        if self.uses[node.output] > 1 and result.index is None and self.has_integers(result):
            result = self.integers(result, node)
        kept = isinstance(node.op, g.SignOf | g.Combine | g.MaxPool | g.Concat)
        kept = (kept and not result.steps) or isinstance(node.op, g.Levels | g.MaxPool)
        if kept and result.index is not None and result.index != INPUT:
            self.tensors[result.index] = result.tensor, result.steps
        return result

    # ---- Closing layers ----

    def sign(self, node: g.Node, value: Value, zero: int) -> Value:
        """Close a layer with a sign."""
        value = opened(self, node, value)
        index = self.add(value, (*value.steps, Sign(zero)), value.rounding)
        return Value(node.name, value.axes, self.layers[index].target, index, rounding=self.rounding)

    def signed(self, node: g.Node, zero: int, value: Value) -> Value:
        if value.ternary:
            # Sign-add-sign: the second sign decides the bit for the first sign's 0.
            low, middle, high = _after_sign(value)
            if not low < 0 < high or (middle == 0 and zero == 0):
                raise node.refuse("a sign after a sign that does not keep -1 and +1")
            becomes = (1 if middle > 0 else -1) if middle != 0 else zero
            self.notes.append(f"{value.name}: sign(0) = {becomes:+d}, by the second sign")
            return self.sign(node, replace(value, ternary=False, after=()), becomes)
        if zero == 0:
            return replace(opened(self, node, value), ternary=True)
        return self.sign(node, value, zero)

    def settled_sign(self, value: Value, node: g.Node) -> Value:
        """Decide the bit for 0 of a sign with three values."""
        if not value.ternary:
            return value
        plain = replace(value, ternary=False, after=())
        probe = Layer(value.name, value.accumulation, (*value.steps, Sign(1)), value.sources, value.rounding)  # type: ignore[arg-type]
        where = zeros(probe)
        zero = 1
        if where and self.sign_zero is None:
            raise node.refuse(
                f"takes a sign (of {value.name}) that gives 0 for 0, which {where} of {value.shape.channels} channels "
                "can reach: choose its bit with --sign-zero plus or minus"
            )
        if where:
            zero = self.sign_zero or 1
            self.notes.append(f"{value.name}: sign(0) = {zero:+d} as asked; {where} channels can reach 0")
        else:
            self.notes.append(f"{value.name}: sign(0) = 0 in the source, but 0 cannot occur")
        return replace(self.sign(node, plain, zero), steps=value.after)

    def closed(self, value: Value, node: g.Node) -> Value:
        """The value as a finished map: bits, pixels, or the integers of a layer without a sign."""
        value = self.settled_sign(value, node)
        return value if value.index is not None else self.integers(value, node)

    def integers(self, value: Value, node: g.Node) -> Value:
        """The value as a finished map; for an open value its accumulators, with the scales as steps on the map."""
        value = self.settled_sign(value, node)
        if value.index is not None:
            return value
        if not self.has_integers(value):
            raise node.refuse("a max-pool of integers with a scale that is not positive")
        kept = tuple(step for step in value.steps if isinstance(step, Pool))
        index = self.add(value, kept, Rounding.FLOAT32)
        rest = tuple(step for step in value.steps if not isinstance(step, Pool))
        self.tensors[index] = value.tensor, rest
        shape = self.layers[index].target
        return Value(value.name, value.axes, shape, index, steps=rest, rounding=value.rounding, limits=value.limits)

    def has_integers(self, value: Value) -> bool:
        """Whether a map of integers can hold an open value; without one, whatever reads it computes it again."""
        at = next((at for at, step in enumerate(value.steps) if isinstance(step, Pool)), 0)
        return bool(np.all(composed(value.steps[:at], value.shape.channels)[0] > 0))

    # ---- Operations ----

    def combined(self, node: g.Node, op: g.Combine, value: Value) -> tuple[Step, ...]:
        values = channel_values(node, value, np.asarray(op.values, dtype=np.float64))
        if not np.isfinite(values).all():
            raise node.refuse("a constant that is not finite")
        match op.how:
            case "add":
                return (Offset(values),) if np.any(values != 0) else ()
            case "mul":
                return (Scale(values),) if np.any(values != 1) else ()
            case "div" if np.all(values == values[0]) and values[0] > 0:
                return (Divide(float(values[0])),)
            case "div" if np.all(values != 0):
                return (Scale(1 / values),)
            case _:
                raise node.refuse(f"cannot {op.how} by {values}")

    def levels(self, node: g.Node, op: g.Levels, value: Value) -> Value:
        """Close a layer with the thresholds of levels; the steps on its map make the levels of the sum of the bits."""
        value = opened(self, node, value)
        found = thermometer(self.graph, node, op, value)
        before: tuple[Step, ...] = ()
        if op.divisor != 1:
            before += self.combined(node, g.Combine("div", np.array(op.divisor)), value)
        if op.shift:
            before += (Offset(np.full(value.shape.channels, op.shift)),)
        index = self.add(value, (*value.steps, *before, found.sign), value.rounding)
        bits, after = found.sign.count, found.steps
        return Value(node.name, value.axes, value.shape, index, steps=after, rounding=self.rounding, bits=bits)

    def clipped(self, node: g.Node, op: g.Clip, value: Value) -> Value:
        """The value itself, with its limits: they are a part of the levels, and nothing to a sign."""
        kinds = [type(n.op) for n in self.graph.needed() if node.output in n.inputs]
        taken = {g.Clip, *([g.SignOf] if op.keeps_signs else []), *([g.Levels] if op.limits else [])}
        if not kinds or not taken.issuperset(kinds):
            raise node.refuse(MORE_BITS)
        low, high = op.limits or (-inf, inf)
        return replace(value, limits=(min(max(value.limits[0], low), high), max(min(value.limits[1], high), low)))

    def pooled(self, node: g.Node, op: g.MaxPool, value: Value) -> Value:
        value = self.settled_sign(value, node)
        pool = Pool(Window(op.kernel, op.stride, op.padding))
        shape = Shape(*pool.window.over(value.shape.height, value.shape.width), value.shape.channels)
        if value.index is not None:
            return self.pooled_map(node, pool, shape, value)
        if any(isinstance(step, Pool) for step in value.steps):
            value = opened(self, node, self.integers(value, node))
        return replace(value.plus(pool), shape=shape)

    def pooled_map(self, node: g.Node, pool: Pool, shape: Shape, value: Value) -> Value:
        """Pool a finished map. A map of bits is pooled in its own layer, if that is the layer's only pool and use."""
        if value.index == INPUT or self.map_of(value).type is not MapType.BITS:
            return replace(opened(self, node, value).plus(pool), shape=shape)
        if not bool(np.all(composed(value.steps, shape.channels)[0] > 0)):
            raise node.refuse("a max-pool of bits after a negative scale")
        layer = self.layers[value.index or 0]
        lone = all(value.index not in (other.sources or ()) for other in self.layers)
        if (
            layer.pool is None
            and lone
            and self.uses[node.inputs[0]] == 1
            and not isinstance(layer.accumulation, acc.Concat)
        ):
            self.layers[value.index or 0] = replace(layer, steps=(*layer.steps, pool))
            return replace(value, shape=shape)
        again = acc.Sum((self.map_of(value),))
        fresh = Value(node.name, value.axes, value.shape, None, again, (value.index or 0,), (pool,), Rounding.FLOAT32)
        index = self.add(fresh, (pool, Sign()), Rounding.FLOAT32)
        return replace(value, index=index, shape=shape)

    def sum(self, node: g.Node, values: list[Value]) -> Value:
        """Add maps of one scale as integers."""
        values = arrange(node, values)
        shapes = {value.shape for value in values}
        if len(shapes) != 1:
            raise node.refuse(f"adds maps of different shapes: {', '.join(map(str, sorted(shapes, key=str)))}")
        if any(value.index == INPUT for value in values):
            raise node.refuse("adds the pixels to a map; only bits and integers can be added")
        channels = values[0].shape.channels
        slopes, offsets = zip(*(composed(value.steps, channels) for value in values), strict=True)
        if any(not np.array_equal(slopes[0], slope) for slope in slopes):
            raise node.refuse(
                "adds values of different scales; only integers of one scale add up to an integer, so leave out the "
                "scaling factors and the BatchNorms before the addition, or make them equal"
            )
        offset = np.sum(offsets, axis=0)
        steps: tuple[Step, ...] = ()
        if np.any(slopes[0] != 1):
            steps += (Scale(slopes[0]),)
        if np.any(offset != 0):
            steps += (Offset(offset),)
        added = acc.Sum(tuple(map(self.map_of, values)), channels)
        sources = tuple(value.index or 0 for value in values)
        rounding = Rounding.EXACT if steps else self.rounding
        return Value(node.name, values[0].axes, added.target, None, added, sources, steps, rounding)

    def concatenated(self, node: g.Node, axis: int, values: list[Value]) -> Value:
        """Maps of bits joined along the channels, at most four at a time."""
        values = arrange(node, values)
        axes = values[0].axes
        if axes[axis] != "C" and not (axes[axis].endswith("C") and values[0].shape.size == values[0].shape.channels):
            raise node.refuse(f"concatenates along axis {axis}, which is not the channels")
        for value in values:
            if value.index == INPUT or self.map_of(value).type is not MapType.BITS:
                raise node.refuse(f"concatenates {value.name}, which is not bits; put a sign before it")
            if value.bits > 1:
                raise node.refuse(f"concatenates {value.name}, whose values have several bits; only bits can be joined")
        steps = self.common_steps(node, values)
        while len(values) > 1:
            some, values = values[: acc.MAX_SOURCES], values[acc.MAX_SOURCES :]
            joined = acc.Concat(tuple(map(self.map_of, some)))
            sources = tuple(value.index or 0 for value in some)
            fresh = Value(node.name, axes, joined.target, None, joined, sources)
            index = self.add(fresh, (Sign(),), Rounding.FLOAT32)
            values.insert(0, Value(node.name, axes, joined.target, index, rounding=self.rounding))
        return replace(values[0], steps=steps)

    def common_steps(self, node: g.Node, values: list[Value]) -> tuple[Step, ...]:
        """The steps on several maps of bits, if all have the same scale and offset."""
        found = [composed(value.steps, value.shape.channels) for value in values]
        numbers = {(float(n), float(m)) for both in found for n, m in zip(*both, strict=True)}
        if len(numbers) != 1:
            raise node.refuse("concatenates bits of different scales; let them all be -1 and +1, or all 0 and 1")
        channels = sum(value.shape.channels for value in values)
        ((slope, offset),) = numbers
        scale = () if slope == 1 else (Scale(np.full(channels, slope)),)
        return (*scale, *(() if offset == 0 else (Offset(np.full(channels, offset)),)))

    def mean(self, node: g.Node, keep: bool, value: Value) -> Value:
        if value.index == INPUT:
            raise node.refuse("the mean of the pixels cannot be taken")
        total = acc.Total(self.map_of(value), value.shape.channels)
        positions = value.shape.height * value.shape.width
        axes = value.axes if keep else tuple(axis for axis in value.axes if axis in ("N", "C"))
        rounding = Rounding.EXACT if value.steps else self.rounding
        steps = (Divide(float(positions)), *value.steps)
        return Value(node.name, axes, total.target, None, total, (value.index or 0,), steps, rounding)

    def finish(self, value: Value, name: str, labels: tuple[str, ...]) -> Network:
        """Close the last layer, whose values are the logits."""
        end = g.Node(value.name, g.Clip(), (), "")
        ends = value.index is not None and self.map_of(value).type is MapType.BITS and value.bits == 1
        if value.ternary or (ends and not value.steps):
            raise end.refuse("the network ends in a sign; its last layer must give the logits")
        value = opened(self, end, value)
        if any(isinstance(step, Pool) for step in value.steps):
            value = opened(self, end, self.integers(value, end))
        self.add(value, value.steps, value.rounding)
        if (value.shape.height, value.shape.width) != (1, 1):
            raise InputError(
                f"layer {value.name!r}: the last layer gives a map of {value.shape}, not one score per class"
            )
        join_signs(self)
        return Network(name, self.input_spec, tuple(self.layers), labels)


def _after_sign(value: Value) -> tuple[float, ...]:
    """What the steps after a sign with three values make of -1, 0 and +1; the same for all channels."""
    slope, offset = composed(value.after, value.shape.channels)
    found = [slope * x + offset for x in (-1, 0, 1)]
    if any(len(np.unique(np.sign(numbers))) != 1 for numbers in found):
        raise InputError("channels differ in the shift between a sign with three values and the next one")
    return tuple(float(numbers[0]) for numbers in found)
