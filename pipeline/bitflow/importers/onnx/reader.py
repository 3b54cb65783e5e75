"""Reads the nodes of an ONNX file. Constants are computed, within bounds; what depends on the input becomes nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator

from bitflow.errors import ImportRefused, InputError
from bitflow.importers import graph as g
from bitflow.importers.onnx.qonnx_constants import CONSTANTS
from bitflow.importers.reader import Reader

__all__ = ["OnnxReader", "Operation"]

Array = npt.NDArray[Any]
_LIMIT = 2**27  # numbers in a computed constant, at most

# ONNX's own reference computes these on constants: their results are no larger than broadcasting makes them.
_ELEMENTWISE = {
    "Abs", "Add", "And", "Cast", "Clip", "Div", "Equal", "Exp", "Greater", "GreaterOrEqual", "Identity", "Less",
    "LessOrEqual", "Log", "Max", "Min", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Round", "Sign", "Sqrt", "Sub",
    "Tanh", "Where",
}  # fmt: skip
_NOT_LARGER = {
    "Concat", "Constant", "Flatten", "Gather", "Identity", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "Reshape", "Shape", "Slice", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operation:
    """A node of a file.

    label: its name, or else its kind and position.
    """

    label: str
    kind: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    proto: onnx.NodeProto

    @classmethod
    def of(cls, node: onnx.NodeProto, index: int) -> Operation:
        """Read a node. Raises ImportRefused for a node that contains a graph."""
        label = str(node.name) or f"{node.op_type}_{index}"
        attributes = {}
        for a in node.attribute:
            if a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
                raise ImportRefused(f"layer {label!r}: is {node.op_type}, which holds a graph of its own")
            value = onnx.helper.get_attribute_value(a)
            attributes[a.name] = value.decode(errors="replace") if isinstance(value, bytes) else value
        return cls(label, node.op_type, node.domain, tuple(node.input), tuple(node.output), attributes, node)

    def get(self, name: str, default: Any) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)


@dataclass(slots=True)
class OnnxReader(Reader):
    """Reads nodes.

    opset: version of each domain.
    shapes: shapes of tensors that depend on the input, for a batch of one.
    ends: tensors after which nothing may follow.
    """

    opset: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)

    def of(self, node: Operation, position: int = 0) -> str:
        """The graph's tensor for an input of a node."""
        return self.resolve(node.label, node.inputs[position])

    def shape(self, node: Operation, position: int = 0) -> tuple[int, ...]:
        """Shape of an input, for a batch of one."""
        name = node.inputs[position]
        return self.constants[name].shape if name in self.constants else self.shapes[name]

    def add(self, node: Operation, op: g.Op, shape: tuple[int, ...] | None = None) -> None:
        """Append a node that applies `op` to the first input.

        shape: shape of the result, if it differs from the input's.
        """
        self.emit(node.label, op, self.of(node), to=node.outputs[0])
        self.shapes[node.outputs[0]] = self.shape(node) if shape is None else shape

    def optional(self, node: Operation, position: int, what: str) -> Array | None:
        """A constant input that may be missing."""
        if len(node.inputs) <= position or not node.inputs[position]:
            return None
        return self.constant(node.label, node.inputs[position], what)

    def operand(self, name: str) -> str | Array:
        """The name of a tensor that depends on the input; else the constant's value."""
        if self.depends(name):
            return name
        array = self.constants[name]
        return array.astype(np.float32) if array.dtype != np.bool_ else array

    def compute(self, node: Operation) -> None:
        """Evaluate a node that does not depend on the input."""
        values = [self.constants[name] for name in node.inputs if name]
        self.bound(node, values)
        try:
            if node.kind in CONSTANTS:
                results = [CONSTANTS[node.kind](node.attributes, *values)]
            else:
                results = self.run(node, values)
        except ImportRefused:
            raise
        except Exception as error:  # the reference may raise anything for a damaged node
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise InputError(f"layer {node.label!r}: {node.kind} of these constants fails: {reason}") from error
        for name, result in zip(node.outputs, results, strict=False):
            self.constants[name] = np.asarray(result)

    def bound(self, node: Operation, values: list[Array]) -> None:
        """Raise an error for operations whose result could be larger than memory."""
        if node.kind in CONSTANTS or node.kind in _ELEMENTWISE:
            try:
                size = prod(np.broadcast_shapes(*(v.shape for v in values)))
            except ValueError as error:
                raise InputError(f"layer {node.label!r}: constants of shapes that do not fit: {error}") from None
        elif node.kind in ("ConstantOfShape", "Expand"):
            size = abs(prod(int(n) for n in np.ravel(values[-1])))
        elif node.kind in _NOT_LARGER:
            largest = max((v.size for v in values), default=1)
            size = largest * max(1, values[1].size) if node.kind == "Gather" else sum(v.size for v in values)
        else:
            raise self.refuse(node.label, f"is {node.kind} of constants, which is unknown to BitFlow")
        if size > _LIMIT:
            raise InputError(f"layer {node.label!r}: its constant would hold {size} numbers")

    def run(self, node: Operation, values: list[Array]) -> list[Array]:
        """Run a single node by ONNX's reference."""
        names = [name for name in node.inputs if name]
        make = onnx.helper.make_tensor_value_info
        kinds = [onnx.helper.np_dtype_to_tensor_dtype(v.dtype) for v in values]
        inputs = [make(n, kind, v.shape) for n, kind, v in zip(names, kinds, values, strict=True)]
        outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in node.outputs if name]
        unique = list({value.name: value for value in inputs}.values())
        opsets = [onnx.helper.make_opsetid("", self.opset.get("", 17))]
        alone = onnx.helper.make_model(
            onnx.helper.make_graph([node.proto], "constant", unique, outputs), opset_imports=opsets
        )
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(alone).run(None, dict(zip(names, values, strict=True)))
        return list(found)
