"""Finds the serial port of a board by the USB ids of the board table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bitflow.boards import Board
from bitflow.errors import DeviceError, InputError

if TYPE_CHECKING:
    from serial.tools.list_ports_common import ListPortInfo

__all__ = ["find", "serial_number", "wait_for"]

_LOOK_AGAIN_S = 0.25


def find(board: Board, probe: str | None = None) -> ListPortInfo:
    """The port of the only board of this kind that is plugged in.

    probe: serial number of the programmer or board.

    Raises DeviceError if there is no board, InputError that lists the boards if there are several.
    """
    found = _matching(board, probe)
    if not found:
        ids = ", ".join(board.upload.usb) if board.upload else "none"
        which = f" with serial number {probe}" if probe else ""
        raise DeviceError(f"no {board.name}{which} is plugged in (USB {ids}); check the cable, or use --port")
    if len(found) > 1:
        rows = "; ".join(f"--port {port.device} or --probe {port.serial_number}" for port in found)
        raise InputError(f"{len(found)} ports look like {board.name}, choose one: {rows}")
    return found[0]


def wait_for(board: Board, probe: str | None, seconds: float) -> ListPortInfo:
    """As `find`, for a board that comes back within `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not _matching(board, probe):
        time.sleep(_LOOK_AGAIN_S)
    return find(board, probe)


def serial_number(device: str) -> str | None:
    """The serial number of the programmer or board behind a port; None if it is not a USB port."""
    return next((port.serial_number for port in _plugged_in() if port.device == device), None)


def _plugged_in() -> list[ListPortInfo]:
    from serial.tools import list_ports  # from the extra `hil`

    return list(list_ports.comports())


def _matching(board: Board, probe: str | None) -> list[ListPortInfo]:
    known = set(board.upload.usb) if board.upload else set()
    return [
        port
        for port in _plugged_in()
        if port.vid is not None
        and f"{port.vid:04x}:{port.pid or 0:04x}" in known
        and (probe is None or port.serial_number == probe)
    ]
