"""Connects to a board: at a port, plugged in, or emulated while it is needed."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from bitflow.boards import Board
from bitflow.errors import InputError
from bitflow_hil.devices import labgrid, ports
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.devices.resuming import ResumingDevice
from bitflow_hil.link.transport import SerialTransport

__all__ = ["open_port", "resuming"]

_BUILDING = threading.Lock()


@contextlib.contextmanager
def open_port(board: Board, port: str | None, build: Callable[[], Path]) -> Iterator[str]:
    """The port: `port`, one of a farm, that of the plugged-in board, or of an emulated board that runs meanwhile.

    build: builds the firmware of an emulated board and returns the path of its ELF file.

    Raises DeviceError if no such board is plugged in, InputError for a board that is not a device.
    """
    if port is not None and port.startswith(labgrid.PREFIX):
        with labgrid.place(port) as url:
            yield url
    elif port is not None:
        yield port
    elif board.emulated:
        with _own_copy(build) as elf, Emulator(board, elf) as emulator:
            yield emulator.port
    elif board.buildable:
        yield str(ports.find(board).device)
    else:
        raise InputError(f"{board.name} is not a device ({board.says})")


@contextlib.contextmanager
def resuming(board: Board, port: str | None, build: Callable[[], Path]) -> Iterator[ResumingDevice]:
    """The device at this port, connected again whenever it is lost. Reset afterwards, so that it accepts text."""
    with (
        open_port(board, port, build) as url,
        ResumingDevice(lambda: Device(SerialTransport(url, board.baud))) as device,
    ):
        yield device
        device.reset()


@contextlib.contextmanager
def _own_copy(build: Callable[[], Path]) -> Iterator[Path]:
    """A copy of the firmware: PlatformIO may delete its own when another board is built."""
    with tempfile.TemporaryDirectory(prefix="bitflow-") as folder:
        with _BUILDING:
            elf = Path(shutil.copy(build(), folder))
        yield elf
