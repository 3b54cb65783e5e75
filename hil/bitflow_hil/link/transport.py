"""Transports to a device: a serial port by its pyserial URL, and a line in memory for tests."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from bitflow.errors import DeviceError, InputError

__all__ = ["DamagedTransport", "MemoryTransport", "SerialTransport", "Transport"]


_WRITE_TIMEOUT_S = 60  # while a device runs a large network, the line may stay full this long


class Transport(Protocol):
    """A line of bytes. read() waits up to `timeout` seconds for the first byte and returns all that has arrived."""

    name: str

    def write(self, data: bytes) -> None: ...

    def read(self, timeout: float) -> bytes: ...

    def close(self) -> None: ...


class SerialTransport:
    """Any pyserial URL: a device file, a pty, socket://, rfc2217://."""

    def __init__(self, url: str, baud: int = 115200) -> None:
        """Open the port. Raises InputError for an invalid URL, DeviceError for a port that cannot be opened."""
        import serial  # from the extra `hil`

        self.name = url
        self._lost: tuple[type[Exception], ...] = (OSError, serial.SerialException)
        try:
            self._port: Any = serial.serial_for_url(url, baudrate=baud, timeout=0, write_timeout=_WRITE_TIMEOUT_S)
        except ValueError as error:
            raise InputError(f"--port {url}: {error}") from None
        except OSError as error:
            reason = "there is no such port" if error.errno == errno.ENOENT else str(error)
            raise DeviceError(f"cannot open {url}: {reason}; check the cable and --port") from None

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except self._lost as error:
            raise self._gone(error) from None

    def read(self, timeout: float) -> bytes:
        try:
            self._port.timeout = timeout
            return bytes(self._port.read(max(1, self._port.in_waiting)))
        except self._lost as error:
            raise self._gone(error) from None

    def close(self) -> None:
        self._port.close()

    def _gone(self, error: Exception) -> DeviceError:
        return DeviceError(f"the device at {self.name} is gone: {error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class MemoryTransport:
    """A line to a function: `respond` gets what is written, and read() returns its results."""

    def __init__(self, respond: Callable[[bytes], bytes]) -> None:
        self.name = "memory"
        self._respond = respond
        self._waiting = b""

    def write(self, data: bytes) -> None:
        self._waiting += self._respond(data)

    def read(self, timeout: float) -> bytes:
        if not self._waiting:
            time.sleep(timeout)
        data, self._waiting = self._waiting, b""
        return data

    def close(self) -> None:
        pass


class DamagedTransport:
    """A line damaged by `damage` in both directions, to test lost, doubled and damaged frames."""

    def __init__(self, line: Transport, damage: Callable[[bytes], bytes]) -> None:
        self.name = line.name
        self._line, self._damage = line, damage

    def write(self, data: bytes) -> None:
        self._line.write(self._damage(data))

    def read(self, timeout: float) -> bytes:
        return self._damage(self._line.read(timeout))

    def close(self) -> None:
        self._line.close()
