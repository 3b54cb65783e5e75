"""concat: maps of bits, joined channel after channel."""

from __future__ import annotations

from bitflow.accumulation import LayerKind
from bitflow.planner.kernels.spec import Form, Job, Kernel, KernelSpec
from bitflow.planner.windows import merge_work

__all__ = ["SPEC"]


def _scratch_words(job: Job) -> int:
    return 0


SPEC = KernelSpec(
    kernel=Kernel.CONCAT,
    forms=(Form("bf_concat", ("bits put together", "concatenation")),),
    kinds=(LayerKind.CONCAT,),
    scratch_words=_scratch_words,
    work=merge_work,
)
