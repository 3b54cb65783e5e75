"""The structs and limits of a `.bfn`. SPEC.md gives them byte by byte."""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = [
    "APPROXIMATE",
    "DTYPES",
    "HEADER",
    "LOGITS_TAG",
    "MAGIC",
    "MAX_BYTES",
    "MAX_LAYERS",
    "MAX_MAP_BYTES",
    "MAX_TAPS",
    "OLDEST",
    "PER_POSITION",
    "PIXELS",
    "RECORD",
    "ROLES",
    "SHARED",
    "TRANSIENT",
    "VERSION",
    "Record",
]

MAGIC = b"BFN1"
VERSION = 3
OLDEST = 2  # version that `bitflow convert` reads
HEADER = struct.Struct("<4sHHIIIIIIHHHBBhBBIIIII")
RECORD = struct.Struct("<BBbB HHH H HH BBBB BBBB HH BBBB BBBB HHH BB HHHH HBB II IIIIII II")
LOGITS_TAG = b"LGT1"
DTYPES = ("uint8", "int8")
ROLES = ("weights", "shift", "offset", "pool_and", "invert")  # of a layer's arrays, in the order of the image

PIXELS = 0xFFFF  # as a source: the input
APPROXIMATE = 1  # flag of a header: rounded somewhere, not exactly the network that was trained
SHARED = 1  # flag of a record: a filter has one weight for all bits of a value
PER_POSITION = 2  # flag of a record: each position has shifts of its own

TRANSIENT = 0xFFFFFFFF  # as `pinned`: only the next layer reads the map

MAX_LAYERS = 1024
MAX_BYTES = 256 * 2**20
MAX_MAP_BYTES = 2**28  # of a map, and of all pinned maps together
MAX_TAPS = MAX_MAP_BYTES // 4  # of a filter: a window of them as int32 is no larger than a map


class Record(NamedTuple):
    """A layer record, field by field."""

    kind: int
    output: int
    pad_value: int
    weight_bits: int
    in_h: int
    in_w: int
    in_c: int
    groups: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int
    pad_bottom: int
    pad_right: int
    conv_h: int
    conv_w: int
    pool_h: int
    pool_w: int
    pool_stride_h: int
    pool_stride_w: int
    pool_top: int
    pool_left: int
    pool_bottom: int
    pool_right: int
    out_h: int
    out_w: int
    out_c: int
    source_count: int
    thresholds: int
    source0: int
    source1: int
    source2: int
    source3: int
    last: int
    in_thresholds: int
    flags: int
    pinned: int
    bound: int
    weights: int
    shift: int
    offset: int
    pool_and: int
    invert: int
    name: int
    reserved0: int
    reserved1: int
