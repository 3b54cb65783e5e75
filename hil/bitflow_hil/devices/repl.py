"""A board that runs MicroPython: its REPL as a device, by mpremote's transport."""

from __future__ import annotations

import ast
import binascii
import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bitflow.errors import DeviceError
from bitflow.ir import PackedNetwork

__all__ = ["INSTRUCTIONS_PER_TICK", "Implementation", "Repl", "run_scores"]

_PATIENCE_S = 120  # seconds without a character: a large network on a small core may take that long
_CHUNK = 1024  # bytes of a file in one command, for whose text a small board has room
_BATCH = 2048  # bytes of images on a board at a time; at least one image
_ARCHITECTURES = (
    None, "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp",
    "xtensa", "xtensawin", "rv32imc",
)  # fmt: skip
"""Names of the architectures by MicroPython's numbers, py/persistentcode.h."""

# 25 MHz timer under -icount shift=6: 1.6 ticks per instruction.
INSTRUCTIONS_PER_TICK = 0.625


@dataclass(frozen=True, slots=True)
class Implementation:
    """A board's sys.implementation.

    abi: of native modules, such as "6.3".
    architecture: of native modules; None: it loads none.
    """

    version: tuple[int, int, int]
    machine: str
    abi: str
    architecture: str | None

    @property
    def name(self) -> str:
        return f"MicroPython {'.'.join(map(str, self.version))}"


class Repl:
    """A board's raw REPL. Use it in a `with` statement or close() it.

    Opening interrupts a running program and resets the interpreter, as mpremote does. Raises DeviceError for a port
    that cannot be opened, a board that does not answer, and a program on it that fails.
    """

    def __init__(self, port: str, baud: int = 115200) -> None:
        import serial
        from mpremote.transport import TransportError
        from mpremote.transport_serial import SerialTransport

        self.port = port
        self.round_trips = 0
        self._lost: tuple[type[Exception], ...] = (TransportError, OSError, serial.SerialException)
        with self._errors():
            self._transport: Any = SerialTransport(port, baudrate=baud)
        try:
            self.reset()
        except BaseException:
            self._transport.close()
            raise

    def reset(self) -> None:
        """A soft reset: all objects and modules are lost, files are kept."""
        with self._errors():
            self._transport.enter_raw_repl(soft_reset=True)

    def run(self, program: str) -> str:
        """Run a program and return its output. Raises DeviceError with the exception if it fails."""
        self.round_trips += 1
        with self._errors():
            said, failed = self._transport.exec_raw(program, timeout=_PATIENCE_S)
        if failed:
            raise DeviceError(
                f"the board at {self.port} says {failed.decode(errors='replace').strip().splitlines()[-1]}"
            )
        return str(said.decode(errors="replace"))

    def value(self, expression: str) -> Any:
        """The value of an expression, made of numbers, texts, tuples and lists."""
        return ast.literal_eval(self.run(f"print(repr({expression}))").strip())

    def implementation(self) -> Implementation:
        """What runs on the board. Raises DeviceError if it is not MicroPython."""
        name, version, machine, mpy = self.value(
            "(lambda i: (i[0], tuple(i[1])[:3], getattr(i, '_machine', ''), getattr(i, '_mpy', 0)))"
            "(__import__('sys').implementation)"
        )
        if name != "micropython":
            raise DeviceError(f"expected MicroPython at {self.port}, got {name}")
        number = mpy >> 10 & 0xF
        architecture = _ARCHITECTURES[number] if number < len(_ARCHITECTURES) else None
        return Implementation(version, machine, f"{mpy & 0xFF}.{mpy >> 8 & 3}", architecture)

    def put(self, content: bytes, path: str) -> None:
        """Write a file in chunks. It replaces the old one once its CRC-32 on the board is right."""
        beside = f"{path}.new"
        self.run(f"f = open({beside!r}, 'wb')\nfrom binascii import a2b_base64, crc32")
        for at in range(0, len(content), _CHUNK):
            text = binascii.b2a_base64(content[at : at + _CHUNK], newline=False)
            self.run(f"f.write(a2b_base64({text!r}))")
        self.run(
            "f.close()\n"
            f"with open({beside!r}, 'rb') as f:\n"
            " b, c = bytearray(512), 0\n"
            " while n := f.readinto(b):\n"
            "  c = crc32(memoryview(b)[:n], c)\n"
        )
        got = self.value("c")
        if got & 0xFFFFFFFF != binascii.crc32(content):
            raise DeviceError(f"{path} arrived damaged: CRC-32 {got:08x}, expected {binascii.crc32(content):08x}")
        self.run(f"import os\ntry:\n os.remove({path!r})\nexcept OSError:\n pass\nos.rename({beside!r}, {path!r})")

    def make_folder(self, path: str) -> None:
        """Make a folder, unless it exists."""
        self.run(f"import os\ntry:\n os.mkdir({path!r})\nexcept OSError:\n os.stat({path!r})")

    def close(self) -> None:
        """Leave the raw REPL, so that a user finds a prompt, and close the port."""
        with contextlib.suppress(*self._lost):
            self._transport.exit_raw_repl()
        self._transport.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn mpremote's errors into DeviceError, without its own output."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except self._lost as error:
            raise DeviceError(f"no MicroPython REPL at {self.port}: {error}; check the cable and --port") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


_PREPARE = """\
import bitflow, time
from array import array
from binascii import a2b_base64
m = bitflow.Model({model})
out = array('i', bytes(4 * {classes}))
buf = bytearray({batch} * {size})
view = memoryview(buf)
ticks = getattr(time, 'ticks_cpu', time.ticks_us)
def put(at, text):
 data = a2b_base64(text)
 buf[at:at + len(data)] = data
def run(n):
 for i in range(n):
  x = view[i * {size}:(i + 1) * {size}]
  t = ticks()
  m.scores(x, out)
  t = time.ticks_diff(ticks(), t)
  print(t, *out)
"""


def run_scores(
    repl: Repl, network: PackedNetwork, model: str, images: npt.NDArray[Any]
) -> Iterator[tuple[npt.NDArray[np.int32], int]]:
    """For each of images [N, H, W, C] the scores [classes] and their time in ticks of the board's fastest clock.

    model: the argument of bitflow.Model() on the board, as Python text.
    """
    data = np.ascontiguousarray(images).reshape(len(images), -1).view(np.uint8)
    size = data.shape[1]
    batch = max(1, min(len(data), _BATCH // size))
    repl.run(_PREPARE.format(model=model, classes=network.classes, batch=batch, size=size))
    for first in range(0, len(data), batch):
        part = data[first : first + batch]
        content = part.tobytes()
        for at in range(0, len(content), _CHUNK):
            text = binascii.b2a_base64(content[at : at + _CHUNK], newline=False)
            repl.run(f"put({at}, {text!r})")
        lines = repl.run(f"run({len(part)})").splitlines()
        if len(lines) != len(part):
            raise DeviceError(f"the board at {repl.port} gave {len(lines)} results for {len(part)} images")
        for line in lines:
            ticks, *scores = map(int, line.split())
            yield np.array(scores, np.int32), ticks
