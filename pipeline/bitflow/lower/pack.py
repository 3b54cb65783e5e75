"""IntegerNetwork -> PackedNetwork: +-1 weights become bits, 32 a word, in the order in which a window is read.

Nothing is lost: `unpack` goes back, so that any `.bfn` can be checked against the integer engine.
"""

from __future__ import annotations

from typing import assert_never

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.geometry import InputSpec
from bitflow.ir import (
    INPUT,
    Accumulation,
    BatchShift,
    BinaryConv,
    BinaryDense,
    Concat,
    InputConv,
    IntegerConv,
    IntegerLayer,
    IntegerNetwork,
    Integers,
    LayerKind,
    Map,
    MapType,
    Output,
    PackedLayer,
    PackedNetwork,
    Scores,
    Sum,
    Total,
)

__all__ = ["pack", "unpack", "weights"]


def pack(network: IntegerNetwork) -> PackedNetwork:
    """Pack every layer; this takes no decisions."""
    layers = tuple(map(_pack_layer, network.layers))
    return PackedNetwork(network.name, network.input_spec, layers, network.labels, network.logits, network.approximate)


def _pack_layer(layer: IntegerLayer) -> PackedLayer:
    accumulation = layer.accumulation
    shift: npt.NDArray[np.int32] | None = None
    offset: npt.NDArray[np.int32] | None = None
    match layer.output:
        case BatchShift():
            output_type, shift = MapType.BITS, layer.output.shift
        case Scores():
            output_type, shift, offset = MapType.SCORES, layer.output.scale, layer.output.offset
        case Integers():
            output_type = MapType.INTEGERS
    return PackedLayer(
        name=layer.name,
        kind=accumulation.kind,
        sources=layer.sources or (),
        source=accumulation.source,
        conv=accumulation.target,
        target=layer.target,
        output_type=output_type,
        bound=accumulation.bound,
        window=accumulation.window,
        groups=accumulation.groups,
        pad_value=accumulation.pad_value,
        pool=layer.pool,
        in_thresholds=accumulation.in_thresholds,
        shared=accumulation.shared,
        weight_bits=_weight_bits(accumulation),
        weights=_pack_weights(accumulation),
        shift=None if accumulation.kind is LayerKind.CONCAT else shift,
        offset=offset,
        pool_and=None if layer.pool_and is None else bits.pack(np.asarray(layer.pool_and)),
        invert=None if layer.invert is None else bits.pack(np.asarray(layer.invert)),
    )


def _weight_bits(accumulation: Accumulation) -> int:
    if accumulation.weights is None:
        return 0
    return 1 if bool(np.all(np.abs(accumulation.weights) == 1)) else 8


def _pack_weights(accumulation: Accumulation) -> npt.NDArray[np.uint32] | None:
    """Filters as rows of words: one bit per weight, or one byte per weight, the first in the lowest byte."""
    if accumulation.weights is None:
        return None
    filters = accumulation.weights
    if accumulation.shared:
        filters = filters[..., : filters.shape[3] // accumulation.in_thresholds]
    rows = filters.reshape(len(filters), -1)
    if _weight_bits(accumulation) == 1:
        return bits.pack(rows)
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    return np.ascontiguousarray(padded).view("<u4").astype(np.uint32)


def unpack(network: PackedNetwork) -> IntegerNetwork:
    """The integer network that a packed one came from."""
    layers = tuple(_unpack_layer(layer, network) for layer in network.layers)
    return IntegerNetwork(network.name, network.input_spec, layers, network.labels, network.logits, network.approximate)


def _unpack_layer(layer: PackedLayer, network: PackedNetwork) -> IntegerLayer:
    channels = layer.target.channels
    output: Output
    if layer.output_type is MapType.INTEGERS:
        output = Integers()
    elif layer.shift is None:
        output = BatchShift(np.zeros(channels, dtype=np.int32))
    else:
        output = BatchShift(layer.shift) if layer.offset is None else Scores(layer.shift, layer.offset)
    pool_and, invert = (
        None if mask is None else bits.unpack(mask, channels) > 0 for mask in (layer.pool_and, layer.invert)
    )
    accumulation = _unpack_accumulation(layer, network)
    return IntegerLayer(layer.name, accumulation, output, layer.pool, pool_and, invert, layer.sources)


def _unpack_accumulation(layer: PackedLayer, network: PackedNetwork) -> Accumulation:
    input_spec: InputSpec = network.input_spec
    inputs = tuple(
        Map(input_spec.shape, MapType.PIXELS, input_spec.bound) if source == INPUT else _gives(network.layers[source])
        for source in layer.sources
    )
    match layer.kind:
        case LayerKind.SUM:
            return Sum(inputs, layer.source.channels)
        case LayerKind.CONCAT:
            return Concat(inputs)
        case LayerKind.TOTAL:
            return Total(inputs[0], layer.source.channels)
        case LayerKind.DENSE:
            return BinaryDense(layer.source, weights(layer), layer.in_thresholds)
        case LayerKind.INPUT_CONV | LayerKind.CONV | LayerKind.WIDE_CONV:
            filters = weights(layer)
        case _:
            assert_never(layer.kind)
    match inputs[0].type:
        case MapType.PIXELS:
            return InputConv(layer.source, filters, layer.window, input_spec, layer.groups)
        case MapType.BITS:
            return BinaryConv(layer.source, filters, layer.window, layer.groups, layer.pad_value, layer.in_thresholds)
        case MapType.INTEGERS:
            return IntegerConv(layer.source, inputs[0].bound, filters, layer.window, layer.groups)
        case MapType.SCORES:
            raise ValueError(f"{layer.name} takes scores")
        case _:
            assert_never(inputs[0].type)


def weights(layer: PackedLayer) -> npt.NDArray[np.int8]:
    """Filters int8 [out, kernel height, kernel width, in / groups] of a layer that has weights."""
    if layer.weights is None:
        raise ValueError(f"{layer.name} has no weights")
    if layer.weight_bits == 1:
        rows = bits.unpack(layer.weights, layer.filter_weights)
    else:
        rows = layer.weights.astype("<u4").view(np.int8)[:, : layer.filter_weights]
    filters = rows.reshape(layer.conv.channels, *layer.window.kernel, -1)
    return np.tile(filters, layer.in_thresholds if layer.shared else 1)


def _gives(layer: PackedLayer) -> Map:
    return Map(layer.target, layer.output_type, 1 if layer.output_type is MapType.BITS else layer.bound)
