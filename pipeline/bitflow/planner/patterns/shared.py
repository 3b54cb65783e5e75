"""What the kernels patterns_16, patterns_8 and patterns_1 share."""

from __future__ import annotations

import numpy as np

from bitflow.packed import PackedLayer
from bitflow.planner import planes
from bitflow.planner.kernels.spec import DataArray, Job, Work
from bitflow.planner.patterns.geometry import COUNT_DIGITS, PATTERNS, Geometry, geometry_of, reads_input
from bitflow.planner.patterns.lists import pattern_data, pattern_steps
from bitflow.planner.patterns.work import lists_work

__all__ = ["CODE", "FULL_CODE", "data", "is_lite", "list_arrays", "lists_of_a_plan", "record_array", "scratch_words"]

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


def lists_of_a_plan(job: Job, entry_bits: int) -> Work:
    """The work of a kernel that follows the lists of a plan."""
    g = geometry_of(job.layer, entry_bits, job.lane_words)
    steps = pattern_steps(g, entry_bits)
    own = Work() if steps is None else lists_work(g, steps, entry_bits)
    return own + planes.around(job, reads_planes=True)


def data(layer: PackedLayer, entry_bits: int, lane_words: int) -> bytes:
    """Records and lists of a plan."""
    found = pattern_data(geometry_of(layer, entry_bits, lane_words), entry_bits)
    assert found is not None, "a kernel was chosen that cannot hold the layer's lists"
    return found[0]


def record_array(records: bytes, quads: int, comment: str) -> DataArray:
    """The records of the quads."""
    return DataArray("quads", comment, np.frombuffer(records, dtype=np.uint8).reshape(quads, -1))


def list_arrays(layer: PackedLayer, found: bytes, entry_bits: int, lane_words: int) -> tuple[DataArray, ...]:
    """Records and lists of a plan."""
    g = geometry_of(layer, entry_bits, lane_words)
    records = 4 * g.quads * g.record_words
    lists = np.frombuffer(found[records:], dtype="<u2" if entry_bits == 16 else np.uint8)
    return (
        record_array(found[:records], g.quads, "quads: channels, start, limits"),
        DataArray("lists", "lists: pattern after pattern, runs of 8 planes", lists),
    )
