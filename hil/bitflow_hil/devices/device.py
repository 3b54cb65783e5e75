"""A device at the other end of a line: query it, send it images and networks, read its results.

Every wait is bounded, and every request is repeated a bounded number of times. A device that stays silent, was reset or
answers wrongly raises DeviceError. Nothing that was lost, doubled or damaged on the way counts as an answer.
"""

from __future__ import annotations

import secrets
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bitflow.errors import DeviceError, InputError
from bitflow_hil.link.frames import (
    STATUS_SESSION,
    Decoder,
    Frame,
    Info,
    Kind,
    Missing,
    Scores,
    chunks_of,
    encode,
    status_text,
)
from bitflow_hil.link.retry_timer import RetryTimer
from bitflow_hil.link.transport import Transport

__all__ = ["Device", "Run"]

PATIENCE_S = 31.5
"""How long a request waits for its answer, all attempts together, seconds. A long run needs long waits."""

HELLO_S = 7.5
"""How long HELLO waits, seconds. A connected device answers it at once, unlike a run of a slow network."""

HANDLER_INSTRUCTIONS = 5
"""Instructions of the firmware's timer interrupt, which comes every 2^24 ticks."""

INSTRUCTIONS_A_SECOND = 15_625_000
"""QEMU with -icount shift=6: 64 ns per instruction."""

_LAST = 1
_STUCK = 6  # successive answers in which as many chunks are missing as before


@dataclass(frozen=True, slots=True)
class Run:
    """A device's result for one image.

    scores: int32 [classes].
    ticks: ticks of its timer during bf_run.
    seconds: from the first byte sent to the scores, as seen by the host. Two images are in flight at a time, so this
        includes the wait for the image before.
    """

    scores: npt.NDArray[np.int32]
    ticks: int
    seconds: float


@dataclass(slots=True)
class _Flight:
    """A request in flight.

    data: its chunks may have to be sent again.
    ask: the frame that gets the answer.
    """

    number: int
    data: bytes
    ask: Frame
    started: float


