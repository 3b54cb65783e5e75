"""What a tensor of a source's graph is in BitFlow's terms, while `assemble` walks through the graph."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bitflow.geometry import Shape
from bitflow.ir import Accumulation, Divide, Offset, Rounding, Scale, Step

__all__ = ["Axes", "Padding", "Value", "flat_axes", "uniform"]

Axes = tuple[str, ...]
"""What each axis of a tensor is: "N", "H", "W", "C"; several letters: these axes flattened, the last one fastest."""


@dataclass(frozen=True, slots=True)
class Padding:
    """Padding that the source does before the operation that needs it."""

    sides: tuple[int, int, int, int]
    fill: float


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor: the map of a finished layer, or the accumulators of one that is still open, and steps on top.

    name: of the source's node, for the layer that it becomes. index: of the finished layer, INPUT for the pixels; None:
    open, and then accumulation and sources say what it is. steps: what was done since, in order; of an open value they
    may hold a max-pool. ternary: a sign with three values stands after the steps, and `after` after that.
    tensor: what the source's graph calls it.
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

    def plus(self, *steps: Step) -> Value:
        """The value after more steps."""
        if self.ternary:
            return replace(self, after=(*self.after, *steps))
        return replace(self, steps=(*self.steps, *steps))


def flat_axes(axes: Axes) -> str:
    """The letters of all axes but the batch, in order: C, H and W of a flat tensor."""
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
