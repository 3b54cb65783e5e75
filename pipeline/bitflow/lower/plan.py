"""PackedNetwork -> Plan: which kernel runs each layer, and how large the arena is.

Sizes here repeat the C library's own arithmetic (`bf_kernel.scratch`, `bf_open`); a test holds them together.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitflow import bits
from bitflow.geometry import Shape
from bitflow.ir import LayerKind, PackedLayer, PackedNetwork

__all__ = ["CODE_BYTES", "LayerPlan", "Plan", "plan"]

# Code of the C library that a generated network links, at most, on any supported core (tested on all of them).
CODE_BYTES = 3584


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """kernel: its name in bitflow.h. output_bytes: of its bits, 0 for scores. scratch_bytes: beside them."""

    kernel: str
    reason: str
    output_bytes: int
    scratch_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """arena_bytes: the largest need of any layer for input, output and scratch together."""

    layers: tuple[LayerPlan, ...]
    arena_bytes: int


def plan(network: PackedNetwork) -> Plan:
    """Choose a kernel for each layer and size the arena."""
    layers = tuple(map(_plan_layer, network.layers))
    inputs = [0, *(layer.output_bytes for layer in layers[:-1])]
    needs = [had + layer.output_bytes + layer.scratch_bytes for had, layer in zip(inputs, layers, strict=True)]
    return Plan(layers, max(needs))


def _plan_layer(layer: PackedLayer) -> LayerPlan:
    output = 0 if layer.gives_scores else _map_bytes(layer.target)
    unpooled = 0 if layer.pool is None else _map_bytes(layer.conv)
    match layer.kind:
        case LayerKind.INPUT_CONV:
            window = (layer.taps + 1) // 2 * 4  # int16 a tap
            return LayerPlan("bf_input_conv_plain", "the only kernel for 8-bit pixels", output, unpooled + window)
        case LayerKind.CONV | LayerKind.DENSE:
            window = 2 * 4 * bits.words_for(layer.taps)  # the bits under the window and their mask
            return LayerPlan("bf_conv_plain", "the only kernel for bits", output, unpooled + window)


def _map_bytes(shape: Shape) -> int:
    return 4 * shape.words
