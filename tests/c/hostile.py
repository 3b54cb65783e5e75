"""Images that bf_open must refuse: one for every check it makes, with the status it must give."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

from bitflow.check.random_networks import random_network
from bitflow.lower import image
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack

__all__ = ["cases", "with_crc"]

Change = Callable[[bytearray], None]

# Byte offsets of fields, as SPEC.md gives them; format characters as `struct` has them.
HEADER = {
    "magic": (0, "I"), "version": (4, "H"), "flags": (6, "H"), "size": (8, "I"), "layer_count": (12, "I"),
    "layers": (16, "I"), "name": (20, "I"), "labels": (24, "I"), "classes": (28, "I"), "height": (32, "H"),
    "width": (34, "H"), "channels": (36, "H"), "dtype": (38, "B"), "channel_order": (39, "B"),
    "zero_point": (40, "h"), "resize": (42, "B"), "reserved0": (43, "B"), "extra": (44, "I"),
    "extra_size": (48, "I"), "reserved1": (52, "I"), "reserved2": (56, "I"), "reserved3": (60, "I"),
}  # fmt: skip
RECORD = {
    "kind": (0, "B"), "output": (1, "B"), "pad_value": (2, "b"), "reserved0": (3, "B"), "in_h": (4, "H"),
    "in_w": (6, "H"), "in_c": (8, "H"), "groups": (10, "H"), "kernel_h": (12, "H"), "kernel_w": (14, "H"),
    "stride_h": (16, "B"), "stride_w": (17, "B"), "dilation_h": (18, "B"), "dilation_w": (19, "B"),
    "pad_top": (20, "B"), "pad_left": (21, "B"), "pad_bottom": (22, "B"), "pad_right": (23, "B"),
    "conv_h": (24, "H"), "conv_w": (26, "H"), "pool_h": (28, "B"), "pool_w": (29, "B"), "pool_stride_h": (30, "B"),
    "pool_stride_w": (31, "B"), "pool_top": (32, "B"), "pool_left": (33, "B"), "pool_bottom": (34, "B"),
    "pool_right": (35, "B"), "out_h": (36, "H"), "out_w": (38, "H"), "out_c": (40, "H"), "reserved1": (42, "H"),
    "weights": (44, "I"), "shift": (48, "I"), "offset": (52, "I"), "pool_and": (56, "I"), "name": (60, "I"),
}  # fmt: skip


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


def layer(index: int, **values: int) -> Change:
    """Set fields of a layer's record."""

    def change(data: bytearray) -> None:
        for name, value in values.items():
            at, kind = RECORD[name]
            struct.pack_into("<" + kind, data, 64 + 64 * index + at, value)

    return change


def _field(data: bytes, index: int, name: str) -> int:
    at, kind = RECORD[name]
    return int(struct.unpack_from("<" + kind, data, 64 + 64 * index + at)[0])


def array(index: int, role: str, word: int, value: int) -> Change:
    """Set a 32-bit word of one of a layer's arrays."""

    def change(data: bytearray) -> None:
        struct.pack_into("<I", data, _field(data, index, role) + 4 * word, value & 0xFFFFFFFF)

    return change


# The network: seed 2 has every kind, a pool with AND channels, and 5 layers.
# A first layer without padding, pool or groups, and one whose map is a square.
PLAIN = dict.fromkeys(
    ("pad_top", "pad_left", "pad_bottom", "pad_right", "pool_h", "pool_w", "pool_stride_h", "pool_stride_w", "pool_top",
     "pool_left", "pool_bottom", "pool_right", "pool_and"), 0
) | {"stride_h": 1, "stride_w": 1, "groups": 1, "in_c": 1}  # fmt: skip


def square(side: int) -> dict[str, int]:
    """A map of side x side, pooled or not."""
    return dict.fromkeys(("conv_h", "conv_w", "out_h", "out_w"), side)


CHANGES: list[tuple[str, Change, str]] = [
    ("magic", header(magic=0), "MAGIC"),
    ("version", header(version=2), "VERSION"),
    ("size beyond the end", header(size=1 << 30), "TRUNCATED"),
    ("size too small", header(size=100), "HEADER"),
    ("flags", header(flags=1), "HEADER"),
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
    ("layer's name outside", layer(1, name=1 << 30), "TEXT"),
    ("unknown kind", layer(1, kind=3), "KIND"),
    ("pixels in the middle", layer(1, kind=0), "KIND"),
    ("scores in the middle", layer(1, output=1), "KIND"),
    ("reserved", layer(0, reserved0=1), "SHAPE"),
    ("empty map", layer(0, in_h=0), "SHAPE"),
    ("groups", layer(2, groups=2), "SHAPE"),
    ("kernel", layer(0, kernel_h=200), "SHAPE"),
    ("dense with a stride", layer(3, stride_h=2), "SHAPE"),
    ("padding value", layer(1, pad_value=2), "SHAPE"),
    ("padding value of pixels", layer(0, pad_value=1), "SHAPE"),
    ("pool without height", layer(0, pool_h=0, pool_w=2), "SHAPE"),
    ("no pool, other map", layer(3, out_h=2), "SHAPE"),
    ("pool outside", layer(0, pool_top=200), "SHAPE"),
    ("pooled map", layer(0, out_w=1), "SHAPE"),
    ("offset without scores", layer(1, offset=64), "SHAPE"),
    ("other classes", header(classes=1), "SHAPE"),
    ("chain", header(height=1), "CHAIN"),
    ("weights outside", layer(1, weights=1 << 30), "BOUNDS"),
    ("shift outside", layer(1, shift=1 << 30), "BOUNDS"),
    ("offset outside", layer(4, offset=1 << 30), "BOUNDS"),
    ("AND mask outside", layer(0, pool_and=1 << 30), "BOUNDS"),
    ("unused weight bits", array(0, "weights", 0, 0xFFFFFFFF), "RANGE"),
    ("unused mask bits", array(1, "pool_and", 0, 0xFFFFFFFF), "RANGE"),
    ("shift too large", array(0, "shift", 0, 0x7FFFFFFF), "RANGE"),
    ("score too large", array(4, "shift", 0, 0x7FFFFFFF), "RANGE"),
    (
        "map of accumulators",
        layer(0, in_h=60000, in_w=60000, kernel_h=1, kernel_w=1, **PLAIN, **square(60000)),
        "SHAPE",
    ),
    ("map of inputs", layer(0, in_h=60000, in_w=60000, kernel_h=60000, kernel_w=60000, **PLAIN, **square(1)), "SHAPE"),
    (
        "reach",
        layer(0, in_h=1024, in_w=1024, kernel_h=1024, kernel_w=1024, **(PLAIN | {"in_c": 32}), **square(1)),
        "RANGE",
    ),
    ("reach of an area", layer(0, in_h=32768, in_w=2048, kernel_h=32768, kernel_w=2048, **PLAIN, **square(1)), "RANGE"),
]


def cases() -> Iterator[tuple[str, bytes, str]]:
    """(name, image, name of the status without BF_ERR_)."""
    good = image.encode(pack(fuse(random_network(2))))
    for name, change, status in CHANGES:
        data = bytearray(good)
        change(data)
        yield name, with_crc(data), status
    yield "too short", good[:40], "TRUNCATED"
    yield "damaged", good[:-1] + bytes([good[-1] ^ 1]), "CRC"
