"""A small network with a plan that has every kernel which follows lists: what is spoiled to see that it is refused."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bitflow import bits
from bitflow.geometry import InputSpec, Shape, Window
from bitflow.ir import (
    BatchShift,
    BinaryConv,
    BinaryDense,
    InputConv,
    IntegerLayer,
    IntegerNetwork,
    PackedNetwork,
    Scores,
)
from bitflow.lower.pack import pack
from bitflow.planner.kernels.spec import LIST_MEMORY, Kernel, Option
from bitflow.planner.kernels.table import KERNELS as SPECS
from bitflow.planner.kernels.table import candidates
from bitflow.planner.plan import Plan, planned

__all__ = ["KERNELS", "network_of", "plan_of", "planned_network", "wide_network"]

# Layer by layer: its name, who runs it, its channels, and what counts outside its map: with 0, lanes have limits of
# their own.
_LAYERS = (
    ("exact", Kernel.PATTERNS_16, 8, 0),
    ("bytes", Kernel.PATTERNS_8, 8, -1),
    ("made", Kernel.PATTERNS_1, 8, 1),
    ("set bits", Kernel.SET_BITS, 8, -1),
    ("plain", Kernel.PATTERNS_16, 8, -1),
    ("exact bytes", Kernel.PATTERNS_8, 4, 0),
    ("odd", Kernel.CONV_PLAIN, 6, -1),
)
KERNELS = (
    {"first": Kernel.INPUT_SUMS} | {name: kernel for name, kernel, _, _ in _LAYERS} | {"scores": Kernel.CONV_PLAIN}
)
_SAME = Window((3, 3), (1, 1), (1, 1, 1, 1))


def network_of(layers: tuple[tuple[str, Kernel, int, int], ...], first: int, side: tuple[int, int]) -> PackedNetwork:
    """Convolutions of 3x3 on a map of one size, one after the other."""
    rng = np.random.default_rng(7)
    input_spec = InputSpec(Shape(*side, 1))

    def signs(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
        return bits.sign(rng.integers(-1, 1, shape))

    shift = BatchShift(rng.integers(-3, 4, first))
    found = [IntegerLayer("first", InputConv(input_spec.shape, signs(first, 3, 3, 1), _SAME, input_spec), shift)]
    source = Shape(*side, first)
    for name, _, channels, pad in layers:
        conv = BinaryConv(source, signs(channels, 3, 3, source.channels), _SAME, 1, pad)
        found.append(IntegerLayer(name, conv, BatchShift(rng.integers(-3, 4, channels))))
        source = Shape(*side, channels)
    dense = BinaryDense(source, signs(2, *side, source.channels))
    found.append(IntegerLayer("scores", dense, Scores(np.array([1, 2]), np.array([3, 4]))))
    return pack(IntegerNetwork("planned", input_spec, tuple(found)))


def planned_network() -> PackedNetwork:
    """Of the kernels KERNELS."""
    return network_of(_LAYERS, 6, (5, 7))


def wide_network() -> PackedNetwork:
    """Counts of twelve digits, and limits of each lane's own."""
    return network_of((("exact", Kernel.PATTERNS_16, 4, 0),), 228, (1, 2))


def plan_of(
    network: PackedNetwork, lane_words: int, kernels: Mapping[str, Kernel] = KERNELS, memory: int = LIST_MEMORY
) -> Plan:
    """These kernels for the layers of these names, the plainest for others; memory for lists that are made."""
    chosen = [kernels.get(layer.name, candidates(layer, lane_words)[-1].kernel) for layer in network.layers]
    options = [
        Option(kernel, memory if kernel is Kernel.PATTERNS_1 else 0, len(SPECS[kernel].data(layer, lane_words)))
        for layer, kernel in zip(network.layers, chosen, strict=True)
    ]
    return planned(network, lane_words, options, [""] * len(options))
