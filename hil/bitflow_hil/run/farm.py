"""Several boards side by side, each in its own thread. An emulator ends with the thread that started it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from bitflow.boards import Board
from bitflow.errors import BitflowError, CheckFailed, DeviceError
from bitflow_hil.devices import connect
from bitflow_hil.devices.resuming import ResumingDevice
from bitflow_hil.run import runner, soak
from bitflow_hil.run.progress import Progress
from bitflow_hil.run.results import Demands, HilResult, shortfalls
from bitflow_hil.run.soak import SoakResult
from bitflow_hil.run.task import Task

__all__ = ["Farm", "Firmware", "Station"]

_LOOK_S = 0.25
_END_S = 10.0  # seconds in which boards must end after Ctrl-C

State = Literal["waits", "builds", "runs", "done", "failed"]


class Firmware(Protocol):
    """A firmware built for a board: its ELF file and its size."""

    @property
    def elf(self) -> Path: ...

    @property
    def flash_bytes(self) -> int: ...

    @property
    def ram_bytes(self) -> int: ...


@dataclass(slots=True)
class Station:
    """A board and its progress. Its thread writes, others may read.

    At the end it has a result (after a long run: `soaked`), or the error that ended it.

    seconds: time of its images.
    """

    board: Board
    port: str | None
    progress: Progress
    state: State = "waits"
    device: ResumingDevice | None = None
    built: Firmware | None = None
    seconds: float = 0.0
    result: HilResult | None = None
    soaked: SoakResult | None = None
    error: BitflowError | None = None
    bug: BaseException | None = field(default=None, repr=False)
    ended: threading.Event = field(default_factory=threading.Event, repr=False)

    def facts(self) -> dict[str, Any]:
        """The outcome, as one JSON object."""
        if self.error is not None:
            return {"board": self.board.name, "error": str(self.error)}
        if self.soaked is not None:
            return self.soaked.facts()
        assert self.result is not None
        sizes = {} if self.built is None else {"flash_bytes": self.built.flash_bytes, "ram_bytes": self.built.ram_bytes}
        return {**self.result.facts(), **sizes, "seconds": round(self.seconds, 3)}

    def failures(self, demands: Demands) -> list[str]:
        """Why the outcome is not good enough, one line each; empty if it is."""
        if self.error is not None:
            return [f"{self.board.name}: {self.error}"]
        if self.soaked is not None:
            return self.soaked.failures()
        assert self.result is not None
        return shortfalls(self.result, demands)


class Farm:
    """Boards that work at the same time on the same task.

    build: builds the firmware of an emulated board; called for one board at a time.
    """

    def __init__(self, task: Task, stations: Sequence[Station], build: Callable[[Board], Firmware]) -> None:
        self.stations = tuple(stations)
        self._task, self._build = task, build
        self._stop = threading.Event()

    def check(self, watch: Callable[[], None] = lambda: None) -> None:
        """Run the task once on every board; each gets a result or an error, and none stops another.

        Ctrl-C ends the boards and is raised again.

        watch: called a few times a second meanwhile.
        """
        self._run(self._check, watch)

    def soak(self, seconds: float, say: Callable[[str], None], watch: Callable[[], None] = lambda: None) -> None:
        """Repeat the task for `seconds`. Ctrl-C ends it early, and is raised when the boards have their results.

        say: called with a line per minute from each board.
        watch: called a few times a second meanwhile.
        """
        self._run(lambda station, device: self._soak(station, device, seconds, say), watch)

    def _check(self, station: Station, device: ResumingDevice) -> None:
        task, start = self._task, time.monotonic()
        station.result = runner.check(
            device, station.board, task, self._until_stopped, station.progress
        )  # fmt: skip
        station.seconds = time.monotonic() - start
        if station.built is None and station.port is None:
            self._firmware(station)  # for the size of what a plugged-in board has

    def _soak(self, station: Station, device: ResumingDevice, seconds: float, say: Callable[[str], None]) -> None:
        station.soaked = soak.soak(device, station.board, self._task, station.progress, seconds, self._stop.is_set, say)

    def _until_stopped(self, images: Iterable[Any]) -> Iterator[Any]:
        for image in images:
            if self._stop.is_set():
                raise CheckFailed("interrupted")
            yield image

    def _run(self, work: Callable[[Station, ResumingDevice], None], watch: Callable[[], None]) -> None:
        threads = [
            threading.Thread(target=self._live, args=(station, work), name=station.board.name, daemon=True)
            for station in self.stations
        ]
        for thread in threads:
            thread.start()
        try:
            while not self._ended(_LOOK_S):
                watch()
        except KeyboardInterrupt:
            self._stop.set()
            if not self._ended(_END_S):
                for station in self.stations:
                    if not station.ended.is_set():
                        station.error = DeviceError(f"did not end within {_END_S:g} s of Ctrl-C")
            raise
        finally:
            watch()
        for station in self.stations:
            if station.bug is not None:
                raise station.bug

    def _ended(self, seconds: float) -> bool:
        """Wait up to `seconds` until all boards have ended.

        Not by join(): in Python 3.11 a join() that Ctrl-C interrupts marks its thread as dead.
        """
        end = time.monotonic() + seconds
        return all(station.ended.wait(max(0.0, end - time.monotonic())) for station in self.stations)

    def _live(self, station: Station, work: Callable[[Station, ResumingDevice], None]) -> None:
        try:
            station.state = "builds" if station.port is None and station.board.emulated else "waits"
            with connect.resuming(station.board, station.port, lambda: self._firmware(station)) as device:
                station.device, station.state = device, "runs"
                work(station, device)
            station.state = "done"
        except BitflowError as error:
            station.error, station.state = error, "failed"
        except BaseException as error:
            station.bug, station.state = error, "failed"
        finally:
            station.ended.set()

    def _firmware(self, station: Station) -> Path:
        station.built = self._build(station.board)
        return station.built.elf
