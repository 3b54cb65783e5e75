"""Accuracy on a device, and that each of its scores equals the host's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.deploy.boards import Board
from bitflow.errors import CheckFailed, InputError
from bitflow.ir import PackedNetwork
from bitflow.lower import image
from bitflow_hil.device import Device
from bitflow_hil.results import HilResult, Mismatch
from bitflow_hil.resume import ResumingDevice

__all__ = ["check", "compare"]

_NAMED = 10  # mismatches that a result names


def check(
    device: Device | ResumingDevice,
    board: Board,
    network: PackedNetwork,
    images: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    host_scores: npt.NDArray[np.int32],
    float_accuracy: float | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = lambda images: images,
) -> HilResult:
    """Run images [N, H, W, C] on a device and compare its scores with the host's [N, classes], bit for bit.

    progress: wraps the images, to show how far the run is. Raises InputError if the device runs another network,
    CheckFailed if its stack was full.
    """
    info = device.info()
    wanted = image.crc32(network)
    if info.crc32 != wanted:
        raise InputError(f"board has {info.crc32:08x} ({info.name}), you asked for {wanted:08x}: bitflow flash")
    scores = np.empty_like(host_scores)
    instructions = 0
    for index, run in enumerate(device.run(progress(images))):
        scores[index] = run.scores
        instructions += device.instructions(run.ticks)
    info = device.info()
    if 0 < info.stack_bytes <= info.stack_used:
        raise CheckFailed(f"the stack of {board.name} was full: {info.stack_bytes} bytes are too few")
    return compare(
        scores,
        host_scores,
        labels,
        board=board.name,
        runtime="firmware",
        float_accuracy=float_accuracy,
        retries=device.retries,
        interruptions=device.interruptions,
        round_trips=device.round_trips,
        instructions_per_image=round(instructions / len(images)) if board.emulated else None,
        stack_bytes=info.stack_used,
        crc32=f"{wanted:08x}",
        build_id=info.build_id,
        cpuid=f"{info.cpuid:08x}",
    )


def compare(
    scores: npt.NDArray[np.int32], host_scores: npt.NDArray[np.int32], labels: npt.NDArray[np.int64], **facts: Any
) -> HilResult:
    """The result of a run that gave scores [N, classes] where the host gave host_scores; facts: what else is known."""
    different = np.flatnonzero((scores != host_scores).any(axis=1))
    return HilResult(
        images=len(scores),
        accuracy=_accuracy(scores, labels),
        host_accuracy=_accuracy(host_scores, labels),
        mismatches=len(different),
        examples=tuple(
            Mismatch(int(i), tuple(host_scores[i].tolist()), tuple(scores[i].tolist())) for i in different[:_NAMED]
        ),
        **facts,
    )


def _accuracy(scores: npt.NDArray[np.int32], labels: npt.NDArray[np.int64]) -> float:
    return float(np.mean(scores.argmax(axis=1) == labels))
