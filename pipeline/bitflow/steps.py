"""The steps that follow the accumulator in a trained network: scale, offset, BatchNorm, max-pool, sign."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.accumulation import MAX_THRESHOLDS, freeze
from bitflow.geometry import Pool, require

__all__ = ["BatchNorm", "Divide", "Offset", "Rounding", "Scale", "Sign", "Step"]

Float = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scale:
    """Multiply by [channels]: the XNOR scaling factor, or an imported scalar. float64 with float32 values."""

    values: npt.NDArray[Any] = field(repr=False)

    def __post_init__(self) -> None:
        _finite(self, "values", np.float64)


@dataclass(frozen=True, slots=True)
class Divide:
    """Divide by a positive number: the positions of a global average, the 255 of a pixel, a standard deviation."""

    by: float

    def __post_init__(self) -> None:
        require(0 < self.by < float("inf"), f"a divisor of {self.by} is not positive and finite")


@dataclass(frozen=True, slots=True)
class Offset:
    """Add [channels]: a bias, or a learnable shift before the sign. float64 with float32 values."""

    values: npt.NDArray[Any] = field(repr=False)

    def __post_init__(self) -> None:
        _finite(self, "values", np.float64)


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Statistics and affine terms of a BatchNorm in eval mode, float32 [channels] each.

    a = weight * (1 / sqrt(variance + eps)) and b = fma(-mean, a, bias), both float32, as torch computes them.
    """

    weight: Float = field(repr=False)
    bias: Float = field(repr=False)
    mean: Float = field(repr=False)
    variance: Float = field(repr=False)
    eps: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("weight", "bias", "mean", "variance"):
            _finite(self, name, np.float32)
            array = getattr(self, name)
            require(array.ndim == 1 and array.shape == self.weight.shape, f"BatchNorm {name} has shape {array.shape}")
        require(bool((self.variance >= 0).all()), "BatchNorm variance is negative")
        require(float(self.eps) >= 0, f"BatchNorm eps {self.eps} is negative")


@dataclass(frozen=True, slots=True)
class Sign:
    """The sign of value - threshold: +1 where it is positive, -1 where it is negative, `zero` where it is 0.

    A value with T thresholds gives T bits, a thermometer of it. Bit t of channel c is channel t * C + c of the map.

    zero: the sign of 0, one number for all thresholds or T of them.
    thresholds: float64 with float32 values [T, channels], in any order; None: one, which is 0.
    """

    zero: int | tuple[int, ...] = 1
    thresholds: npt.NDArray[np.float64] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.thresholds is not None:
            _finite(self, "thresholds", np.float64)
            require(self.thresholds.ndim == 2, f"thresholds must be [T, channels], got {self.thresholds.shape}")
        require(1 <= self.count <= MAX_THRESHOLDS, f"{self.count} thresholds are outside 1..{MAX_THRESHOLDS}")
        require(len(self.zeros) == self.count, f"signs of 0 for other than {self.count} thresholds")
        for zero in self.zeros:
            require(zero in (-1, 1), f"sign(0) is {zero}; only -1 and +1 are one bit")

    @property
    def count(self) -> int:
        """T, the bits that a value gives."""
        return 1 if self.thresholds is None else len(self.thresholds)

    @property
    def zeros(self) -> tuple[int, ...]:
        """The sign of 0 for each threshold."""
        return (self.zero,) * self.count if isinstance(self.zero, int) else self.zero

    def of_threshold(self, t: int) -> tuple[tuple[Offset, ...], Sign]:
        """The steps that make bit t alone. In float32 as in real numbers, y - s is positive, 0 or negative as y > s."""
        before = () if self.thresholds is None else (Offset(-self.thresholds[t]),)
        return before, Sign(self.zeros[t])


Step = Scale | Divide | Offset | BatchNorm | Pool | Sign


def _finite(value: object, name: str, dtype: npt.DTypeLike) -> None:
    freeze(value, name, dtype)
    require(bool(np.isfinite(getattr(value, name)).all()), f"{type(value).__name__} {name} is not finite")


class Rounding(Enum):
    """How the steps of a layer are computed.

    FLOAT32: each step is rounded to float32, as in torch's CPU kernels with FMA; equal to a run of torch.
    EXACT: real numbers, for networks from other sources, whose own runtimes do not define how they round.
    """

    FLOAT32 = "float32"
    EXACT = "exact"
