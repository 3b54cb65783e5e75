"""input_plain: the first layer on pixels, tap by tap; it covers every one and stays the reference."""

from __future__ import annotations

from bitflow.accumulation import LayerKind
from bitflow.planner.kernels.spec import Form, Kernel, KernelSpec
from bitflow.planner.windows import GATHER_CODE, gather_scratch_words, gather_work

__all__ = ["SPEC"]

SPEC = KernelSpec(
    kernel=Kernel.INPUT_PLAIN,
    forms=(Form("bf_input_conv_plain", (*GATHER_CODE, "plain first layer")),),
    kinds=(LayerKind.INPUT_CONV,),
    scratch_words=gather_scratch_words,
    work=gather_work,
)
