"""What the kernels patterns_16, patterns_8 and patterns_1 share."""

from __future__ import annotations

import numpy as np

from bitflow.packed import PackedLayer
from bitflow.planner import planes
from bitflow.planner.kernels.spec import DataArray, Form, Job, one_threshold
from bitflow.planner.patterns.geometry import COUNT_DIGITS, PATTERNS, Geometry, reads_input

__all__ = ["forms", "record_array", "scratch_words"]

# The parts of the library that every form links, those for thresholds and for copies, and those of full forms.
_CODE = ("division", "bit planes", "filter patterns")
_ONE_CODE = "one threshold of filter patterns"
_SEVERAL_CODE = "thresholds of filter patterns"
_COPIES_CODE = "copies of the input"
_FULL_CODE = ("pools of any windows", "exact zeros")


def forms(symbol: str, code: tuple[str, ...], *full_code: str) -> tuple[Form, ...]:
    """The forms of a kernel. code: what only its forms link; full_code: what only the full one links."""
    own = (*_CODE, *code)
    return (
        Form(f"{symbol}_lite", (*own, _ONE_CODE), one_threshold(_is_plain)),
        Form(f"{symbol}_several", (*own, _SEVERAL_CODE), _is_plain),
        Form(f"{symbol}_strided", (*own, _SEVERAL_CODE, _COPIES_CODE), _is_strided),
        Form(symbol, (*own, _ONE_CODE, _SEVERAL_CODE, _COPIES_CODE, *_FULL_CODE, *full_code)),
    )


def _is_plain(layer: PackedLayer) -> bool:
    """A small pool, and all taps read in the input itself."""
    return planes.pools_by_two(layer) and reads_input(layer)


def _is_strided(layer: PackedLayer) -> bool:
    """A small pool, and all taps count."""
    return planes.pools_by_two(layer) and not (any(layer.window.padding) and layer.pad_value == 0)


def scratch_words(job: Job, g: Geometry) -> int:
    """Words of scratch beside planes and lists: maps as bit planes, copies, counts, and masks of border patterns."""
    counts = (PATTERNS + 1) * COUNT_DIGITS * job.lane_words
    return planes.scratch_words(job, True) + g.copies_words + counts + g.tables * 64 * job.lane_words


def record_array(records: bytes, quads: int, comment: str) -> DataArray:
    """The records of the quads."""
    return DataArray("quads", comment, np.frombuffer(records, dtype=np.uint8).reshape(quads, -1))
