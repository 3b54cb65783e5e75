"""A long run: the test images are repeated, to see what changes over hours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.boards import Board
from bitflow.errors import InputError
from bitflow_hil.devices.resuming import ResumingDevice
from bitflow_hil.run.progress import Progress
from bitflow_hil.run.runner import require_network, require_stack
from bitflow_hil.run.task import Task

__all__ = ["SoakResult", "duration", "soak"]

_SUMMARY_S = 60.0
_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class SoakResult:
    """The result of a long run.

    seconds: how long it ran.
    images: how many were sent.
    interruptions: how often the device was lost and came back.
    stack_bytes: stack that was ever used.
    latency_ms_first, latency_ms_last: median of the first and the last tenth of the images, as seen by the host.
    drift: the fraction by which the last tenth is slower.
    """

    board: str
    seconds: float
    images: int
    accuracy: float
    mismatches: int
    retries: int
    interruptions: int
    stack_bytes: int
    latency_ms_first: float
    latency_ms_last: float
    drift: float

    def facts(self) -> dict[str, Any]:
        """The result as one JSON object; its keys are stable."""
        return asdict(self)

    def failures(self) -> list[str]:
        """Why the run failed, one line each; empty if it did not."""
        if not self.mismatches:
            return []
        return [f"{self.mismatches} of {self.images} images have different scores on {self.board}"]

    def line(self) -> str:
        """The result in one line, for people."""
        return (
            f"{self.board}: {self.seconds:.0f} s, {self.images} images, accuracy {self.accuracy:.2%}, "
            f"mismatches {self.mismatches}, retries {self.retries}, interruptions {self.interruptions}, "
            f"stack {self.stack_bytes} bytes, latency {self.latency_ms_first:.1f} -> {self.latency_ms_last:.1f} ms "
            f"({self.drift:+.1%})"
        )


def duration(text: str) -> float:
    """ "30s", "10m", "2h" -> seconds. Raises InputError for anything else."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isdecimal() or int(number) == 0:
        raise InputError(f"{text!r} is not a duration: 30s, 10m, 2h")
    return float(int(number) * _UNITS[unit])


def soak(
    device: ResumingDevice,
    board: Board,
    task: Task,
    so_far: Progress,
    seconds: float,
    stopped: Callable[[], bool],
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> SoakResult:
    """Send the images of a task repeatedly for `seconds`, or until stopped() is true; at least one image.

    say: called with a line per minute.

    Raises InputError if the device runs another network, CheckFailed if its stack was full.
    """
    require_network(device.info(), task.network)
    start = clock()
    end, next_line = start + seconds, start + _SUMMARY_S

    def over() -> bool:
        return so_far.done > 0 and (stopped() or clock() >= end)

    def a_pass() -> Iterator[npt.NDArray[Any]]:
        for index, image in enumerate(task.images):
            # An interrupted pass has only the first images: they are counted one by one.
            if index and over():
                return
            yield image

    def result() -> SoakResult:
        tenth = max(1, len(so_far.latencies_ms) // 10)
        first, last = (float(np.median(part)) for part in (so_far.latencies_ms[:tenth], so_far.latencies_ms[-tenth:]))
        return SoakResult(
            board.name, round(clock() - start, 3), so_far.done, so_far.accuracy, so_far.mismatches, device.retries,
            device.interruptions, stack, round(first, 3), round(last, 3), round(last / first - 1, 4),
        )  # fmt: skip

    stack = 0
    while not over():
        for run in device.run(a_pass()):
            so_far.add(run)
            if clock() >= next_line:
                next_line += _SUMMARY_S
                say(result().line())
        info = device.info()
        require_stack(info, board)
        stack = info.stack_used
    return result()
