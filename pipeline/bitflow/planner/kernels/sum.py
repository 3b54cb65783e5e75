"""sum: bits or integers of maps of one shape, added."""

from __future__ import annotations

from bitflow.accumulation import LayerKind
from bitflow.planner.kernels.spec import Form, Kernel, KernelSpec
from bitflow.planner.windows import MERGE_CODE, merge_scratch_words, merge_work

__all__ = ["SPEC"]

SPEC = KernelSpec(
    kernel=Kernel.SUM,
    forms=(Form("bf_sum", (*MERGE_CODE, "sum")),),
    kinds=(LayerKind.SUM,),
    scratch_words=merge_scratch_words,
    work=merge_work,
)
