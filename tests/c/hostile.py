"""Images that bf_open must refuse: one for every check it makes, with the status it must give."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from tests.c.every_kind import every_kind
from tests.c.hostile_plans import plan_cases

from bitflow import bits
from bitflow.geometry import InputSpec, Shape, Window
from bitflow.image.bfn import Image
from bitflow.image.format import HEADER as HEADER_STRUCT
from bitflow.image.format import RECORD as RECORD_STRUCT
from bitflow.image.format import Record
from bitflow.ir import BatchShift, BinaryConv, BinaryDense, InputConv, IntegerLayer, IntegerNetwork, Scores
from bitflow.lower.pack import pack

__all__ = ["cases", "with_crc"]

Change = Callable[[bytearray], None]

# Byte offsets of fields, as SPEC.md gives them; format characters as `struct` has them.
HEADER = {
    "magic": (0, "I"), "version": (4, "H"), "flags": (6, "H"), "size": (8, "I"), "layer_count": (12, "I"),
    "layers": (16, "I"), "name": (20, "I"), "labels": (24, "I"), "classes": (28, "I"), "height": (32, "H"),
    "width": (34, "H"), "channels": (36, "H"), "dtype": (38, "B"), "channel_order": (39, "B"),
    "zero_point": (40, "h"), "resize": (42, "B"), "reserved0": (43, "B"), "extra": (44, "I"),
    "extra_size": (48, "I"), "table": (52, "I"), "reserved1": (56, "I"), "reserved2": (60, "I"),
}  # fmt: skip
RECORD = {
    "kind": (0, "B"), "output": (1, "B"), "pad_value": (2, "b"), "weight_bits": (3, "B"), "in_h": (4, "H"),
    "in_w": (6, "H"), "in_c": (8, "H"), "groups": (10, "H"), "kernel_h": (12, "H"), "kernel_w": (14, "H"),
    "stride_h": (16, "B"), "stride_w": (17, "B"), "dilation_h": (18, "B"), "dilation_w": (19, "B"),
    "pad_top": (20, "B"), "pad_left": (21, "B"), "pad_bottom": (22, "B"), "pad_right": (23, "B"),
    "conv_h": (24, "H"), "conv_w": (26, "H"), "pool_h": (28, "B"), "pool_w": (29, "B"), "pool_stride_h": (30, "B"),
    "pool_stride_w": (31, "B"), "pool_top": (32, "B"), "pool_left": (33, "B"), "pool_bottom": (34, "B"),
    "pool_right": (35, "B"), "out_h": (36, "H"), "out_w": (38, "H"), "out_c": (40, "H"), "source_count": (42, "B"),
    "thresholds": (43, "B"), "source0": (44, "H"), "source1": (46, "H"), "source2": (48, "H"), "source3": (50, "H"),
    "last": (52, "H"), "in_thresholds": (54, "B"), "flags": (55, "B"), "pinned": (56, "I"), "bound": (60, "I"),
    "weights": (64, "I"), "shift": (68, "I"), "offset": (72, "I"), "pool_and": (76, "I"), "invert": (80, "I"),
    "name": (84, "I"), "reserved0": (88, "I"), "reserved1": (92, "I"),
}  # fmt: skip

# The network that is changed: every kind of layer, source and output.
_GOOD = every_kind(0)
_AT = {each.name: index for index, each in enumerate(_GOOD.layers)}
_LAYERS = len(_AT)


def with_crc(data: bytearray) -> bytes:
    """The image with its CRC repaired."""
    data[-4:] = zlib.crc32(data[:-4]).to_bytes(4, "little")
    return bytes(data)


def header(**values: int) -> Change:
    """Set header fields."""

    def change(data: bytearray) -> None:
        for name, value in values.items():
            at, kind = HEADER[name]
            struct.pack_into("<" + kind, data, at, value)

    return change


def _at(name: str, key: str) -> tuple[str, int]:
    at, kind = RECORD[key]
    return "<" + kind, HEADER_STRUCT.size + RECORD_STRUCT.size * _AT[name] + at


def field(data: bytes, name: str, key: str) -> int:
    """A field of a layer's record."""
    kind, at = _at(name, key)
    return int(struct.unpack_from(kind, data, at)[0])


