"""What makes bits of numbers: signs, with learnable shifts before them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bitflow.accumulation import MAX_THRESHOLDS
from bitflow.nn.estimators import ESTIMATORS, binarise

__all__ = ["Shift", "Sign", "Thermometer"]

# Two thresholds start at +-0.6 and three at -0.9, 0, +0.9: near those of the best quantiser with evenly spaced levels
# for values of mean 0 and variance 1 (Max, "Quantizing for Minimum Distortion", 1960).
_RANGE = 1.8


class Shift(nn.Module):
    """A learnable number added to each channel of [N, C, ...]. Before a Sign it moves the threshold, at no cost."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias.view((1, -1) + (1,) * (x.dim() - 2))


class Sign(nn.Module):
    """+1 where x >= 0, else -1, with an estimator's gradient as in `binarise`. Raises ValueError for an unknown one."""

    def __init__(self, estimator: str = "clip") -> None:
        super().__init__()
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator {estimator!r} is not one of {', '.join(ESTIMATORS)}")
        self.estimator = estimator

    def forward(self, x: Tensor) -> Tensor:
        return binarise(x, self.estimator)

    def extra_repr(self) -> str:
        return "" if self.estimator == "clip" else f"estimator={self.estimator!r}"


class Thermometer(Sign):
    """Several signs of each channel, each with a learnable shift: T bits of a value, which cost no product more.

    In: float [N, C, ...] with any axes after the channels. Out: [N, T * C, ...] of +-1; channel t * C + c is the sign
    of channel c plus shift[t, c]. Put it after a BatchNorm, whose values the default spread is for; the next layer has
    T * C input channels. Gradients pass each sign as in `binarise`. The shifts, float32 [T, C], start evenly spaced
    from +spread down to -spread: the threshold of bit t rises with t. A single shift starts at 0.

    channels: C.
    thresholds: T, 1..8.
    spread: where the outermost shifts start, above 0; None: T thresholds divide -1.8..+1.8 into equal parts.
    estimator: as in `Sign`.

    Raises ValueError for other arguments, and for an input with other channels.
    """

    def __init__(
        self, channels: int, thresholds: int = 3, *, spread: float | None = None, estimator: str = "clip"
    ) -> None:
        super().__init__(estimator)
        if channels < 1:
            raise ValueError(f"{channels} channels: at least 1 is needed")
        if not 1 <= thresholds <= MAX_THRESHOLDS:
            raise ValueError(f"{thresholds} thresholds are outside 1..{MAX_THRESHOLDS}")
        if spread is None:
            spread = _RANGE * (thresholds - 1) / (thresholds + 1)
        elif not 0 < spread < math.inf:
            raise ValueError(f"spread {spread} is not a positive number")
        self.channels, self.thresholds = channels, thresholds
        start = torch.linspace(spread, -spread, thresholds) if thresholds > 1 else torch.zeros(1)
        self.shift = nn.Parameter(start.unsqueeze(1).repeat(1, channels))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() < 2 or x.shape[1] != self.channels:
            raise ValueError(f"takes [N, {self.channels}, ...], got {list(x.shape)}")
        if torch.compiler.is_exporting():  # importers take it for a sign with several thresholds
            shape = (1, -1) + (1,) * (x.dim() - 2)
            return torch.cat([super(Thermometer, self).forward(x + shift.view(shape)) for shift in self.shift], 1)
        # One pass for all thresholds, over memory with its channels last. In bfloat16 a shift of float32 would make all
        # that follows float32; training need not be exact.
        each = x.movedim(1, -1).unsqueeze(-2) + self.shift.to(x.dtype)
        return super().forward(each.flatten(-2).movedim(-1, 1))

    def extra_repr(self) -> str:
        found = f"{self.channels}, thresholds={self.thresholds}"
        return f"{found}, {estimator}" if (estimator := super().extra_repr()) else found
