"""Collects a graph while the operations of a source are read one by one. torch and ONNX share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.errors import ImportRefused
from bitflow.importers import graph as g

__all__ = ["Reader"]

Array = npt.NDArray[Any]
_ONE, _HALF = np.array(1, np.float32), np.array(0.5, np.float32)


@dataclass(slots=True)
class Reader:
    """What is known about each tensor so far. Parts of one operation are named OUTPUT:PART.

    constants: tensors that do not depend on the input.
    tensors: tensors that do.
    aliases: tensors with the value of another tensor.
    truths: comparisons, as the tensor that is +1 where they hold and -1 elsewhere, because sources use them in several
        ways: to choose between two numbers, and as 0 and 1.
    """

    nodes: list[g.Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    tensors: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)
    truths: dict[str, str] = field(default_factory=dict)

    def known(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        return name in self.constants or self.depends(name)

    def depends(self, name: str) -> bool:
        """Whether a tensor depends on the input."""
        return name in self.tensors or name in self.aliases or name in self.truths

    def refuse(self, label: str, reason: str) -> ImportRefused:
        """The error that says why an operation is not supported."""
        return ImportRefused(f"layer {label!r}: {reason}")

    def emit(self, label: str, op: g.Op, *inputs: str, to: str) -> str:
        """Append a node that computes the tensor `to`."""
        self.nodes.append(g.Node(label, op, inputs, to))
        self.tensors.add(to)
        return to

    def resolve(self, label: str, name: str) -> str:
        """The graph's tensor for a name of the source."""
        if not self.depends(name):
            raise self.refuse(label, f"takes {name!r}, which does not depend on the input")
        name = self.aliases.get(name, name)
        if name in self.truths:  # a comparison used as the numbers 0 and 1
            number = f"{name}:number"
            if number not in self.tensors:
                half = self.emit(label, g.Combine("mul", _HALF), self.truths[name], to=f"{name}:half")
                self.emit(label, g.Combine("add", _HALF), half, to=number)
            return number
        return name

    def alias(self, label: str, name: str, to: str) -> None:
        """Give `to` the value of `name`; a comparison remains a comparison."""
        if name in self.truths:
            self.truths[to] = self.truths[name]
        else:
            self.aliases[to] = self.resolve(label, name)

    def constant(self, label: str, name: str, what: str) -> Array:
        """The value of a constant; floats as float32.

        what: its name in the error.
        """
        if name not in self.constants:
            raise self.refuse(label, f"its {what} depend on the input")
        array = self.constants[name]
        return array.astype(np.float32) if array.dtype.kind == "f" else array

    def fractions(self, name: str, scaled: bool = False) -> bool:
        """Whether a tensor is rounded numbers that were scaled by more than whole numbers since."""
        node = next((node for node in self.nodes if node.output == name), None)
        match node:
            case g.Node(op=g.Round()):
                return scaled
            case g.Node(op=g.Combine(how, values), inputs=(source,)):
                whole = how != "div" and np.array_equal(values, np.rint(values))
                return self.fractions(source, scaled or not whole)
            case g.Node(op=g.MaxPool() | g.Reshape() | g.Transpose() | g.Pad() | g.Clip() | g.Plus() | g.Concat()):
                return any(self.fractions(source, scaled) for source in node.inputs)
            case g.Node(op=g.GlobalMean(), inputs=(source,)):
                return self.fractions(source, True)
            case _:
                return False

    def compare(self, label: str, kind: str, value: str, limit: Array, to: str) -> None:
        """value >= limit (ge), > (gt), < (lt) or <= (le)."""
        moved = self.resolve(label, value)
        if np.any(limit != 0):
            moved = self.emit(label, g.Combine("add", -limit), moved, to=f"{to}:moved")
        ones = self.emit(label, g.SignOf(1 if kind in ("ge", "lt") else -1), moved, to=f"{to}:bits")
        if kind in ("lt", "le"):
            ones = self.emit(label, g.Combine("mul", -_ONE), ones, to=f"{to}:turned")
        self.truths[to] = ones

    def choose(self, label: str, condition: str, yes: Array, no: Array, to: str) -> None:
        """yes where a comparison holds, no elsewhere."""
        if condition not in self.truths:
            raise self.refuse(label, "chooses by something other than a comparison of a tensor with a constant")
        high, low = yes.astype(np.float64), no.astype(np.float64)
        scaled = self.emit(label, g.Combine("mul", (high - low) / 2), self.truths[condition], to=f"{to}:scaled")
        self.emit(label, g.Combine("add", (high + low) / 2), scaled, to=to)

    def combine(self, label: str, how: str, first: str | Array, second: str | Array, to: str) -> None:
        """add, sub, mul or div of two operands: names of tensors, or constants."""
        if isinstance(first, str) and isinstance(second, str):
            if how not in ("add", "sub"):
                raise self.refuse(label, "multiplies or divides two tensors that depend on the input")
            other = self.resolve(label, second)
            if how == "sub":
                other = self.emit(label, g.Combine("mul", -_ONE), other, to=f"{to}:turned")
            self.emit(label, g.Plus(), self.resolve(label, first), other, to=to)
        elif isinstance(first, str):
            assert not isinstance(second, str)
            value = self.resolve(label, first)
            self.emit(
                label, g.Combine("add" if how == "sub" else how, -second if how == "sub" else second), value, to=to
            )
        elif isinstance(second, str):
            if how == "div":
                raise self.refuse(label, "divides by what depends on the input")
            value = self.resolve(label, second)
            if how == "sub":  # constant - x
                value = self.emit(label, g.Combine("mul", -_ONE), value, to=f"{to}:turned")
            self.emit(label, g.Combine("mul" if how == "mul" else "add", first), value, to=to)

    def stopped(
        self, entry: str, axes: tuple[str, ...], error: ImportRefused, inputs: Sequence[str], native: str = "NCHW"
    ) -> g.Graph:
        """The graph up to an operation that is not supported: an earlier one may have to be refused first."""
        taken = tuple(self.resolve("", name) for name in inputs if self.depends(name))
        self.emit("", g.Refused(str(error)), *taken, to=":refused")
        return g.Graph(self.nodes, entry, ":refused", axes, native)