def layer(name: str, /, **values: int) -> Change:
    """Set fields of a layer's record."""

    def change(data: bytearray) -> None:
        for key, value in values.items():
            kind, at = _at(name, key)
            struct.pack_into(kind, data, at, value)

    return change


def more(name: str, key: str, by: int) -> Change:
    """Add to a field of a layer's record."""

    def change(data: bytearray) -> None:
        layer(name, **{key: field(data, name, key) + by})(data)

    return change


def array(name: str, role: str, word: int, value: int) -> Change:
    """Set a 32-bit word of one of a layer's arrays."""

    def change(data: bytearray) -> None:
        struct.pack_into("<I", data, field(data, name, role) + 4 * word, value & 0xFFFFFFFF)

    return change


# A layer of one channel without padding, pool or groups.
PLAIN = dict.fromkeys(
    ("pad_top", "pad_left", "pad_bottom", "pad_right", "pool_h", "pool_w", "pool_stride_h", "pool_stride_w", "pool_top",
     "pool_left", "pool_bottom", "pool_right", "pool_and"), 0
) | dict.fromkeys(("stride_h", "stride_w", "dilation_h", "dilation_w", "groups", "in_c"), 1)  # fmt: skip


def square(side: int, *fields: str) -> dict[str, int]:
    """Heights and widths, all alike."""
    return {f"{name}_{axis}": side for name in fields for axis in "hw"}


def short_shift(name: str) -> Change:
    """A layer's shifts where there is room for all of its filters, but not for all of their thresholds."""

    def change(data: bytearray) -> None:
        filters = field(data, name, "out_c") // field(data, name, "thresholds")
        layer(name, shift=len(data) - 4 - 4 * filters)(data)

    return change


# A pool with as much padding as it can have makes a map larger: 1x1 becomes 255x255.
GROWING = square(255, "pool", "out") | square(1, "pool_stride")
GROWING |= dict.fromkeys(("pool_top", "pool_left", "pool_bottom", "pool_right"), 254)

PIXELS, TRANSIENT = 0xFFFF, 0xFFFFFFFF

