"""total: each channel added over all positions."""

from __future__ import annotations

from bitflow.accumulation import LayerKind
from bitflow.planner.kernels.spec import Job, Kernel, KernelSpec
from bitflow.planner.windows import merge_work, unpooled_words

__all__ = ["SPEC"]


def _scratch_words(job: Job) -> int:
    return unpooled_words(job.layer) + job.layer.source.channels  # the sums of a position


SPEC = KernelSpec(
    kernel=Kernel.TOTAL,
    symbol="bf_total",
    kinds=(LayerKind.TOTAL,),
    scratch_words=_scratch_words,
    work=merge_work,
    code=("bits before a pool", "pool of positions", "bits of a position", "sums of maps", "total"),
)
