"""PackedNetwork -> the bytes of a `.bfn`. SPEC.md gives the format byte by byte; bitflow.h has it as C structs.

Writing is canonical: equal networks give equal bytes.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitflow.accumulation import MAX_SOURCES
from bitflow.errors import InputError
from bitflow.geometry import require
from bitflow.image.arena import Arena, arrange
from bitflow.image.format import (
    APPROXIMATE,
    DTYPES,
    HEADER,
    LOGITS_TAG,
    MAGIC,
    MAX_BYTES,
    MAX_LAYERS,
    MAX_TAPS,
    PIXELS,
    RECORD,
    ROLES,
    SHARED,
    TRANSIENT,
    VERSION,
    Record,
)
from bitflow.ir import Logits, PackedNetwork

__all__ = ["Array", "Placed", "encode", "place", "record"]


@dataclass(frozen=True, slots=True)
class Array:
    """An array of an image.

    layer: index of its layer.
    role: weights, shift, offset, pool_and or invert.
    offset: bytes from the start of the image.
    """

    layer: int
    role: str
    offset: int
    values: npt.NDArray[np.uint32] | npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Placed:
    """The layout of an image. Offsets are bytes from its start.

    layers: offset of the records.
    extra: bytes that the C library does not read; their number is a multiple of 4, or 0.
    arena: where the maps lie in a run.
    """

    layers: int
    arrays: tuple[Array, ...]
    extra: bytes
    extra_at: int
    name: int
    layer_names: tuple[int, ...]
    labels: int
    text: bytes
    text_at: int
    size: int
    arena: Arena

    def offset_of(self, layer: int, role: str) -> int:
        """Offset of an array; 0 if the layer has none of this role."""
        return next((a.offset for a in self.arrays if (a.layer, a.role) == (layer, role)), 0)


def place(network: PackedNetwork) -> Placed:
    """Lay out an image: header, records, the arrays of each layer in turn, extra, text, CRC-32."""
    at = HEADER.size + RECORD.size * len(network.layers)
    arrays = []
    for index, layer in enumerate(network.layers):
        fits = not layer.weight_bits or layer.taps <= MAX_TAPS
        require(fits, f"layer {layer.name!r}: {layer.taps} taps of a filter are more than a .bfn can hold")
        for role in ROLES:
            values = getattr(layer, role)
            if values is not None:
                arrays.append(Array(index, role, at, values))
                at += values.nbytes
    extra, extra_at = _logits(network.logits), at
    at += len(extra)
    text = bytearray()

    def put(string: str) -> int:
        start = at + len(text)
        text.extend(string.encode() + b"\0")
        return start

    name = put(network.name)
    layer_names = tuple(put(layer.name) for layer in network.layers)
    labels = [put(label) for label in network.labels]
    text.extend(bytes(-len(text) % 4))
    size = at + len(text) + 4
    if size > MAX_BYTES or len(network.layers) > MAX_LAYERS:
        raise InputError(f"the network takes {size} bytes and {len(network.layers)} layers, more than a .bfn can hold")
    return Placed(
        HEADER.size, tuple(arrays), extra, extra_at if extra else 0, name, layer_names, labels[0] if labels else 0,
        bytes(text), at, size, arrange(network),
    )  # fmt: skip


def _logits(logits: Logits | None) -> bytes:
    if logits is None:
        return b""
    numbers = np.concatenate([logits.scale, logits.offset]).astype("<f8")
    return struct.pack("<4sI", LOGITS_TAG, len(logits.scale)) + numbers.tobytes()


def encode(network: PackedNetwork, placed: Placed) -> bytes:
    """The bytes of a network's `.bfn` in this layout."""
    out = bytearray(_header(network, placed))
    for index in range(len(network.layers)):
        out += RECORD.pack(*record(network, placed, index))
    for array in placed.arrays:
        out += array.values.astype(array.values.dtype.newbyteorder("<")).tobytes()
    out += placed.extra
    out += placed.text
    out += zlib.crc32(out).to_bytes(4, "little")
    return bytes(out)


def _header(network: PackedNetwork, placed: Placed) -> bytes:
    input_spec = network.input_spec
    shape = input_spec.shape
    return HEADER.pack(
        MAGIC, VERSION, APPROXIMATE if network.approximate else 0, placed.size,
        len(network.layers), placed.layers, placed.name, placed.labels,
        network.classes, shape.height, shape.width, shape.channels, DTYPES.index(input_spec.dtype),
        input_spec.channel_order, input_spec.zero_point, input_spec.resize, 0, placed.extra_at, len(placed.extra),
        *(0,) * 3,
    )  # fmt: skip


def record(network: PackedNetwork, placed: Placed, index: int) -> Record:
    """The record of a layer."""
    layer, pinned = network.layers[index], placed.arena.pinned[index]
    window, pool = layer.window, (0,) * 8
    if layer.pool is not None:
        pool = (*layer.pool.window.kernel, *layer.pool.window.stride, *layer.pool.window.padding)
    sources = [PIXELS if source < 0 else source for source in layer.sources]
    return Record._make((
        layer.kind, layer.output_type, layer.pad_value, layer.weight_bits,
        layer.source.height, layer.source.width, layer.source.channels, layer.groups,
        *window.kernel, *window.stride, *window.dilation, *window.padding,
        layer.conv.height, layer.conv.width, *pool,
        layer.target.height, layer.target.width, layer.target.channels,
        len(sources), layer.thresholds, *sources, *(0,) * (MAX_SOURCES - len(sources)),
        placed.arena.last[index], layer.in_thresholds, SHARED if layer.shared else 0,
        TRANSIENT if pinned is None else pinned, layer.bound,
        *(placed.offset_of(index, role) for role in ROLES), placed.layer_names[index], 0, 0,
    ))  # fmt: skip
