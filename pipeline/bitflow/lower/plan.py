"""PackedNetwork -> Plan: which kernel runs each layer, how large the arena is, how much code is linked.

Sizes here repeat the C library's own arithmetic (`bf_kernel.scratch`, `bf_open`); a test holds them together.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitflow import bits
from bitflow.accumulation import Values
from bitflow.ir import INPUT, LayerKind, PackedLayer, PackedNetwork
from bitflow.lower.arena import arrange

__all__ = ["BASE_BYTES", "KERNEL_BYTES", "LayerPlan", "Plan", "plan"]

# Code of the C library that a generated network links, at most, on any supported core (tested on all of them): what
# every network needs, and each kernel that it names.
BASE_BYTES = 1536
KERNEL_BYTES = {
    "bf_input_conv_plain": 1088,
    "bf_conv_plain": 1472,
    "bf_wide_conv": 1536,
    "bf_sum": 640,
    "bf_concat": 384,
    "bf_total": 640,
}
"""With all kernels."""


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """kernel: its name in bitflow.h. output_bytes: of its map, 0 for scores. scratch_bytes: beside it. kept: whether
    others than the next layer read the map.
    """

    kernel: str
    reason: str
    output_bytes: int
    scratch_bytes: int
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """arena_bytes: kept_bytes, and the largest need of any layer for the other maps and scratch together. kept_bytes:
    of the maps that others than the next layer read.
    """

    layers: tuple[LayerPlan, ...]
    arena_bytes: int
    kept_bytes: int

    @property
    def code_bytes(self) -> int:
        """Code of the C library that the network links, at most."""
        return BASE_BYTES + sum(KERNEL_BYTES[kernel] for kernel in {layer.kernel for layer in self.layers})


def plan(network: PackedNetwork) -> Plan:
    """Choose a kernel for each layer and size the arena."""
    arena = arrange(network)
    layers, needs, had = [], [], 0
    for index, layer in enumerate(network.layers):
        kept = arena.keep[index] is not None
        kernel, reason = _kernel(network, layer)
        layers.append(LayerPlan(kernel, reason, 4 * layer.map_words, _scratch(network, layer), kept))
        here = 0 if kept else layers[-1].output_bytes
        needs.append(had + here + layers[-1].scratch_bytes)
        had = here
    return Plan(tuple(layers), arena.kept_bytes + max(needs), arena.kept_bytes)


def _takes(network: PackedNetwork, layer: PackedLayer) -> Values:
    """What its first source holds."""
    return Values.PIXELS if layer.sources[0] == INPUT else network.layers[layer.sources[0]].gives


def _kernel(network: PackedNetwork, layer: PackedLayer) -> tuple[str, str]:
    """Name in bitflow.h, and why."""
    match layer.kind:
        case LayerKind.INPUT_CONV:
            return "bf_input_conv_plain", "the only kernel for 8-bit pixels and +-1 weights"
        case LayerKind.CONV | LayerKind.DENSE:
            return "bf_conv_plain", "the only kernel for bits and +-1 weights"
        case LayerKind.WIDE_CONV:
            weights = "int8" if layer.weight_bits == 8 else "+-1"
            return "bf_wide_conv", f"the only kernel for {_takes(network, layer).name.lower()} and {weights} weights"
        case LayerKind.SUM:
            return "bf_sum", "the only kernel that adds maps"
        case LayerKind.CONCAT:
            return "bf_concat", "the only kernel that puts maps side by side"
        case LayerKind.TOTAL:
            return "bf_total", "the only kernel that adds positions"


def _scratch(network: PackedNetwork, layer: PackedLayer) -> int:
    """Bytes of the map before the pool, and of what the kernel itself needs."""
    unpooled = 0
    if layer.pool is not None:
        unpooled = 4 * (layer.conv.size if layer.gives is Values.INTEGERS else layer.conv.words)
    match layer.kind:
        case LayerKind.INPUT_CONV:
            return unpooled + (layer.taps + 1) // 2 * 4  # int16 a tap
        case LayerKind.CONV | LayerKind.DENSE:
            return unpooled + 2 * 4 * bits.words_for(layer.taps)  # the bits under the window and their mask
        case LayerKind.WIDE_CONV:
            wide = _takes(network, layer) is Values.INTEGERS
            return unpooled + 4 * (layer.taps if wide else (layer.taps + 1) // 2)  # int32 or int16 a tap
        case LayerKind.SUM | LayerKind.TOTAL:
            return unpooled + 4 * layer.source.channels  # the sums of a position
        case LayerKind.CONCAT:
            return unpooled
