"""QEMU as a board: started on a pty, and ended with the command that started it."""

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

PROGRAM = os.environ.get("BITFLOW_QEMU")  # in place of the core's: some boards need a newer QEMU
_END_S = 1.0  # seconds: the line hangs up before the process ends
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
    """Prepares the child before it becomes QEMU: the kernel kills it when this process ends, and it is pinned to one
    processor. With -icount only one of QEMU's threads works at a time, and each received byte passes from one thread to
    the other, which is three times faster on one processor. Emulators of a process use different processors, starting
    with BITFLOW_QEMU_PROCESSOR, by which several processes avoid each other.
    """
    libc, parent = ctypes.CDLL(None), os.getpid()
    number = int(os.environ.get("BITFLOW_QEMU_PROCESSOR", parent)) + len(_running)

    def ask() -> None:
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[number % len(processors)]})
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended in between
            os._exit(1)

    return ask


def _set_raw(terminal: int) -> None:
    """Let bytes pass unchanged. QEMU sets OPOST when it starts, so everything that OPOST enables is turned off."""
    tty.setraw(terminal)
    modes = termios.tcgetattr(terminal)
    modes[tty.OFLAG] = 0
    termios.tcsetattr(terminal, termios.TCSANOW, modes)


class Emulator:
    """An emulated board that runs a firmware. Use it in a `with` statement or stop() it.

    The emulator ends with the thread that started it, however that ends: return, exception, crash or SIGKILL. The pty
    is made here, because QEMU checks only once a second whether its own was opened.

    port: path of the pty; programs may open and close it one after the other.
    """

    def __init__(self, board: Board, elf: Path) -> None:
        """Start QEMU. Raises MissingError without it."""
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
        """Wait up to `timeout` seconds for QEMU to end by itself. Raises DeviceError with its message if it does."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip().splitlines()
        raise DeviceError(f"QEMU ended with {code}: {words[-1] if words else 'no message'}")

    def stop(self) -> None:
        """End the emulator, unless it has ended."""
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
                self.wait(_END_S)  # if QEMU ended, its message says more
        finally:
            self.stop()
