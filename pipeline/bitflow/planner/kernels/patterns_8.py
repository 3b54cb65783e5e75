"""patterns_8: filter patterns by lists of 8 bits an entry, which a plan holds."""

from __future__ import annotations

from bitflow.planner.kernels.spec import Kernel
from bitflow.planner.patterns.planned import planned_spec

__all__ = ["SPEC"]

SPEC = planned_spec(
    Kernel.PATTERNS_8,
    "bf_conv_patterns_8",
    entry_bits=8,
    code=("8-bit lists of a plan and their adder",),
)
