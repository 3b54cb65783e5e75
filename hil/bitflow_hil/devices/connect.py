"""Ways to a board: at a port, where it is plugged in, or emulated while it is needed."""

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
    """The port: as given, of a farm, of the board that is plugged in, or of an emulated one that runs meanwhile.

    build: makes the firmware of an emulated board and says where its ELF is. Raises DeviceError where no such board is
    plugged in, InputError for what is no device.
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
        raise InputError(f"{board.name} is no device ({board.says})")


@contextlib.contextmanager
def resuming(board: Board, port: str | None, build: Callable[[], Path]) -> Iterator[ResumingDevice]:
    """The device there, connected again whenever it is lost; the next one at the port may speak text."""
    with (
        open_port(board, port, build) as url,
        ResumingDevice(lambda: Device(SerialTransport(url, board.baud))) as device,
    ):
        yield device
        device.reset()


@contextlib.contextmanager
def _own_copy(build: Callable[[], Path]) -> Iterator[Path]:
    """A firmware that stays although PlatformIO may drop it when another board is built beside it."""
    with tempfile.TemporaryDirectory(prefix="bitflow-") as folder:
        with _BUILDING:
            elf = Path(shutil.copy(build(), folder))
        yield elf
