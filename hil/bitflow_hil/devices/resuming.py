"""Runs images on a device, and resumes where it stopped after the line was cut or the device was reset."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy.typing as npt

from bitflow.errors import DeviceError, InputError
from bitflow_hil.devices.device import Device, Run
from bitflow_hil.link.frames import Info

__all__ = ["ResumingDevice"]

T = TypeVar("T")

_PAUSE_S = 0.25


class ResumingDevice:
    """A device that is connected again when it is lost. Use it in a `with` statement or close() it.

    interruptions: connections that were lost.
    retries, round_trips: as in Device, over all connections.
    """

    def __init__(self, connect: Callable[[], Device], times: int = 8, patience_s: float = 30.0) -> None:
        """Connect. Raises DeviceError if the device does not answer.

        connect: opens the line and says HELLO.
        times: most losses in a row without a result in between.
        patience_s: how long a lost device may take to come back.
        """
        self._connect, self._times, self._patience_s = connect, times, patience_s
        self._device = connect()
        self._known = self._device.last_info
        self._retries = self._round_trips = 0
        self.interruptions = 0

    @property
    def retries(self) -> int:
        return self._retries + self._device.retries

    @property
    def round_trips(self) -> int:
        return self._round_trips + self._device.round_trips

    @property
    def last_info(self) -> Info:
        """See Device.last_info."""
        return self._device.last_info

    def info(self) -> Info:
        """Ask what the device is; see Device.info()."""
        return self._steadily(lambda: self._device.info())

    def instructions(self, ticks: int) -> int:
        return self._device.instructions(ticks)

    def profile(self, image: npt.NDArray[Any]) -> list[int]:
        """See Device.profile()."""
        return self._steadily(lambda: self._device.profile(image))

    def run(self, images: Iterable[npt.NDArray[Any]]) -> Iterator[Run]:
        """Run images [H, W, C]; yields one result for each, in order, however often the device is lost.

        Raises DeviceError if it does not come back or is lost too often, InputError if it comes back with another
        network.
        """
        source = iter(images)
        waiting: deque[npt.NDArray[Any]] = deque()  # without a result yet

        def handed() -> Iterator[npt.NDArray[Any]]:
            yield from tuple(waiting)
            for image in source:
                waiting.append(image)
                yield image

        lost = 0
        while True:
            try:
                for run in self._device.run(handed()):
                    waiting.popleft()
                    lost = 0
                    yield run
                return
            except DeviceError:
                lost += 1
                if lost > self._times:
                    raise
                self._connect_again()

    def _steadily(self, ask: Callable[[], T]) -> T:
        for lost in range(1, self._times + 2):
            try:
                return ask()
            except DeviceError:
                if lost > self._times:
                    raise
                self._connect_again()
        raise AssertionError

    def _connect_again(self) -> None:
        self._retries, self._round_trips = self.retries, self.round_trips
        self._device.close()
        self.interruptions += 1
        end = time.monotonic() + self._patience_s
        while True:
            try:
                self._device = self._connect()
                break
            except DeviceError:
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE_S)
        info = self._device.last_info
        if info.crc32 != self._known.crc32:
            raise InputError(
                f"the device came back with {info.name} {info.crc32:08x}, not {self._known.crc32:08x}: bitflow flash"
            )

    def reset(self) -> None:
        """See Device.reset()."""
        self._steadily(lambda: self._device.reset())

    def close(self) -> None:
        self._device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
