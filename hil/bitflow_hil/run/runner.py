"""Accuracy on a device, and the comparison of all its scores with the host's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.boards import Board
from bitflow.errors import CheckFailed, InputError
from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.resuming import ResumingDevice
from bitflow_hil.link.frames import Info
from bitflow_hil.run.progress import Progress
from bitflow_hil.run.results import HilResult, Mismatch, Samples
from bitflow_hil.run.task import Task

__all__ = ["check", "compare", "require_network", "require_stack"]

_NAMED = 10  # mismatches that a result lists, at most
_NONE = np.empty(0)


def check(
    device: Device | ResumingDevice,
    board: Board,
    task: Task,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = lambda images: images,
    so_far: Progress | None = None,
) -> HilResult:
    """Run the images of a task on a device and compare its scores with the host's, bit for bit.

    progress: wraps the images.
    so_far: is filled meanwhile, to show the progress.

    Raises InputError if the device runs another network, CheckFailed if its stack was full.
    """
    require_network(device.info(), task.network)
    so_far = so_far or Progress(task)
    for run in device.run(progress(task.images)):
        so_far.add(run)
    info = device.info()
    require_stack(info, board)
    layers = device.profile(task.images[0])  # after the stack was read: a profile uses a little more of it
    return compare(
        so_far.scores,
        task,
        board=board.name,
        runtime="firmware",
        retries=device.retries,
        interruptions=device.interruptions,
        round_trips=device.round_trips,
        stack_bytes=info.stack_used,
        crc32=f"{info.crc32:08x}",
        build_id=info.build_id,
        cpuid=f"{info.cpuid:08x}",
        latencies_ms=np.array(so_far.latencies_ms),
        **_counted(device, so_far, layers) if board.emulated else _timed(info.timer_hz, so_far, layers),
    )


def require_network(info: Info, network: PackedNetwork) -> None:
    """Raise InputError if a device runs another network."""
    wanted = Image.of(network).crc32
    if info.crc32 != wanted:
        raise InputError(f"board has {info.crc32:08x} ({info.name}), you asked for {wanted:08x}: bitflow flash")


def require_stack(info: Info, board: Board) -> None:
    """Raise CheckFailed if the stack of a device was ever full."""
    if 0 < info.stack_bytes <= info.stack_used:
        raise CheckFailed(f"the stack of {board.name} was full: {info.stack_bytes} bytes are too few")


def _counted(device: Device | ResumingDevice, so_far: Progress, layers: list[int]) -> dict[str, Any]:
    """The costs on an emulated board: instructions, since their cycles are not known."""
    counts = [device.instructions(ticks) for ticks in so_far.ticks]
    return {
        "instructions_per_image": round(sum(counts) / len(counts)),
        "instructions_median": round(np.median(counts)),
        "instructions_p99": round(np.percentile(counts, 99)),
        "layer_instructions": tuple(device.instructions(ticks) for ticks in layers),
    }


def _timed(timer_hz: int, so_far: Progress, layers: list[int]) -> dict[str, Any]:
    """The times on a real board, by its own timer."""
    milliseconds = np.array(so_far.ticks) * 1000 / timer_hz
    return {
        "instructions_per_image": None,
        "device_ms_median": round(float(np.median(milliseconds)), 4),
        "device_ms_p99": round(float(np.percentile(milliseconds, 99)), 4),
        "layer_ms": tuple(round(ticks * 1000 / timer_hz, 4) for ticks in layers),
    }


def compare(
    scores: npt.NDArray[np.int32],
    task: Task,
    latencies_ms: npt.NDArray[np.float64] = _NONE,
    **facts: Any,
) -> HilResult:
    """The result of a run with scores [N, classes].

    facts: other fields of the result.
    """
    host_scores, labels = task.host_scores, task.labels
    different = np.flatnonzero((scores != host_scores).any(axis=1))
    if latencies_ms.size:
        facts["latency_ms_median"] = round(float(np.median(latencies_ms)), 3)
        facts["latency_ms_p99"] = round(float(np.percentile(latencies_ms, 99)), 3)
    return HilResult(
        images=len(scores),
        accuracy=_accuracy(scores, labels),
        host_accuracy=_accuracy(host_scores, labels),
        float_accuracy=task.float_accuracy,
        mismatches=len(different),
        examples=tuple(
            Mismatch(int(i), tuple(host_scores[i].tolist()), tuple(scores[i].tolist())) for i in different[:_NAMED]
        ),
        samples=Samples(scores.argmax(axis=1), labels, latencies_ms),
        **facts,
    )


def _accuracy(scores: npt.NDArray[np.int32], labels: npt.NDArray[np.int64]) -> float:
    return float(np.mean(scores.argmax(axis=1) == labels))
