"""wide_conv: pixels, bits or integers with int8 weights, and integers with weights of +-1."""

from __future__ import annotations

from bitflow.accumulation import LayerKind
from bitflow.planner.kernels.spec import Job, Kernel, KernelSpec
from bitflow.planner.windows import gather_work, integers_in, unpooled_words

__all__ = ["SPEC"]


def _scratch_words(job: Job) -> int:
    taps = job.layer.taps
    return unpooled_words(job.layer) + (taps if integers_in(job) else (taps + 1) // 2)  # int32 or int16 a tap


SPEC = KernelSpec(
    kernel=Kernel.WIDE_CONV,
    symbol="bf_wide_conv",
    kinds=(LayerKind.WIDE_CONV,),
    scratch_words=_scratch_words,
    work=gather_work,
    code=(
        "division",
        "bits before a pool",
        "pool of positions",
        "bits of a position",
        "plain first layer, wide convolution",
        "wide convolution",
    ),
)
