"""A device in memory, which answers like the firmware and computes with the NumPy reference.

It tests programs that talk to devices, without an emulator:

    device = Device(MockDevice(network).line())
"""

from __future__ import annotations

import struct

import numpy as np

from bitflow._version import __version__
from bitflow.engines.reference import Trace, run_packed
from bitflow.errors import ImageError
from bitflow.image.bfn import Image
from bitflow.image.read import decode
from bitflow.ir import PackedNetwork
from bitflow_hil.link.frames import CHUNK, Decoder, Frame, Kind, encode
from bitflow_hil.link.transport import MemoryTransport

__all__ = ["MockDevice"]

_PART = 24  # scores, ticks or words in one answer
_NAMED = 48  # chunks in one MISSING
_TICKS = 1000  # of each layer, made up


class _Inbox:
    """Bytes that arrive in chunks."""

    def __init__(self, number: int, size: int) -> None:
        self.number, self.data = number, bytearray(size)
        self.missing = set(range(-(-size // CHUNK)))

    def put(self, offset: int, chunk: bytes) -> bool:
        index = offset // CHUNK
        sound = offset % CHUNK == 0 and offset < len(self.data) and len(chunk) == min(CHUNK, len(self.data) - offset)
        if sound and index in self.missing:
            self.data[offset : offset + len(chunk)] = chunk
            self.missing.discard(index)
        return sound

    def report(self) -> tuple[int, bytes]:
        named = sorted(self.missing)[:_NAMED]
        return Kind.MISSING, struct.pack(f"<HH{len(named)}H", self.number, len(self.missing), *named)


class MockDevice:
    """Serves the requests of the link for a network.

    runs: number of images computed.
    sessions: number of HELLOs that began a session.
    """

    def __init__(self, network: PackedNetwork) -> None:
        self._builtin = network
        self._decoder = Decoder()
        self.runs = 0
        self.sessions = 0
        self.reboot()

    def line(self) -> MemoryTransport:
        """A line to this device."""
        return MemoryTransport(self.respond)

    def reboot(self) -> None:
        """Lose the session, the inputs and a loaded network, as in a reset."""
        self._session = 0
        self._use(self._builtin)

    def _use(self, network: PackedNetwork) -> None:
        self._network, self._loaded = network, network is not self._builtin
        self._slots: dict[int, _Inbox] = {}
        self._scores: dict[int, tuple[int, ...]] = {}
        self._stored: dict[tuple[int, int, bytes], bytes] = {}
        self._incoming: _Inbox | None = None

    def respond(self, data: bytes) -> bytes:
        """The bytes that the device sends in response."""
        return b"".join(self._serve(frame) for frame in self._decoder.feed(data))

    def _serve(self, frame: Frame) -> bytes:
        key = (frame.kind, frame.sequence, frame.body)
        if key in self._stored:
            return self._stored[key]
        answer = self._answer(frame)
        if answer is None:
            return b""
        kind, body = answer
        data = encode(Frame(kind, frame.sequence, body))
        self._stored = dict([*self._stored.items(), (key, data)][-2:])
        return data

    def _answer(self, frame: Frame) -> tuple[int, bytes] | None:
        body = frame.body
        if self._session == 0 and frame.kind not in (Kind.HELLO, Kind.RESET):
            return self._error(-64)
        try:
            match frame.kind:
                case Kind.HELLO:
                    return self._hello(*struct.unpack("<HI", body))
                case Kind.INPUT:
                    return self._input(struct.unpack_from("<HIB", body), body[7:])
                case Kind.RUN:
                    return self._run(*struct.unpack("<H", body))
                case Kind.SCORES:
                    return self._more(*struct.unpack("<HH", body))
                case Kind.PROFILE:
                    return self._profile(*struct.unpack("<HH", body))
                case Kind.HIDDEN:
                    return self._hidden(*struct.unpack("<HHI", body))
                case Kind.LOAD:
                    return self._load(struct.unpack_from("<HIIB", body), body[11:])
                case Kind.RESET:
                    self.reboot()
                    return Kind.RESET.answer, b""
                case Kind.SELF_TEST:
                    return self._error(-69) if self._loaded else (Kind.SELF_TEST.answer, struct.pack("<HH", 1, 0))
                case Kind.CALIBRATE:
                    return Kind.CALIBRATE.answer, struct.pack("<I", 2 * struct.unpack("<I", body)[0])
        except struct.error:
            pass
        return self._error(-65)

    @staticmethod
    def _error(status: int) -> tuple[int, bytes]:
        return Kind.ERROR, struct.pack("<i", status)

    def _hello(self, session: int, offset: int) -> tuple[int, bytes]:
        if session != self._session:
            self._session = session
            self.sessions += 1
            self._slots.clear()
            self._stored.clear()
        network, data = self._network, Image.of(self._network).data
        head = struct.pack(
            "<HHIIIIHHIIIHHII", 1, 48, 0, int.from_bytes(data[-4:], "little"), len(data), network.input_spec.shape.size,
            network.classes, len(network.layers), 0, 15_625_000, 1 << 20, 2, self._loaded, 4096, 1024,
        )  # fmt: skip
        texts = ("00000000", "mock", __version__, network.name, *network.labels)
        block = head + b"".join(text.encode() + b"\0" for text in texts)
        return Kind.HELLO.answer, struct.pack("<II", len(block), offset) + block[offset : offset + CHUNK]

    def _input(self, head: tuple[int, int, int], chunk: bytes) -> tuple[int, bytes] | None:
        number, offset, flags = head
        slot = self._slots.get(number % 2)
        if slot is not None and (number - slot.number) % 0x10000 >= 0x8000:
            return self._error(-66) if flags else None
        if slot is None or slot.number != number:
            slot = self._slots[number % 2] = _Inbox(number, self._network.input_spec.shape.size)
            self._scores.pop(number % 2, None)
        if not slot.put(offset, chunk):
            return self._error(-65)
        return self._run(number) if flags else None

    def _run(self, number: int) -> tuple[int, bytes]:
        slot = self._slots.get(number % 2)
        if slot is None or slot.number != number:
            return self._error(-67)
        if slot.missing:
            return slot.report()
        if number % 2 not in self._scores:
            self.runs += 1
            self._scores[number % 2] = tuple(self._trace(number).scores[0].tolist())
        return self._more(number, 0)

    def _more(self, number: int, first: int) -> tuple[int, bytes]:
        scores = self._scores.get(number % 2)
        if scores is None or self._slots[number % 2].number != number:
            return self._error(-67)
        part = scores[first : first + _PART]
        head = struct.pack("<HQHH", number, _TICKS * len(self._network.layers), len(scores), first)
        return Kind.SCORES.answer, head + struct.pack(f"<{len(part)}i", *part)

    def _trace(self, number: int) -> Trace:
        input_spec = self._network.input_spec
        shape = (1, input_spec.shape.height, input_spec.shape.width, input_spec.shape.channels)
        data = bytes(self._slots[number % 2].data)
        return run_packed(self._network, np.frombuffer(data, dtype=input_spec.dtype).reshape(shape))

    def _profile(self, number: int, first: int) -> tuple[int, bytes]:
        count = len(self._network.layers)
        part = [_TICKS] * min(_PART, count - first)
        return Kind.PROFILE.answer, struct.pack(f"<HHH{len(part)}I", number, count, first, *part)

    def _hidden(self, number: int, layer: int, first: int) -> tuple[int, bytes]:
        words = self._trace(number).hidden[layer].view(np.uint32).reshape(-1)
        part = words[first : first + _PART].astype("<u4").tobytes()
        return Kind.HIDDEN.answer, struct.pack("<HHII", number, layer, words.size, first) + part

    def _load(self, head: tuple[int, int, int, int], chunk: bytes) -> tuple[int, bytes] | None:
        number, total, offset, flags = head
        network = self._builtin
        if total:
            if self._incoming is None or self._incoming.number != number:
                self._incoming = _Inbox(number, total)
            if not self._incoming.put(offset, chunk):
                return self._error(-65)
            if not flags:
                return None
            if self._incoming.missing:
                return self._incoming.report()
            try:
                network = decode(bytes(self._incoming.data))
            except ImageError:
                return self._error(-6)
        self._use(network)
        return Kind.LOAD.answer, struct.pack("<HI", number, Image.of(network).crc32)
