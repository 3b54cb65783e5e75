"""total: each channel added over all positions."""

from __future__ import annotations

from bitflow.accumulation import LayerKind
from bitflow.planner.kernels.spec import Form, Kernel, KernelSpec
from bitflow.planner.windows import MERGE_CODE, merge_scratch_words, merge_work

__all__ = ["SPEC"]

SPEC = KernelSpec(
    kernel=Kernel.TOTAL,
    forms=(Form("bf_total", (*MERGE_CODE, "total")),),
    kinds=(LayerKind.TOTAL,),
    scratch_words=merge_scratch_words,
    work=merge_work,
)
