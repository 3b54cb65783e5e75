"""The graph into which every importer translates its source: the few operations that binary networks are made of.

Tensors are named; a node computes one tensor from others. `assemble` turns a graph into a Network. An importer resolves
what is special to its source (operator names, attributes, constant subgraphs) and keeps the source's names, so that
refusals have names that the user knows. Padding is (top, left, bottom, right). A 1-D map has height 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from bitflow.errors import ImportRefused
from bitflow.ir import BatchNorm

__all__ = [
    "SIGN_OF_ZERO",
    "Clip",
    "Combine",
    "Concat",
    "Conv",
    "Dense",
    "GlobalMean",
    "Graph",
    "Levels",
    "MaxPool",
    "Node",
    "Norm",
    "Op",
    "Pad",
    "Plus",
    "Refused",
    "Reshape",
    "Round",
    "SignOf",
    "Transpose",
]

Array = npt.NDArray[Any]
Sides = tuple[int, int, int, int]

SIGN_OF_ZERO: dict[str | None, int | None] = {"plus": 1, "minus": -1, None: None}
"""The user's choice of the bit for a sign that gives 0 for 0."""


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution.

    weights: [out, in / groups, kh, kw].
    bias: [out].
    fill: value of a padded tap.
    whole: the source's accumulators are exact integers.
    """

    weights: Array = field(repr=False)
    bias: Array | None = field(repr=False, default=None)
    stride: tuple[int, int] = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    fill: float = 0.0
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Dense:
    """A dense layer over a flat tensor.

    weights: [out, in].
    bias, whole: as in Conv.
    """

    weights: Array = field(repr=False)
    bias: Array | None = field(repr=False, default=None)
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Combine:
    """A tensor multiplied or divided by constants, or with constants added, which broadcast to it from the right.

    how: "mul", "div" or "add".
    """

    how: str
    values: Array = field(repr=False)


@dataclass(frozen=True, slots=True)
class Norm:
    """BatchNorm in eval mode, along the channels."""

    norm: BatchNorm


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Max-pool. A position outside the map never wins."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Sides = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class SignOf:
    """+1 and -1 by the sign of a value.

    zero: the result for 0: +1, -1 or (a sign with three values) 0.
    """

    zero: int


@dataclass(frozen=True, slots=True)
class Levels:
    """A value of few levels: (start + j) * step + low, where j is how many limits x = value / divisor + shift reaches.

    limits: [T, ...], in any order; each broadcasts to the tensor from the right.
    reached: for each limit, whether x = limit reaches it.
    divisor: positive, or -1.
    step: positive.
    """

    limits: Array = field(repr=False)
    reached: tuple[bool, ...]
    start: float
    step: float
    low: float = 0.0
    divisor: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True, slots=True)
class Round:
    """Rounding to whole numbers; between limits these are levels.

    mode: as in QONNX's Quant: ROUND (half to even), FLOOR, CEIL, DOWN (towards 0), ...
    """

    mode: str = "ROUND"


@dataclass(frozen=True, slots=True)
class Clip:
    """A function that changes nothing if a sign follows: limits around 0, as in hardtanh, or tanh.

    limits: the smallest and the largest value, anywhere, if that is all it does: levels may follow.
    """

    limits: tuple[float, float] | None = None

    @property
    def keeps_signs(self) -> bool:
        return self.limits is None or self.limits[0] < 0 < self.limits[1]


@dataclass(frozen=True, slots=True)
class Pad:
    """Padding as a separate operation, before a convolution."""

    padding: Sides
    fill: float


@dataclass(frozen=True, slots=True)
class Transpose:
    """New order of the axes."""

    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reshape:
    """A new shape for a batch of one; the first number is the batch's, -1 is what remains."""

    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plus:
    """Sum of two tensors that both depend on the input."""


@dataclass(frozen=True, slots=True)
class Concat:
    """Tensors joined along an axis."""

    axis: int


@dataclass(frozen=True, slots=True)
class GlobalMean:
    """Mean over all positions of each channel.

    keep: the positions remain as axes of length 1.
    """

    keep: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """An operation that an importer does not support, and why."""

    reason: str


Op = (
    Conv
    | Dense
    | Combine
    | Norm
    | MaxPool
    | SignOf
    | Levels
    | Round
    | Clip
    | Pad
    | Transpose
    | Reshape
    | Plus
    | Concat
    | GlobalMean
    | Refused
)


@dataclass(frozen=True, slots=True)
class Node:
    """An operation in the graph.

    name: the source's name for it.
    inputs: the tensors that it reads.
    output: the tensor that it computes.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    output: str

    def refuse(self, reason: str) -> ImportRefused:
        """The error that says why this node is not supported."""
        return ImportRefused(f"layer {self.name!r}: {reason}")


@dataclass(frozen=True, slots=True)
class Graph:
    """A source's graph.

    nodes: each after those whose tensors it reads.
    axes: what each axis of the input tensor is; several letters: these axes flattened, the last one fastest.
    native: the order of axes in which convolutions and pools see a map.
    """

    nodes: Sequence[Node]
    input: str
    output: str
    axes: tuple[str, ...]
    native: str = "NCHW"

    def needed(self) -> list[Node]:
        """The nodes that the output depends on, in order."""
        wanted = {self.output}
        found = []
        for node in reversed(self.nodes):
            if node.output in wanted:
                wanted.update(node.inputs)
                found.append(node)
        return found[::-1]