CHANGES: list[tuple[str, Change, str]] = [
    # Header.
    ("magic", header(magic=0), "MAGIC"),
    *((f"version {version}", header(version=version), "VERSION") for version in (0, 1, 2, 4, 259)),
    ("size beyond the end", header(size=1 << 30), "TRUNCATED"),
    ("size too small", header(size=64), "HEADER"),
    ("size before the end", header(size=100), "HEADER"),
    ("flags", header(flags=2), "HEADER"),
    ("flags beside the known one", header(flags=0x101), "HEADER"),
    ("table of pixels", header(table=64), "FEATURE"),
    *((f"reserved {n} of the header", header(**{f"reserved{n}": 1}), "HEADER") for n in range(3)),
    ("dtype", header(dtype=2), "HEADER"),
    ("zero point", header(zero_point=300), "HEADER"),
    ("no layers", header(layer_count=0), "HEADER"),
    ("too many layers", header(layer_count=1025), "HEADER"),
    ("no classes", header(classes=0), "HEADER"),
    ("extra outside", header(extra=64, extra_size=1 << 31), "BOUNDS"),
    ("records on odd bytes", header(layers=66), "BOUNDS"),
    ("records outside", header(layer_count=1000), "BOUNDS"),
    ("name in the header", header(name=8), "TEXT"),
    ("name outside", header(name=1 << 30), "TEXT"),
    ("labels outside", header(classes=60000), "TEXT"),
    ("layer's name outside", layer("wide", name=1 << 30), "TEXT"),
    # A record for itself.
    ("unknown kind", layer("wide", kind=7), "KIND"),
    ("scores in the middle", layer("wide", output=1), "KIND"),
    ("bits at the end", layer("scores", output=0), "KIND"),
    ("unknown output", layer("wide", output=3), "KIND"),
    ("concatenation of integers", layer("joined", output=2), "KIND"),
    ("weights of two bits", layer("wide", weight_bits=2), "KIND"),
    ("first layer of bytes", layer("first", weight_bits=8), "KIND"),
    ("sum with weights", layer("residual", weight_bits=1), "KIND"),
    ("reserved", layer("first", reserved0=1), "SHAPE"),
    ("reserved at the end", layer("first", reserved1=1), "SHAPE"),
    ("empty map", layer("first", in_h=0), "SHAPE"),
    ("groups", layer("wide", groups=4), "SHAPE"),
    ("kernel", layer("first", kernel_h=200), "SHAPE"),
    ("dense with a stride", layer("dense", stride_h=2), "SHAPE"),
    ("dense with a smaller kernel", layer("dense", kernel_h=1, conv_h=2, out_h=2), "SHAPE"),
    ("sum with a window", layer("residual", kernel_h=2, conv_h=5, out_h=5), "SHAPE"),
    ("total of another width", layer("total of bits", out_c=5), "SHAPE"),
    (
        "too many taps",
        layer("first", **(PLAIN | {"in_c": 32}), **square(8192, "in", "kernel"), **square(1, "conv", "out")),
        "SHAPE",
    ),
    ("pool without height", layer("first", pool_w=2), "SHAPE"),
    ("no pool, other map", layer("dense", out_h=2), "SHAPE"),
    ("pooled concatenation", layer("joined", pool_h=1, pool_w=1, pool_stride_h=1, pool_stride_w=1), "SHAPE"),
    ("pooled scores", layer("scores", pool_h=1, pool_w=1, pool_stride_h=1, pool_stride_w=1), "SHAPE"),
    ("pool outside", layer("added", pool_top=200), "SHAPE"),
    ("pooled map", layer("added", out_w=1), "SHAPE"),
    ("weights of a sum", layer("residual", weights=64), "SHAPE"),
    ("shift of integers", layer("residual", shift=64), "SHAPE"),
    ("shift of a concatenation", layer("joined", shift=64), "SHAPE"),
    ("offset without scores", layer("wide", offset=64), "SHAPE"),
    ("AND mask without a pool", layer("wide", pool_and=64), "SHAPE"),
    ("inverted integers", layer("residual", invert=64), "SHAPE"),
    ("inverted concatenation", layer("joined", invert=64), "SHAPE"),
    (
        "map of inputs",
        layer(
            "first",
            **(PLAIN | {"stride_h": 255, "stride_w": 255}),
            **square(60000, "in"),
            **square(1, "kernel"),
            **square(236, "conv", "out"),
        ),
        "SHAPE",
    ),
    (
        "map of accumulators",
        layer("first", **PLAIN, **square(1000, "in", "conv", "out"), **square(1, "kernel"), out_c=65535),
        "SHAPE",
    ),
    ("map after the pool", layer("total of integers", in_c=65535, out_c=65535, **GROWING), "SHAPE"),
    ("other classes", header(classes=1), "SHAPE"),
    ("scores of a map", layer("scores", pad_top=1, conv_h=2, out_h=2), "SHAPE"),
    # Thresholds, and the bits of values.
    ("no threshold", layer("levels", thresholds=0), "SHAPE"),
    ("nine thresholds", layer("levels", thresholds=9), "SHAPE"),
    ("filters of a fraction of thresholds", layer("levels", thresholds=4), "SHAPE"),
    ("filters that do not fill groups", layer("grouped values", thresholds=4), "SHAPE"),
    ("sum of other channels than its thresholds have", layer("added bits", thresholds=1), "SHAPE"),
    ("thresholds of a sum that gives as many channels", layer("narrow", thresholds=2), "SHAPE"),
    ("no threshold of a sum", layer("added bits", thresholds=0), "SHAPE"),
    ("thresholds of scores", layer("scores", thresholds=2), "SHAPE"),
    ("thresholds of integers", layer("shared", thresholds=2), "SHAPE"),
    ("thresholds of a concatenation", layer("joined", thresholds=3), "SHAPE"),
    ("values of no bits", layer("shared", in_thresholds=0), "SHAPE"),
    ("values of nine bits", layer("shared", in_thresholds=9), "SHAPE"),
    ("values of a fraction of the channels", layer("shared", in_thresholds=4), "SHAPE"),
    ("groups of a fraction of the values", layer("shared bytes", in_thresholds=6), "SHAPE"),
    ("values of a first layer", layer("first", in_thresholds=2), "SHAPE"),
    ("values of a sum", layer("added bits", in_thresholds=2), "SHAPE"),
    ("values of a concatenation", layer("joined", in_thresholds=2), "SHAPE"),
    ("values of a total", layer("total of values", in_thresholds=2), "SHAPE"),
    ("shared weights of values of one bit", layer("body", flags=1), "SHAPE"),
    ("shared weights of a sum", layer("residual", flags=1), "SHAPE"),
    ("flags of a record", layer("shared", flags=5), "SHAPE"),
    ("flags beside a later one", layer("first", flags=0x82), "SHAPE"),
    ("shifts for each position", layer("first", flags=2), "FEATURE"),
    ("shared weights and shifts for each position", layer("shared", flags=3), "FEATURE"),
    # A record with its sources.
    ("integers as values", layer("both", in_thresholds=2), "CHAIN"),
    ("pixels as values", layer("wide", in_thresholds=2, groups=1), "CHAIN"),
    ("sum of more than eight bits", layer("total of levels", in_c=2, out_c=4), "CHAIN"),
    ("sum of a fraction of the channels", layer("total of levels", in_c=5, out_c=10), "CHAIN"),
    ("sum of fewer channels than it has", layer("total of bits", in_c=12, out_c=12), "CHAIN"),
    ("sum of several integers", layer("total of integers", in_c=3, out_c=3), "CHAIN"),
    ("sum of several integers among others", layer("added bits", in_c=3, out_c=6), "CHAIN"),
    ("no source", layer("first", source_count=0), "CHAIN"),
    ("two sources", layer("grouped", source_count=2), "CHAIN"),
    ("five sources", layer("all four", source_count=5), "CHAIN"),
    ("unused source", layer("first", source1=1), "CHAIN"),
    ("its own source", layer("body", source0=2), "CHAIN"),
    ("source that is gone", layer("grouped", source0=2), "CHAIN"),
    ("pixels in the middle", layer("body", source0=PIXELS), "KIND"),
    ("sum of pixels", layer("residual", source2=PIXELS), "KIND"),
    ("integers as bits", layer("body", kind=2), "SHAPE"),
    ("bits as integers", layer("pooled", source0=5), "KIND"),
    ("integers side by side", layer("joined", source1=7), "KIND"),
    ("height", header(height=1), "CHAIN"),
    ("channels", header(channels=9), "CHAIN"),
    ("channels of a concatenation", layer("joined", in_c=17, out_c=17), "CHAIN"),
    ("padding value", layer("body", pad_value=2), "SHAPE"),
    ("padding value of pixels", layer("first", pad_value=1), "SHAPE"),
    ("padding value of integers", layer("pooled", pad_value=1), "SHAPE"),
    ("padding value of a dense layer", layer("dense", pad_value=1), "SHAPE"),
    # The arena.
    ("map on odd bytes", more("first", "pinned", 2), "MAPS"),
    ("map far away", layer("first", pinned=1 << 28), "MAPS"),
    ("maps that overlap", layer("wide", pinned=0), "MAPS"),
    ("map that is not pinned", layer("first", pinned=TRANSIENT), "MAPS"),
    ("pinned scores", layer("scores", pinned=0), "CHAIN"),
    ("scores that are read", layer("scores", last=0), "CHAIN"),
    ("map that is read before its last", layer("first", last=_LAYERS - 1), "CHAIN"),
    ("map that is read after the end", layer("first", last=_LAYERS), "CHAIN"),
    # Arrays.
    ("weights outside", layer("wide", weights=1 << 30), "BOUNDS"),
    ("no weights", layer("wide", weights=0), "BOUNDS"),
    ("shift outside", layer("wide", shift=1 << 30), "BOUNDS"),
    ("no shift", layer("wide", shift=0), "BOUNDS"),
    ("offset outside", layer("scores", offset=1 << 30), "BOUNDS"),
    ("shifts of one threshold", short_shift("levels"), "BOUNDS"),
    ("shifts of one threshold of a sum", short_shift("added bits"), "BOUNDS"),
    ("shared weights outside", layer("shared", weights=1 << 30), "BOUNDS"),
    ("AND mask outside", layer("added", pool_and=1 << 30), "BOUNDS"),
    ("invert mask outside", layer("wide", invert=1 << 30), "BOUNDS"),
    ("unused weight bits", array("first", "weights", 0, 0xFFFFFFFF), "RANGE"),
    ("unused weight bytes", array("wide", "weights", 1, 0x01000000), "RANGE"),
    ("weight of -128", array("wide", "weights", 0, 0x80), "RANGE"),
    ("unused bits of shared weights", array("shared", "weights", 1, 0xFFFFFFFF), "RANGE"),
    ("shared weight of -128", array("shared bytes", "weights", 0, 0x80), "RANGE"),
    ("unused AND bits of several thresholds", array("levels", "pool_and", 0, 0xFFFFFFFF), "RANGE"),
    ("unused AND bits", array("added", "pool_and", 0, 0xFFFFFFFF), "RANGE"),
    ("unused invert bits", array("wide", "invert", 0, 0xFFFFFFFF), "RANGE"),
    ("shift too large", array("first", "shift", 0, 0x7FFFFFFF), "RANGE"),
    ("shift of the last threshold too large", array("levels", "shift", 17, 0x7FFFFFFF), "RANGE"),
    ("shift of the last threshold too small", array("levels", "shift", 17, -(1 << 31)), "RANGE"),
    ("score too large", array("scores", "shift", 0, 0x7FFFFFFF), "RANGE"),
    ("bound beyond all", layer("wide", bound=1 << 30), "RANGE"),
    *((f"bound of {name}", more(name, "bound", 1), "RANGE") for name in _AT),
]


