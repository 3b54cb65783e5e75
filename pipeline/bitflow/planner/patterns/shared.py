"""What the kernels patterns_16, patterns_8 and patterns_1 share."""

from __future__ import annotations

import numpy as np

from bitflow.packed import PackedLayer
from bitflow.planner import planes
from bitflow.planner.kernels.spec import DataArray, Job
from bitflow.planner.patterns.geometry import COUNT_DIGITS, PATTERNS, Geometry, reads_input

__all__ = ["CODE", "FULL_CODE", "is_lite", "record_array", "scratch_words"]

CODE = ("division", "bit planes", "filter patterns")
"""The parts of the library that every form links."""
FULL_CODE = ("pools of any windows", "copies of the input, exact zeros")
"""The parts that full forms link as well."""


def is_lite(layer: PackedLayer) -> bool:
    """Whether the lite form runs a layer: a small pool, and all taps read in the input itself."""
    return planes.pools_by_two(layer) and reads_input(layer)


def scratch_words(job: Job, g: Geometry) -> int:
    """Words of scratch beside planes and lists: maps as bit planes, copies, counts, and masks of border patterns."""
    counts = (PATTERNS + 1) * COUNT_DIGITS * job.lane_words
    return planes.scratch_words(job, True) + g.copies_words + counts + g.tables * 64 * job.lane_words


def record_array(records: bytes, quads: int, comment: str) -> DataArray:
    """The records of the quads."""
    return DataArray("quads", comment, np.frombuffer(records, dtype=np.uint8).reshape(quads, -1))
