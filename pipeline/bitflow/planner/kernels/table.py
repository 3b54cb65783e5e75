"""The table of kernels, in the order of their numbers."""

from __future__ import annotations

from bitflow.packed import PackedLayer
from bitflow.planner.kernels.concat import SPEC as CONCAT
from bitflow.planner.kernels.conv_plain import SPEC as CONV_PLAIN
from bitflow.planner.kernels.input_plain import SPEC as INPUT_PLAIN
from bitflow.planner.kernels.input_sums import SPEC as INPUT_SUMS
from bitflow.planner.kernels.patterns_1 import SPEC as PATTERNS_1
from bitflow.planner.kernels.patterns_8 import SPEC as PATTERNS_8
from bitflow.planner.kernels.patterns_16 import SPEC as PATTERNS_16
from bitflow.planner.kernels.set_bits import SPEC as SET_BITS
from bitflow.planner.kernels.spec import KernelSpec
from bitflow.planner.kernels.sum import SPEC as SUM
from bitflow.planner.kernels.total import SPEC as TOTAL
from bitflow.planner.kernels.wide_conv import SPEC as WIDE_CONV

__all__ = ["KERNELS", "candidates"]

_SPECS = (
    INPUT_SUMS, INPUT_PLAIN, PATTERNS_16, PATTERNS_8, SET_BITS, PATTERNS_1, CONV_PLAIN, WIDE_CONV, SUM, CONCAT, TOTAL,
)  # fmt: skip
KERNELS = {spec.kernel: spec for spec in _SPECS}


def candidates(layer: PackedLayer, lane_words: int) -> tuple[KernelSpec, ...]:
    """The kernels that can run a layer, in the order of their numbers; the last one covers every layer of its kind."""
    return tuple(spec for spec in KERNELS.values() if layer.kind in spec.kinds and spec.covers(layer, lane_words))
