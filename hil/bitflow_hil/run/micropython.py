"""Accuracy on a board that runs MicroPython, and the comparison of all its scores with the host's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from bitflow.boards import Board
from bitflow.errors import InputError
from bitflow.image.bfn import Image
from bitflow_hil.devices.repl import INSTRUCTIONS_PER_TICK, Repl, run_scores
from bitflow_hil.run.results import HilResult
from bitflow_hil.run.runner import compare
from bitflow_hil.run.task import Task

__all__ = ["check"]


def check(
    repl: Repl,
    board: Board,
    task: Task,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = lambda images: images,
    model: str = "'model.bfn'",
) -> HilResult:
    """Run the images of a task through the REPL and compare the scores with the host's, bit for bit.

    progress: wraps the images.
    model: the argument of bitflow.Model() on the board, as Python text.

    Raises InputError if the board has another network.
    """
    found = repl.implementation()
    got = repl.value(f"(lambda m: m.info()['crc32'])(__import__('bitflow').Model({model}))")
    wanted = Image.of(task.network).crc32
    if got != wanted:
        raise InputError(f"board has {got:08x}, you asked for {wanted:08x}: bitflow flash --runtime micropython")
    scores = np.empty_like(task.host_scores)
    ticks = 0
    for index, (row, taken) in enumerate(progress(run_scores(repl, task.network, model, task.images))):
        scores[index] = row
        ticks += taken
    return compare(
        scores,
        task,
        board=board.name,
        runtime="micropython",
        retries=0,
        interruptions=0,
        round_trips=repl.round_trips,
        instructions_per_image=round(ticks * INSTRUCTIONS_PER_TICK / len(task.images)) if board.emulated else None,
        stack_bytes=None,
        crc32=f"{wanted:08x}",
        build_id=found.name,
        cpuid=None,
    )
