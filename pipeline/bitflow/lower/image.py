"""PackedNetwork <-> `.bfn`, the network as bytes. SPEC.md gives the format byte by byte; bitflow.h has it as C structs.

Writing is canonical: one network, one sequence of bytes. Reading believes nothing: everything that `bf_open` checks is
checked here too, and what one accepts the other accepts.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.accumulation import INT32_MAX
from bitflow.errors import ImageError, InputError
from bitflow.geometry import ChannelOrder, InputContract, Pool, Resize, Shape, Window
from bitflow.ir import LayerKind, PackedLayer, PackedNetwork

__all__ = ["VERSION", "Array", "Placed", "crc32", "decode", "encode", "load", "place", "save"]

MAGIC = b"BFN1"
VERSION = 1
_HEADER = struct.Struct("<4sHHIIIIIIHHHBBhBBIIIII")
_RECORD = struct.Struct("<BBbBHHHHHHBBBBBBBBHHBBBBBBBBHHHHIIIII")
_MAX_LAYERS = 1024
_MAX_BYTES = 256 * 2**20
_MAX_REACH = 0x3FFFFFFF
_MAX_MAP_WORDS = 0x10000000 // 4
_DTYPES = ("uint8", "int8")


@dataclass(frozen=True, slots=True)
class Array:
    """An array of an image: where it lies, and whose it is."""

    layer: int
    role: str  # weights, shift, offset or pool_and
    offset: int
    values: npt.NDArray[np.uint32] | npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where everything lies in the image of a network. Offsets are bytes from its start."""

    layers: int
    arrays: tuple[Array, ...]
    name: int
    layer_names: tuple[int, ...]
    labels: int
    text: bytes
    text_at: int
    size: int

    def offset_of(self, layer: int, role: str) -> int:
        """Offset of an array, 0 where the layer has none of that role."""
        return next((a.offset for a in self.arrays if (a.layer, a.role) == (layer, role)), 0)


def place(network: PackedNetwork) -> Placed:
    """Lay out an image: header, records, the arrays of each layer in turn, text, CRC-32."""
    at = _HEADER.size + _RECORD.size * len(network.layers)
    arrays = []
    for index, layer in enumerate(network.layers):
        for role in ("weights", "shift", "offset", "pool_and"):
            values = getattr(layer, role)
            if values is not None:
                arrays.append(Array(index, role, at, values))
                at += values.nbytes
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
    if size > _MAX_BYTES or len(network.layers) > _MAX_LAYERS:
        raise InputError(f"the network takes {size} bytes and {len(network.layers)} layers, more than a .bfn can hold")
    return Placed(_HEADER.size, tuple(arrays), name, layer_names, labels[0] if labels else 0, bytes(text), at, size)


def encode(network: PackedNetwork) -> bytes:
    """The bytes of the `.bfn` of a network."""
    placed = place(network)
    out = bytearray(_header(network, placed))
    for index in range(len(network.layers)):
        out += _record(network, placed, index)
    for array in placed.arrays:
        out += array.values.astype(array.values.dtype.newbyteorder("<")).tobytes()
    out += placed.text
    out += zlib.crc32(out).to_bytes(4, "little")
    return bytes(out)


def crc32(network: PackedNetwork) -> int:
    """The CRC-32 that ends the image: the network's name on every board."""
    return int.from_bytes(encode(network)[-4:], "little")


def _header(network: PackedNetwork, placed: Placed) -> bytes:
    contract = network.contract
    shape = contract.shape
    return _HEADER.pack(
        MAGIC, VERSION, 0, placed.size, len(network.layers), placed.layers, placed.name, placed.labels,
        network.classes, shape.height, shape.width, shape.channels, _DTYPES.index(contract.dtype),
        contract.channel_order, contract.zero_point, contract.resize, *(0,) * 6,
    )  # fmt: skip