class Device:
    """A device on a line. Use it in a `with` statement or close() it.

    patience_s: how long a request waits for its answer.
    retry_timer: when it is sent again meanwhile.
    retries: requests and chunks that were sent again.
    round_trips: answers.
    damaged: frames that arrived damaged.
    """

    def __init__(
        self, transport: Transport, patience_s: float = PATIENCE_S, retry_timer: RetryTimer | None = None
    ) -> None:
        """Say HELLO; DeviceError if nobody answers."""
        self._transport = transport
        self._decoder = Decoder()
        self._answers: dict[int, Frame] = {}
        self._awaited: dict[int, float] = {}  # sequence number -> when it was first sent
        self._repeated: set[int] = set()
        self._retry_timer = retry_timer or RetryTimer()
        self._sequence = secrets.randbelow(256)
        self._number = secrets.randbelow(65536)
        self._session = 1 + secrets.randbelow(65535)
        self.retries = 0
        self.round_trips = 0
        self.interruptions = 0  # ResumingDevice connects a lost device again
        self._patience_s = min(patience_s, HELLO_S)
        self._info = self.info()
        self._patience_s = patience_s

    @property
    def damaged(self) -> int:
        return self._decoder.damaged

    @property
    def last_info(self) -> Info:
        """The last answer of info()."""
        return self._info

    @property
    def name(self) -> str:
        """The port."""
        return self._transport.name

    # ---- What it is. ------------------------------------------------------------------------------------------------

    def info(self) -> Info:
        """Ask what the device is, which network it runs and how much of its stack was used."""
        block, total = b"", 1
        while len(block) < total:
            answer = self._ask(Kind.HELLO, struct.pack("<HI", self._session, len(block)))
            total, offset = self._unpack("<II", answer)
            if offset != len(block) or not answer.body[8:]:
                raise self._wrong("another part of the info block")
            block += answer.body[8:]
        self._info = Info.from_block(block)
        return self._info

    def self_test(self) -> int:
        """Run the test vector that is compiled in; returns the number of wrong scores."""
        return int(self._unpack("<HH", self._ask(Kind.SELF_TEST))[1])

    def calibrate(self, loops: int) -> int:
        """Ticks of a loop of 2 * loops instructions (and one more), 1 <= loops <= 1,000,000."""
        return int(self._unpack("<I", self._ask(Kind.CALIBRATE, struct.pack("<I", loops)))[0])

    def instructions(self, ticks: int) -> int:
        """Instructions that an emulated core executed in `ticks`, exact to one."""
        total = round(ticks * INSTRUCTIONS_A_SECOND / self._info.timer_hz)
        return total - HANDLER_INSTRUCTIONS * (ticks >> 24)

    # ---- Images. ----------------------------------------------------------------------------------------------------

    def run(self, images: Iterable[npt.NDArray[Any]]) -> Iterator[Run]:
        """Run images [H, W, C] of 8-bit pixels; yields in order. Two are in flight at a time, if RAM allows."""
        flights: deque[_Flight] = deque()
        for image in images:
            flights.append(self._launch(image))
            if len(flights) == min(2, self._info.slots):
                yield self._land(flights.popleft())
        while flights:
            yield self._land(flights.popleft())

    def profile(self, image: npt.NDArray[Any]) -> list[int]:
        """Ticks of each layer for an image."""
        number = self._put(image)
        ticks: list[int] = []
        while len(ticks) < self._info.layers:
            answer = self._ask(Kind.PROFILE, struct.pack("<HH", number, len(ticks)))
            if self._unpack("<HHH", answer) != (number, self._info.layers, len(ticks)) or len(answer.body) <= 6:
                raise self._wrong("another part of the profile")
            ticks += struct.unpack(f"<{(len(answer.body) - 6) // 4}I", answer.body[6:])
        return ticks

    def hidden(self, image: npt.NDArray[Any]) -> list[npt.NDArray[np.uint32]]:
        """The map of each layer but the last for an image, as words: channel-packed bits, or an int32 per value."""
        number = self._put(image)
        return [self._hidden(number, layer) for layer in range(self._info.layers - 1)]

    def map_of(self, image: npt.NDArray[Any], layer: int) -> npt.NDArray[np.uint32]:
        """The map of one hidden layer."""
        return self._hidden(self._put(image), layer)

    def _hidden(self, number: int, layer: int) -> npt.NDArray[np.uint32]:
        words, total = b"", 1
        while len(words) < 4 * total:
            answer = self._ask(Kind.HIDDEN, struct.pack("<HHI", number, layer, len(words) // 4))
            image, got, total, first = self._unpack("<HHII", answer)
            if (image, got, first) != (number, layer, len(words) // 4) or not answer.body[12:]:
                raise self._wrong("another hidden map")
            words += answer.body[12:]
        return np.frombuffer(words, dtype="<u4")

    def _put(self, image: npt.NDArray[Any]) -> int:
        flight = self._launch(image)
        self._land(flight)
        return flight.number

    def _launch(self, image: npt.NDArray[Any]) -> _Flight:
        data = np.ascontiguousarray(image).tobytes()
        if len(data) != self._info.input_bytes:
            raise InputError(f"the network takes {self._info.input_bytes} bytes per image, got {len(data)}")
        self._number = (self._number + 1) % 65536
        started = time.monotonic()
        *first, (offset, last) = chunks_of(data)
        for at, chunk in first:
            self._send(self._chunk(self._number, at, chunk))
        ask = Frame(Kind.INPUT, self._next(), self._input(self._number, offset, _LAST, last))
        self._send(ask, wants_answer=True)
        return _Flight(self._number, data, ask, started)

    @staticmethod
    def _input(number: int, offset: int, flags: int, chunk: bytes) -> bytes:
        return struct.pack("<HIB", number, offset, flags) + chunk

    def _chunk(self, number: int, offset: int, chunk: bytes) -> Frame:
        """A part of an image that gets no answer, and so takes no new sequence number."""
        return Frame(Kind.INPUT, self._sequence, self._input(number, offset, 0, chunk))

    def _land(self, flight: _Flight) -> Run:
        chunks = chunks_of(flight.data)

        def again(index: int) -> None:
            offset, chunk = chunks[index]
            self._send(self._chunk(flight.number, offset, chunk))

        answer = self._complete(
            self._wait(flight.ask), flight.number, again, lambda: self._ask(Kind.RUN, struct.pack("<H", flight.number))
        )
        scores, ticks = self._scores(flight.number, answer)
        return Run(scores, ticks, time.monotonic() - flight.started)

    def _complete(self, answer: Frame, number: int, again: Callable[[int], None], ask: Callable[[], Frame]) -> Frame:
        """Send again only the chunks that an answer reports missing, until another answer comes."""
        left, stuck = 1 << 32, 0
        while answer.kind == Kind.MISSING:
            missing = Missing.from_body(answer.body)
            stuck = 0 if missing.count < left else stuck + 1
            if missing.image != number or stuck == _STUCK:
                raise self._wrong(f"{missing.count} chunks missing again and again")
            left = missing.count
            for index in missing.chunks:
                self.retries += 1
                again(index)
            answer = ask()
        return answer

    def _scores(self, number: int, answer: Frame) -> tuple[npt.NDArray[np.int32], int]:
        part = Scores.from_body(answer.body)
        ticks, scores = part.ticks, list[int]()
        while True:
            if (part.image, part.ticks, part.classes, part.first) != (number, ticks, self._info.classes, len(scores)):
                raise self._wrong("the scores of another image")
            scores += part.scores
            if len(scores) >= part.classes or not part.scores:
                break
            part = Scores.from_body(self._ask(Kind.SCORES, struct.pack("<HH", number, len(scores))).body)
        if len(scores) != self._info.classes:
            raise self._wrong(f"{len(scores)} scores for {self._info.classes} classes")
        return np.array(scores, dtype=np.int32), ticks

    # ---- Networks. --------------------------------------------------------------------------------------------------

    def load(self, image: bytes, plan: bytes = b"") -> Info:
        """Send a `.bfn`, with or without a plan, into free RAM and use it.

        b"" returns to the network that is compiled in.
        """
        self._number = (self._number + 1) % 65536
        head = struct.pack("<HI", self._number, len(image) + len(plan))
        chunks = chunks_of(image + plan) or [(0, b"")]
        *first, last = chunks

        def frame(offset: int, flags: int, chunk: bytes) -> Frame:
            sequence = self._next() if flags else self._sequence
            return Frame(Kind.LOAD, sequence, head + struct.pack("<IB", offset, flags) + chunk)

        def again(index: int) -> None:
            offset, chunk = chunks[index]
            self._send(frame(offset, 0, chunk))

        def ask() -> Frame:
            asked = frame(last[0], _LAST, last[1])
            self._send(asked, wants_answer=True)
            return self._wait(asked)

        for offset, chunk in first:
            self._send(frame(offset, 0, chunk))
        answer = self._complete(ask(), self._number, again, ask)
        number, crc32 = self._unpack("<HI", answer)
        if number != self._number or (image and crc32 != int.from_bytes(image[-4:], "little")):
            raise self._wrong(f"that it runs {crc32:08x} now")
        return self.info()

    def reset(self) -> None:
        """Return to the network that is compiled in, end the session, allow text again."""
        self._ask(Kind.RESET)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # ---- Requests. --------------------------------------------------------------------------------------------------

    def _next(self) -> int:
        self._sequence = (self._sequence + 1) % 256
        return self._sequence

    def _ask(self, kind: Kind, body: bytes = b"") -> Frame:
        frame = Frame(kind, self._next(), body)
        self._send(frame, wants_answer=True)
        return self._wait(frame)

    def _send(self, frame: Frame, wants_answer: bool = False) -> None:
        if wants_answer:
            self._awaited[frame.sequence] = time.monotonic()
        self._transport.write(encode(frame))

    def _wait(self, asked: Frame) -> Frame:
        """The answer to a request. The request is sent again as soon as it or its answer seems lost, and whenever the
        line is silent for too long.
        """
        deadline, wait = time.monotonic() + self._patience_s, self._retry_timer.first
        while True:
            lost = self._listen(asked, min(time.monotonic() + wait, deadline))
            if asked.sequence in self._answers:
                self.round_trips += 1
                return self._sound(asked, self._answers.pop(asked.sequence))
            if time.monotonic() >= deadline:
                break
            self.retries += 1
            if lost or self._decoder.damaged:
                self._retry_timer.lost()
            wait = self._retry_timer.first if lost else self._retry_timer.longer(wait)
            self._repeated.add(asked.sequence)
            self._transport.write(encode(asked))
        raise DeviceError(
            f"no answer from {self.name} in {self._patience_s:g} s; "
            "is the firmware on it (bitflow flash), is the port right (--port)?"
        )

    def _listen(self, asked: Frame, end: float) -> bool:
        """Read frames until the answer comes or the time is over. True if the answer is probably lost: a frame arrived
        damaged, or the answer to a later request came.
        """
        damaged, passed_over = self._decoder.damaged, False
        while asked.sequence not in self._answers and (left := end - time.monotonic()) > 0:
            for frame in self._decoder.feed(self._transport.read(left)):
                if frame.sequence in self._awaited:
                    self._measure(frame.sequence)
                    self._answers[frame.sequence] = frame
                    passed_over |= frame.sequence != asked.sequence
            if passed_over or self._decoder.damaged != damaged:
                return True
        return False

    def _measure(self, sequence: int) -> None:
        """Record how long an answer took, unless it may be the answer to an earlier attempt, on a line with losses."""
        took = time.monotonic() - self._awaited.pop(sequence)
        if sequence not in self._repeated or not self._decoder.damaged:
            self._retry_timer.took(took)
        self._repeated.discard(sequence)

    def _sound(self, asked: Frame, answer: Frame) -> Frame:
        """The answer. Raises DeviceError if it is an error, or not an answer to this request."""
        if answer.kind == Kind.ERROR:
            status = int(self._unpack("<i", answer)[0])
            if status == STATUS_SESSION:
                raise DeviceError(f"the device at {self.name} was reset in the middle; start again")
            raise DeviceError(f"the device at {self.name} refuses {Kind(asked.kind).name}: {status_text(status)}")
        wanted = Kind.SCORES if asked.kind in (Kind.INPUT, Kind.RUN) else Kind(asked.kind)
        missing = answer.kind == Kind.MISSING and asked.kind in (Kind.INPUT, Kind.RUN, Kind.LOAD)
        if answer.kind != wanted.answer and not missing:
            raise self._wrong(f"a frame of kind {answer.kind} to {Kind(asked.kind).name}")
        return answer

    def _unpack(self, layout: str, frame: Frame) -> tuple[Any, ...]:
        try:
            return struct.unpack_from(layout, frame.body)
        except struct.error:
            raise self._wrong(f"only {len(frame.body)} bytes in a frame of kind {frame.kind}") from None

    def _wrong(self, what: str) -> DeviceError:
        return DeviceError(f"the device at {self.name} answers wrongly: {what}; flash it again")
