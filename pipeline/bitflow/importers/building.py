"""The network that an import has built so far: its layers, and the input spec as far as they fix it."""

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
    """The name of a layer to which the source gives none."""
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
    """The state of an import. Layers are appended as they close.

    sign_zero: the bit for a sign that gives 0 for 0; None: not given.
    rounding: of layers that torch evaluates exactly.
    named: for each layer, the name of the source's node; "": it has none.
    tensors: for each layer, the source's tensor that is its map, and the steps on it.
    notes: what a person should know about how the source was read.
    settled: whether a layer has fixed the zero point.
    uses: how many nodes read each tensor.
    """

    graph: g.Graph
    input_spec: InputSpec
    sign_zero: int | None
    rounding: Rounding
    layers: list[Layer] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    tensors: list[tuple[str, tuple[Step, ...]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    settled: bool = False
    uses: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.uses = Counter(source for node in self.graph.needed() for source in node.inputs)

    def map_of(self, value: Value) -> Map:
        """The finished map under a value."""
        if value.index is None:
            raise ValueError(f"{value.name} is still open")
        if value.index == INPUT:
            return Map(self.input_spec.shape, MapType.PIXELS, self.input_spec.bound)
        return self.layers[value.index].output_map(last=False)

    def settle(self, zero_point: int | None, wanted: int) -> None:
        """Fix the input's zero point: the one that a layer needs, else `wanted`, unless it is fixed already."""
        if zero_point is None:
            zero_point = self.input_spec.zero_point if self.settled else wanted
        if self.settled and zero_point != self.input_spec.zero_point:
            raise InputError(f"two layers take pixels, with zero points {self.input_spec.zero_point} and {zero_point}")
        self.input_spec = replace(self.input_spec, zero_point=zero_point)
        self.settled = True

    def add(self, value: Value, steps: tuple[Step, ...], rounding: Rounding) -> int:
        """Append an open value as a layer, and return the layer's index."""
        if value.accumulation is None:
            raise ValueError(f"{value.name} is finished")
        name = self._free_name(value.name, value.accumulation.kind)
        self.layers.append(Layer(name, value.accumulation, steps, value.sources, rounding))
        self.named.append(value.name)
        self.tensors.append(("", ()))
        return len(self.layers) - 1

    def name_again(self, layers: list[tuple[str, Layer]]) -> None:
        """Put these layers, each with its node's name, in place of all: numbers in names count those that are left."""
        self.layers, self.named = [], []
        for name, layer in layers:
            self.layers.append(replace(layer, name=self._free_name(name, layer.accumulation.kind)))
            self.named.append(name)

    def _free_name(self, name: str, kind: LayerKind) -> str:
        """The name of the next layer."""
        if not name or name.split(".")[-1].isdigit():
            # The index in a torch Sequential says little, so the name is kind and number, as in conv2.
            name = f"{_name_of(kind)}{len(self.layers) + 1}"
        taken = {layer.name for layer in self.layers}
        return next(n for n in (name, *(f"{name}.{i}" for i in range(2, 9999))) if n not in taken)
