"""A tensor of a source's graph in BitFlow's terms, while `assemble` walks through the graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

import numpy as np

from bitflow.geometry import Shape
from bitflow.ir import Accumulation, Divide, Offset, Rounding, Scale, Step

__all__ = ["Axes", "Padding", "Value", "flat_axes", "uniform"]

Axes = tuple[str, ...]
"""The axes of a tensor: "N", "H", "W", "C"; several letters: these axes flattened, the last one fastest."""


@dataclass(frozen=True, slots=True)
class Padding:
    """Padding that the source applies before the operation that needs it."""

    sides: tuple[int, int, int, int]
    fill: float


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor: the map of a finished layer, or the accumulators of a layer that is still open, with steps on it.

    name: name of the source's node, and so of the layer that it becomes.
    index: index of the finished layer, INPUT for the pixels; None: the layer is open.
    accumulation, sources: of an open layer.
    steps: the steps since, in order; of an open layer they may include a max-pool.
    ternary: a sign with three values follows the steps.
    after: the steps after that sign.
    padding: padding that the next operation must apply.
    tensor: name of the tensor in the source's graph; "": it has none.
    bits: of a finished map of bits, how many a value has; the steps are on their sum. Bit t of channel c is the map's
        channel t * C + c.
    limits: the smallest and the largest value, which a clip after the steps lets through.
    """

    name: str
    axes: Axes
    shape: Shape
    index: int | None = None
    accumulation: Accumulation | None = None
    sources: tuple[int, ...] = ()
    steps: tuple[Step, ...] = ()
    rounding: Rounding = Rounding.EXACT
    ternary: bool = False
    after: tuple[Step, ...] = ()
    padding: Padding | None = None
    tensor: str = ""
    bits: int = 1
    limits: tuple[float, float] = (-inf, inf)

    def plus(self, *steps: Step) -> Value:
        """The value with more steps."""
        if self.ternary:
            return replace(self, after=(*self.after, *steps))
        return replace(self, steps=(*self.steps, *steps))


def flat_axes(axes: Axes) -> str:
    """The letters of all axes but the batch, in order: C, H and W for a flat tensor."""
    return "".join(axes[1:])


def uniform(step: Step) -> bool:
    """Whether a step does the same to every channel."""
    match step:
        case Divide():
            return True
        case Scale(values) | Offset(values):
            return bool(np.all(values == values[0]))
        case _:
            return False