def _record(network: PackedNetwork, placed: Placed, index: int) -> bytes:
    layer = network.layers[index]
    pool = (0,) * 8
    if layer.pool is not None:
        pool = (*layer.pool.window.kernel, *layer.pool.window.stride, *layer.pool.window.padding)
    window = layer.window
    return _RECORD.pack(
        layer.kind, layer.gives_scores, layer.pad_value, 0,
        layer.source.height, layer.source.width, layer.source.channels, layer.groups,
        *window.kernel, *window.stride, *window.dilation, *window.padding,
        layer.conv.height, layer.conv.width, *pool,
        layer.target.height, layer.target.width, layer.target.channels, 0,
        *(placed.offset_of(index, role) for role in ("weights", "shift", "offset", "pool_and")),
        placed.layer_names[index],
    )  # fmt: skip


def save(network: PackedNetwork, path: str | Path) -> None:
    """Write a `.bfn`: beside its place first, then renamed, so that no half-written file is ever seen."""
    path = Path(path)
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
            file.write(encode(network))
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def load(path: str | Path) -> PackedNetwork:
    """Read a `.bfn`. Raises ImageError, naming the file, if it is damaged or contradicts itself."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    try:
        return decode(data)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ImageError(message)


def decode(data: bytes) -> PackedNetwork:
    """The network of a `.bfn`'s bytes. Raises ImageError with the reason if they are not one."""
    _require(len(data) >= _HEADER.size + 4, "not a .bfn image: too short")
    header = _HEADER.unpack_from(data)
    magic, version, flags, size, count, layers_at, name_at, labels_at, classes, h, w, c = header[:12]
    dtype, order, zero_point, resize, reserved0, extra, extra_size, *reserved1 = header[12:]
    _require(magic == MAGIC, "not a .bfn image")
    _require(version == VERSION, f".bfn version {version}, this BitFlow reads {VERSION}: convert the network again")
    _require(size <= len(data), f"the image is cut short: {len(data)} of {size} bytes")
    _require(size == len(data) and size % 4 == 0 and size <= _MAX_BYTES, "the image's size contradicts its header")
    crc = int.from_bytes(data[-4:], "little")
    _require(zlib.crc32(data[:-4]) == crc, "the image is damaged: its CRC-32 does not match")
    _require(not (flags or reserved0 or any(reserved1)), "the header contradicts itself: reserved fields are set")
    known = dtype < len(_DTYPES) and order <= ChannelOrder.OTHER and resize <= Resize.CROP
    _require(known, "the header contradicts itself: unknown input type, channel order or resize rule")
    _require(1 <= count <= _MAX_LAYERS and 1 <= classes <= 65535, "the header contradicts itself: layers or classes")
    reader = _Reader(data)
    _require(extra + extra_size <= reader.end, "an offset leads outside the image")
    reader.words(layers_at, count * _RECORD.size // 4)
    try:
        contract = InputContract(
            Shape(h, w, c), "int8" if dtype else "uint8", zero_point, ChannelOrder(order), Resize(resize)
        )
        layers = tuple(_layers(reader, contract, layers_at, count))
        network = PackedNetwork(reader.text(name_at), contract, layers, reader.texts(labels_at, classes))
    except ImageError:
        raise
    except InputError as error:
        raise ImageError(f"the image contradicts itself: {error}") from error
    _require(network.classes == classes, f"the image contradicts itself: {network.classes} scores, {classes} classes")
    return network


class _Reader:
    """Bounds-checked access to an image."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.end = len(data) - 4

    def words(self, offset: int, count: int) -> npt.NDArray[np.uint32]:
        inside = offset % 4 == 0 and _HEADER.size <= offset and offset + 4 * count <= self.end
        _require(inside, "an offset leads outside the image")
        return np.frombuffer(self.data, dtype="<u4", count=count, offset=offset).astype(np.uint32)

    def integers(self, offset: int, count: int) -> npt.NDArray[np.int32]:
        return self.words(offset, count).view(np.int32)

    def texts(self, offset: int, count: int) -> tuple[str, ...]:
        if offset == 0:
            return ()
        _require(offset >= _HEADER.size, "a name or label does not end inside the image")
        found = []
        for _ in range(count):
            stop = self.data.find(b"\0", offset, self.end)
            _require(stop >= 0, "a name or label does not end inside the image")
            found.append(self.data[offset:stop].decode(errors="replace"))
            offset = stop + 1
        return tuple(found)

    def text(self, offset: int) -> str:
        return self.texts(offset, 1)[0] if offset else ""


def _layers(reader: _Reader, contract: InputContract, at: int, count: int) -> Iterator[PackedLayer]:
    for index in range(count):
        record = _RECORD.unpack_from(reader.data, at + index * _RECORD.size)
        yield _layer(reader, contract, record, first=index == 0, last=index == count - 1)


def _layer(reader: _Reader, contract: InputContract, record: tuple[int, ...], first: bool, last: bool) -> PackedLayer:
    kind, output, pad_value, reserved0, in_h, in_w, in_c, groups, kh, kw, sh, sw, dh, dw = record[:14]
    padding, (conv_h, conv_w), pooling = record[14:18], record[18:20], record[20:28]
    out_h, out_w, out_c, reserved1, weights_at, shift_at, offset_at, and_at, name_at = record[28:]
    name = reader.text(name_at)
    _require(kind in LayerKind._value2member_map_ and (kind == LayerKind.INPUT_CONV) == first, "unknown kind of layer")
    _require(output == int(last), f"layer {name!r}: the last layer, and only it, gives scores")
    _require(not (reserved0 or reserved1), f"layer {name!r}: reserved fields are set")
    _require(-1 <= pad_value <= 1 and (kind == LayerKind.CONV or pad_value == 0), f"layer {name!r}: padding value")
    source, conv, target = Shape(in_h, in_w, in_c), Shape(conv_h, conv_w, out_c), Shape(out_h, out_w, out_c)
    window = Window((kh, kw), (sh, sw), (padding[0], padding[1], padding[2], padding[3]), (dh, dw))
    dense = kind != LayerKind.DENSE or (window == Window((in_h, in_w)) and groups == 1)
    splits = groups >= 1 and in_c % groups == 0 and out_c % groups == 0
    _require(dense and splits, f"layer {name!r}: the shapes contradict each other")
    pool = None
    if pooling[0]:
        pool = Pool(Window(pooling[0:2], pooling[2:4], pooling[4:8]))  # type: ignore[arg-type]
    else:
        _require(not any(pooling) and not and_at, f"layer {name!r}: the shapes contradict each other")
    pooled = (conv_h, conv_w) if pool is None else pool.window.over(conv_h, conv_w)
    fits = window.over(in_h, in_w) == (conv_h, conv_w) and pooled == (out_h, out_w)
    _require(fits, f"layer {name!r}: the shapes contradict each other")
    _require(max(source.words, conv.words) <= _MAX_MAP_WORDS, f"layer {name!r}: a map is too large")
    taps = kh * kw * (in_c // groups)
    reach = taps * (contract.reach if first else 1)
    _require(reach <= _MAX_REACH, f"layer {name!r}: an accumulator could overflow")
    words = bits.words_for(taps)
    weights = reader.words(weights_at, out_c * words).reshape(out_c, words)
    shift = reader.integers(shift_at, out_c)
    offset = None
    pool_and = reader.words(and_at, bits.words_for(out_c)) if and_at else None
    clean = _tails_are_zero(weights, taps) and (pool_and is None or _tails_are_zero(pool_and[None], out_c))
    _require(clean, f"layer {name!r}: unused bits are set")
    if last:
        _require((conv_h, conv_w) == (1, 1) and pool is None, f"layer {name!r}: scores of a map")
        offset = reader.integers(offset_at, out_c)
        top = np.abs(shift.astype(np.int64)) * reach + np.abs(offset.astype(np.int64))
        _require(int(top.max()) <= INT32_MAX, f"layer {name!r}: a score could overflow")
    else:
        _require(offset_at == 0, f"layer {name!r}: an offset without scores")
        _require(
            bool(np.all((shift >= -reach - 1) & (shift <= reach))), f"layer {name!r}: a BatchShift is out of range"
        )
    return PackedLayer(
        name, LayerKind(kind), source, conv, target, window, groups, pad_value, pool, weights, shift, offset, pool_and
    )


def _tails_are_zero(words: npt.NDArray[np.uint32], count: int) -> bool:
    """No bit is set above the first `count` of each row."""
    used = count % bits.WORD
    return used == 0 or not bool(np.any(words[:, -1] >> np.uint32(used)))
