"""The bytes of a `.bfn` -> PackedNetwork. Nothing is trusted: all checks of `bf_open` are made here too.

Both accept the same images. The order of the checks, and so the reason for a refusal, may differ.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import assert_never

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.accumulation import BOUND_LIMIT, INT32_MAX, MAX_SOURCES, MAX_THRESHOLDS, MapType
from bitflow.errors import ImageError, InputError
from bitflow.geometry import ChannelOrder, InputSpec, Pool, Resize, Shape, Window
from bitflow.image.format import (
    APPROXIMATE,
    HEADER,
    LOGITS_TAG,
    MAGIC,
    MAX_BYTES,
    MAX_LAYERS,
    MAX_MAP_BYTES,
    MAX_TAPS,
    OLDEST,
    PER_POSITION,
    PIXELS,
    RECORD,
    SHARED,
    TRANSIENT,
    VERSION,
    Record,
)
from bitflow.ir import INPUT, LayerKind, Logits, Map, PackedLayer, PackedNetwork

__all__ = ["decode"]

_ANY = (MapType.PIXELS, MapType.BITS, MapType.INTEGERS)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ImageError(message)


def decode(data: bytes, version: int = VERSION, today: Callable[[Record], Record] | None = None) -> PackedNetwork:
    """The network in a `.bfn`'s bytes. Raises ImageError with the reason if they are not a valid image.

    today: what a record of an older `version` is in this one. What is new in the header was 0 then.
    """
    _require(len(data) >= HEADER.size + 4, "not a .bfn image: too short")
    header = HEADER.unpack_from(data)
    magic, written, flags, size, count, layers_at, name_at, labels_at, classes, h, w, c = header[:12]
    dtype, order, zero_point, resize, reserved0, extra, extra_size, table, *reserved1 = header[12:]
    _require(magic == MAGIC, "not a .bfn image")
    _require(written == version, _other_version(written))
    _require(size <= len(data), f"the image is cut short: {len(data)} of {size} bytes")
    _require(size == len(data) and size % 4 == 0 and size <= MAX_BYTES, "the image's size contradicts its header")
    crc = int.from_bytes(data[-4:], "little")
    _require(zlib.crc32(data[:-4]) == crc, "the image is damaged: its CRC-32 does not match")
    reserved = flags & ~APPROXIMATE or reserved0 or any(reserved1) or (today is not None and (flags or table))
    _require(not reserved, "the header contradicts itself: reserved fields are set")
    _require(table == 0, "the image has a table of input values: it needs a newer BitFlow")
    known = dtype <= 1 and order <= ChannelOrder.OTHER and resize <= Resize.CROP
    _require(known, "the header contradicts itself: unknown input type, channel order or resize rule")
    _require(1 <= count <= MAX_LAYERS and 1 <= classes <= 65535, "the header contradicts itself: layers or classes")
    reader = _Reader(data)
    _require(extra + extra_size <= reader.end, "an offset leads outside the image")
    reader.inside(layers_at, count * RECORD.size // 4)
    try:
        input_spec = InputSpec(
            Shape(h, w, c), "int8" if dtype else "uint8", zero_point, ChannelOrder(order), Resize(resize)
        )
        network = PackedNetwork(
            reader.text(name_at),
            input_spec,
            _layers(reader, input_spec, _records(data, layers_at, count, today)),
            reader.texts(labels_at, classes),
            _logits(data[extra : extra + extra_size], classes),
            bool(flags & APPROXIMATE),
        )
    except ImageError:
        raise
    except InputError as error:
        raise ImageError(f"the image contradicts itself: {error}") from error
    _require(network.classes == classes, f"the image contradicts itself: {network.classes} scores, {classes} classes")
    return network


def _other_version(version: int) -> str:
    if version > VERSION:
        todo = "it needs a newer BitFlow"
    elif version >= OLDEST:
        todo = "`bitflow convert` brings it up to date"
    else:
        todo = "it is too old, import or fuse the network again"
    return f".bfn version {version}, this BitFlow reads {VERSION}: {todo}"


def _records(data: bytes, at: int, count: int, today: Callable[[Record], Record] | None) -> list[Record]:
    found = [Record(*RECORD.unpack_from(data, at + index * RECORD.size)) for index in range(count)]
    return found if today is None else list(map(today, found))


def _logits(extra: bytes, classes: int) -> Logits | None:
    """The logits in `extra`. A loader may ignore these bytes: None if they are not a complete block of logits."""
    if len(extra) != 8 + 16 * classes or struct.unpack_from("<4sI", extra) != (LOGITS_TAG, classes):
        return None
    numbers = np.frombuffer(extra, dtype="<f8", offset=8)
    return Logits(numbers[:classes], numbers[classes:]) if bool(np.isfinite(numbers).all()) else None


class _Reader:
    """Bounds-checked access to an image."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.end = len(data) - 4
        self._left = self.end

    def _take(self, size: int) -> None:
        """Raise ImageError if all arrays and strings read so far are larger than the image: this bounds the memory."""
        self._left -= size
        _require(self._left >= 0, "arrays or names share bytes of the image")

    def inside(self, offset: int, count: int) -> None:
        """Raise ImageError unless `count` words at an offset are inside the image."""
        inside = offset % 4 == 0 and HEADER.size <= offset and offset + 4 * count <= self.end
        _require(inside, "an offset leads outside the image")

    def words(self, offset: int, count: int) -> npt.NDArray[np.uint32]:
        self.inside(offset, count)
        self._take(4 * count)
        return np.frombuffer(self.data, dtype="<u4", count=count, offset=offset).astype(np.uint32)

    def integers(self, offset: int, count: int) -> npt.NDArray[np.int32]:
        return self.words(offset, count).view(np.int32)

    def mask(self, offset: int, channels: int) -> npt.NDArray[np.uint32] | None:
        """One bit per channel; None if the offset is 0."""
        if offset == 0:
            return None
        found = self.words(offset, bits.words_for(channels))
        _require(_tails_are_zero(found[np.newaxis], channels), "unused bits of a mask are set")
        return found

    def texts(self, offset: int, count: int) -> tuple[str, ...]:
        if offset == 0:
            return ()
        _require(offset >= HEADER.size, "a name or label does not end inside the image")
        found = []
        for _ in range(count):
            stop = self.data.find(b"\0", offset, self.end)
            _require(stop >= 0, "a name or label does not end inside the image")
            self._take(stop + 1 - offset)
            found.append(self.data[offset:stop].decode(errors="replace"))
            offset = stop + 1
        return tuple(found)

    def text(self, offset: int) -> str:
        return self.texts(offset, 1)[0] if offset else ""


