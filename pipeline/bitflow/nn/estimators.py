"""The straight-through estimator: signs forward, another derivative backward.

Source: Hubara et al., "Binarized Neural Networks", 2016.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

__all__ = ["ESTIMATORS", "binarise"]


class _StraightThrough(torch.autograd.Function):
    """Forward: +1 where x >= 0, else -1. Backward: the gradient by the estimator."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, estimator: str) -> Tensor:
        ctx.save_for_backward(x)
        ctx.estimator = estimator
        if torch.compiler.is_exporting():
            return torch.where(x >= 0, 1.0, -1.0)  # importers take it for a sign
        # The same, and faster than a comparison: adding 0 turns -0 into +0.
        return torch.copysign(x.new_ones(()), x + 0.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return ESTIMATORS[ctx.estimator](gradients[0], x), None


def _clip(gradient: Tensor, x: Tensor) -> Tensor:
    """1 where |x| <= 1, else 0. The limits of hardtanh are exclusive, hence the next number."""
    beyond = 1 + torch.finfo(x.dtype).eps
    return cast(Tensor, torch.ops.aten.hardtanh_backward(gradient, x, -beyond, beyond))


def _polynomial(gradient: Tensor, x: Tensor) -> Tensor:
    """1.5 - 1.5 x^2, down to 0: the area of the step, without a corner at 0."""
    return gradient * (1.5 - 1.5 * x * x).clamp_(min=0)


def _bireal(gradient: Tensor, x: Tensor) -> Tensor:
    """2 - 2 |x|, down to 0: Bi-Real Net's ApproxSign (Liu et al., 2018)."""
    return gradient * (2 - 2 * x.abs()).clamp_(min=0)


# Estimators, which replace the derivative of a sign, by name: gradient and x -> gradient of x.
ESTIMATORS = {"bireal": _bireal, "clip": _clip, "polynomial": _polynomial}


def binarise(x: Tensor, estimator: str = "clip") -> Tensor:
    """+1.0 where x >= 0 (also -0.0), else -1.0, in the same shape; the gradient is that of the estimator.

    estimator: `clip` (1 where |x| <= 1), `polynomial` (1.5 - 1.5 x^2) or `bireal` (2 - 2 |x|); all are 0 outside +-1.
    """
    return cast(Tensor, _StraightThrough.apply(x, estimator))  # type: ignore[no-untyped-call]
