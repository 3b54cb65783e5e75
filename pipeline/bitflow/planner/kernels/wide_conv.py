"""wide_conv: pixels, bits or integers with int8 weights, and integers with weights of +-1."""

from __future__ import annotations

from bitflow.accumulation import LayerKind
from bitflow.planner.kernels.spec import Form, Kernel, KernelSpec
from bitflow.planner.windows import GATHER_CODE, gather_scratch_words, gather_work

__all__ = ["SPEC"]

SPEC = KernelSpec(
    kernel=Kernel.WIDE_CONV,
    forms=(Form("bf_wide_conv", (*GATHER_CODE, "wide convolution")),),
    kinds=(LayerKind.WIDE_CONV,),
    scratch_words=gather_scratch_words,
    work=gather_work,
)
