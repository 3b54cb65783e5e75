"""patterns_16: filter patterns by lists of 16 bits an entry, which a plan holds."""

from __future__ import annotations

from bitflow.planner.kernels.spec import Kernel
from bitflow.planner.patterns.planned import planned_spec

__all__ = ["SPEC"]

SPEC = planned_spec(
    Kernel.PATTERNS_16,
    "bf_conv_patterns_16",
    entry_bits=16,
    code=("adder of 16-bit lists", "16-bit lists of a plan"),
)
