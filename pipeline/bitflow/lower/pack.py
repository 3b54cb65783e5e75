"""IntegerNetwork -> PackedNetwork: +-1 weights become bits, 32 a word, in the order in which a window is read.

Nothing is lost: `unpack` is the way back, so that a `.bfn` from anywhere can be checked with integers.
"""

from __future__ import annotations

import numpy as np

from bitflow import bits
from bitflow.geometry import InputContract
from bitflow.ir import (
    Accumulation,
    BatchShift,
    BinaryConv,
    BinaryDense,
    InputConv,
    IntegerLayer,
    IntegerNetwork,
    LayerKind,
    PackedLayer,
    PackedNetwork,
    Scores,
)

__all__ = ["pack", "unpack"]


def pack(network: IntegerNetwork) -> PackedNetwork:
    """Pack every layer; nothing is decided here."""
    return PackedNetwork(network.name, network.contract, tuple(map(_pack_layer, network.layers)), network.labels)


def _pack_layer(layer: IntegerLayer) -> PackedLayer:
    accumulation = layer.accumulation
    match layer.output:
        case BatchShift(shift):
            offset = None
        case Scores(shift, offset):
            pass
    return PackedLayer(
        name=layer.name,
        kind=accumulation.kind,
        source=accumulation.source,
        conv=accumulation.target,
        target=layer.target,
        window=accumulation.window,
        groups=accumulation.groups,
        pad_value=accumulation.pad_value,
        pool=layer.pool,
        weights=bits.pack(accumulation.weights.reshape(len(accumulation.weights), -1)),
        shift=shift,
        offset=offset,
        pool_and=None if layer.pool_and is None else bits.pack(np.asarray(layer.pool_and)),
    )


def unpack(network: PackedNetwork) -> IntegerNetwork:
    """The integer network that a packed one came from."""
    layers = tuple(_unpack_layer(layer, network.contract) for layer in network.layers)
    return IntegerNetwork(network.name, network.contract, layers, network.labels)


def _unpack_layer(layer: PackedLayer, contract: InputContract) -> IntegerLayer:
    shape = (layer.target.channels, *layer.window.kernel, layer.source.channels // layer.groups)
    weights = bits.unpack(layer.weights, layer.taps).reshape(shape)
    accumulation: Accumulation
    match layer.kind:
        case LayerKind.INPUT_CONV:
            accumulation = InputConv(layer.source, weights, layer.window, contract, layer.groups)
        case LayerKind.CONV:
            accumulation = BinaryConv(layer.source, weights, layer.window, layer.groups, layer.pad_value)
        case LayerKind.DENSE:
            accumulation = BinaryDense(layer.source, weights)
    output = BatchShift(layer.shift) if layer.offset is None else Scores(layer.shift, layer.offset)
    pool_and = None if layer.pool_and is None else bits.unpack(layer.pool_and, layer.target.channels) > 0
    return IntegerLayer(layer.name, accumulation, output, layer.pool, pool_and)
