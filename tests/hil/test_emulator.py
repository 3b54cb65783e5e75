"""No emulator outlives its command, however that ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path

import pytest

from bitflow.boards import board
from bitflow.errors import DeviceError, InputError, MissingError
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.emulator import Emulator, command
from bitflow_hil.link.transport import SerialTransport

needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed")

# A program that starts an emulator, says its process id, and then ends in some way.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from bitflow.boards import board
from bitflow_hil.devices.emulator import Emulator
emulator = Emulator(board("qemu-m4"), Path(sys.argv[1]))
print(emulator.pid, flush=True)
{ending}
"""


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A program for a Cortex-M that loops for ever: a vector table and `b .`, as raw bytes."""
    path = tmp_path / "endless.bin"
    path.write_bytes(b"\x00\x10\x00\x20" + b"\x09\x00\x00\x00" + b"\xfe\xe7\x00\x00")
    return path


def gone(pid: int) -> bool:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            if "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]:
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


WAITS = "time.sleep(600)"
ENDINGS = [(end, None) for end in ("", "raise SystemExit(3)", "1 / 0", "os.abort()", "os._exit(1)")]


@needs_qemu
@pytest.mark.parametrize(
    ("ending", "number"), [*ENDINGS, (WAITS, signal.SIGKILL), (WAITS, signal.SIGTERM), (WAITS, signal.SIGINT)]
)
def test_emulator_ends_with_its_command(endless: Path, ending: str, number: signal.Signals | None) -> None:
    program = subprocess.Popen(
        (sys.executable, "-c", PROGRAM.format(ending=ending), str(endless)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert program.stdout is not None
    pid = int(program.stdout.readline())
    if number is not None:
        os.kill(program.pid, number)
    program.wait()
    assert gone(pid)


@needs_qemu
def test_each_byte_passes_as_it_is(endless: Path) -> None:
    """QEMU turns OPOST on when it starts, at a time of its own, perhaps after a program opened the port."""
    with Emulator(board("qemu-m4"), endless) as emulator, Path(emulator.port).open("rb", buffering=0) as port:
        end = time.monotonic() + 5
        while not termios.tcgetattr(port)[tty.OFLAG] & termios.OPOST and time.monotonic() < end:
            time.sleep(0.01)
        assert termios.tcgetattr(port)[tty.OFLAG] & ~termios.OPOST == 0


@needs_qemu
def test_emulator_ends_with_its_block(endless: Path) -> None:
    with Emulator(board("qemu-m4"), endless) as emulator:
        pid = emulator.pid
        assert Path(f"/proc/{pid}").exists()
    assert gone(pid)


@needs_qemu
def test_silent_firmware_is_given_up(endless: Path) -> None:
    with Emulator(board("qemu-m4"), endless) as emulator, pytest.raises(DeviceError, match="no answer"):
        Device(SerialTransport(emulator.port), patience_s=0.2)


@needs_qemu
def test_emulator_that_dies_is_noticed(tmp_path: Path) -> None:
    elf = tmp_path / "none.elf"
    with pytest.raises(DeviceError, match=r"QEMU ended with 1: .*none"), Emulator(board("qemu-m4"), elf) as emulator:
        Device(SerialTransport(emulator.port), patience_s=5)


@needs_qemu
def test_emulator_that_dies_later_is_noticed(endless: Path) -> None:
    with pytest.raises(DeviceError, match="QEMU ended with -9"), Emulator(board("qemu-m4"), endless) as emulator:
        os.kill(emulator.pid, signal.SIGKILL)
        Device(SerialTransport(emulator.port), patience_s=5)


def test_missing_qemu_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="apt-get install qemu-system-arm"):
        Emulator(board("qemu-m4"), tmp_path)


def test_real_board_is_not_emulated() -> None:
    with pytest.raises(InputError, match="not emulated"):
        command(board("stm32h7"), Path("x"))
