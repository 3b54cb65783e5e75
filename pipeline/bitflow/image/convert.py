"""Images of older versions of the format."""

from __future__ import annotations

import struct
import zlib

from bitflow.errors import ImageError
from bitflow.image.format import HEADER, MAGIC, MAX_LAYERS, RECORD, VERSION
from bitflow.image.read import decode
from bitflow.packed import PackedNetwork

__all__ = ["OLDEST", "decode_any"]

OLDEST = 2

# Offsets in a record of what version 2 kept at 0 and now is at least 1: thresholds, in_thresholds.
_COUNTS = (43, 54)


def decode_any(data: bytes) -> PackedNetwork:
    """The network in a `.bfn` of version 2 or later. Raises ImageError as `decode` does."""
    if len(data) < HEADER.size + 4 or data[:4] != MAGIC or data[4:6] != OLDEST.to_bytes(2, "little"):
        return decode(data)
    if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise ImageError("the image is damaged: its CRC-32 does not match")
    count, records = struct.unpack_from("<II", data, 12)
    if not (1 <= count <= MAX_LAYERS and HEADER.size <= records <= len(data) - 4 - count * RECORD.size):
        raise ImageError("an offset leads outside the image")
    new = bytearray(data)
    new[4:6] = VERSION.to_bytes(2, "little")
    for at in range(records, records + count * RECORD.size, RECORD.size):
        for offset in _COUNTS:
            if new[at + offset]:
                raise ImageError("reserved fields are set")
            new[at + offset] = 1
    new[-4:] = zlib.crc32(new[:-4]).to_bytes(4, "little")
    return decode(bytes(new))
