"""input_plain: the first layer on pixels, tap by tap; it covers every one and stays the reference."""

from __future__ import annotations

from bitflow.accumulation import LayerKind
from bitflow.planner.kernels.spec import Job, Kernel, KernelSpec
from bitflow.planner.windows import gather_work, unpooled_words

__all__ = ["SPEC"]


def _scratch_words(job: Job) -> int:
    return unpooled_words(job.layer) + (job.layer.taps + 1) // 2  # int16 a tap


SPEC = KernelSpec(
    kernel=Kernel.INPUT_PLAIN,
    symbol="bf_input_conv_plain",
    kinds=(LayerKind.INPUT_CONV,),
    scratch_words=_scratch_words,
    work=gather_work,
    code=(
        "division",
        "bits before a pool",
        "pool of positions",
        "bits of a position",
        "plain first layer, wide convolution",
        "plain first layer",
    ),
)