def _layers(reader: _Reader, input_spec: InputSpec, records: list[Record]) -> tuple[PackedLayer, ...]:
    layers: list[PackedLayer] = []
    maps: list[Map] = []
    for index, record in enumerate(records):
        name = reader.text(record.name)
        try:
            layers.append(_layer(reader, input_spec, records, maps, name))
        except InputError as error:
            raise ImageError(f"layer {index} {name!r}: {error}") from error
        layer = layers[-1]
        maps.append(Map(layer.target, layer.output_type, layer.bound if layer.output_type is MapType.INTEGERS else 1))
    _check_arena(records, layers)
    return tuple(layers)


def _layer(reader: _Reader, input_spec: InputSpec, records: list[Record], before: list[Map], name: str) -> PackedLayer:
    """The layer that follows those with the maps `before`."""
    index = len(before)
    r = records[index]
    _check_kind(r, last=index == len(records) - 1)
    kind, output_type = LayerKind(r.kind), MapType(r.output)
    sources = _sources(records, index)
    source = Shape(r.in_h, r.in_w, r.in_c)
    _check_thresholds(r, kind, output_type)
    conv, target = Shape(r.conv_h, r.conv_w, r.out_c // r.thresholds), Shape(r.out_h, r.out_w, r.out_c)
    given = [Map(input_spec.shape, MapType.PIXELS, input_spec.bound) if s == INPUT else before[s] for s in sources]
    _check_sources(r, kind, source, given)
    window, pool = _windows(r, kind, source, conv, target)
    unpooled = Shape(r.conv_h, r.conv_w, r.out_c)
    maps = (m.size if output_type is MapType.INTEGERS else m.words for m in (unpooled, target))
    size = 4 * max(source.words, *maps)
    _require(size <= MAX_MAP_BYTES, "a map is too large")
    _check_roles(r, kind, output_type)
    weights = _weights(reader, r) if kind.has_filters else None
    bound = _bound(kind, source, r, weights, given)
    _require(r.bound == bound and bound <= BOUND_LIMIT, "an accumulator could overflow")
    shift, scores = _shift(reader, r, kind, output_type)
    return PackedLayer(
        name, kind, sources, source, conv, target, output_type, bound, window, r.groups, r.pad_value, pool,
        r.weight_bits, r.in_thresholds, r.flags == SHARED, weights, shift, scores,
        reader.mask(r.pool_and, r.out_c), reader.mask(r.invert, r.out_c),
    )  # fmt: skip


def _check_kind(r: Record, last: bool) -> None:
    _require(r.kind in LayerKind._value2member_map_, "unknown kind of layer")
    allowed = (MapType.SCORES,) if last else (MapType.BITS, MapType.INTEGERS)
    _require(r.output in allowed, "the last layer, and no other, must give scores")
    _require(r.kind != LayerKind.CONCAT or r.output == MapType.BITS, "a concatenation gives bits")
    widths = (1, 8) if r.kind == LayerKind.WIDE_CONV else (int(LayerKind(r.kind).has_filters),)
    _require(r.weight_bits in widths, "weights of a size that this kind of layer cannot have")
    _require(not (r.flags & ~(SHARED | PER_POSITION) or r.reserved0 or r.reserved1), "reserved fields are set")


def _check_thresholds(r: Record, kind: LayerKind, output_type: MapType) -> None:
    """How many bits an accumulator gives, and a value of the source has. There are channels: they made a map."""
    _require(not r.flags & PER_POSITION, "it has shifts for each position: it needs a newer BitFlow")
    several = output_type is MapType.BITS and kind is not LayerKind.CONCAT
    fits = 1 <= r.thresholds <= (MAX_THRESHOLDS if several else 1) and r.out_c and r.out_c % r.thresholds == 0
    _require(bool(fits), "the thresholds contradict the channels")
    several = kind in (LayerKind.CONV, LayerKind.DENSE, LayerKind.WIDE_CONV)
    fits = 1 <= r.in_thresholds <= (MAX_THRESHOLDS if several else 1)
    fits = fits and r.in_c % (r.in_thresholds * max(r.groups, 1)) == 0
    _require(fits and (r.in_thresholds > 1 or not r.flags & SHARED), "the source has no values of so many bits")


def _sources(records: list[Record], index: int) -> tuple[int, ...]:
    """The sources of a layer: earlier layers whose maps are still in the arena."""
    r = records[index]
    found = (r.source0, r.source1, r.source2, r.source3)
    most = MAX_SOURCES if r.kind in (LayerKind.SUM, LayerKind.CONCAT) else 1
    _require(1 <= r.source_count <= most and not any(found[r.source_count :]), "the sources contradict the layer")
    sources = tuple(INPUT if s == PIXELS else s for s in found[: r.source_count])
    there = all(s == INPUT or (s < index and records[s].last >= index) for s in sources)
    _require(there, "reads a map that is no longer in the arena")
    return sources


def _check_sources(r: Record, kind: LayerKind, source: Shape, given: list[Map]) -> None:
    match kind:
        case LayerKind.INPUT_CONV:
            inputs: tuple[MapType, ...] = (MapType.PIXELS,)
        case LayerKind.WIDE_CONV:
            inputs = _ANY if r.weight_bits == 8 else (MapType.INTEGERS,)
        case LayerKind.SUM | LayerKind.TOTAL:
            inputs = (MapType.BITS, MapType.INTEGERS)
        case LayerKind.CONV | LayerKind.DENSE | LayerKind.CONCAT:
            inputs = (MapType.BITS,)
        case _:
            assert_never(kind)
    _require(all(m.type in inputs for m in given), "reads a type of map that its sources do not give")
    sizes = all((m.shape.height, m.shape.width) == (r.in_h, r.in_w) for m in given)
    if kind is LayerKind.CONCAT:
        fits = sum(m.shape.channels for m in given) == r.in_c
    elif kind in (LayerKind.SUM, LayerKind.TOTAL):
        most = {MapType.BITS: MAX_THRESHOLDS, MapType.INTEGERS: 1}
        fits = all(m.shape.channels in range(r.in_c, most[m.type] * r.in_c + 1, r.in_c) for m in given)
    else:
        fits = all(m.shape.channels == r.in_c for m in given)
        fits = fits and (r.in_thresholds == 1 or given[0].type is MapType.BITS)
    _require(sizes and fits, f"reads a map of {source}, which its sources do not give")
    padded = kind in (LayerKind.CONV, LayerKind.WIDE_CONV) and given[0].type is MapType.BITS
    _require(-1 <= r.pad_value <= 1 and (padded or r.pad_value == 0), "the padding value does not fit the layer")


def _windows(r: Record, kind: LayerKind, source: Shape, conv: Shape, target: Shape) -> tuple[Window, Pool | None]:
    window = Window(
        (r.kernel_h, r.kernel_w),
        (r.stride_h, r.stride_w),
        (r.pad_top, r.pad_left, r.pad_bottom, r.pad_right),
        (r.dilation_h, r.dilation_w),
    )
    fits = r.groups >= 1 and r.in_c % r.groups == 0 and conv.channels % r.groups == 0
    if kind.takes_whole_map or not kind.has_filters:
        kernel = (r.in_h, r.in_w) if kind.takes_whole_map else (1, 1)
        fits = fits and window == Window(kernel) and r.groups == 1
    if kind.has_filters:
        fits = fits and r.kernel_h * r.kernel_w * (r.in_c // r.groups) <= MAX_TAPS
    else:
        fits = fits and r.in_c == conv.channels
    pool, pooled = None, (conv.height, conv.width)
    if r.pool_h:
        padding = (r.pool_top, r.pool_left, r.pool_bottom, r.pool_right)
        pool = Pool(Window((r.pool_h, r.pool_w), (r.pool_stride_h, r.pool_stride_w), padding))
        pooled = pool.window.over(conv.height, conv.width)
        fits = fits and kind is not LayerKind.CONCAT
    else:
        unused = (r.pool_w, r.pool_stride_h, r.pool_stride_w, r.pool_top, r.pool_left, r.pool_bottom, r.pool_right)
        fits = fits and not any(unused)
    fits = fits and window.over(source.height, source.width) == (conv.height, conv.width)
    _require(fits and pooled == (target.height, target.width), "the shapes contradict each other")
    return window, pool


def _check_roles(r: Record, kind: LayerKind, output_type: MapType) -> None:
    """Raise ImageError if a layer has an array that it does not use."""
    compared, scored = output_type is MapType.BITS and kind is not LayerKind.CONCAT, output_type is MapType.SCORES
    for at, used in (
        (r.weights, kind.has_filters),
        (r.shift, compared or scored),
        (r.offset, scored),
        (r.pool_and, compared and r.pool_h > 0),
        (r.invert, compared),
    ):
        _require(used or at == 0, "an array that this kind of layer cannot have")
    _require(not scored or (r.conv_h, r.conv_w, r.pool_h) == (1, 1, 0), "scores of a map")


def _shift(
    reader: _Reader, r: Record, kind: LayerKind, output_type: MapType
) -> tuple[npt.NDArray[np.int32] | None, npt.NDArray[np.int32] | None]:
    """BatchShift, or scale and offset of the scores, checked so that nothing overflows. r.bound was checked before."""
    if output_type is MapType.INTEGERS or kind is LayerKind.CONCAT:
        return None, None
    shift = reader.integers(r.shift, r.out_c)
    if output_type is MapType.BITS:
        _require(bool(np.all((shift >= -r.bound - 1) & (shift <= r.bound))), "a BatchShift is out of range")
        return shift, None
    offset = reader.integers(r.offset, r.out_c)
    top = np.abs(shift.astype(np.int64)) * r.bound + np.abs(offset.astype(np.int64))
    _require(int(top.max()) <= INT32_MAX, "a score could overflow")
    return shift, offset


def _weights(reader: _Reader, r: Record) -> npt.NDArray[np.uint32]:
    used = r.kernel_h * r.kernel_w * (r.in_c // r.groups) * r.weight_bits
    used //= r.in_thresholds if r.flags & SHARED else 1
    filters, words = r.out_c // r.thresholds, bits.words_for(used)
    found = reader.words(r.weights, filters * words).reshape(filters, words)
    _require(_tails_are_zero(found, used), "unused bits of the weights are set")
    _require(r.weight_bits == 1 or not bool(np.any(found.view(np.int8) == -128)), "a weight is -128")
    return found


def _tails_are_zero(words: npt.NDArray[np.uint32], count: int) -> bool:
    """Whether all bits above the first `count` of each row are 0."""
    used = count % bits.WORD
    return used == 0 or not bool(np.any(words[:, -1] >> np.uint32(used)))


def _bound(kind: LayerKind, source: Shape, r: Record, weights: npt.NDArray[np.uint32] | None, given: list[Map]) -> int:
    """The largest absolute accumulator, from the bounds of the sources."""
    terms = sum(m.bound * (m.shape.channels // r.in_c) for m in given)
    match kind:
        case LayerKind.SUM:
            return terms
        case LayerKind.CONCAT:
            return 1
        case LayerKind.TOTAL:
            return source.height * source.width * terms
        case LayerKind.INPUT_CONV | LayerKind.CONV | LayerKind.DENSE | LayerKind.WIDE_CONV:
            if weights is None or r.weight_bits == 1:
                return r.kernel_h * r.kernel_w * (r.in_c // r.groups) * given[0].bound
            absolute = np.abs(weights.view(np.int8))
            heaviest = int(absolute.sum(axis=1, dtype=np.int64).max())
            return heaviest * (r.in_thresholds if r.flags & SHARED else 1) * given[0].bound
        case _:
            assert_never(kind)


def _check_arena(records: list[Record], layers: list[PackedLayer]) -> None:
    """Check that each map is read by the layer that `last` names, and is not overwritten before that."""
    for index, (r, layer) in enumerate(zip(records[:-1], layers, strict=False)):
        read = r.last < len(layers) and index in layers[r.last].sources
        _require(read, f"layer {index} {layer.name!r}: the layer named in `last` does not read its map")
        if r.pinned == TRANSIENT:
            _require(r.last == index + 1, f"layer {index} {layer.name!r}: its map is read after it was overwritten")
            continue
        end = r.pinned + 4 * layer.map_words
        _require(
            r.pinned % 4 == 0 and end <= MAX_MAP_BYTES,
            f"layer {index} {layer.name!r}: its map is pinned outside the arena",
        )
        for other in range(index + 1, r.last + 1):
            begin, size = records[other].pinned, 4 * layers[other].map_words
            apart = begin == TRANSIENT or begin >= end or r.pinned >= begin + size
            _require(apart, f"layer {index} {layer.name!r}: its map is overwritten before it is read")
    last = records[-1]
    _require(last.last == len(records) - 1 and last.pinned == TRANSIENT, "the last layer's map is pinned")