def sharing_names() -> bytes:
    """Each layer has the network's name, which is long."""
    data = bytearray(Image.of(dataclasses.replace(_GOOD, name="n" * 500)).data)
    name = struct.unpack_from("<I", data, HEADER["name"][0])[0]
    for each in _AT:
        layer(each, name=name)(data)
    return with_crc(data)


def sharing_weights(layers: int = 4) -> bytes:
    """Each layer but the first has the weights of the one before; in the image they stand once."""
    shape, window, zeros = Shape(1, 1, 64), Window((1, 1)), BatchShift(np.zeros(64))
    signs = bits.sign(np.random.default_rng(0).integers(-1, 1, (64, 1, 1, 64)))
    input_spec = InputSpec(shape)
    first = IntegerLayer("", InputConv(shape, signs, window, input_spec), zeros)
    middle = IntegerLayer("", BinaryConv(shape, signs, window), zeros)
    last = IntegerLayer("", BinaryDense(shape, signs), Scores(zeros.shift + 1, zeros.shift))
    network = pack(IntegerNetwork("", input_spec, (first, *(middle,) * layers, last)))
    data = Image.of(network).data
    weights = [a for a in Image.of(network).placed.arrays if a.role == "weights"]
    spare = sum(a.values.nbytes for a in weights[1:])

    def moved(offset: int) -> int:
        """Where what stood at an offset stands now."""
        if any(offset == a.offset for a in weights):
            return weights[0].offset
        return offset - sum(a.values.nbytes for a in weights[1:] if a.offset < offset)

    for index in range(len(network.layers)):
        at = HEADER_STRUCT.size + RECORD_STRUCT.size * index
        record = Record(*RECORD_STRUCT.unpack_from(data, at))
        fields = {role: moved(getattr(record, role)) for role in ("weights", "shift", "offset", "name")}
        data = data[:at] + RECORD_STRUCT.pack(*record._replace(**fields)) + data[at + RECORD_STRUCT.size :]
    for a in reversed(weights[1:]):
        data = data[: a.offset] + data[a.offset + a.values.nbytes :]
    small = bytearray(data)
    header(size=len(small), name=moved(struct.unpack_from("<I", data, HEADER["name"][0])[0]))(small)
    assert len(small) + spare == Image.of(network).placed.size
    return with_crc(small)


def cases() -> Iterator[tuple[str, bytes, str]]:
    """(name, image, name of the status without BF_ERR_)."""
    good = Image.of(_GOOD).data
    for name, change, status in CHANGES:
        data = bytearray(good)
        change(data)
        yield name, with_crc(data), status
    yield "names that share bytes", sharing_names(), "BOUNDS"
    yield "arrays that share bytes", sharing_weights(), "BOUNDS"
    yield "too short", good[:40], "TRUNCATED"
    yield "damaged", good[:-1] + bytes([good[-1] ^ 1]), "CRC"
    yield from plan_cases()
