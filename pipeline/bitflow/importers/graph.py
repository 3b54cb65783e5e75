"""What every importer translates its source to: a graph of the few operations that binary networks are made of.

Tensors are named; a node makes one from others. `assemble` turns a graph into a Network. An importer resolves what is
its source's own (operator names, attributes, constant subgraphs) and keeps the source's names, so that a refusal names
what the user knows. Padding is (top, left, bottom, right). A 1-D map is one of height 1.
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
    "MaxPool",
    "Node",
    "Norm",
    "Op",
    "Pad",
    "Plus",
    "Refused",
    "Reshape",
    "SignOf",
    "Transpose",
]

Array = npt.NDArray[Any]
Sides = tuple[int, int, int, int]

SIGN_OF_ZERO: dict[str | None, int | None] = {"plus": 1, "minus": -1, None: None}
"""What a person says that a sign which gives 0 for 0 is to give there."""


@dataclass(frozen=True, slots=True)
class Conv:
    """weights [out, in / groups, kh, kw]; bias [out]; fill: what a padded tap holds.

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
    """weights [out, in] over a flat tensor; bias and whole as those of Conv."""

    weights: Array = field(repr=False)
    bias: Array | None = field(repr=False, default=None)
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Combine:
    """A tensor multiplied by, divided by or added to constants that broadcast to it from the right."""

    how: str  # "mul", "div" or "add"
    values: Array = field(repr=False)


@dataclass(frozen=True, slots=True)
class Norm:
    """BatchNorm in eval mode, along the channels."""

    norm: BatchNorm


@dataclass(frozen=True, slots=True)
class MaxPool:
    """A position outside the map never wins."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Sides = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class SignOf:
    """+1 and -1 by the sign of a value; zero: what 0 becomes, +1, -1 or (three values) 0."""

    zero: int


@dataclass(frozen=True, slots=True)
class Clip:
    """Limits around 0, as hardtanh has them; they change nothing where a sign follows."""


@dataclass(frozen=True, slots=True)
class Pad:
    """Padding as an operation of its own, before a convolution."""

    padding: Sides
    fill: float


@dataclass(frozen=True, slots=True)
class Transpose:
    """New order of the axes."""

    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reshape:
    """New shape for a batch of one; the first number is the batch's, -1 takes what is left."""

    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plus:
    """Sum of two tensors that both depend on the input."""


@dataclass(frozen=True, slots=True)
class Concat:
    """Tensors one after the other along an axis."""

    axis: int


@dataclass(frozen=True, slots=True)
class GlobalMean:
    """Mean over all positions of each channel. keep: the positions stay as axes of length 1."""

    keep: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """What an importer could not take, and why."""

    reason: str


Op = (
    Conv
    | Dense
    | Combine
    | Norm
    | MaxPool
    | SignOf
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
    """name: as the source calls it. Its result is the tensor `output`."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    output: str

    def refuse(self, reason: str) -> ImportRefused:
        """The error that says why this node cannot be taken."""
        return ImportRefused(f"layer {self.name!r}: {reason}")


@dataclass(frozen=True, slots=True)
class Graph:
    """nodes: each after those it takes from. axes: what each axis of the input tensor is; several letters: these axes
    flattened, the last one fastest. native: the order of axes in which convolutions and pools see a map.
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
