"""QEMU as a board: started on a pty, gone when its command is gone."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import termios
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from bitflow.boards import Board
from bitflow.cores import core_of
from bitflow.errors import DeviceError, InputError, MissingError

__all__ = ["Emulator", "command"]

PROGRAM = os.environ.get("BITFLOW_QEMU")  # another one than the core's: some boards need a newer QEMU
_END_S = 1.0  # a line that hangs up is seen before the end of the process
_running: set[int] = set()  # emulators of this process
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _program(board: Board) -> str:
    return PROGRAM or core_of(board.cpu).emulator


def command(board: Board, elf: Path) -> list[str]:
    """The command that runs a firmware; its serial port is standard input and output."""
    if board.machine is None:
        raise InputError(f"board {board.name} is not emulated")
    return [
        _program(board), "-M", board.machine, "-kernel", str(elf), "-icount", "shift=6",
        "-display", "none", "-monitor", "none", "-serial", "stdio",
    ]  # fmt: skip


def _before_exec() -> Callable[[], None]:
    """What the child does before it becomes QEMU: it asks the kernel to be killed when this process ends, and stays on
    one processor: with -icount only one of QEMU's threads works at a time, and each received byte passes from one to
    the other, which is three times quicker within a processor. Emulators of a process take different ones, the first
    that of BITFLOW_QEMU_PROCESSOR, by which several processes keep out of each other's way.
    """
    libc, parent = ctypes.CDLL(None), os.getpid()
    number = int(os.environ.get("BITFLOW_QEMU_PROCESSOR", parent)) + len(_running)

    def ask() -> None:
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[number % len(processors)]})
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended in between
            os._exit(1)

    return ask


def _set_raw(terminal: int) -> None:
    """Bytes pass as they are, whenever QEMU sets OPOST, which it does as it starts: what OPOST turns on is off."""
    tty.setraw(terminal)
    modes = termios.tcgetattr(terminal)
    modes[tty.OFLAG] = 0
    termios.tcsetattr(terminal, termios.TCSANOW, modes)


class Emulator:
    """An emulated board that runs a firmware. Use it in a `with` statement or stop() it.

    port: path of the pty; programs may open and close it one after the other. The pty is made here, not by QEMU, which
    looks only once a second whether somebody opened its own. The emulator ends with the thread that started it,
    whatever ends that: return, exception, crash or SIGKILL.
    """

    def __init__(self, board: Board, elf: Path) -> None:
        """Start; MissingError without QEMU."""
        program = _program(board)
        if shutil.which(program) is None:
            raise MissingError(f"{program} is missing: sudo apt-get install {program}")
        self.board = board
        master, self._slave = os.openpty()
        _set_raw(self._slave)
        self.port = os.ttyname(self._slave)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        self._process = subprocess.Popen(
            command(board, elf), stdin=master, stdout=master, stderr=self._errors,
            start_new_session=True, preexec_fn=_before_exec(),
        )  # fmt: skip
        _running.add(self._process.pid)
        os.close(master)
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, timeout: float | None = None) -> None:
        """Wait until QEMU ends by itself, at most `timeout` seconds; DeviceError with its own words if it does."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip().splitlines()
        raise DeviceError(f"QEMU ended with {code}: {words[-1] if words else 'no message'}")

    def stop(self) -> None:
        """End it now; nothing if it has ended."""
        atexit.unregister(self.stop)
        self._process.kill()
        self._process.wait()
        _running.discard(self._process.pid)
        self._errors.close()
        with contextlib.suppress(OSError):
            os.close(self._slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        try:
            if isinstance(value, DeviceError):
                self.wait(_END_S)  # if QEMU ended, its words say more
        finally:
            self.stop()
