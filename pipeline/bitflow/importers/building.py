"""The network that an import has built so far: its layers, and what they settled of the input."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import assert_never

from bitflow.errors import InputError
from bitflow.geometry import InputSpec
from bitflow.importers import graph as g
from bitflow.importers.value import Value
from bitflow.ir import INPUT, Layer, LayerKind, Map, MapType, Rounding, Step

__all__ = ["Building"]


def _name_of(kind: LayerKind) -> str:
    """What a layer without a name of its own is called."""
    match kind:
        case LayerKind.INPUT_CONV | LayerKind.CONV | LayerKind.WIDE_CONV:
            return "conv"
        case LayerKind.DENSE:
            return "dense"
        case LayerKind.SUM:
            return "sum"
        case LayerKind.CONCAT:
            return "concat"
        case LayerKind.TOTAL:
            return "average"
        case _:
            assert_never(kind)


@dataclass(slots=True)
class Building:
    """Layers are appended as they close.

    sign_zero: what a sign that gives 0 for 0 is to give there; None: nobody said.
    rounding: of layers that torch evaluates exactly.
    tensors: of each layer, the source's tensor that it makes, and the steps on top of it.
    settled: whether a layer has fixed the zero point.
    uses: how many nodes take each tensor.
    """

    graph: g.Graph
    input_spec: InputSpec
    sign_zero: int | None
    rounding: Rounding
    layers: list[Layer] = field(default_factory=list)
    tensors: list[tuple[str, tuple[Step, ...]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    settled: bool = False
    uses: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.uses = Counter(source for node in self.graph.needed() for source in node.inputs)

    def map_of(self, value: Value) -> Map:
        """The finished map that a value lies on."""
        if value.index is None:
            raise ValueError(f"{value.name} is still open")
        if value.index == INPUT:
            return Map(self.input_spec.shape, MapType.PIXELS, self.input_spec.bound)
        return self.layers[value.index].output_map(last=False)

    def settle(self, zero_point: int | None, wanted: int) -> None:
        """Fix the input's zero point: the one that a layer needs, else the wanted one unless it is fixed already."""
        if zero_point is None:
            zero_point = self.input_spec.zero_point if self.settled else wanted
        if self.settled and zero_point != self.input_spec.zero_point:
            raise InputError(f"two layers take pixels, with zero points {self.input_spec.zero_point} and {zero_point}")
        self.input_spec = replace(self.input_spec, zero_point=zero_point)
        self.settled = True

    def add(self, value: Value, steps: tuple[Step, ...], rounding: Rounding) -> int:
        """Append the layer that an open value is, and return its index."""
        if value.accumulation is None:
            raise ValueError(f"{value.name} is finished")
        name = value.name
        if not name or name.split(".")[-1].isdigit():
            # The place in a torch Sequential says little: the kind and the layer's own place, as in conv2.
            name = f"{_name_of(value.accumulation.kind)}{len(self.layers) + 1}"
        taken = {layer.name for layer in self.layers}
        name = next(n for n in (name, *(f"{name}.{i}" for i in range(2, 9999))) if n not in taken)
        self.layers.append(Layer(name, value.accumulation, steps, value.sources, rounding))
        self.tensors.append(("", ()))
        return len(self.layers) - 1
