"""The firmware's side of the link: damage, doubled requests, refusals, both languages."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bitflow.boards import board
from bitflow.engines.host import HostEngine
from bitflow.engines.self_test import random_images
from bitflow.errors import DeviceError
from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.synthetic.networks import random_network
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.link import mlperf_text as text
from bitflow_hil.link.frames import Decoder, Frame, Kind, encode
from bitflow_hil.link.transport import DamagedTransport, SerialTransport

PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def running(m4: Path) -> Iterator[Emulator]:
    with Emulator(board("qemu-m4"), m4) as emulator:
        yield emulator


@pytest.fixture
def line(running: Emulator) -> Iterator[SerialTransport]:
    with SerialTransport(running.port) as port:
        yield port
        exchange(port, Frame(Kind.RESET, 0))


def exchange(line: SerialTransport, *frames: Frame, answers: int = 1) -> list[Frame]:
    """What comes back for frames, once each. answers: how many are waited for, however busy the computer is."""
    line.write(b"".join(map(encode, frames)))
    decoder, got = Decoder(), list[Frame]()
    end = time.monotonic() + PATIENCE_S
    while (more := line.read(0.3)) or (len(got) < answers and time.monotonic() < end):
        got += decoder.feed(more)
    assert decoder.damaged == 0
    return got


def spoiler(seed: int, rate: float) -> Callable[[bytes], bytes]:
    """Loses, flips and doubles bytes."""
    rng = random.Random(seed)

    def damage(data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            kind = rng.randrange(3) if rng.random() < rate else 3
            out += (b"", bytes([byte ^ 1 << rng.randrange(8)]), bytes([byte, byte]), bytes([byte]))[kind]
        return bytes(out)

    return damage


@pytest.mark.parametrize("seed", range(3))
def test_damaged_line_changes_no_score(running: Emulator, network: PackedNetwork, seed: int) -> None:
    images = random_images(network.input_spec, 10, seed)
    with SerialTransport(running.port) as line:
        device = Device(DamagedTransport(line, spoiler(seed, 0.002)))
        assert np.array_equal([run.scores for run in device.run(images)], HostEngine(network).scores(images))
        device.reset()


def test_damaged_line_loads_a_whole_network(running: Emulator) -> None:
    other = pack(fuse(random_network(4)))
    images = random_images(other.input_spec, 3, 0)
    with SerialTransport(running.port) as line:
        device = Device(DamagedTransport(line, spoiler(9, 0.001)))
        assert device.load(Image.of(other).data).crc32 == Image.of(other).crc32
        assert np.array_equal([run.scores for run in device.run(images)], HostEngine(other).scores(images))
        device.reset()


def test_repeated_request_gets_the_stored_answer(line: SerialTransport, network: PackedNetwork) -> None:
    hello = Frame(Kind.HELLO, 1, struct.pack("<HI", 7, 0))
    assert len(exchange(line, hello)) == 1
    pixels = random_images(network.input_spec, 1, 0)[0].tobytes()
    parts = [pixels[at : at + 96] for at in range(0, len(pixels), 96)]
    frames = [
        Frame(Kind.INPUT, 2 + i, struct.pack("<HIB", 1, 96 * i, i == len(parts) - 1) + part)
        for i, part in enumerate(parts)
    ]
    first = exchange(line, *frames)
    assert [frame.kind for frame in first] == [Kind.SCORES.answer]
    assert exchange(line, frames[-1]) == first
    assert exchange(line, frames[-1], frames[-1], answers=2) == first * 2
    again = exchange(line, Frame(Kind.RUN, 90, struct.pack("<H", 1)))  # another request: the scores are kept, ticks too
    assert again[0].body == first[0].body


def test_lost_chunks_are_named(line: SerialTransport, network: PackedNetwork) -> None:
    size = network.input_spec.shape.size
    last = (size - 1) // 96
    exchange(line, Frame(Kind.HELLO, 1, struct.pack("<HI", 8, 0)))
    body = struct.pack("<HIB", 5, 96 * last, 1) + bytes(size - 96 * last)
    (answer,) = exchange(line, Frame(Kind.INPUT, 2, body))
    assert answer.kind == Kind.MISSING
    assert answer.body == struct.pack(f"<HH{last}H", 5, last, *range(last))


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        (Frame(99, 1), -65),
        (Frame(Kind.RUN, 1), -65),
        (Frame(Kind.RUN, 1, b"\x09\x00"), -67),
        (Frame(Kind.PROFILE, 1, bytes(4)), -67),
        (Frame(Kind.HIDDEN, 1, b"\0\0\xff\xff" + bytes(4)), -65),
        (Frame(Kind.INPUT, 1, struct.pack("<HIB", 1, 1, 1) + bytes(96)), -65),
        (Frame(Kind.INPUT, 1, struct.pack("<HIB", 1, 0xFFFFFF60, 1) + bytes(96)), -65),
        (Frame(Kind.LOAD, 1, struct.pack("<HIIB", 1, 0xFFFFFFFF, 0, 1) + bytes(96)), -68),
        (Frame(Kind.LOAD, 1, struct.pack("<HIIB", 1, 96, 0, 1) + bytes(96)), -4),
    ],
)
def test_bad_requests_are_refused(line: SerialTransport, frame: Frame, status: int) -> None:
    exchange(line, Frame(Kind.HELLO, 0, struct.pack("<HI", 9, 0)))
    (answer,) = exchange(line, frame)
    assert (answer.kind, struct.unpack("<i", answer.body)) == (Kind.ERROR, (status,))


def test_request_without_a_session_is_refused(line: SerialTransport) -> None:
    (answer,) = exchange(line, Frame(Kind.RUN, 3, b"\0\0"))
    assert struct.unpack("<i", answer.body) == (-64,)


def test_spoiled_network_is_refused_and_the_device_lives(running: Emulator, network: PackedNetwork) -> None:
    data = bytearray(Image.of(pack(fuse(random_network(5)))).data)
    data[100] ^= 1
    with Device(SerialTransport(running.port)) as device:
        with pytest.raises(DeviceError, match="refuses LOAD"):
            device.load(bytes(data))
        assert device.info().crc32 == Image.of(network).crc32
        device.reset()


def ask(line: SerialTransport, command: str, wait: float = PATIENCE_S) -> text.Answer | None:
    """The answer to a text command, None if there is none."""
    line.write(command.encode())
    got, end = b"", time.monotonic() + wait
    while not got.endswith(b"m-ready\r\n") and time.monotonic() < end:
        got += line.read(min(wait, 0.3))
    answers = text.parse(got.decode())
    return answers[-1] if answers else None


def answered(line: SerialTransport, command: str) -> text.Answer:
    answer = ask(line, command)
    assert answer is not None
    return answer


def test_text_runs_an_input(line: SerialTransport, network: PackedNetwork) -> None:
    pixels = random_images(network.input_spec, 1, 1)
    assert answered(line, "name%").name == "qemu-m4"
    assert answered(line, "profile%").lines[0] == "m-profile-[ULPMark for tinyML Firmware V0.0.1]"
    assert answered(line, "results%").error
    assert answered(line, "infer 1 0%").error
    load, *parts = text.commands_for(pixels.tobytes())
    assert answered(line, load).lines == (f"m-[Expecting {pixels.size} bytes]",)
    for part in parts[:-1]:
        assert answered(line, part).lines == ()
    assert answered(line, parts[-1]).lines == ("m-load-done",)
    answer = answered(line, "infer 3 1%")
    assert answer.lines[:3] == ("m-warmup-start-1", "m-warmup-done", "m-infer-start-3")
    assert answer.laps_us[0] < answer.laps_us[1]
    scores = HostEngine(network).scores(pixels)[0]
    assert answer.results == tuple((scores - scores.min() + 1).tolist())
    assert answered(line, "results%").results == answer.results
    assert answered(line, "db 00%").error
    assert answered(line, "nonsense%").error
    assert answered(line, "help%").lines


def test_text_is_dropped_by_silence_and_by_other_bytes(line: SerialTransport) -> None:
    for pause in (0.4, 1.0, 3.0, 10.0):  # of the board's time, which stands still while the computer is busy
        line.write(b"non")
        time.sleep(pause)
        if answered(line, "name%").name == "qemu-m4":
            break
    else:
        pytest.fail("silence drops nothing")
    assert answered(line, "xx\nname%").name == "qemu-m4"
    assert ask(line, "n" * 90 + "%", 0.3) is None
    assert answered(line, "name%").name == "qemu-m4"


def test_no_text_between_hello_and_reset(running: Emulator) -> None:
    with SerialTransport(running.port) as line:
        device = Device(line)
        assert ask(line, "name%", 0.3) is None
        device.info()
        device.reset()
        assert answered(line, "name%").name == "qemu-m4"
