"""Frames of the serial link as pure functions: bytes in, values out. SPEC.md gives every byte.

A frame is 0x00, COBS of a payload, 0x00; a payload is kind, sequence number, body, CRC-32 of all before it.
"""

from __future__ import annotations

import functools
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from bitflow import resources
from bitflow.errors import DeviceError
from bitflow_hil.link.mlperf_text import READY

__all__ = ["CHUNK", "Decoder", "Frame", "Info", "Kind", "Missing", "Scores", "chunks_of", "encode", "status_text"]

CHUNK = 96
"""The most bytes of an input, an image or a text in one frame."""

LINK_VERSION = 1
_INFO = struct.Struct("<HHIIIIHHIIIHHII")
_SCORES = struct.Struct("<HQHH")


class Kind(IntEnum):
    """What a frame requests. The kind of an answer is that of its request plus 0x80, or MISSING or ERROR."""

    HELLO = 1
    INPUT = 2
    RUN = 3
    SCORES = 4
    PROFILE = 5
    HIDDEN = 6
    LOAD = 7
    RESET = 8
    SELF_TEST = 9
    CALIBRATE = 10
    MISSING = 0xFE
    ERROR = 0xFF

    @property
    def answer(self) -> int:
        return self + 0x80


_STATUS = {
    -64: "no HELLO yet, or the device was reset since",
    -65: "the device does not take this request",
    -66: "the device holds a newer image",
    -67: "the device does not hold this image",
    -68: "the device has no room for this network",
    -69: "a loaded network has no self-test",
}
STATUS_SESSION = -64


def status_text(status: int) -> str:
    """English text of a status of the link or, as in bitflow.h, of the C library."""
    return _STATUS.get(status) or _library_statuses().get(status, f"unknown status {status}")


@functools.cache
def _library_statuses() -> dict[int, str]:
    """The list BF_STATUS_LIST of bitflow.h, the only place that defines the numbers."""
    header = (resources.c_library() / "include" / "bitflow.h").read_text(encoding="utf-8")
    return {int(number): text for number, text in re.findall(r'X\(BF_\w+, (-?\d+), "([^"]*)"\)', header)}


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame.

    kind, sequence: 0..255.
    body: at most 110 bytes.
    """

    kind: int
    sequence: int
    body: bytes = b""


def encode(frame: Frame) -> bytes:
    """The bytes of a frame on the line, with the 0x00 at both ends."""
    payload = bytes((frame.kind, frame.sequence)) + frame.body
    from cobs import cobs  # from the extra `hil`

    code: bytes = cobs.encode(payload + struct.pack("<I", zlib.crc32(payload)))
    return b"\0" + code + b"\0"


_GREETING_END = f"{READY}\r\n".encode()
"""Starting firmware prints a greeting as text, maybe just before its first frame; it does not count as damage."""


class Decoder:
    """Finds frames in a stream of bytes. Damaged ones are dropped and counted in `damaged`."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self.damaged = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that `data` completes, in order."""
        *whole, rest = (bytes(self._rest) + data).split(b"\0")
        self._rest = bytearray(rest)
        return list(self._decode(part for part in whole if part))

    def _decode(self, parts: Iterable[bytes]) -> Iterator[Frame]:
        from cobs import cobs

        for part in parts:
            try:
                payload = cobs.decode(part)
            except cobs.DecodeError:
                payload = b""
            if len(payload) >= 6 and zlib.crc32(payload[:-4]) == int.from_bytes(payload[-4:], "little"):
                yield Frame(payload[0], payload[1], payload[2:-4])
            elif not part.endswith(_GREETING_END):
                self.damaged += 1


def chunks_of(data: bytes) -> list[tuple[int, bytes]]:
    """Data in pieces of CHUNK bytes, each with its offset."""
    return [(offset, data[offset : offset + CHUNK]) for offset in range(0, len(data), CHUNK)]


@dataclass(frozen=True, slots=True)
class Info:
    """A device and the network in use, as in the info block (SPEC.md)."""

    cpuid: int
    crc32: int
    model_bytes: int
    input_bytes: int
    classes: int
    layers: int
    arena_bytes: int
    timer_hz: int
    load_bytes: int
    slots: int
    loaded: bool
    stack_bytes: int
    stack_used: int
    build_id: str
    board: str
    version: str
    name: str
    labels: tuple[str, ...]

    @classmethod
    def from_block(cls, block: bytes) -> Info:
        """The info block of HELLO as values. Raises DeviceError for another version of the link."""
        if len(block) < _INFO.size or (version := block[0] | block[1] << 8) != LINK_VERSION:
            said = version if len(block) >= _INFO.size else "none"
            raise DeviceError(f"the device speaks version {said} of the link, not {LINK_VERSION}; flash it again")
        _, size, cpuid, crc, model, inp, classes, layers, arena, hz, load, slots, flags, stack, used = (
            _INFO.unpack_from(block)
        )
        texts = block[size:].split(b"\0")[:-1]
        build_id, board, release, name, *labels = (text.decode("utf-8", "replace") for text in texts)
        return cls(
            cpuid, crc, model, inp, classes, layers, arena, hz, load, slots, bool(flags & 1), stack, used,
            build_id, board, release, name, tuple(labels),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scores:
    """A part of the scores of an image: from class `first` on."""

    image: int
    ticks: int
    classes: int
    first: int
    scores: tuple[int, ...]

    @classmethod
    def from_body(cls, body: bytes) -> Scores:
        image, ticks, classes, first = _SCORES.unpack_from(body)
        values = body[_SCORES.size :]
        return cls(image, ticks, classes, first, struct.unpack(f"<{len(values) // 4}i", values))


@dataclass(frozen=True, slots=True)
class Missing:
    """Chunks that a device lacks: how many, and the numbers of the first of them."""

    image: int
    count: int
    chunks: tuple[int, ...]

    @classmethod
    def from_body(cls, body: bytes) -> Missing:
        image, count = struct.unpack_from("<HH", body)
        return cls(image, count, struct.unpack(f"<{(len(body) - 4) // 2}H", body[4:]))
